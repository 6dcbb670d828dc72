//! See `webhooks_fuzz_targets::url_guard`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhooks_fuzz_targets::url_guard(data));
