//! `minke snapshot restore`: a container's root as it was.

use clap::Args;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;

/// Put a container's root back to what it was at a snapshot
///
/// The container must not run. What it wrote since its last snapshot is gone; the snapshots stay, later ones too.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke stop web\n  minke snapshot restore web before-upgrade\n  minke start web"
)]
pub(crate) struct Restore {
    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Name of the snapshot
    #[arg(value_name = "SNAPSHOT")]
    name: String,
}

impl Restore {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        engine.restore_snapshot(&engine.container(&self.container)?, &self.name)?;
        print_line(&self.name)?;
        Ok(0)
    }
}
