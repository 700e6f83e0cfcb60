//! The files that the indexer is fed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::DemoError;

/// Files with these extensions are read.
const EXTENSIONS: [&str; 3] = ["rs", "md", "toml"];
/// Directories that hold nothing of interest.
const SKIPPED: [&str; 2] = ["target", ".git"];
/// Larger files are passed over.
const LARGEST: u64 = 4 << 20;
/// Reading stops here: a demonstration is to end soon.
const MOST_FILES: usize = 4000;

/// Text files, read.
#[derive(Debug)]
pub(super) struct Sources {
    /// Where they lie.
    pub(super) directory: PathBuf,
    /// The files, by path.
    pub(super) files: Vec<Source>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it lies, seen from the directory.
    pub(super) path: String,
    /// What it says.
    pub(super) text: String,
}

impl Sources {
    /// Reads the files in and below `input`, or in the Cargo workspace around the current directory.
    pub(super) fn read(input: Option<&Path>) -> Result<Self, DemoError> {
        let directory = match input {
            Some(directory) => directory.to_owned(),
            None => {
                let here = std::env::current_dir()?;
                let root = workspace(&here)?;
                if root == here { PathBuf::from(".") } else { root }
            }
        };
        let failed = |source| DemoError::Read { path: directory.clone(), source };
        let mut paths = Vec::new();
        walk(&directory, &mut paths).map_err(failed)?;
        paths.sort();
        let mut files = Vec::new();
        for path in paths.into_iter().take(MOST_FILES) {
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let path = path.strip_prefix(&directory).unwrap_or(&path).display().to_string();
                    files.push(Source { path, text });
                }
                // Not text, or gone meanwhile.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {}
                Err(source) => return Err(DemoError::Read { path, source }),
            }
        }
        match files.is_empty() {
            true => Err(DemoError::NoSources { directory }),
            false => Ok(Self { directory, files }),
        }
    }
}

/// The root of the Cargo workspace that `from` lies in.
fn workspace(from: &Path) -> Result<PathBuf, DemoError> {
    let is_root = |directory: &&Path| {
        let manifest = fs::read_to_string(directory.join("Cargo.toml"));
        manifest.is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
    };
    let root = from.ancestors().find(is_root);
    root.map(Path::to_owned).ok_or_else(|| DemoError::NoWorkspace { from: from.to_owned() })
}

/// Collects the files of interest in and below `directory`. Symbolic links are not followed.
fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if !SKIPPED.iter().any(|&skipped| entry.file_name() == skipped) {
                walk(&path, found)?;
            }
        } else if kind.is_file()
            && path.extension().is_some_and(|of| EXTENSIONS.iter().any(|&wanted| of == wanted))
            && entry.metadata()?.len() <= LARGEST
        {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed with this value.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("transom-sources-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("a new directory");
            Self(path)
        }

        fn write(&self, path: &str, text: &[u8]) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the directory");
        }
    }

    #[test]
    fn sources_are_read_in_order_and_what_is_built_is_not() {
        let place = Place::new("walk");
        place.write("src/lib.rs", b"mod a;");
        place.write("README.md", b"Read");
        place.write("src/binary.rs", b"\xff\xfe");
        place.write("target/debug/out.rs", b"not this");
        place.write(".git/description.md", b"nor this");
        place.write("notes.txt", b"nor this");
        std::os::unix::fs::symlink(&place.0, place.0.join("loop")).expect("a link");
        let sources = Sources::read(Some(&place.0)).expect("sources");
        let read: Vec<(&str, &str)> = sources.files.iter().map(|file| (&*file.path, &*file.text)).collect();
        assert_eq!(read, [("README.md", "Read"), ("src/lib.rs", "mod a;")]);
    }

    #[test]
    fn the_workspace_is_looked_for_upwards() {
        let place = Place::new("up");
        place.write("Cargo.toml", b"[workspace]\nmembers = []\n");
        place.write("member/Cargo.toml", b"[package]\nname = \"member\"\n");
        place.write("member/src/lib.rs", b"");
        assert_eq!(workspace(&place.0.join("member/src")).expect("a root"), place.0);
    }

    #[test]
    fn a_directory_without_sources_is_an_error() {
        let place = Place::new("none");
        let error = Sources::read(Some(&place.0)).expect_err("there are none");
        assert!(matches!(error, DemoError::NoSources { .. }), "{error}");
        let error = Sources::read(Some(&place.0.join("absent"))).expect_err("there is no such directory");
        assert!(matches!(error, DemoError::Read { .. }), "{error}");
    }
}
