//! See `webhooks_fuzz_targets::content_filter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhooks_fuzz_targets::content_filter(data));
