//! `minke system check`: reads everything that is kept, and names what is wrong.

use std::io::Write as _;

use clap::Args;
use minke_engine::check::{check, repair};

use crate::commands::home;
use crate::output::print;
use crate::report::{Kind, Report};

/// Check everything that is kept: images, layers and their snapshots, compiled modules, containers
///
/// Every blob is hashed, so it takes as long as reading the store. Ends with 1 when something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke system check\n  minke system check --repair")]
pub(crate) struct Check {
    /// Restore what can be derived, remove what cannot be used, and say what is lost
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let home = home()?;
        let faults = match self.repair {
            true => {
                for done in repair(&home)? {
                    print(&format!("{}\n  {}\n", done.fault, done.outcome))?;
                }
                check(&home)?
            }
            false => check(&home)?,
        };
        if faults.is_empty() {
            // What is said to a person goes where it cannot be taken for a fault.
            let _ = writeln!(std::io::stderr(), "nothing is wrong");
            return Ok(0);
        }
        let text: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
        print(&text)?;
        let message = match faults.len() {
            1 => "1 fault".to_owned(),
            count => format!("{count} faults"),
        };
        let hint = match self.repair {
            true => "these could not be repaired; move them away by hand",
            false => {
                "`minke system check --repair` restores what can be derived, and says what is lost"
            }
        };
        Report::new(message, hint).print();
        Ok(Kind::Command.exit_code())
    }
}
