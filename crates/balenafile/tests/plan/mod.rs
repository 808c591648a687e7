//! What a file means, as text.

use std::collections::BTreeMap;

use minke_balenafile::{
    ArgDeclaration, Balenafile, Command, CopySource, Healthcheck, Instruction, MountOption, Pair,
    RunCommand, ShellCommand, Word,
};

/// Returns one line per instruction, words expanded with `V=value` and `EMPTY=`.
pub(crate) fn plan(text: &str) -> String {
    let variables = BTreeMap::from([("V", "value"), ("EMPTY", "")]);
    let mut lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let mut show = |word: &Word| match word.expand(&mut lookup) {
        Ok(value) => format!("‹{value}›"),
        Err(error) => format!("error: {error}"),
    };
    let file = match Balenafile::parse("Balenafile", text.as_bytes()) {
        Ok(file) => file,
        Err(error) => {
            return format!(
                "{error}\n hint: {}",
                error.hint.as_deref().unwrap_or("none")
            );
        }
    };
    let mut lines = Vec::new();
    for argument in &file.global_arguments {
        lines.push(format!(
            "global {}{}",
            argument.name,
            argument.default.as_ref().map(&mut show).unwrap_or_default()
        ));
    }
    for stage in &file.stages {
        lines.push(format!(
            "FROM {} as {:?}",
            show(&stage.from.image),
            stage.from.name
        ));
        lines.extend(
            stage
                .steps
                .iter()
                .map(|step| describe(&step.instruction, &mut show)),
        );
    }
    lines.extend(
        file.warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    lines.join("\n")
}

pub(crate) fn describe(instruction: &Instruction, show: &mut dyn FnMut(&Word) -> String) -> String {
    let name = instruction.name();
    let rest = match instruction {
        Instruction::From(_) => String::new(),
        Instruction::Arg(list) => {
            let one = |argument: &ArgDeclaration| {
                let default = argument.default.as_ref().map(&mut *show);
                format!("{}{}", argument.name, default.unwrap_or_default())
            };
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        Instruction::Env(pairs) | Instruction::Label(pairs) => {
            let one = |pair: &Pair| format!("{}={}", show(&pair.name), show(&pair.value));
            pairs.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        Instruction::Copy(copy) => {
            let mut text = files(&copy.sources, &copy.destination, show);
            let flags = [("chown", &copy.chown), ("chmod", &copy.chmod)];
            for (flag, word) in flags {
                let word = word.as_ref().map(&mut *show);
                text.extend(word.map(|word| format!(" {flag}={word}")));
            }
            text.extend(copy.from.iter().map(|from| format!(" from={}", from.text)));
            text.extend(copy.is_linked.then_some(" link"));
            text.extend(copy.keeps_parents.then_some(" parents"));
            let excludes = copy.excludes.iter();
            text.extend(excludes.map(|exclude| format!(" exclude={}", exclude.text)));
            text
        }
        Instruction::Add(add) => {
            let mut text = files(&add.sources, &add.destination, show);
            let flags = [
                ("chown", &add.chown),
                ("chmod", &add.chmod),
                ("checksum", &add.checksum),
            ];
            for (flag, word) in flags {
                let word = word.as_ref().map(&mut *show);
                text.extend(word.map(|word| format!(" {flag}={word}")));
            }
            text.extend(add.is_linked.then_some(" link"));
            let excludes = add.excludes.iter();
            text.extend(excludes.map(|exclude| format!(" exclude={}", exclude.text)));
            let switches = [
                ("keep-git-dir", add.keeps_git_directory),
                ("unpack", add.unpacks),
            ];
            for (switch, value) in switches {
                text.extend(value.map(|value| format!(" {switch}={value}")));
            }
            text
        }
        Instruction::Workdir(word) | Instruction::User(word) | Instruction::Stopsignal(word) => {
            show(word)
        }
        Instruction::Expose(words) | Instruction::Volume(words) => {
            words.iter().map(show).collect::<Vec<_>>().join(" ")
        }
        Instruction::Cmd(command) | Instruction::Entrypoint(command) => command_text(command),
        Instruction::Healthcheck(Healthcheck::None) => "NONE".into(),
        Instruction::Healthcheck(Healthcheck::Check(check)) => format!(
            "{} interval={:?} timeout={:?} start={:?}/{:?} retries={:?}",
            command_text(&check.command),
            check.interval,
            check.timeout,
            check.start_period,
            check.start_interval,
            check.retries
        ),
        Instruction::Maintainer(literal) => literal.text.clone(),
        Instruction::Onbuild(onbuild) => {
            let inner = describe(&onbuild.instruction, show);
            format!("{:?} = {inner}", onbuild.text)
        }
        Instruction::Shell(words) => format!("{words:?}"),
        Instruction::Run(run) => {
            let command = match &run.command {
                RunCommand::Exec(words) => format!("exec {words:?}"),
                RunCommand::Shell(shell) => shell_text(shell),
                RunCommand::Script(heredoc) => format!("script {:?}", heredoc.text.text),
            };
            let mounts: String = run
                .mounts
                .iter()
                .map(|mount| {
                    let option = |option: &MountOption| match &option.value {
                        Some(value) => format!(" {}={}", option.key, show(value)),
                        None => format!(" {}", option.key),
                    };
                    let options: String = mount.options.iter().map(option).collect();
                    let from = mount.from.iter().map(|from| format!(" from={}", from.text));
                    format!("; mount{options}{}", from.collect::<String>())
                })
                .collect();
            format!("{command}; {:?} {:?}{mounts}", run.network, run.security)
        }
    };
    format!("{name} {rest}")
}

fn files(
    sources: &[CopySource],
    destination: &Word,
    show: &mut dyn FnMut(&Word) -> String,
) -> String {
    let one = |source: &CopySource| match source {
        CopySource::Path(word) => show(word),
        CopySource::Heredoc(heredoc) => format!("<<{} {:?}", heredoc.name, show(&heredoc.text)),
    };
    let sources: Vec<String> = sources.iter().map(one).collect();
    format!("{} -> {}", sources.join(" "), show(destination))
}

fn command_text(command: &Command) -> String {
    match command {
        Command::Exec(words) => format!("exec {words:?}"),
        Command::Shell(shell) => shell_text(shell),
    }
}

fn shell_text(shell: &ShellCommand) -> String {
    match &shell.words {
        Ok(words) => format!("shell {:?} = {words:?}", shell.text),
        Err(complaint) => format!("shell {:?}: {}", shell.text, complaint.message),
    }
}
