//! `minke start`: containers that were created or have ended.

use clap::Args;
use minke_engine::{Container, Engine, RestartPolicy};

use super::attach::Manner;
use super::detach::DetachOption;
use super::run::{Compiling, attached};
use super::{attach, follow, terminal};
use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Start containers that do not run
///
/// A container begins as its image is: what it wrote to its own files before, outside of mounts, went when it ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke start web\n  minke start -a job")]
pub(crate) struct Start {
    /// Show what the container prints, pass signals on to it, and end with its exit code
    #[arg(short, long)]
    attach: bool,

    /// Attach, and give the container this command's standard input if it was made with `-i`
    #[arg(short, long)]
    interactive: bool,

    #[command(flatten)]
    leaving: DetachOption,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Start {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        if !(self.attach || self.interactive) {
            return for_each(&engine, &self.containers, |container, name| {
                engine.start(container)?;
                Ok(print_line(name)?)
            });
        }
        let [name] = &self.containers[..] else {
            return Err(Report::usage(
                "you cannot start and attach multiple containers at once",
                "start them one by one, or leave out `-a` and `-i`",
            ));
        };
        let container = engine.container(name)?;
        self.start_and_attach(&engine, &container)
    }

    fn start_and_attach(&self, engine: &Engine, container: &Container) -> Result<u8, Report> {
        let process = &container.config.spec.process;
        let is_interactive = self.interactive && process.is_stdin_open;
        if container.state.is_alive() {
            return self.attach(engine, container, is_interactive);
        }
        if container.config.restart != RestartPolicy::No {
            return self.start_and_follow(engine, container);
        }
        terminal::check(is_interactive, process.has_terminal)?;
        let compiling = Compiling::default();
        if process.has_terminal {
            let request = attach::request(container, is_interactive);
            let show = |progress| compiling.show(progress);
            return match engine.start_attached(container, request, &show)? {
                Some(connection) => {
                    let attached = (connection, request);
                    attach::show(
                        engine,
                        container,
                        attached,
                        Manner::passing_on(&self.leaving),
                    )
                }
                // Another command was faster.
                None => self.attach(engine, container, is_interactive),
            };
        }
        let attachment = attached(is_interactive);
        let started =
            engine.start_here(container, attachment, &|progress| compiling.show(progress));
        match started? {
            Some(outcome) => Ok(super::run::exit_code(&outcome)),
            // Another command was faster.
            None => self.attach(engine, container, is_interactive),
        }
    }

    /// Attaches to one that runs, or that another command is starting: then that is waited for.
    fn attach(&self, engine: &Engine, container: &Container, is_typed: bool) -> Result<u8, Report> {
        engine.start(container)?;
        let container = engine.container(container.id())?;
        attach::to_running(
            engine,
            &container,
            is_typed,
            Manner::passing_on(&self.leaving),
        )
    }

    fn start_and_follow(&self, engine: &Engine, container: &Container) -> Result<u8, Report> {
        if self.interactive {
            return Err(Report::usage(
                "a container that is restarted cannot have this command's standard input yet",
                "use `-a`, or take its restart policy with `minke update --restart no`",
            ));
        }
        let signals = minke_engine::signals::forward()?;
        // What it prints from now on is after what is there.
        let mut log = engine.logs(container);
        log.keep_last(0)?;
        engine.start(container)?;
        follow::to_the_end(engine, container, log, &signals)
    }
}
