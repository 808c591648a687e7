//! `minke cargo`: builds programs in Rust that are written for Linux.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use minke_sdk::{Tools, rust};

use super::sdk::system;
use crate::report::Report;

/// Build Rust programs for Linux, unchanged, to modules for containers
///
/// Runs cargo so that it compiles for containers and links with the C library of the SDK. Rust's own library is compiled with
/// the program, so its sources must be there: `rustup component add rust-src`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke cargo build --release && minke run --rm ./target/wasm32-linux-muslwali/release/hello.wasm\n  minke cargo run\n  minke cargo +nightly test"
)]
pub(crate) struct Cargo {
    /// What `cargo` would be given
    #[arg(
        value_name = "ARG",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

impl Cargo {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let tools = Tools::from_environment(|name| std::env::var_os(name));
        let cargo = tools.cargo(&self.arguments)?;
        let minke = std::env::current_exe()?;
        let variables = rust::variables(&system()?, &tools, &minke)?;
        let mut command = Command::new(cargo);
        command.args(&self.arguments).envs(variables);
        // Signals from the terminal are cargo's business from here on.
        Err(command.exec().into())
    }
}
