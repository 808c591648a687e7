//! `minke restart`: `stop` and `start`.

use clap::Args;
use minke_engine::Engine;

use super::stopped::Stopped;
use crate::report::Report;

/// Stop containers and start them again; those that do not run are started
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke restart web")]
pub(crate) struct Restart {
    #[command(flatten)]
    stopped: Stopped,
}

impl Restart {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        self.stopped.for_each(Engine::restart)
    }
}
