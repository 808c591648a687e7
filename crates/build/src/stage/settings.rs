//! Settings: instructions that change the configuration or the variables, and no files.
//!
//! Each returns its line of history, variables replaced.

use minke_balenafile::{
    ArgDeclaration, Check, Command, Healthcheck, Literal, Onbuild, Pair, ShellCommand, Span, Word,
};
use minke_image::{HealthCheck, program};

use super::{Evaluator, default_of};
use crate::build::BuildError;
use crate::configure;

/// Docker: the shell of an image that names none.
const SHELL_DEFAULT: [&str; 2] = ["/bin/sh", "-c"];

impl Evaluator<'_> {
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

    fn command_words(&mut self, command: &Command) -> Result<Vec<String>, BuildError> {
        match command {
            Command::Exec(words) => Ok(words.clone()),
            Command::Shell(shell) => self.shell_words(shell),
        }
    }

    /// Returns what runs a command in the shell form: the shell that `SHELL` names; without one, the words of a simple
    /// command as they are, if the image has that program or no shell; else the image's `/bin/sh`.
    pub(super) fn shell_words(
        &mut self,
        command: &ShellCommand,
    ) -> Result<Vec<String>, BuildError> {
        let config = &self.image.config;
        let mut words = match (&command.words, config.shell.is_empty()) {
            (_, false) => config.shell.clone(),
            (Ok(words), true) if self.has_program(words)? || !self.has_default_shell()? => {
                return Ok(words.clone());
            }
            // What no file answers may be the shell's own: `cd`, `echo`, `test`.
            (Ok(_), true) => default_shell(),
            (Err(_), true) if self.has_default_shell()? => default_shell(),
            (Err(complaint), true) => {
                return Err(self.source.complain((**complaint).clone()).into());
            }
        };
        words.push(command.text.clone());
        Ok(words)
    }

    /// Returns the words before a text that only a shell can run; `what` is for the message.
    pub(super) fn shell_of(&mut self, span: Span, what: &str) -> Result<Vec<String>, BuildError> {
        if !self.image.config.shell.is_empty() {
            return Ok(self.image.config.shell.clone());
        }
        if self.has_default_shell()? {
            return Ok(default_shell());
        }
        let message =
            format!("{what} needs a shell, and the image has none: there is no `/bin/sh`");
        let hint = "`COPY` a shell into the image and name it: `SHELL [\"/bin/sh.wasm\", \"-c\"]`";
        Err(self.error(span, message, Some(hint)))
    }

    fn has_default_shell(&mut self) -> Result<bool, BuildError> {
        self.has_any(&program::candidates(SHELL_DEFAULT[0], None, "/"))
    }

    /// Whether the image has the program that a command's first word means.
    fn has_program(&mut self, words: &[String]) -> Result<bool, BuildError> {
        let Some(word) = words.first() else {
            return Ok(false);
        };
        let config = &self.image.config;
        let search = configure::env_of(config, "PATH");
        let candidates = program::candidates(word, search, &config.working_dir);
        self.has_any(&candidates)
    }

    fn has_any(&mut self, paths: &[String]) -> Result<bool, BuildError> {
        let tree = self.tree()?;
        Ok(paths.iter().any(|path| tree.file(path.as_ref()).is_some()))
    }

    pub(super) fn shell(&mut self, words: &[String]) -> String {
        self.image.config.shell = words.to_vec();
        configure::command_text("SHELL", words)
    }

    pub(super) fn maintainer(&mut self, name: &Literal) -> String {
        self.image.config.author = Some(name.text.clone());
        format!("MAINTAINER {}", name.text)
    }

    pub(super) fn on_build(&mut self, onbuild: &Onbuild) -> String {
        self.image.config.on_build.push(onbuild.text.clone());
        format!("ONBUILD {}", onbuild.text)
    }

    pub(super) fn stop_signal(&mut self, word: &Word) -> Result<String, BuildError> {
        let signal = self.expand(word)?;
        if minke_engine::signal_number(&signal).is_none() {
            let hint = "write a name or a number, such as `SIGINT` or `9`";
            return Err(self.error(word.span, format!("invalid signal: {signal}"), Some(hint)));
        }
        let created_by = format!("STOPSIGNAL {signal}");
        self.image.config.stop_signal = Some(signal);
        Ok(created_by)
    }

    pub(super) fn volume(&mut self, words: &[Word]) -> Result<String, BuildError> {
        let mut paths = Vec::new();
        for word in words {
            let path = self.expand(word)?;
            if path.is_empty() {
                let message = "`VOLUME` specified can not be an empty string";
                return Err(self.error(word.span, message, Some("write a path: `VOLUME /data`")));
            }
            paths.push(path);
        }
        let created_by = configure::command_text("VOLUME", &paths);
        let volumes = &mut self.image.config.volumes;
        volumes.append(&mut paths);
        volumes.sort();
        volumes.dedup();
        Ok(created_by)
    }

    pub(super) fn health_check(&mut self, check: &Healthcheck) -> Result<String, BuildError> {
        let check = match check {
            Healthcheck::None => HealthCheck {
                test: vec!["NONE".to_owned()],
                ..HealthCheck::default()
            },
            Healthcheck::Check(check) => HealthCheck {
                test: self.health_test(&check.command)?,
                ..times_of(check)
            },
        };
        let created_by = configure::command_text("HEALTHCHECK", &check.test);
        self.image.config.health_check = Some(check);
        Ok(created_by)
    }

    /// Docker gives the shell form to the shell when the check is made; a simple command needs none.
    fn health_test(&mut self, command: &Command) -> Result<Vec<String>, BuildError> {
        Ok(match command {
            Command::Shell(shell) if !self.image.config.shell.is_empty() => {
                vec!["CMD-SHELL".to_owned(), shell.text.clone()]
            }
            command => {
                let words = self.command_words(command)?;
                std::iter::once("CMD".to_owned()).chain(words).collect()
            }
        })
    }

    pub(super) fn arg(&mut self, arguments: &[ArgDeclaration]) -> Result<String, BuildError> {
        for argument in arguments {
            let mut lookup = |name: &str| self.variables.lookup(&self.image.config.env, name);
            let default = default_of(argument, self.source, &mut lookup)?;
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
                    let hint = "write `PORT`, `PORT-PORT` or `PORT/udp`";
                    self.error(word.span, error.to_string(), Some(hint))
                })?;
            }
            texts.push(text);
        }
        Ok(format!("EXPOSE {}", texts.join(" ")))
    }
}

fn default_shell() -> Vec<String> {
    SHELL_DEFAULT.map(str::to_owned).to_vec()
}

fn times_of(check: &Check) -> HealthCheck {
    let nanoseconds = |duration: Option<std::time::Duration>| {
        let duration = duration.unwrap_or_default();
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    };
    HealthCheck {
        test: Vec::new(),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: check.retries.unwrap_or_default().into(),
    }
}

fn pair_text(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
