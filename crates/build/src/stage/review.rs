//! Review: what a finished stage warns of because it will not work as it was meant to.

use std::path::Path;

use minke_balenafile::{Instruction, Step};
use minke_image::{CachedStep, Digest, HealthCheck, program};

use super::Evaluator;
use crate::build::BuildError;
use crate::layer;
use crate::placement::absolute;

impl Evaluator<'_> {
    /// Warns of what will not work as it was meant to.
    pub(super) fn review(&mut self) -> Result<(), BuildError> {
        let last = self.stage.steps.last();
        let last_span = last.map_or(self.stage.span, |step| step.span);
        if self.commands.drop_lost_cmd(&mut self.image.config) {
            let message =
                "`CMD` has no effect: the shell form of `ENTRYPOINT` takes no arguments".to_owned();
            let hint = "write `ENTRYPOINT` in the exec form: `[\"program\"]`";
            self.warn(last_span, message, hint);
        }
        match self.index == self.build.plan.target {
            true => {
                self.review_health_check();
                self.check_program()
            }
            // Nobody runs it.
            false => Ok(()),
        }
    }

    /// Warns of a check that nobody runs yet. That of a base image was warned of when it was built.
    fn review_health_check(&self) {
        let check = self.image.config.health_check.as_ref();
        let mut steps = self.stage.steps.iter().rev();
        let step = steps.find(|step| matches!(step.instruction, Instruction::Healthcheck(_)));
        if let Some(step) = step.filter(|_| check.is_some_and(HealthCheck::is_on)) {
            let message =
                "`HEALTHCHECK` is kept in the image and not run: containers are not checked yet";
            let hint = "watch containers from outside, such as by a request to a port";
            self.warn(step.span, message.to_owned(), hint);
        }
    }

    /// Warns of a command that no file of the image answers.
    fn check_program(&mut self) -> Result<(), BuildError> {
        let config = &self.image.config;
        let Some(name) = config.entrypoint.first().or(config.cmd.first()).cloned() else {
            return Ok(());
        };
        let path = crate::configure::env_of(config, "PATH").map(str::to_owned);
        let directory = config.working_dir.clone();
        // To look means to read the names of all layers: what was found once is remembered.
        let key = self.program_key(&name, path.as_deref(), &directory);
        if self.build.lease.cached_step(&key)?.is_some() {
            return Ok(());
        }
        let tree = self.tree()?;
        let is_there = |path: &str| tree.file(Path::new(path)).is_some();
        if program::find(&name, path.as_deref(), &directory, is_there).is_some() {
            let found = CachedStep {
                layer: None,
                newest_mtime_s: 0,
            };
            return Ok(self.build.lease.remember_step(&key, &found)?);
        }
        let message = format!("program `{name}` is not in the image");
        let hint = match name.contains('/') {
            true => format!("`COPY` it to `{}`", absolute(&directory, &name).display()),
            false => format!(
                "`COPY` it to a directory of `PATH`, as `{name}` or `{name}{}`",
                program::SUFFIX
            ),
        };
        let span = self.command_span();
        self.warn(span, message, &hint);
        Ok(())
    }

    fn program_key(&self, name: &str, path: Option<&str>, directory: &str) -> Digest {
        let mut hasher = layer::begin("a program is found", Some(&self.chain()));
        [name, path.unwrap_or(program::PATH_DEFAULT), directory]
            .iter()
            .for_each(|field| hasher.field(field.as_bytes()));
        hasher.finish()
    }

    /// Returns where the command that counts stands.
    fn command_span(&self) -> minke_balenafile::Span {
        let is_command = |step: &&Step| {
            let instruction = &step.instruction;
            matches!(
                instruction,
                Instruction::Cmd(_) | Instruction::Entrypoint(_)
            )
        };
        let command = self.stage.steps.iter().rev().find(is_command);
        command.map_or(self.stage.span, |step| step.span)
    }
}
