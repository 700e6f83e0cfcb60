//! Names on the wire: kebab case, and the IDs made of them.

/// The name in kebab case: `HttpServer`, `HTTPServer` and `http_server` are all `http-server`.
pub(crate) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        if letter == '_' {
            if !kebab.is_empty() && !kebab.ends_with('-') {
                kebab.push('-');
            }
            continue;
        }
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(index + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if starts_word && !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab.trim_end_matches('-').to_owned()
}

/// A kebab-case name in Pascal case.
pub(crate) fn pascal(kebab: &str) -> String {
    kebab
        .split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters)
        })
        .collect()
}

/// A method's ID: the first eight bytes, little-endian, of blake3 over `service.method`.
pub(crate) fn method_id(service: &str, method: &str) -> u64 {
    let hash = blake3::hash(format!("{service}.{method}").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_kebab_case() {
        for name in ["HttpServer", "HTTPServer", "http_server", "_http__server_"] {
            assert_eq!(kebab(name), "http-server", "{name}");
        }
        assert_eq!(kebab("Calc"), "calc");
        assert_eq!(kebab("add2"), "add2");
        assert_eq!(kebab("sha256Sum"), "sha256-sum");
        assert_eq!(pascal("http-server"), "HttpServer");
    }

    #[test]
    fn ids_never_change() {
        // The bytes of `printf calc.add | b3sum`, first eight, little-endian.
        let hash = blake3::hash(b"calc.add");
        let bytes: [u8; 8] = hash.as_bytes()[..8].try_into().expect("eight bytes");
        assert_eq!(method_id("calc", "add"), u64::from_le_bytes(bytes));
        assert_ne!(method_id("calc", "add"), method_id("calcadd", ""));
    }
}
