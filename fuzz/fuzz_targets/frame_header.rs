//! The header of a frame: see `transom::fuzzing::frame_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    transom::fuzzing::frame_header(data);
});
