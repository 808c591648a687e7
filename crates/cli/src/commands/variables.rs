//! Environment variables as they are typed, for programs of containers.

use std::path::PathBuf;

use clap::Args;
use minke_engine::syntax::read_variables;

use crate::report::Report;

/// Variables for a program.
#[derive(Debug, Args)]
pub(super) struct Variables {
    /// Set a variable, `KEY=VALUE`; a `KEY` alone takes its value from the environment
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,

    /// Set the variables of a file, one on each line; those of `--env` win
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
}

impl Variables {
    /// Docker: files first, so that what is typed wins; `KEY` alone takes the environment's value, and sets nothing when that
    /// has none.
    pub(super) fn read(&self) -> Result<Vec<String>, Report> {
        let value = |name: &str| std::env::var(name).ok();
        let mut variables = Vec::new();
        for path in &self.env_file {
            variables.extend(read_variables(path, value)?);
        }
        let typed = self
            .env
            .iter()
            .filter_map(|typed| match typed.contains('=') {
                true => Some(typed.clone()),
                false => value(typed).map(|value| format!("{typed}={value}")),
            });
        variables.extend(typed);
        Ok(variables)
    }
}
