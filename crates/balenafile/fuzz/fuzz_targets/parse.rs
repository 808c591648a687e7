//! Any bytes are a `Balenafile` or a complaint; any word expands or says why not.
//!
//! `cargo +nightly fuzz run parse`, in `crates/balenafile`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_balenafile::{Balenafile, CopySource, Instruction, Word};

fuzz_target!(|bytes: &[u8]| {
    match Balenafile::parse("Balenafile", bytes) {
        Err(complaint) => assert!(!complaint.to_string().is_empty()),
        Ok(file) => {
            let steps = file.stages.iter().flat_map(|stage| &stage.steps);
            steps.for_each(|step| words(&step.instruction).iter().for_each(|word| expand(word)));
        }
    }
});

fn words(instruction: &Instruction) -> Vec<&Word> {
    match instruction {
        Instruction::Add(add) => files(&add.sources, &add.destination),
        Instruction::Copy(copy) => files(&copy.sources, &copy.destination),
        Instruction::Env(pairs) | Instruction::Label(pairs) => {
            pairs.iter().flat_map(|pair| [&pair.name, &pair.value]).collect()
        }
        Instruction::Workdir(word) | Instruction::User(word) | Instruction::Stopsignal(word) => {
            vec![word]
        }
        Instruction::Expose(words) | Instruction::Volume(words) => words.iter().collect(),
        Instruction::Onbuild(onbuild) => words(&onbuild.instruction),
        _ => Vec::new(),
    }
}

fn files<'file>(sources: &'file [CopySource], destination: &'file Word) -> Vec<&'file Word> {
    let word = |source: &'file CopySource| match source {
        CopySource::Path(word) => word,
        CopySource::Heredoc(heredoc) => &heredoc.text,
    };
    sources.iter().map(word).chain([destination]).collect()
}

fn expand(word: &Word) {
    let _ = word.expand(&mut |name| (name.len() % 2 == 0).then(|| name.repeat(100)));
}
