//! `minke sdk`: what programs for containers are compiled with.

use clap::{Args, Subcommand};
use minke_sdk::system::DIRECTORY_VARIABLE;
use minke_sdk::{Archive, System};

use super::home;
use crate::embedded::SDK;
use crate::report::Report;

mod env;
mod path;

/// Find the headers, libraries and tools that `minke cc` compiles with
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke sdk env > sdk.sh && . ./sdk.sh && ./configure --host=wasm32-unknown-linux && make\n  cmake -DCMAKE_TOOLCHAIN_FILE=\"$(minke sdk path)/minke.cmake\" ."
)]
pub(crate) struct Sdk {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Env(env::Env),
    Path(path::Path),
}

impl Sdk {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            Command::Env(command) => command.run(),
            Command::Path(command) => command.run(),
        }
    }
}

/// Finds the headers and libraries, or unpacks our own.
pub(super) fn system() -> Result<System, Report> {
    let named = std::env::var_os(DIRECTORY_VARIABLE).filter(|it| !it.is_empty());
    let archive = SDK.map(|it| Archive {
        bytes: it.bytes,
        digest: it.digest,
    });
    let data = home()?.data.join("sdk");
    Ok(System::open(named.map(Into::into), &data, archive)?)
}
