#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dqlite_fuzz::responses(bytes));
