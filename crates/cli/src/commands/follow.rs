//! Reading a container's log to its end in place of its streams: for containers that run in another process.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use minke_engine::logs::LogReader;
use minke_engine::watch::Watch;
use minke_engine::{Container, Engine};

use crate::report::Report;

/// How long a follower waits before it looks again whether the container still lives. A sandbox that is killed changes no file.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Prints what a container prints, on the streams it uses, until it has ended for good; returns its exit code.
/// Signals that arrive are passed on.
pub(super) fn to_the_end(
    engine: &Engine,
    container: &Container,
    mut log: LogReader,
    signals: &OwnedFd,
) -> Result<u8, Report> {
    let watch = Watch::new(log.directory())?;
    loop {
        // Asked before reading: what a container printed before it ended is there.
        let is_running = engine.is_running(container)?;
        while let Some(line) = log.next_line()? {
            match line.is_error_output() {
                true => io::stderr().lock().write_all(line.text.as_bytes())?,
                false => io::stdout().lock().write_all(line.text.as_bytes())?,
            }
        }
        io::stdout().flush()?;
        if !is_running {
            return exit_code(engine, container);
        }
        watch.wait(Some(LOOK_AGAIN), &[signals])?;
        pass_on(engine, container, signals)?;
    }
}

fn pass_on(engine: &Engine, container: &Container, signals: &OwnedFd) -> Result<(), Report> {
    let mut numbers = [0; 64];
    let count = rustix::io::read(signals, &mut numbers[..]).unwrap_or(0);
    for number in &numbers[..count] {
        super::attach::pass_on(engine, container, *number)?;
    }
    Ok(())
}

/// One that was removed when it ended tells no code.
fn exit_code(engine: &Engine, container: &Container) -> Result<u8, Report> {
    Ok(engine.container(container.id())?.state.exit_code)
}
