//! See `webhooks_fuzz_targets::signature_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhooks_fuzz_targets::signature_header(data));
