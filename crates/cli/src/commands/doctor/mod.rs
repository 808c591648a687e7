//! `minke doctor`: what this machine has of what containers want, and what each lack costs.
//!
//! | module | is |
//! |---|---|
//! | `checks` | the checks, as one table |
//! | `host` | how the host is asked |

use clap::Args;
use minke_engine::Home;
use serde::Serialize;

use crate::format::{Format, List};
use crate::output::print;
use crate::report::{Kind, Report};

mod checks;
mod host;

use checks::{CHECKS, Check, Weight};

/// Check this machine, and say what each lack costs
///
/// The exit code is 0 unless something is missing without which containers do not run.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke doctor\n  minke doctor --format '{{.Name}}: {{.State}}'"
)]
pub(crate) struct Doctor {
    /// `json` (one object per line), or a template such as `{{.Name}} {{.State}}`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,
}

const LIST: List = List {
    fields: &[
        ("Cost", "COST"),
        ("Found", "FOUND"),
        ("Hint", "HINT"),
        ("Name", "NAME"),
        ("State", "STATE"),
    ],
    columns: &["Name", "State", "Found"],
};

/// What a check has found out.
#[derive(Clone, Debug)]
struct Finding {
    found: String,
    is_good: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: &'static str,
    state: &'static str,
    found: String,
    /// Empty where nothing is missing.
    cost: &'static str,
    hint: &'static str,
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let home = super::home()?;
        let rows: Vec<Row> = CHECKS.iter().map(|check| row(check, &home)).collect();
        let text = match &self.format {
            Format::Table => rows.iter().map(shown).collect(),
            format => LIST.text(format, &rows)?,
        };
        print(&text)?;
        let is_fit = rows.iter().all(|row| row.state != Weight::Essential.word());
        Ok(match is_fit {
            true => 0,
            false => Kind::Command.exit_code(),
        })
    }
}

fn row(check: &'static Check, home: &Home) -> Row {
    let finding = (check.look)(home);
    let (state, cost, hint) = match finding.is_good {
        true => ("ok", "", ""),
        false => (check.weight.word(), check.cost, check.hint),
    };
    Row {
        name: check.name,
        state,
        found: finding.found,
        cost,
        hint,
    }
}

/// Returns a line for what is there, and three for what is not.
fn shown(row: &Row) -> String {
    let line = format!("{:<8} {:<16} {}\n", row.state, row.name, row.found);
    match row.cost {
        "" => line,
        cost => format!(
            "{line}{:<25} costs: {cost}\n{:<25} hint: {}\n",
            "", "", row.hint
        ),
    }
}
