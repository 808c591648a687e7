//! `minke cc` and `minke c++`: compile programs that are written for Linux.

use std::ffi::OsString;
use std::io::{IsTerminal, stderr};

use clap::Args;
use minke_sdk::{Compiler, Tools, compile};

use super::sdk::system;
use crate::output::print_note;
use crate::report::Report;

/// Compile C programs for Linux, unchanged, to modules for containers
///
/// Takes what `cc` takes, and runs clang with the headers and libraries of the SDK. A program that calls `fork` is made so that its
/// frames can be restored, which needs Binaryen's `wasm-opt`; `--minke-libc=plain` and `--minke-libc=fork` decide that
/// in advance.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke cc hello.c -o hello.wasm && minke run --rm ./hello.wasm\n  ./configure --host=wasm32-unknown-linux CC='minke cc' && make"
)]
pub(crate) struct Cc {
    /// What `cc` would be given
    #[arg(
        value_name = "ARG",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Compile C++ programs for Linux, unchanged, to modules for containers
///
/// Takes what `c++` takes, and is `minke cc` with the headers and the library of C++.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke c++ -std=c++23 hello.cpp -o hello.wasm && minke run --rm ./hello.wasm\n  ./configure --host=wasm32-unknown-linux CC='minke cc' CXX='minke c++' && make"
)]
pub(crate) struct Cplusplus {
    /// What `c++` would be given
    #[arg(
        value_name = "ARG",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

impl Cc {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        compile_as(Compiler::C, &self.arguments)
    }
}

impl Cplusplus {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        compile_as(Compiler::Cplusplus, &self.arguments)
    }
}

fn compile_as(compiler: Compiler, arguments: &[OsString]) -> Result<u8, Report> {
    let tools = Tools::from_environment(|name| std::env::var_os(name));
    let done = compile(&system()?, &tools, compiler, arguments)?;
    // Build scripts take all that a compiler says for a warning.
    if let Some(note) = done.note.filter(|_| stderr().is_terminal()) {
        print_note(note);
    }
    Ok(done.code)
}
