//! Rules about `FROM`.
//!
//! Spec: BuildKit `dockerfile2llb/validations.go`.

use super::names::{is_image_name, is_named_for, shown};
use super::review::{Review, known};
use super::{WARNINGS_MAX, rules};
use crate::instruction::Stage;
use crate::table;
use crate::word::Word;

impl Review<'_> {
    /// Checks that base images have a name when no `--build-arg` is given.
    pub(super) fn default_bases(&mut self) {
        let globals = self.globals_with(&|_| None);
        for stage in &self.file.stages {
            let lookup = &mut |name: &str| globals.get(name).cloned().flatten();
            let Ok(name) = stage.from.image.expand(lookup) else {
                return;
            };
            if !is_image_name(&name) {
                let typed = &stage.from.image.text;
                let message = format!(
                    "Default value for ARG {typed} results in empty or invalid base image name"
                );
                self.linter.report(
                    &rules::INVALID_DEFAULT_ARG_IN_FROM,
                    &stage.comments,
                    stage.from.image.span,
                    message,
                    "give the variable a default: `ARG NAME=VALUE` before `FROM`",
                );
            }
        }
    }

    pub(super) fn from(&mut self, stage: &Stage) {
        self.global_variables(stage, &stage.from.image);
        let Some(platform) = &stage.from.platform else {
            return;
        };
        self.global_variables(stage, platform);
        let variables = platform.variables();
        let value = known(platform, &self.globals);
        let target = self.globals.get("TARGETPLATFORM").cloned().flatten();
        let (rule, message, hint) = if variables == ["TARGETPLATFORM"] && value == target {
            let message = format!(
                "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
                platform.text
            );
            (
                &rules::REDUNDANT_TARGET_PLATFORM,
                message,
                "remove `--platform`",
            )
        } else if variables.is_empty() && !is_named_for(stage, &platform.text) {
            let message = format!(
                "FROM --platform flag should not use constant value \"{}\"",
                platform.text
            );
            let hint = "remove it, or use a variable";
            (&rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED, message, hint)
        } else {
            return;
        };
        let comments = &stage.comments;
        self.linter
            .report(rule, comments, platform.span, message, hint);
    }

    fn global_variables(&mut self, stage: &Stage, word: &Word) {
        let globals = self.globals.clone();
        let is_undefined = |name: &&str| !globals.contains_key(*name);
        let names = word.variables().into_iter().filter(is_undefined);
        for name in names.take(WARNINGS_MAX) {
            let nearest = table::nearest(name, self.globals.keys().map(String::as_str));
            let suggestion = nearest.map(|nearest| format!(" (did you mean {nearest}?)"));
            let message = format!(
                "FROM argument '{}' is not declared{}",
                shown(name),
                suggestion.unwrap_or_default()
            );
            let hint = format!("write `ARG {}` before the first `FROM`", shown(name));
            let rule = &rules::UNDEFINED_ARG_IN_FROM;
            self.linter
                .report(rule, &stage.comments, word.span, message, &hint);
        }
    }
}
