//! `minke run`: a container from an image, a module or a directory.

use std::cell::OnceCell;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressFinish};
use minke_engine::attach::AttachRequest;
use minke_engine::supervise::{Progress, Stdin};
use minke_engine::{Attachment, Created, Engine, Outcome, RestartPolicy};

use super::attach::{self, Manner};
use super::detach::DetachOption;
use super::options::ContainerOptions;
use super::{follow, terminal};
use crate::commands::engine;
use crate::output::{print_line, size};
use crate::report::Report;

/// How often the sign of a compilation under way moves.
const TICK: Duration = Duration::from_millis(100);

/// Run a container
///
/// IMAGE is the name or id of an image, the path of a module (`./program.wasm`), or a directory with a Balenafile
/// (`./directory`), which is built first. The exit code is that of the container's program: 128 + N after signal N,
/// 134 after a trap; 125 when minke failed, 126 when the program cannot be executed, 127 when it is not there.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke run --rm app:1\n  minke run -d --name web -p 8080:3000 --restart on-failure:3 app:1\n  minke run --rm -it -v ./data:/data app:1 ls /data"
)]
pub(crate) struct Run {
    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,

    #[command(flatten)]
    leaving: DetachOption,

    #[command(flatten)]
    options: ContainerOptions,
}

impl Run {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        self.run_container().map_err(Report::of_run)
    }

    fn run_container(&self) -> Result<u8, Report> {
        let is_attached = !self.detach;
        if is_attached {
            terminal::check(self.options.interactive, self.options.tty)?;
        }
        let is_kept_up = self.options.restart != RestartPolicy::No;
        if is_attached && is_kept_up && self.options.interactive {
            return Err(Report::usage(
                "a container that is restarted cannot have this command's standard input yet",
                "leave out `-i` or `--restart`, or add `-d`",
            ));
        }
        let mut request = self.options.request()?;
        // Docker: the input of what runs in the background stays open.
        request.is_stdin_once &= is_attached;
        let engine = engine()?;
        let created = self.options.create(&engine, request)?;
        let result = match (is_attached, is_kept_up) {
            (false, _) => start(created),
            (true, true) => start_and_follow(&engine, created),
            (true, false) if self.options.tty => self.run_on_terminal(&engine, created),
            (true, false) => self.run_here(created),
        };
        if result.is_err() {
            self.options.forget_id();
        }
        result
    }

    /// Runs it in a process of its own, which goes on when this command is left.
    fn run_on_terminal(&self, engine: &Engine, created: Created<'_>) -> Result<u8, Report> {
        let compiling = Compiling::default();
        let request = AttachRequest {
            is_typed: self.options.interactive,
            window: terminal::window_size(),
        };
        let started = created.start_attached(request, &|progress| compiling.show(progress));
        let (container, connection) = started?;
        let manner = Manner::passing_on(&self.leaving);
        attach::show(engine, &container, (connection, request), manner)
    }

    fn run_here(&self, created: Created<'_>) -> Result<u8, Report> {
        let compiling = Compiling::default();
        let attachment = attached(self.options.interactive);
        let outcome = created.run(attachment, &|progress| compiling.show(progress))?;
        Ok(exit_code(&outcome))
    }
}

fn start(created: Created<'_>) -> Result<u8, Report> {
    print_line(&created.start()?)?;
    Ok(0)
}

/// A container that is restarted has a supervisor and a log; what it prints is read from there.
fn start_and_follow(engine: &Engine, created: Created<'_>) -> Result<u8, Report> {
    let signals = minke_engine::signals::forward()?;
    let id = created.start()?;
    let container = engine.container(&id)?;
    follow::to_the_end(engine, &container, engine.logs(&container), &signals)
}

/// The standard streams of this command are the container's.
pub(super) fn attached(is_interactive: bool) -> Attachment {
    Attachment::Attached {
        stdin: match is_interactive {
            true => Stdin::Open,
            false => Stdin::Closed,
        },
    }
}

/// Shows on a terminal that a program is compiled, which happens once.
#[derive(Default)]
pub(super) struct Compiling {
    bar: OnceCell<ProgressBar>,
}

impl Compiling {
    pub(super) fn show(&self, progress: Progress) {
        match progress {
            Progress::Compiling { bytes } if std::io::stderr().is_terminal() => {
                let bar = self.bar.get_or_init(|| {
                    ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear)
                });
                bar.set_message(format!("compiling {}, the first time only", size(bytes)));
                bar.enable_steady_tick(TICK);
            }
            Progress::Compiling { .. } => {}
            Progress::Compiled => {
                if let Some(bar) = self.bar.get() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// Returns the code that a container ended with, and says what of its work was lost.
pub(super) fn exit_code(outcome: &Outcome) -> u8 {
    if let Some(lost) = &outcome.lost {
        report_lost(lost);
    }
    outcome.exit_code
}

/// Says what of a container's work was lost.
pub(super) fn report_lost(lost: &str) {
    let hint = "free space on the host and look for errors of its disks; what is beside an image file is not lost: the next container that uses it has it";
    Report::new(lost.to_owned(), hint).print();
}
