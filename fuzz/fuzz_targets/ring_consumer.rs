//! A ring's consumer over memory that changes between any two looks: see `transom::fuzzing::ring_consumer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    transom::fuzzing::ring_consumer(data);
});
