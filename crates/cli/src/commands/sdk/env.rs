//! `minke sdk env`.

use clap::Args;
use minke_sdk::{Tools, environment};
use serde_json::{Map, Value};

use super::system;
use crate::format::Format;
use crate::output::print;
use crate::report::Report;

/// Print what build scripts look for in their environment, for a shell to read
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke sdk env\n  minke sdk env --format '{{.CC}}'")]
pub(crate) struct Env {
    /// `json`, or a template such as `{{.CC}}`
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Format,
}

impl Env {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let tools = Tools::from_environment(|name| std::env::var_os(name));
        let minke = std::env::current_exe()?;
        let variables = environment::variables(&system()?, &tools, &minke)?;
        let entries = variables.iter().cloned();
        let value: Map<String, Value> = entries.map(|(name, value)| (name, value.into())).collect();
        let shell = || environment::shell(&variables);
        print(&self.format.object(&value.into(), shell)?)?;
        Ok(0)
    }
}
