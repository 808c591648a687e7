//! The one form in which a person is told of a failure: kind, message, hint.

use std::error::Error;
use std::fmt::Write;
use std::io::Write as _;

use minke_build::BuildError;
use minke_engine::EngineError;
use minke_engine::supervise::StartErrorKind;
use minke_engine::syntax::SyntaxError;
use minke_sdk::SdkError;

/// A failure, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) kind: Kind,
    /// With its causes.
    pub(crate) message: String,
    /// An action.
    pub(crate) hint: Option<String>,
}

/// What kind of failure it is; decides the exit code alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The arguments are wrong.
    Usage,
    /// `minke run` could not run a container.
    Run,
    /// The container's program is there and cannot be run.
    NotExecutable,
    /// The container's program is not there.
    NotFound,
    /// Another command failed.
    Command,
}

impl Kind {
    /// Returns the exit code. Docker: `docs/reference/run.md`, "Exit status"; other commands end with 1.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Kind::Usage | Kind::Run => 125,
            Kind::NotExecutable => 126,
            Kind::NotFound => 127,
            Kind::Command => 1,
        }
    }
}

impl Report {
    /// Makes a report of kind [`Kind::Command`].
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Report {
        Report {
            kind: Kind::Command,
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// Makes a report of kind [`Kind::Usage`].
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Report {
        Report {
            kind: Kind::Usage,
            ..Report::new(message, hint)
        }
    }

    /// Makes a report of what the parser of arguments says: its first paragraph is the message, its tips and its usage are
    /// what to do.
    pub(crate) fn of_usage(text: &str) -> Report {
        let mut paragraphs = text.split("\n\n");
        let first = paragraphs.next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        let message: Vec<&str> = message.lines().map(str::trim).collect();
        let lines = || text.lines().map(str::trim);
        let tips = lines().filter_map(|line| line.strip_prefix("tip: "));
        let usage = lines().find_map(|line| line.strip_prefix("Usage: "));
        let is_name = |word: &&str| !word.starts_with(['[', '<', '-']);
        let command = usage.map(|usage| {
            let words: Vec<&str> = usage.split(' ').take_while(is_name).collect();
            words.join(" ")
        });
        let hint = match tips.collect::<Vec<_>>().join("; ") {
            tips if !tips.is_empty() => tips,
            _ => match (usage, command) {
                (Some(usage), Some(command)) => {
                    format!("write `{usage}`; `{command} --help` tells more")
                }
                _ => "`minke --help` tells more".to_owned(),
            },
        };
        Report::usage(message.join(" "), hint)
    }

    /// Turns a failed command's report into that of a failed `run`.
    pub(crate) fn of_run(mut self) -> Report {
        if self.kind == Kind::Command {
            self.kind = Kind::Run;
        }
        self
    }

    fn of(error: &(dyn Error + 'static), hint: Option<String>) -> Report {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // A string takes everything.
            let _ = write!(message, ": {error}");
            cause = error.source();
        }
        Report {
            kind: Kind::Command,
            message,
            hint,
        }
    }

    /// Prints the report on standard error.
    pub(crate) fn print(&self) {
        let mut text = format!("error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            // A string takes everything.
            let _ = writeln!(text, "hint: {hint}");
        }
        // Where nothing can be said, the exit code still tells.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl From<EngineError> for Report {
    fn from(error: EngineError) -> Report {
        let kind = match &error {
            EngineError::Start(start) => match start.kind {
                StartErrorKind::Failed => Kind::Run,
                StartErrorKind::NotExecutable => Kind::NotExecutable,
                StartErrorKind::NotFound => Kind::NotFound,
            },
            _ => Kind::Command,
        };
        Report {
            kind,
            ..Report::of(&error, error.hint())
        }
    }
}

impl From<BuildError> for Report {
    fn from(error: BuildError) -> Report {
        Report::of(&error, error.hint())
    }
}

impl From<SdkError> for Report {
    fn from(error: SdkError) -> Report {
        Report::of(&error, error.hint())
    }
}

impl From<SyntaxError> for Report {
    fn from(error: SyntaxError) -> Report {
        Report {
            kind: Kind::Usage,
            message: error.message,
            hint: Some(error.hint),
        }
    }
}

impl From<std::io::Error> for Report {
    fn from(error: std::io::Error) -> Report {
        Report::of(&error, None)
    }
}
