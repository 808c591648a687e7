//! `minke version`.

use clap::Args;
use serde_json::json;

use crate::format::Format;
use crate::output::print;
use crate::report::Report;

/// Show the version of minke
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke version\n  minke version --format '{{.Client.Version}}'"
)]
pub(crate) struct Version {
    /// `json`, or a template such as `{{.Client.Version}}`
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Format,
}

impl Version {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let program = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "Os": std::env::consts::OS,
            "Arch": std::env::consts::ARCH,
        });
        // There is one program: scripts that ask Docker's server get the same answer.
        let value = json!({ "Client": program, "Server": program });
        let readable = || concat!("minke ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
        print(&self.format.object(&value, readable)?)?;
        Ok(0)
    }
}
