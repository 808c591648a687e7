//! Any bytes are an ignore file or a complaint, and any path is ignored or not, in time.
//!
//! `cargo +nightly fuzz run ignore`, in `crates/balenafile`. The first line of the input is the path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_balenafile::{Glob, IgnoreFile, Source};

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = Source::new(".dockerignore", bytes) else { return };
    let path = source.text().lines().next().unwrap_or_default().to_owned();
    if let Ok(file) = IgnoreFile::parse(&source) {
        file.is_ignored(&path);
    }
    for line in source.text().lines() {
        let _ = Glob::for_copy(line).map(|glob| glob.matches(&path));
    }
});
