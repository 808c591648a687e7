//! Any word expands or says why not, in time; its value is no longer than a value may be.
//!
//! `cargo +nightly fuzz run words`, in `crates/balenafile`. The first line of the input is a variable's value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_balenafile::{Balenafile, EXPANSION_BYTES_MAX, Instruction};

fuzz_target!(|text: &str| {
    let (value, word) = text.split_once('\n').unwrap_or(("", text));
    let file = format!("FROM scratch\nWORKDIR {word}");
    let Ok(file) = Balenafile::parse("Balenafile", file.as_bytes()) else { return };
    for step in &file.stages[0].steps {
        if let Instruction::Workdir(word) = &step.instruction {
            let names = word.variables();
            let expanded = word.expand(&mut |name| {
                assert!(names.contains(&name), "a variable that was not known before");
                (name.len() % 2 == 0).then(|| value.to_owned())
            });
            if let Ok(value) = expanded {
                assert!(value.len() <= EXPANSION_BYTES_MAX);
            }
        }
    }
});
