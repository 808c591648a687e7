//! Any bytes on the control socket are requests, the beginning of one, or refused; what is kept is bounded.
//!
//! `cargo +nightly fuzz run control`, in `crates/sandbox`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_sandbox::control::take_request;

fuzz_target!(|bytes: &[u8]| {
    let mut inbox = bytes.to_vec();
    let mut length = inbox.len();
    while let Ok(Some(_)) = take_request(&mut inbox) {
        assert!(inbox.len() < length, "a request takes bytes");
        length = inbox.len();
    }
});
