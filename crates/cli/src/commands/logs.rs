//! `minke logs`: what a container printed, on the streams it used; `-f` follows.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use minke_engine::logs::LogLine;
use minke_engine::syntax::parse_time;
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
#[command(after_help = "Examples:\n  minke logs --tail 20 web\n  minke logs -f --since 10m web")]
pub(crate) struct Logs {
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,

    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,

    /// Show the last lines only: a number, or `all`
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,

    /// Show what was printed since a duration ago (`10m`), a time, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Show what was printed until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Show the container's labels that logs were asked to keep; there are none yet, so lines look as without
    #[arg(long)]
    details: bool,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl Logs {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let window = Window {
            since: self.since.as_deref().map(parse_time).transpose()?,
            until: self.until.as_deref().map(parse_time).transpose()?,
        };
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        match self.print(&engine, &container, &window) {
            // Whoever read has seen enough.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(Failure::Output(error)) => Err(error.into()),
            Err(Failure::Engine(error)) => Err(error.into()),
            Ok(()) => Ok(0),
        }
    }

    fn print(
        &self,
        engine: &Engine,
        container: &Container,
        window: &Window,
    ) -> Result<(), Failure> {
        let mut reader = engine.logs(container);
        if let Some(lines) = self.lines() {
            reader.keep_last(lines)?;
        }
        // Before the first look, so that no change is missed between looking and waiting.
        let watch = match self.follow {
            true => Watch::new(reader.directory()).ok(),
            false => None,
        };
        loop {
            // Asked before reading: what a container printed before it ended is there.
            let is_running = watch.is_some() && engine.is_running(container)?;
            while let Some(line) = reader.next_line()? {
                if window.holds(&line) {
                    self.print_line(&line)?;
                }
            }
            io::stdout().flush()?;
            match (&watch, is_running && !window.is_over()) {
                (Some(watch), true) => watch.wait(Some(LOOK_AGAIN), &[])?,
                _ => return Ok(()),
            }
        }
    }

    /// Docker: all of them for what is no number, and for negative ones.
    fn lines(&self) -> Option<usize> {
        self.tail.parse().ok()
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

/// The time of the lines that are shown.
struct Window {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Window {
    fn holds(&self, line: &LogLine) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Ok(time) = line.time.parse::<Timestamp>() else {
            return false;
        };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    /// Whether no line can come any more.
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until < Timestamp::now())
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
