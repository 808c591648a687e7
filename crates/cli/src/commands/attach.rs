//! `minke attach`: what a container that runs prints, and what it is typed.

use std::os::fd::OwnedFd;

use clap::Args;
use minke_engine::attach::AttachRequest;
use minke_engine::{Container, Engine};

use super::attached::{Attachment, Ending};
use crate::commands::engine;
use crate::report::Report;

/// Show what a container prints from now on, and type to it
///
/// Several commands may be attached to a container; each sees all that is printed, and the log has it too. What is typed reaches the container's
/// first program if that was started with `-i`. Signals are passed on to it, and the exit code is its own. A command that does not take
/// what is printed holds the program up for ten seconds at most, and is dropped then.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke attach web\n  minke attach --no-stdin --sig-proxy=false web"
)]
pub(crate) struct Attach {
    /// Do not type to the container
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the container
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    sig_proxy: bool,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl Attach {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let signals = match self.sig_proxy {
            true => Some(minke_engine::signals::forward()?),
            false => None,
        };
        to_running(&engine, &container, !self.no_stdin, signals)
    }
}

/// Attaches to a container that runs, until one of the two ends; returns the exit code. Signals that come are passed on.
pub(super) fn to_running(
    engine: &Engine,
    container: &Container,
    is_typed: bool,
    signals: Option<OwnedFd>,
) -> Result<u8, Report> {
    let is_typed = is_typed && container.config.spec.process.is_stdin_open;
    let request = AttachRequest { is_typed };
    let attachment = Attachment {
        connection: engine.attach(container, request)?,
        is_typed,
        signals,
    };
    let ending = attachment.run(|number| pass_on(engine, container, number))?;
    exit_code(engine, container, ending)
}

/// Sends a signal to a container's first process.
pub(super) fn pass_on(engine: &Engine, container: &Container, number: u8) -> Result<(), Report> {
    match engine.kill(container, &number.to_string()) {
        // It may have ended meanwhile.
        Ok(()) | Err(minke_engine::EngineError::NotRunning { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the code of this command.
fn exit_code(engine: &Engine, container: &Container, ending: Ending) -> Result<u8, Report> {
    match ending {
        Ending::Ended(code) => Ok(code),
        // Asked, for a sandbox that was killed may hold its lock a moment longer than its connections.
        Ending::CutOff if engine.processes(container).is_ok() => Err(Report::new(
            format!(
                "container `{}` goes on, but what it prints was not taken in time",
                container.config.name
            ),
            "`minke logs` has all of it",
        )),
        // The sandbox was killed: the record says how it ended, if there is one.
        Ending::CutOff => Ok(engine.wait(container)?),
    }
}
