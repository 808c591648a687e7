//! Copying: `COPY` and `WORKDIR`, from their words to a layer.

use std::path::Path;

use minke_balenafile::{Copy, CopySource, Span, Step, Word};
use minke_image::tree::Tree;

use super::{Builder, Made};
use crate::build::{BuildError, now};
use crate::context::ContextError;
use crate::layer;
use crate::owner::{self, Owner, OwnerError};
use crate::placement::{Placer, Target, absolute};
use crate::select::{SelectError, Selection, Selector};

const HINT_OUTSIDE: &str =
    "copy the file into the context first, or build with a directory above it as the context";
const HINT_CHANGED: &str = "check its symbolic links, and build again when nothing writes to it";

impl Builder<'_> {
    pub(super) fn workdir(&mut self, span: Span, word: &Word) -> Result<Made, BuildError> {
        let text = self.expand(word)?;
        if text.is_empty() {
            return Err(self.error(
                span,
                "the working directory is empty",
                Some("write a path: `WORKDIR /app`"),
            ));
        }
        let destination = absolute(&self.image.config.working_dir, &text);
        let Some(directory) = destination.to_str().map(str::to_owned) else {
            return Err(self.error(span, "the working directory is not a text", None));
        };
        let target = Target {
            destination,
            is_directory: true,
            owner: Owner::default(),
            mode: None,
            mtime_s: self.source_date_epoch_s,
        };
        let newest_mtime_s = self
            .newest_mtime_s
            .and_then(|newest| u64::try_from(newest).ok())
            .unwrap_or(0);
        let made = self.layer("WORKDIR", span, &target, &[], |tree| {
            Placer::new(tree, &target, newest_mtime_s).directory()
        })?;
        let has_layer = made.layer().is_some();
        self.remember(format!("WORKDIR {directory}"), has_layer);
        self.image.config.working_dir = directory;
        Ok(made)
    }

    pub(super) fn copy(&mut self, step: &Step, copy: &Copy) -> Result<Made, BuildError> {
        self.refuse_flags(step, copy)?;
        let selections = self.select(copy)?;
        let target = self.target(copy)?;
        let newest_mtime_s = layer::newest_mtime_s(&selections);
        let made = self.layer("COPY", step.span, &target, &selections, |tree| {
            Placer::new(tree, &target, newest_mtime_s).place(&selections)
        })?;
        let has_layer = made.layer().is_some();
        self.remember(step.text.clone(), has_layer);
        Ok(made)
    }

    fn refuse_flags(&self, step: &Step, copy: &Copy) -> Result<(), BuildError> {
        let flags = [
            ("--from", copy.from.is_some()),
            ("--link", copy.is_linked),
            ("--parents", copy.keeps_parents),
            ("--exclude", !copy.excludes.is_empty()),
        ];
        match flags.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(self.not_yet(step.span, &format!("COPY {flag}"))),
            None => Ok(()),
        }
    }

    fn select(&mut self, copy: &Copy) -> Result<Vec<Selection>, BuildError> {
        let now_ns = i64::try_from(now().as_nanos()).unwrap_or(i64::MAX);
        let mut selector = Selector::new(self.context, self.lease.store());
        let mut selections = Vec::new();
        for source in &copy.sources {
            let word = match source {
                CopySource::Path(word) => word,
                CopySource::Heredoc(heredoc) => return Err(self.not_yet(heredoc.span, "<<")),
            };
            let source = self.expand(word)?;
            let selected = selector
                .select(&source)
                .map_err(|error| self.select_error(word.span, &source, error))?;
            if selected.is_empty() {
                self.warn(
                    word.span,
                    format!("nothing in the context matches `{source}`"),
                    "check the pattern and `.dockerignore`",
                );
            }
            selections.extend(selected);
        }
        for skipped in selector.finish(now_ns)? {
            let message = format!(
                "`{}` is a socket, a pipe or a device, and is left out",
                skipped.display()
            );
            self.warn(copy.destination.span, message, "name it in `.dockerignore`");
        }
        Ok(selections)
    }

    fn select_error(&self, span: Span, source: &str, error: SelectError) -> BuildError {
        let (message, hint) = match error {
            SelectError::NotFound { nearest } => (
                format!("`{source}` is not in the context"),
                nearest.map_or_else(
                    || format!("paths are relative to `{}`", self.options.context.display()),
                    |nearest| format!("did you mean `{nearest}`?"),
                ),
            ),
            SelectError::Outside => (
                format!("`{source}` leads out of the context"),
                HINT_OUTSIDE.to_owned(),
            ),
            SelectError::Ignored => (
                format!("`{source}` is left out of the context by `.dockerignore`"),
                format!("add the line `!{source}` to it"),
            ),
            SelectError::Special => (
                format!("`{source}` is a socket, a pipe or a device"),
                "name a file or a directory".to_owned(),
            ),
            SelectError::Pattern(problem) => (
                format!("`{source}` is not a pattern: {problem}"),
                "write a backslash before a special character".to_owned(),
            ),
            SelectError::Context { path, error } => unreadable(&path, &error),
        };
        self.error(span, message, Some(&hint))
    }

    fn target(&mut self, copy: &Copy) -> Result<Target, BuildError> {
        let text = self.expand(&copy.destination)?;
        if text.is_empty() {
            return Err(self.error(
                copy.destination.span,
                "the destination is empty",
                Some("write `.` for the working directory"),
            ));
        }
        let is_directory = text.ends_with('/') || text == "." || text.ends_with("/.");
        if copy.sources.len() > 1 && !is_directory {
            let message =
                format!("several sources need a directory, and `{text}` does not end in `/`");
            return Err(self.error(
                copy.destination.span,
                message,
                Some(&format!("write `{text}/`")),
            ));
        }
        Ok(Target {
            destination: absolute(&self.image.config.working_dir, &text),
            is_directory,
            owner: copy
                .chown
                .as_ref()
                .map_or(Ok(Owner::default()), |word| self.owner(word))?,
            mode: copy
                .chmod
                .as_ref()
                .map(|word| self.mode(word))
                .transpose()?,
            mtime_s: self.source_date_epoch_s,
        })
    }

    fn owner(&mut self, word: &Word) -> Result<Owner, BuildError> {
        let text = self.expand(word)?;
        let found = match owner::has_names(&text) {
            true => owner::find(&text, self.tree()?),
            false => owner::find(&text, &Tree::default()),
        };
        found.map_err(|error| match error {
            OwnerError::Store(error) => error.into(),
            error => self.error(
                word.span,
                error.to_string(),
                Some("write numbers: `--chown=1000:1000`"),
            ),
        })
    }

    fn mode(&mut self, word: &Word) -> Result<u32, BuildError> {
        let text = self.expand(word)?;
        let is_octal = (1..=5).contains(&text.len())
            && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| is_octal && *mode <= 0o7777);
        mode.ok_or_else(|| {
            let message = format!("`{text}` is not an octal number of permissions");
            self.error(
                word.span,
                message,
                Some("write three or four digits: `--chmod=755`"),
            )
        })
    }
}

/// Returns message and hint about a path of the context that could not be read.
fn unreadable(path: &Path, error: &ContextError) -> (String, String) {
    let hint = match error {
        ContextError::Changed => HINT_CHANGED,
        _ => "check the file, or name it in `.dockerignore`",
    };
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let message = format!("cannot read `{}` of the context: {error}", path.display());
    (message, hint.to_owned())
}
