//! Copying: `COPY` and `WORKDIR`, from their words to a layer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_balenafile::{Copy, CopySource, Heredoc, IgnoreFile, Literal, Span, Step, Word};
use minke_image::tree::Tree;

use super::{Copying, Evaluator, LayerBase, Made, Planned};
use crate::build::{BuildError, now};
use crate::context::ContextError;
use crate::layer;
use crate::mode::ModeChange;
use crate::origin::{Bytes, Content, Origin};
use crate::owner::{self, Owner, OwnerError};
use crate::placement::{Placer, Target, absolute};
use crate::select::{Entry, Parents, Rules, SelectError, Selection, Selector};

const HINT_OUTSIDE: &str =
    "copy the file into the context first, or build with a directory above it as the context";
const HINT_CHANGED: &str = "check its symbolic links, and build again when nothing writes to it";

const HINT_TOO_MANY: &str =
    "name what is not needed in `.dockerignore`, or copy it in several steps";

/// The permissions of a here-document's file. BuildKit: `dispatchCopy()`.
const HEREDOC_MODE: u32 = 0o644;

/// Where `COPY` and `ADD` put files, as typed.
pub(super) struct Destination<'a> {
    pub(super) word: &'a Word,
    pub(super) chown: Option<&'a Word>,
    pub(super) chmod: Option<&'a Word>,
    pub(super) sources_count: usize,
    pub(super) parents: Parents,
}

/// Sources that were selected, and what was left out of them.
struct Selected {
    selections: Vec<Selection>,
    skipped: Vec<PathBuf>,
    /// Patterns that nothing matches.
    unmatched: Vec<(Span, String)>,
}

/// What messages say of the files to choose from.
pub(super) struct Place {
    /// `the context`, ``stage `x` ``
    pub(super) name: String,
    /// What to look at when something is missing.
    pub(super) hint: String,
}

impl<'a> Evaluator<'a> {
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
            owner: None,
            mode: None,
            mtime_s: self.build.source_date_epoch_s,
        };
        let own_mtime_s = self.own_mtime_s();
        let copying = Copying {
            instruction: "WORKDIR",
            text: "WORKDIR",
            span,
            target: &target,
            selections: &[],
            base: LayerBase::Below,
        };
        let made = self.copy_layer(&copying, |evaluator| {
            let placement = evaluator.placement(&copying, |tree| {
                Placer::new(tree, &target, own_mtime_s).directory()
            })?;
            Ok(Planned {
                placement,
                newest_mtime_s: 0,
            })
        })?;
        let has_layer = made.layer().is_some();
        self.remember(format!("WORKDIR {directory}"), has_layer);
        self.image.config.working_dir = directory;
        Ok(made)
    }

    pub(super) fn copy(&mut self, step: &'a Step, copy: &'a Copy) -> Result<Made, BuildError> {
        let rules = Rules {
            excludes: self.excludes(&copy.excludes)?,
            parents: match copy.keeps_parents {
                true => Parents::Keep,
                false => Parents::Drop,
            },
        };
        let selections = match &copy.from {
            None => self.select_context(&copy.sources, &rules)?,
            Some(from) => self.select_foreign(from, &copy.sources, &rules)?,
        };
        let target = self.target(&Destination {
            word: &copy.destination,
            chown: copy.chown.as_ref(),
            chmod: copy.chmod.as_ref(),
            sources_count: copy.sources.len(),
            parents: rules.parents,
        })?;
        let base = match copy.is_linked {
            true => LayerBase::Nothing,
            false => LayerBase::Below,
        };
        let made = self.place(("COPY", step), &target, &selections, base)?;
        let has_layer = made.layer().is_some();
        self.remember(step.text.clone(), has_layer);
        Ok(made)
    }

    /// Makes the layer of what was selected.
    pub(super) fn place(
        &mut self,
        (instruction, step): (&'static str, &'a Step),
        target: &Target,
        selections: &[Selection],
        base: LayerBase,
    ) -> Result<Made, BuildError> {
        let copying = Copying {
            instruction,
            text: &step.text,
            span: step.span,
            target,
            selections,
            base,
        };
        self.copy_layer(&copying, |evaluator| {
            let unpacked = evaluator.taken_apart(step.span, selections)?;
            let chosen = |(selection, unpacked)| Option::unwrap_or(unpacked, selection);
            let unpacked = unpacked.iter().map(Option::as_ref);
            let selections: Vec<&Selection> = selections.iter().zip(unpacked).map(chosen).collect();
            let newest_mtime_s = layer::newest_mtime_s(&selections);
            let placement = evaluator.placement(&copying, |tree| {
                Placer::new(tree, target, newest_mtime_s).place(&selections)
            })?;
            Ok(Planned {
                placement,
                newest_mtime_s,
            })
        })
    }

    /// Makes the patterns of `--exclude`, which are those of an ignore file.
    pub(super) fn excludes(&self, patterns: &[Literal]) -> Result<IgnoreFile, BuildError> {
        let texts = patterns.iter().map(|pattern| pattern.text.as_str());
        IgnoreFile::from_patterns(texts).map_err(|(text, problem)| {
            let wrong = patterns.iter().find(|pattern| pattern.text == text);
            let span = wrong.map_or_else(Span::default, |pattern| pattern.span);
            let message = format!("`{text}` is not a pattern: {problem}");
            let hint = "write a backslash before a special character";
            self.error(span, message, Some(hint))
        })
    }

    /// Selects from the context.
    pub(super) fn select_context(
        &mut self,
        sources: &[CopySource],
        rules: &Rules,
    ) -> Result<Vec<Selection>, BuildError> {
        let now_ns = i64::try_from(now().as_nanos()).unwrap_or(i64::MAX);
        let place = Place {
            name: "the context".to_owned(),
            hint: "paths are relative to the context's directory".to_owned(),
        };
        let store = self.build.lease.store();
        let selected = self.build.files.select(store, now_ns, |origin| {
            self.select(origin, &place, sources, rules)
        })?;
        Ok(self.reviewed(selected, &place))
    }

    /// Selects from a stage or an image.
    fn select_foreign(
        &mut self,
        from: &Literal,
        sources: &[CopySource],
        rules: &Rules,
    ) -> Result<Vec<Selection>, BuildError> {
        let (origin, _, name) = self.build.foreign_origin(self.source, from)?;
        let place = Place {
            hint: format!("check the paths of {name}"),
            name,
        };
        let selected = self.select(&*origin, &place, sources, rules)?;
        Ok(self.reviewed(selected, &place))
    }

    fn select(
        &self,
        origin: &dyn Origin,
        place: &Place,
        sources: &[CopySource],
        rules: &Rules,
    ) -> Result<Selected, BuildError> {
        let mut selector = Selector::new(origin, rules);
        let (mut selections, mut unmatched) = (Vec::new(), Vec::new());
        // BuildKit copies what is typed in the file last: dispatchCopy().
        let is_file = |source: &&CopySource| matches!(source, CopySource::Path(_));
        let files = sources.iter().filter(is_file);
        let heredocs = sources.iter().filter(|source| !is_file(source));
        for source in files.chain(heredocs) {
            let word = match source {
                CopySource::Path(word) => word,
                CopySource::Heredoc(heredoc) => {
                    selections.push(self.heredoc(heredoc)?);
                    continue;
                }
            };
            let text = self.expand(word)?;
            let selected = selector
                .select(&text)
                .map_err(|error| self.select_error(word.span, &text, place, error))?;
            if selected.is_empty() {
                unmatched.push((word.span, text));
                // BuildKit copies the directory above, and includes nothing of it.
                if rules.parents == Parents::Keep {
                    let entries = Vec::new();
                    selections.push(Selection::Directory { entries });
                }
            }
            selections.extend(selected);
        }
        Ok(Selected {
            selections,
            skipped: selector.into_skipped(),
            unmatched,
        })
    }

    /// Warns of what was not selected.
    fn reviewed(&self, selected: Selected, place: &Place) -> Vec<Selection> {
        for (span, text) in selected.unmatched {
            let message = format!("nothing in {} matches `{text}`", place.name);
            self.warn(
                span,
                message,
                "check the pattern, `--exclude` and `.dockerignore`",
            );
        }
        for skipped in selected.skipped {
            let shown = skipped.display();
            let message = format!("`{shown}` is a socket, a pipe or a device, and is left out");
            self.warn(Span::default(), message, "name it in `.dockerignore`");
        }
        selected.selections
    }

    /// Makes a file of a here-document. Spec: Dockerfile reference, "Here-Documents".
    fn heredoc(&self, heredoc: &Heredoc) -> Result<Selection, BuildError> {
        let text = self.expand(&heredoc.text)?;
        let content = Content::File {
            size_bytes: text.len() as u64,
            bytes: Bytes::Memory(Arc::from(text.into_bytes())),
        };
        Ok(Selection::File {
            name: OsString::from(&heredoc.name),
            entry: Entry {
                relative: PathBuf::new(),
                source: Path::new("").into(),
                content,
                link: None,
                attributes: None,
                mode: HEREDOC_MODE,
                owner: Owner::default(),
                mtime_s: self.own_mtime_s(),
            },
        })
    }

    pub(super) fn select_error(
        &self,
        span: Span,
        source: &str,
        place: &Place,
        error: SelectError,
    ) -> BuildError {
        let (message, hint) = match error {
            SelectError::NotFound { nearest } => (
                format!("`{source}` is not in {}", place.name),
                nearest.map_or_else(
                    || place.hint.clone(),
                    |nearest| format!("did you mean `{nearest}`?"),
                ),
            ),
            SelectError::Outside => (
                format!("`{source}` leads out of {}", place.name),
                HINT_OUTSIDE.to_owned(),
            ),
            SelectError::Ignored => (
                format!(
                    "`{source}` is left out of {} by `.dockerignore`",
                    place.name
                ),
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
            SelectError::Context { path, error } => unreadable(&path, place, &error),
        };
        self.error(span, message, Some(&hint))
    }

    pub(super) fn target(&mut self, destination: &Destination<'_>) -> Result<Target, BuildError> {
        let word = destination.word;
        let text = self.expand(word)?;
        if text.is_empty() {
            return Err(self.error(
                word.span,
                "the destination is empty",
                Some("write `.` for the working directory"),
            ));
        }
        let is_directory = text.ends_with('/') || text == "." || text.ends_with("/.");
        if destination.sources_count > 1 && !is_directory {
            let message =
                format!("several sources need a directory, and `{text}` does not end in `/`");
            return Err(self.error(word.span, message, Some(&format!("write `{text}/`"))));
        }
        let owner = destination.chown.map(|word| self.owner(word)).transpose()?;
        let mode = destination.chmod.map(|word| self.mode(word)).transpose()?;
        Ok(Target {
            destination: absolute(&self.image.config.working_dir, &text),
            is_directory: is_directory || destination.parents == Parents::Keep,
            owner,
            mode,
            mtime_s: self.build.source_date_epoch_s,
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

    fn mode(&mut self, word: &Word) -> Result<ModeChange, BuildError> {
        let text = self.expand(word)?;
        ModeChange::parse(&text).ok_or_else(|| {
            let message =
                format!("`{text}` is neither an octal number of permissions nor a change");
            let hint = "write three or four digits, `--chmod=755`, or a change, `--chmod=u+x`";
            self.error(word.span, message, Some(hint))
        })
    }
}

/// Returns message and hint about a path that could not be read.
fn unreadable(path: &Path, place: &Place, error: &ContextError) -> (String, String) {
    let hint = match error {
        ContextError::Changed => HINT_CHANGED,
        ContextError::TooManyFiles(_) => HINT_TOO_MANY,
        _ => "check the file, or name it in `.dockerignore`",
    };
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let message = format!(
        "cannot read `{}` of {}: {error}",
        path.display(),
        place.name
    );
    (message, hint.to_owned())
}
