//! `RUN`, `CMD`, `ENTRYPOINT` and `SHELL`.

use super::{Arguments, copy, mount};
use crate::command::{self, Command};
use crate::heredoc;
use crate::instruction::{Instruction, Run, RunCommand, RunNetwork, RunSecurity};
use crate::json::{self, JsonError};
use crate::line::Problem;
use crate::table;

pub(crate) fn cmd(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    command::parse(arguments.line, arguments.rest).map(Instruction::Cmd)
}

pub(crate) fn entrypoint(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    command::parse(arguments.line, arguments.rest).map(Instruction::Entrypoint)
}

pub(crate) fn run(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let mounts = arguments
        .flags("mount")
        .map(|flag| mount::read(arguments, flag));
    Ok(Instruction::Run(Run {
        command: run_command(arguments)?,
        mounts: mounts.collect::<Result<_, _>>()?,
        network: choice(arguments, "network", &NETWORKS)?,
        security: choice(arguments, "security", &SECURITIES)?,
    }))
}

const NETWORKS: [(&str, RunNetwork); 3] = [
    ("default", RunNetwork::Default),
    ("none", RunNetwork::None),
    ("host", RunNetwork::Host),
];

const SECURITIES: [(&str, RunSecurity); 2] = [
    ("sandbox", RunSecurity::Sandbox),
    ("insecure", RunSecurity::Insecure),
];

fn choice<Value: Copy + Default>(
    arguments: &Arguments<'_>,
    name: &str,
    values: &[(&'static str, Value)],
) -> Result<Value, Problem> {
    let Some(flag) = arguments.flag(name) else {
        return Ok(Value::default());
    };
    let found = values.iter().find(|(value, _)| *value == flag.value);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        let message = format!("`{}` is no value of `--{name}`", super::shown(&flag.value));
        let problem = Problem::new(flag.piece, message);
        match table::nearest(&flag.value, names.iter().copied()) {
            Some(nearest) => problem.hint(format!("did you mean `{nearest}`?")),
            None => problem.hint(format!("write one of `{}`", names.join("`, `"))),
        }
    })
}

/// BuildKit: `dockerfile2llb/convert.go` dispatchRun().
fn run_command(arguments: &Arguments<'_>) -> Result<RunCommand, Problem> {
    let rest = arguments.rest;
    if heredoc::parse(rest).is_some()
        && let Some(script) = copy::heredoc(arguments, rest)
    {
        return script.map(RunCommand::Script);
    }
    match command::parse(arguments.line, rest)? {
        Command::Exec(words) if words.is_empty() => Err(arguments.missing()),
        Command::Exec(words) => Ok(RunCommand::Exec(words)),
        Command::Shell(mut shell) => {
            for heredoc in &arguments.line.heredocs {
                shell.text.push('\n');
                shell.text.push_str(&heredoc.text);
                shell.text.push_str(&heredoc.name);
            }
            Ok(RunCommand::Shell(shell))
        }
    }
}

pub(crate) fn shell(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let rest = arguments.rest;
    match json::parse(rest.text) {
        Ok(words) if words.first().is_none_or(String::is_empty) => Err(arguments.missing()),
        Ok(words) => Ok(Instruction::Shell(words)),
        Err(JsonError::NotTexts) => Err(command::not_texts(rest)),
        Err(JsonError::Malformed(problem)) => {
            let message = format!("`SHELL` is written as a JSON array: {problem}");
            Err(Problem::new(rest, message).hint("write `SHELL [\"/bin/sh\", \"-c\"]`"))
        }
    }
}
