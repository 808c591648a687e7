//! `minke attach`: what a container that runs prints, and what it is typed.

use std::io::Write;
use std::os::fd::OwnedFd;

use clap::Args;
use minke_engine::attach::{AttachRequest, Connection};
use minke_engine::{Container, Engine};

use super::attached::{Attachment, Ending};
use super::detach::{DetachKeys, DetachOption};
use super::{run, terminal};
use crate::commands::engine;
use crate::report::Report;

/// The code of a container whose program ended well, but what it wrote is not where it should be.
const LOST_CODE: u8 = 125;

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

    #[command(flatten)]
    leaving: DetachOption,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl Attach {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let manner = Manner {
            signals: match self.sig_proxy {
                true => Signals::PassedOn,
                false => Signals::EndThis,
            },
            keys: self.leaving.detach_keys.clone(),
        };
        to_running(&engine, &container, !self.no_stdin, manner)
    }
}

/// What becomes of signals that this command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signals {
    /// The container's first process gets them.
    PassedOn,
    /// They end this command.
    EndThis,
}

/// How a command lets itself be interrupted.
pub(super) struct Manner {
    pub(super) signals: Signals,
    /// Those that leave a terminal.
    pub(super) keys: DetachKeys,
}

impl Manner {
    /// Passes signals on.
    pub(super) fn passing_on(option: &DetachOption) -> Manner {
        Manner {
            signals: Signals::PassedOn,
            keys: option.detach_keys.clone(),
        }
    }
}

/// Attaches to a container that runs, until one of the two ends; returns the exit code.
pub(super) fn to_running(
    engine: &Engine,
    container: &Container,
    is_typed: bool,
    manner: Manner,
) -> Result<u8, Report> {
    let process = &container.config.spec.process;
    let is_typed = is_typed && process.is_stdin_open;
    terminal::check(is_typed, process.has_terminal)?;
    let mut request = request(container, is_typed);
    // Docker: a window that changes to its right size next, so that what is in it is drawn again.
    if let Some([rows, ..]) = &mut request.window {
        *rows = rows.saturating_add(1);
    }
    let connection = engine.attach(container, request)?;
    show(engine, container, (connection, request), manner)
}

/// Returns how a command of this process is attached.
pub(super) fn request(container: &Container, is_typed: bool) -> AttachRequest {
    let has_terminal = container.config.spec.process.has_terminal;
    AttachRequest {
        is_typed,
        window: has_terminal.then(terminal::window_size).flatten(),
    }
}

/// Is attached until that ends; returns the exit code.
pub(super) fn show(
    engine: &Engine,
    container: &Container,
    (connection, request): (Connection, AttachRequest),
    manner: Manner,
) -> Result<u8, Report> {
    let has_terminal = container.config.spec.process.has_terminal;
    let Manner { signals, keys } = manner;
    let attachment = Attachment {
        connection,
        is_typed: request.is_typed,
        terminal: has_terminal.then_some(keys),
        signals: match (signals, has_terminal) {
            // They end it by themselves.
            (Signals::EndThis, false) => None,
            _ => Some(forward(has_terminal)?),
        },
    };
    let ending = attachment.run(|number| match signals {
        Signals::PassedOn => pass_on(engine, container, number).map(|()| None),
        Signals::EndThis => Ok(Some(Ending::Signalled(number))),
    })?;
    exit_code(engine, container, ending)
}

/// Catches signals; changes of the window too, where there is a terminal.
pub(super) fn forward(has_terminal: bool) -> Result<OwnedFd, Report> {
    let signals = minke_engine::signals::forward()?;
    if has_terminal {
        minke_engine::signals::forward_window_changes()?;
    }
    Ok(signals)
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
        Ending::Ended(code) => {
            if code == LOST_CODE {
                tell_lost(engine, container);
            }
            Ok(code)
        }
        Ending::Signalled(number) => Ok(128 + number),
        Ending::Detached => Ok(detached()),
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

/// Says what of a container's work was lost, if that is why it ended so.
fn tell_lost(engine: &Engine, container: &Container) {
    // One that was removed when it ended tells nothing.
    if let Ok(Container { state, .. }) = engine.container(container.id())
        && !state.error.is_empty()
    {
        run::report_lost(&state.error);
    }
}

/// Says that the program goes on; returns the exit code. Docker's words.
pub(super) fn detached() -> u8 {
    // Where nobody reads it, nobody misses it.
    let _ = writeln!(std::io::stderr(), "read escape sequence");
    0
}
