//! Any bytes on the control socket are requests, the beginning of one, or refused; what is kept is bounded. So is what comes in
//! frames behind a request.
//!
//! `cargo +nightly fuzz run control`, in `crates/sandbox`.

#![no_main]
#![allow(dead_code, reason = "the files are another crate's, which uses all of them")]

use std::io::Read;

use libfuzzer_sys::fuzz_target;

#[path = "../../src/control"]
mod control {
    pub(crate) mod message;
    pub(crate) mod request;
}

#[path = "../../src/files"]
mod files {
    pub(crate) mod frames;
    pub(crate) mod request;
}

use control::message;
use control::request::{Request, take_request};
use files::frames::FrameReader;

fuzz_target!(|bytes: &[u8]| {
    let mut inbox = bytes.to_vec();
    let mut length = inbox.len();
    while let Ok(Some(request)) = take_request(&mut inbox) {
        assert!(inbox.len() < length, "a request takes bytes");
        length = inbox.len();
        assert_is_read_as_it_was_sent(&request);
    }
    let mut read = Vec::new();
    // What is cut or announces too much is an error, and what came before it was read.
    let _ = FrameReader::new(bytes).read_to_end(&mut read);
    assert!(read.len() <= bytes.len(), "a frame has no more than was sent");
});

fn assert_is_read_as_it_was_sent(request: &Request) {
    let mut sent = message::encode(request);
    let read = take_request(&mut sent);
    assert!(read.is_ok_and(|read| read.as_ref() == Some(request)) && sent.is_empty());
}
