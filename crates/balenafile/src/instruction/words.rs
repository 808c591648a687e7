//! The words of an instruction.

use super::{CopySource, Healthcheck, Instruction};
use crate::word::Word;

impl Instruction {
    /// Returns the words in which variables are replaced when the instruction is evaluated, but for `FROM`, `ARG` and
    /// `EXPOSE`.
    pub fn expanded_words(&self) -> Vec<&Word> {
        match self {
            Instruction::Add(add) => {
                let flags = [&add.chown, &add.chmod, &add.checksum];
                files(&add.sources, &add.destination)
                    .chain(flags.into_iter().flatten())
                    .collect()
            }
            Instruction::Copy(copy) => {
                let flags = [&copy.chown, &copy.chmod];
                files(&copy.sources, &copy.destination)
                    .chain(flags.into_iter().flatten())
                    .collect()
            }
            Instruction::Env(pairs) | Instruction::Label(pairs) => {
                let words = pairs.iter().flat_map(|pair| [&pair.name, &pair.value]);
                words.collect()
            }
            Instruction::Stopsignal(word)
            | Instruction::User(word)
            | Instruction::Workdir(word) => {
                vec![word]
            }
            Instruction::Volume(words) => words.iter().collect(),
            Instruction::Run(run) => {
                let options = run.mounts.iter().flat_map(|mount| &mount.options);
                options.filter_map(|option| option.value.as_ref()).collect()
            }
            Instruction::Arg(_)
            | Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Expose(_)
            | Instruction::From(_)
            | Instruction::Healthcheck(Healthcheck::None | Healthcheck::Check(_))
            | Instruction::Maintainer(_)
            | Instruction::Onbuild(_)
            | Instruction::Shell(_) => Vec::new(),
        }
    }
}

fn files<'file>(
    sources: &'file [CopySource],
    destination: &'file Word,
) -> impl Iterator<Item = &'file Word> {
    let word = |source: &'file CopySource| match source {
        CopySource::Path(word) => word,
        CopySource::Heredoc(heredoc) => &heredoc.text,
    };
    sources.iter().map(word).chain([destination])
}
