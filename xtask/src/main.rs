//! The project's own tool: `cargo xtask COMMAND`.
//!
//! Each command is a module; what they share are the places of things ([`layout`]) and the way
//! programs are run ([`process`]).

mod bench;
mod demo;
mod flaky;
mod fuzz;
mod guests;
mod layout;
mod man;
mod process;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

/// One row per command; dispatch and help are made from it.
struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        usage: "[--bench]",
        about: "find or install what building and testing need",
        run: setup::command,
    },
    Command {
        name: "guests",
        usage: "[NAME...] [--list]",
        about: "compile and fetch the guest programs",
        run: guests::command,
    },
    Command {
        name: "cc",
        usage: "ARG...",
        about: "compile for the container's Linux, as `minke cc`, with the SDK of `guests`",
        run: guests::link,
    },
    Command {
        name: "demo",
        usage: "[--port N]",
        about: "build minke and an example, run it, fetch its page, and say how to go on",
        run: demo::command,
    },
    Command {
        name: "man",
        usage: "[DIR]",
        about: "write the manual's pages to a directory, `target/man` unless another is given",
        run: man::command,
    },
    Command {
        name: "test",
        usage: "",
        about: "do all set-up and run every check and test",
        run: test::command,
    },
    Command {
        name: "bench",
        usage: "[--only NAME]... [--format json] [--install]",
        about: "measure speed and memory beside the peers that are there",
        run: bench::command,
    },
    Command {
        name: "fuzz",
        usage: "[NAME]... [SECONDS]",
        about: "feed random bytes to the parsers of foreign ones",
        run: fuzz::command,
    },
    Command {
        name: "tidy",
        usage: "[--ratchet]",
        about: "check the rules of the project",
        run: tidy::command,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("help", String::as_str);
    let Some(command) = COMMANDS.iter().find(|it| it.name == name) else {
        print!("{}", help());
        return ExitCode::from(if matches!(name, "help" | "--help" | "-h") {
            0
        } else {
            2
        });
    };
    match (command.run)(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let rows = COMMANDS.iter().map(|it| {
        format!(
            "  cargo xtask {} {}\n      {}\n",
            it.name, it.usage, it.about
        )
    });
    format!("usage:\n{}", rows.collect::<String>())
}
