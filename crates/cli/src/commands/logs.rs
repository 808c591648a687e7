//! `minke logs`: what a container printed, on the streams it used; `-f` follows.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use minke_engine::logs::LogLine;
use minke_engine::watch::Watch;
use minke_engine::{Container, Engine, EngineError};

use crate::commands::engine;
use crate::report::Report;

/// How long a follower waits before it looks again whether the container still lives. A sandbox that is killed changes no file.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Show what a container printed
///
/// What it printed to its standard output and standard error goes to those of this command.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,

    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl Logs {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        match self.print(&engine, &container) {
            // Whoever read has seen enough.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(Failure::Output(error)) => Err(error.into()),
            Err(Failure::Engine(error)) => Err(error.into()),
            Ok(()) => Ok(0),
        }
    }

    fn print(&self, engine: &Engine, container: &Container) -> Result<(), Failure> {
        let mut reader = engine.logs(container);
        // Before the first look, so that no change is missed between looking and waiting.
        let watch = match self.follow {
            true => Watch::new(reader.directory()).ok(),
            false => None,
        };
        loop {
            // Asked before reading: what a container printed before it ended is there.
            let is_running = watch.is_some() && engine.is_running(container)?;
            while let Some(line) = reader.next_line()? {
                self.print_line(&line)?;
            }
            io::stdout().flush()?;
            match (&watch, is_running) {
                (Some(watch), true) => watch.wait(Some(LOOK_AGAIN), &[])?,
                _ => return Ok(()),
            }
        }
    }

    fn print_line(&self, line: &LogLine) -> io::Result<()> {
        let text = match self.timestamps {
            true => format!("{} {}", line.time, line.text),
            false => line.text.clone(),
        };
        match line.is_error_output() {
            true => io::stderr().lock().write_all(text.as_bytes()),
            false => io::stdout().lock().write_all(text.as_bytes()),
        }
    }
}

/// What can go wrong between a log and a terminal.
enum Failure {
    Engine(EngineError),
    Output(io::Error),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}
