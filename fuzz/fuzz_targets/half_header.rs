//! The header of a half: see `transom::fuzzing::half_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    transom::fuzzing::half_header(data);
});
