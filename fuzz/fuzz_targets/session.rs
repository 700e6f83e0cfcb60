//! A session whose peer sends whatever it likes: see `transom::fuzzing::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    transom::fuzzing::session(data);
});
