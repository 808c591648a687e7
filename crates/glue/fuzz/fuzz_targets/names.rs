//! Any text is read to its end, in time, and says names of bounded length or nothing.
//!
//! `cargo +nightly fuzz run names`, in `crates/glue`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_glue::{GlueNames, NAME_BYTES_MAX};

/// What texts are made of, so that the objects of names are found: a byte stands for a word, others for themselves.
const WORDS: [&str; 12] = [
    "wasmImports",
    "asmLibraryArg",
    "={",
    "Module[\"asm\"]",
    "wasmExports",
    "asm",
    "[\"",
    "\"]",
    "/*",
    "*/",
    "doStat:",
    "buf+88>>",
];

fuzz_target!(|bytes: &[u8]| {
    let mut text = String::new();
    for byte in bytes {
        match byte.checked_sub(128).map(usize::from) {
            Some(index) if index < WORDS.len() => text.push_str(WORDS[index]),
            Some(_) => text.push('é'),
            None => text.push(char::from(*byte)),
        }
    }
    let names = GlueNames::parse(&text);
    for (name, real) in names.imports().chain(names.exports()) {
        assert!(name.len() <= NAME_BYTES_MAX && real.len() <= NAME_BYTES_MAX);
        assert!(text.contains(name) || text.contains(real));
    }
});
