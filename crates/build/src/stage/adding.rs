//! Adding: `ADD`, which takes archives of the context apart.
//!
//! Spec: Dockerfile reference, "ADD".

use std::io::{BufReader, Read};

use minke_balenafile::{Add, CopySource, Span, Step};
use minke_image::{FileDigest, Lease};

use super::copying::{Destination, Place};
use super::{Evaluator, LayerBase, Made};
use crate::archive::{self, ArchiveError};
use crate::build::BuildError;
use crate::context::ContextError;
use crate::inputs::Files;
use crate::origin::{Bytes, Content, RangeReader, TreeOrigin};
use crate::select::{Entry, Parents, Rules, Selection, Selector};

/// What an address begins with. BuildKit: `dockerui`, `isHTTPSource()`, `parser.IsGitRef()`.
const ADDRESSES: [&str; 5] = ["http://", "https://", "git://", "ssh://", "git@"];

/// Enough of a file to tell an archive by, packed or not.
const START_BYTES: u64 = 64 << 10;

impl<'a> Evaluator<'a> {
    pub(super) fn add(&mut self, step: &'a Step, add: &'a Add) -> Result<Made, BuildError> {
        for source in &add.sources {
            self.refuse_address(source)?;
        }
        if let Some(checksum) = &add.checksum {
            let message = "`--checksum` is of what an address gives, and there is none";
            let hint = "leave it out: files of the context are told apart by their content";
            return Err(self.error(checksum.span, message, Some(hint)));
        }
        let rules = Rules {
            excludes: self.excludes(&add.excludes)?,
            parents: Parents::Drop,
        };
        let mut selections = self.select_context(&add.sources, &rules)?;
        if add.unpacks != Some(false) {
            selections = self.archives(selections)?;
        }
        let target = self.target(&Destination {
            word: &add.destination,
            chown: add.chown.as_ref(),
            chmod: add.chmod.as_ref(),
            sources_count: add.sources.len(),
            parents: Parents::Drop,
        })?;
        let base = match add.is_linked {
            true => LayerBase::Nothing,
            false => LayerBase::Below,
        };
        let made = self.place(("ADD", step), &target, &selections, base)?;
        let has_layer = made.layer().is_some();
        self.remember(step.text.clone(), has_layer);
        Ok(made)
    }

    fn refuse_address(&self, source: &CopySource) -> Result<(), BuildError> {
        let CopySource::Path(word) = source else {
            return Ok(());
        };
        let text = self.expand(word)?;
        if !ADDRESSES.iter().any(|start| text.starts_with(start)) {
            return Ok(());
        }
        let message = format!("`{text}` is an address, and builds do not use the network");
        let hint = "fetch it into the context first, and `COPY` it";
        Err(self.error(word.span, message, Some(hint)))
    }

    /// Tells archives from other files.
    fn archives(&self, selections: Vec<Selection>) -> Result<Vec<Selection>, BuildError> {
        let told = selections.into_iter().map(|selection| {
            let Selection::File { name, entry } = selection else {
                return Ok(selection);
            };
            match holds_tar(self.build.files, &entry) {
                Ok(false) => Ok(Selection::File { name, entry }),
                Ok(true) => Ok(Selection::Archive { entry }),
                Err(_) => Err(BuildError::Changed(entry.source.to_path_buf())),
            }
        });
        told.collect()
    }

    /// Returns what is in each archive, and nothing for what is none.
    pub(super) fn taken_apart(
        &self,
        span: Span,
        selections: &[Selection],
    ) -> Result<Vec<Option<Selection>>, BuildError> {
        let apart = selections.iter().map(|selection| match selection {
            Selection::Archive { entry } => self.take_apart(span, entry).map(Some),
            _ => Ok(None),
        });
        apart.collect()
    }

    fn take_apart(&self, span: Span, entry: &Entry) -> Result<Selection, BuildError> {
        let name = entry.source.display();
        let failed = |error: ArchiveError| match error {
            ArchiveError::Store(error) => error.into(),
            error => {
                let message = format!("cannot take `{name}` apart: {error}");
                self.error(span, message, Some(error.hint()))
            }
        };
        let unpacked = unpack(self.build.files, entry, self.build.lease);
        let origin = unpacked?.map_err(failed)?;
        let rules = Rules::default();
        let mut selector = Selector::new(&origin, &rules);
        let place = Place {
            name: format!("the archive `{name}`"),
            hint: "check the archive".to_owned(),
        };
        let selected = selector
            .select(".")
            .map_err(|error| self.select_error(span, &name.to_string(), &place, error))?;
        for skipped in selector.into_skipped() {
            let shown = skipped.display();
            let message = format!("`{shown}` of `{name}` is a pipe or a device, and is left out");
            self.warn(span, message, "pack the archive without it");
        }
        let entries = match selected.into_iter().next() {
            Some(Selection::Directory { entries }) => entries,
            _ => Vec::new(),
        };
        Ok(Selection::Unpacked { entries })
    }
}

/// Opens a file of the context.
fn open<'files>(
    files: &'files Files,
    entry: &'files Entry,
) -> Result<Box<dyn Read + Send + 'files>, ContextError> {
    match &entry.content {
        Content::File {
            bytes: Bytes::Context { path, .. },
            ..
        } => Ok(Box::new(files.open_file(path)?.0)),
        Content::File {
            bytes: Bytes::Range { file, offset_bytes },
            size_bytes,
        } => Ok(Box::new(RangeReader {
            file: &file.file,
            offset_bytes: *offset_bytes,
            rest_bytes: *size_bytes,
        })),
        Content::File {
            bytes: Bytes::Memory(bytes),
            ..
        } => Ok(Box::new(&bytes[..])),
        Content::Directory | Content::Symlink { .. } | Content::HardLink { .. } => {
            Err(ContextError::Special)
        }
    }
}

fn holds_tar(files: &Files, entry: &Entry) -> Result<bool, ContextError> {
    // A here-document is a text, whatever it begins with.
    if let Content::File {
        bytes: Bytes::Memory(_),
        ..
    } = &entry.content
    {
        return Ok(false);
    }
    let mut start = Vec::new();
    let mut reader = open(files, entry)?;
    reader
        .by_ref()
        .take(START_BYTES)
        .read_to_end(&mut start)
        .map_err(ContextError::Io)?;
    Ok(archive::holds_tar(&start, reader))
}

/// Unpacks a file that must hold what it held when it was selected.
fn unpack(
    files: &Files,
    entry: &Entry,
    lease: &Lease<'_>,
) -> Result<Result<TreeOrigin, ArchiveError>, BuildError> {
    let changed = || BuildError::Changed(entry.source.to_path_buf());
    let reader = open(files, entry).map_err(|_| changed())?;
    let unpacked = match archive::unpack(BufReader::new(reader), lease) {
        Ok(unpacked) => unpacked,
        Err(error) => return Ok(Err(error)),
    };
    match known_digest(entry).is_none_or(|known| known == unpacked.packed_digest) {
        true => Ok(unpacked.into_origin()),
        false => Err(changed()),
    }
}

fn known_digest(entry: &Entry) -> Option<FileDigest> {
    match &entry.content {
        Content::File {
            bytes: Bytes::Context { digest, .. },
            ..
        } => Some(*digest),
        _ => None,
    }
}
