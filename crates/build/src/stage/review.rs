//! Review: what a finished stage warns of because it will not work as it was meant to.

use std::path::Path;

use minke_balenafile::{Instruction, Step};
use minke_image::program;

use super::Builder;
use crate::build::BuildError;
use crate::placement::absolute;
use crate::progress::{Event, Warning};

impl Builder<'_> {
    /// Warns of what will not work as it was meant to.
    pub(super) fn review(&mut self) -> Result<(), BuildError> {
        let last_span = self
            .stage
            .steps
            .last()
            .map_or(self.stage.span, |step| step.span);
        if self.commands.drop_lost_cmd(&mut self.image.config) {
            let message =
                "`CMD` has no effect: the shell form of `ENTRYPOINT` takes no arguments".to_owned();
            self.warn(
                last_span,
                message,
                "write `ENTRYPOINT` in the exec form: `[\"program\"]`",
            );
        }
        let unused: Vec<(String, Option<String>)> = self
            .variables
            .unused()
            .map(|name| {
                (
                    name.to_owned(),
                    self.variables.nearest(name).map(str::to_owned),
                )
            })
            .collect();
        for (name, nearest) in unused {
            let hint = nearest.map_or_else(
                || format!("declare it: `ARG {name}`"),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            let warning = Warning {
                message: format!("build argument `{name}` is not declared by any `ARG`"),
                hint: Some(hint),
            };
            self.progress.event(&Event::Warning(&warning));
        }
        self.check_program()
    }

    /// Warns of a command that no file of the image answers.
    fn check_program(&mut self) -> Result<(), BuildError> {
        let config = &self.image.config;
        let Some(name) = config.entrypoint.first().or(config.cmd.first()).cloned() else {
            return Ok(());
        };
        let path = config
            .env
            .iter()
            .find_map(|pair| pair.strip_prefix("PATH="))
            .map(str::to_owned);
        let directory = config.working_dir.clone();
        let tree = self.tree()?;
        if program::find(&name, path.as_deref(), &directory, |path| {
            tree.file(Path::new(path)).is_some()
        })
        .is_some()
        {
            return Ok(());
        }
        let is_command = |step: &&Step| {
            matches!(
                step.instruction,
                Instruction::Cmd(_) | Instruction::Entrypoint(_)
            )
        };
        let span = self
            .stage
            .steps
            .iter()
            .rev()
            .find(is_command)
            .map_or(self.stage.span, |step| step.span);
        let message = format!("program `{name}` is not in the image");
        let hint = match name.contains('/') {
            true => format!("`COPY` it to `{}`", absolute(&directory, &name).display()),
            false => format!(
                "`COPY` it to a directory of `PATH`, as `{name}` or `{name}{}`",
                program::SUFFIX
            ),
        };
        self.warn(span, message, &hint);
        Ok(())
    }
}
