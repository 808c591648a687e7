//! The `minke` command: arguments, printing, exit codes.
//!
//! Each command is one file in `commands`: its arguments as a struct (whose comments are the manual) and `run`.
//! Data goes to standard output, everything else to standard error. What goes wrong becomes a [`Report`](report::Report).

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use minke_engine::files::process;
use minke_engine::image::nearest;
use minke_engine::{Home, step, supervise};

mod base;
mod commands;
mod embedded;
mod format;
mod output;
mod report;
mod template;
mod transfer;

use commands::{Cli, Command, complete};
use report::{Kind, Report};

/// Sets what is logged on standard error: `error`, `warn`, `info`, `debug` or `trace`.
const LOG_VARIABLE: &str = "MINKE_LOG";

fn main() -> ExitCode {
    start_logging();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = step(&arguments)
        .or_else(|| files(&arguments))
        .or_else(|| hidden(&arguments))
        .or_else(|| compile(&arguments))
        .or_else(|| serve_modules(&arguments))
        .or_else(|| settle(&arguments))
        .or_else(|| completed(&arguments))
    {
        return ExitCode::from(code);
    }
    let command = match Command::parse_alone(&arguments) {
        Some(command) => command,
        None => match Cli::try_parse_from(arguments) {
            Ok(cli) => cli.command,
            Err(error) => return usage(&suggest(error)),
        },
    };
    match command.run() {
        Ok(code) => ExitCode::from(code),
        Err(report) => {
            report.print();
            ExitCode::from(report.kind.exit_code())
        }
    }
}

/// What a process of our own does for a container, by its id; returns the exit code.
type Main = fn(&Home, &str) -> u8;

/// Commands for processes of our own: nobody types them.
const HIDDEN: [(&str, Main); 2] = [
    (supervise::SANDBOX_COMMAND, supervise::sandbox_main),
    (supervise::SUPERVISOR_COMMAND, supervise::supervisor_main),
];

/// Runs a detached sandbox or a supervisor, if that is what this process is for. They have no use for the parser of commands,
/// and their memory is what an idle container costs.
fn hidden(arguments: &[OsString]) -> Option<u8> {
    let [_, command, data, run, id] = arguments else {
        return None;
    };
    let (_, main) = HIDDEN.iter().find(|(name, _)| command == name)?;
    let home = Home {
        data: data.into(),
        run: run.into(),
    };
    Some(main(&home, id.to_str()?))
}

/// Compiles one module for a sandbox, if that is what this process is for.
fn compile(arguments: &[OsString]) -> Option<u8> {
    let [_, command, parent] = arguments else {
        return None;
    };
    if command != supervise::COMPILE_COMMAND {
        return None;
    }
    Some(supervise::compile_main(parent.to_str()?.parse().ok()?))
}

/// Loads modules for a jailed sandbox, if that is what this process is for.
fn serve_modules(arguments: &[OsString]) -> Option<u8> {
    let [_, command, parent, cache] = arguments else {
        return None;
    };
    if command != supervise::MODULE_SERVER_COMMAND {
        return None;
    }
    let parent = parent.to_str()?.parse().ok()?;
    Some(supervise::module_server_main(parent, cache.as_ref()))
}

/// Gives image files back when a sandbox is done with them, if that is what this process is for.
fn settle(arguments: &[OsString]) -> Option<u8> {
    let [_, command, images @ ..] = arguments else {
        return None;
    };
    (command == supervise::SETTLE_COMMAND).then(|| supervise::settle_main(images))
}

/// Runs a step of a build, if that is what this process is for.
fn step(arguments: &[OsString]) -> Option<u8> {
    let [_, command] = arguments else {
        return None;
    };
    (command == step::STEP_COMMAND).then(step::step_main)
}

/// Serves the files of a container that does not run, if that is what this process is for.
fn files(arguments: &[OsString]) -> Option<u8> {
    let [_, command] = arguments else {
        return None;
    };
    (command == process::FILES_COMMAND).then(process::files_main)
}

/// Completes a word, if that is what this process is for. Words as typed look like options of ours: they are not parsed.
fn completed(arguments: &[OsString]) -> Option<u8> {
    let [_, command, words @ ..] = arguments else {
        return None;
    };
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    (command == complete::COMPLETE_COMMAND).then(|| complete::complete(&words))
}

/// Prints help as data, and a mistake in the arguments as any other failure. Docker ends with 125 after a mistake.
fn usage(error: &clap::Error) -> ExitCode {
    // A command that only groups others shows its help.
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help || !error.use_stderr() {
        // Nothing can be done about a closed terminal.
        let _ = error.print();
        return match is_help {
            true => ExitCode::from(Kind::Usage.exit_code()),
            false => ExitCode::SUCCESS,
        };
    }
    let report = Report::of_usage(&error.to_string());
    report.print();
    ExitCode::from(report.kind.exit_code())
}

/// Adds the command that was meant where the parser of commands does not see it: letters swapped in a short name.
fn suggest(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let command = Cli::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    if let Some(name) = nearest(typed, names) {
        let meant = ContextValue::Strings(vec![name.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
    error
}

fn start_logging() {
    let level = std::env::var(LOG_VARIABLE).ok();
    let level = level.and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(std::io::stderr)
        .with_target(false)
        // They would be told on standard error too, with a panic when that cannot be written: a sandbox's lies on a disk.
        .log_internal_errors(false)
        .without_time()
        .init();
}
