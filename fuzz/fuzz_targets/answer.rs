//! See `webhooks_fuzz_targets::answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhooks_fuzz_targets::answer(data));
