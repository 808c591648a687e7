//! `minke volume create`: a volume before its first container.

use clap::Args;
use minke_engine::syntax::parse_label;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;

/// Make a volume, and print its name
///
/// A volume of that name that is there already stays as it is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke volume create data\n  minke volume create --label tier=test data"
)]
pub(crate) struct Create {
    /// Set a label, `KEY=VALUE`
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Name for the volume [default: a random one]
    // Not `NAME`, which completion takes for one that is there.
    #[arg(value_name = "NEW")]
    name: Option<String>,
}

impl Create {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let labels = self.label.iter().map(|label| parse_label(label));
        let labels = labels.collect::<Result<_, _>>()?;
        let name = engine()?.create_volume(self.name.as_deref(), &labels)?;
        print_line(&name)?;
        Ok(0)
    }
}
