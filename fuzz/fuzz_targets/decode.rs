//! Values of several types out of any bytes: see `transom::fuzzing::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    transom::fuzzing::decode(data);
});
