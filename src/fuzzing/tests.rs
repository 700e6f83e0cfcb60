//! The seeds of fuzzing, replayed. A seed's name ends with how far it comes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{decode, frame_header, half_header, ring_consumer, session};

fn replay(target: &str, data: &[u8]) -> usize {
    match target {
        "decode" => decode(data).into(),
        "frame_header" => frame_header(data).into(),
        "half_header" => half_header(data).into(),
        "ring_consumer" => ring_consumer(data),
        "session" => session(data),
        _ => panic!("{target} is not replayed"),
    }
}

/// What is in a folder of `fuzz`, by path and by name without extension.
fn list(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), path.file_stem().unwrap().to_str().unwrap().to_owned())).collect()
}

#[test]
fn every_seed_comes_as_far_as_it_says() {
    for (_, target) in list("seeds") {
        for (path, name) in list(&format!("seeds/{target}")) {
            let says = path.extension().and_then(|end| end.to_str()?.parse().ok());
            let comes = std::panic::catch_unwind(|| replay(&target, &fs::read(&path).unwrap()));
            assert_eq!(comes.ok(), says, "{target}: {name}");
        }
    }
}

#[test]
fn every_target_has_seeds() {
    let names = |folder| list(folder).into_iter().map(|(_, name)| name).collect::<BTreeSet<_>>();
    assert_eq!(names("fuzz_targets"), names("seeds"));
}
