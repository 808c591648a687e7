//! Any bytes are a `Balenafile` or a complaint; its stages are ordered, its words expand, and the rules apply.
//!
//! `cargo +nightly fuzz run parse`, in `crates/balenafile`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_balenafile::{Balenafile, BaseFacts, Facts, Instruction, Step};

fuzz_target!(|bytes: &[u8]| {
    match Balenafile::parse("Balenafile", bytes) {
        Err(complaint) => assert!(!complaint.to_string().is_empty()),
        Ok(file) => exercise(&file),
    }
});

fn exercise(file: &Balenafile) {
    let facts = Facts {
        base: &|_| Some(BaseFacts::default()),
        arguments: &|_| None,
        ignore: None,
    };
    if let Ok(graph) = file.graph(&mut |_| Some("value".to_owned())) {
        let _ = file.review(&graph, &facts);
        let _ = graph.order(graph.nodes.len() - 1);
    }
    for step in file.stages.iter().flat_map(|stage| &stage.steps) {
        let end = file.source.text().len();
        for word in step.instruction.expanded_words() {
            assert!(word.span.start <= word.span.end && word.span.end <= end);
            let _ = word.expand(&mut |name| (name.len() % 2 == 0).then(|| name.repeat(100)));
        }
        match &step.instruction {
            Instruction::Onbuild(onbuild) => drop(Step::parse_trigger(&onbuild.text)),
            Instruction::Run(run) => run.mounts.iter().for_each(|mount| {
                let _ = mount.resolve(&mut |_| None);
            }),
            _ => {}
        }
    }
}
