//! Settings: instructions that change the configuration or the variables, and no files.
//!
//! Each returns its line of history, variables replaced.

use minke_balenafile::{ArgDeclaration, Command, Pair, Word};

use super::Builder;
use crate::build::BuildError;
use crate::configure::{self, PortError};

impl Builder<'_> {
    pub(super) fn cmd(&mut self, command: &Command) -> Result<String, BuildError> {
        let words = self.command_words(command)?;
        let created_by = configure::command_text("CMD", &words);
        self.commands.set_cmd(&mut self.image.config, words);
        Ok(created_by)
    }

    pub(super) fn entrypoint(&mut self, command: &Command) -> Result<String, BuildError> {
        let words = self.command_words(command)?;
        let created_by = configure::command_text("ENTRYPOINT", &words);
        self.commands
            .set_entrypoint(&mut self.image.config, command, words);
        Ok(created_by)
    }

    /// Returns what runs. Images have no shell yet.
    fn command_words(&self, command: &Command) -> Result<Vec<String>, BuildError> {
        match command {
            Command::Exec(words) => Ok(words.clone()),
            Command::Shell(shell) => shell
                .words
                .clone()
                .map_err(|complaint| self.file.source.complain(*complaint).into()),
        }
    }

    pub(super) fn arg(&mut self, arguments: &[ArgDeclaration]) -> Result<String, BuildError> {
        for argument in arguments {
            let stage = |builder: &Self, name: &str| {
                builder.variables.lookup(&builder.image.config.env, name)
            };
            let default = self.default_of(argument, stage)?;
            self.variables.declare(&argument.name, default);
        }
        // The value stays out of the history: it may be a secret, and a layer's key has it where it matters.
        Ok(format!(
            "ARG {}",
            arguments
                .iter()
                .map(|argument| argument.name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        ))
    }

    /// Every value of an instruction sees the variables before it. Spec: Dockerfile reference, "Environment replacement".
    fn pairs(&mut self, pairs: &[Pair]) -> Result<Vec<(String, String)>, BuildError> {
        let mut expanded = Vec::new();
        for pair in pairs {
            let name = self.expand(&pair.name)?;
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(self.error(
                    pair.name.span,
                    "a name is empty or has a `=`",
                    Some("write `NAME=VALUE`"),
                ));
            }
            expanded.push((name, self.expand(&pair.value)?));
        }
        Ok(expanded)
    }

    pub(super) fn env(&mut self, pairs: &[Pair]) -> Result<String, BuildError> {
        let pairs = self.pairs(pairs)?;
        for (name, value) in &pairs {
            configure::set_env(&mut self.image.config, name, value);
        }
        Ok(format!("ENV {}", pair_text(&pairs)))
    }

    pub(super) fn label_image(&mut self, pairs: &[Pair]) -> Result<String, BuildError> {
        let pairs = self.pairs(pairs)?;
        self.image.config.labels.extend(pairs.iter().cloned());
        Ok(format!("LABEL {}", pair_text(&pairs)))
    }

    pub(super) fn user(&mut self, word: &Word) -> Result<String, BuildError> {
        let user = self.expand(word)?;
        if user.trim().is_empty() {
            return Err(self.error(
                word.span,
                "the user is empty",
                Some("write a name or a number: `USER 1000:1000`"),
            ));
        }
        let created_by = format!("USER {user}");
        self.image.config.user = Some(user);
        Ok(created_by)
    }

    pub(super) fn expose(&mut self, words: &[Word]) -> Result<String, BuildError> {
        let mut texts = Vec::new();
        for word in words {
            let text = self.expand(word)?;
            for port in text.split_whitespace() {
                configure::expose(&mut self.image.config, port).map_err(|error| {
                    let hint = match error {
                        PortError::Published(_) => {
                            "write the container's port only, and publish it with `minke run -p`"
                        }
                        _ => "write `PORT`, `PORT-PORT` or `PORT/udp`",
                    };
                    self.error(word.span, error.to_string(), Some(hint))
                })?;
            }
            texts.push(text);
        }
        Ok(format!("EXPOSE {}", texts.join(" ")))
    }
}

fn pair_text(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
