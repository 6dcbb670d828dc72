//! See `webhooks_fuzz_targets::response`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhooks_fuzz_targets::response(data));
