//! Rules about single instructions, as far as their values are known.
//!
//! Spec: BuildKit `dockerfile2llb/convert.go` dispatch(), `validations.go`.

use super::names::{is_secret, typed_name};
use super::review::{Review, Scope, known};
use super::rules;
use crate::command::Command;
use crate::expose::Exposed;
use crate::instruction::{ArgDeclaration, CopySource, Instruction, Step};
use crate::source::Span;
use crate::word::Word;

impl Review<'_> {
    pub(super) fn step(&mut self, step: &Step, scope: &mut Scope) {
        match &step.instruction {
            Instruction::Arg(arguments) => {
                for argument in arguments {
                    self.argument(step, argument, scope);
                }
            }
            Instruction::Env(pairs) => {
                let mut set = Vec::new();
                for pair in pairs {
                    let name = known(&pair.name, &scope.variables);
                    let name = name.unwrap_or_else(|| pair.name.text.clone());
                    self.secret(step, "ENV", &name, pair.name.span);
                    set.push((name, known(&pair.value, &scope.variables)));
                }
                scope.variables.extend(set);
                self.legacy(step, pairs.iter().any(|pair| pair.is_legacy));
            }
            Instruction::Label(pairs) => {
                self.legacy(step, pairs.iter().any(|pair| pair.is_legacy));
            }
            Instruction::Cmd(command) | Instruction::Entrypoint(command) => {
                self.command(step, command, scope);
            }
            Instruction::Shell(_) => scope.has_shell = true,
            Instruction::Workdir(word) => self.workdir(step, word, scope),
            Instruction::Expose(words) => {
                words.iter().for_each(|word| self.ports(step, word, scope));
            }
            Instruction::Copy(copy) if copy.from.is_none() => {
                self.sources(step, "Copy", &copy.sources, scope);
            }
            Instruction::Add(add) => self.sources(step, "Add", &add.sources, scope),
            _ => {}
        }
    }

    fn argument(&mut self, step: &Step, argument: &ArgDeclaration, scope: &mut Scope) {
        self.secret(step, "ARG", &argument.name, argument.span);
        if let Some(default) = &argument.default {
            self.undefined(step, default, scope);
        }
        let default = argument.default.as_ref();
        let value = match (self.facts.arguments)(&argument.name) {
            Some(given) => Some(given),
            None if default.is_some() => default.and_then(|word| known(word, &scope.variables)),
            None => self.globals.get(&argument.name).cloned().flatten(),
        };
        scope.variables.insert(argument.name.clone(), value);
    }

    fn secret(&mut self, step: &Step, instruction: &str, name: &str, span: Span) {
        if !is_secret(name) {
            return;
        }
        let message = format!(
            "Do not use ARG or ENV instructions for sensitive data ({instruction} \"{name}\")"
        );
        let hint = "give it to the command that needs it: `RUN --mount=type=secret`";
        let rule = &rules::SECRETS_USED_IN_ARG_OR_ENV;
        self.linter
            .report(rule, &step.comments, span, message, hint);
    }

    fn legacy(&mut self, step: &Step, is_legacy: bool) {
        if !is_legacy {
            return;
        }
        let name = typed_name(step);
        let message = format!(
            "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
        );
        let rule = &rules::LEGACY_KEY_VALUE_FORMAT;
        let hint = "put a `=` between them, and double quotes around a value with spaces";
        self.linter
            .report(rule, &step.comments, step.span, message, hint);
    }

    fn command(&mut self, step: &Step, command: &Command, scope: &Scope) {
        if matches!(command, Command::Exec(_)) || scope.has_shell {
            return;
        }
        let message = format!(
            "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
            typed_name(step)
        );
        let rule = &rules::JSON_ARGS_RECOMMENDED;
        let hint = "write `[\"program\", \"argument\"]`";
        self.linter
            .report(rule, &step.comments, step.span, message, hint);
    }

    /// Only the first counts: those after it are relative to that one.
    fn workdir(&mut self, step: &Step, word: &Word, scope: &mut Scope) {
        let path = known(word, &scope.variables);
        if let Some(path) = path.filter(|path| !scope.has_workdir && !path.starts_with('/')) {
            let message = format!(
                "Relative workdir \"{path}\" can have unexpected results if the base image changes"
            );
            let hint = "begin it with `/`, or set an absolute one before";
            let rule = &rules::WORKDIR_RELATIVE_PATH;
            self.linter
                .report(rule, &step.comments, word.span, message, hint);
        }
        scope.has_workdir = true;
    }

    fn ports(&mut self, step: &Step, word: &Word, scope: &Scope) {
        let text = known(word, &scope.variables).unwrap_or_default();
        for text in text.split_whitespace() {
            let Ok(port) = Exposed::parse(text) else {
                continue;
            };
            if port.has_odd_case {
                let message =
                    format!("Defined protocol '{text}' in EXPOSE instruction should be lowercase");
                let hint = format!("write `{}`", text.to_lowercase());
                let rule = &rules::EXPOSE_PROTO_CASING;
                self.linter
                    .report(rule, &step.comments, word.span, message, &hint);
            }
            if port.is_mapping {
                let message = format!(
                    "EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
                );
                let hint = "write the container's port only, and publish it with `minke run -p`";
                let rule = &rules::EXPOSE_INVALID_FORMAT;
                self.linter
                    .report(rule, &step.comments, word.span, message, hint);
            }
        }
    }

    /// An ignore file with exceptions says nothing about a directory. BuildKit: validateCopySourcePath().
    fn sources(&mut self, step: &Step, verb: &str, sources: &[CopySource], scope: &Scope) {
        let Some(ignore) = self.facts.ignore.filter(|ignore| !ignore.has_exceptions()) else {
            return;
        };
        for source in sources {
            let CopySource::Path(word) = source else {
                continue;
            };
            let Some(path) = known(word, &scope.variables) else {
                continue;
            };
            let path = path.trim_start_matches("./").trim_matches('/');
            let is_address = path.contains("://") || path.starts_with("git@");
            if !is_address && ignore.is_ignored(path) {
                let message = format!(
                    "Attempting to {verb} file \"{path}\" that is excluded by .dockerignore"
                );
                let hint = "take the pattern out of `.dockerignore`";
                let rule = &rules::COPY_IGNORED_FILE;
                self.linter
                    .report(rule, &step.comments, word.span, message, hint);
            }
        }
    }
}
