//! Reading ahead: one thread reads and verifies the files of a layer while others hash and pack it.
//!
//! The files arrive in the order of their paths, in pieces; a queue of pieces bounds what is held of them.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};

use minke_image::{FileDigest, FileHasher};

use crate::build::BuildError;
use crate::inputs::Files;
use crate::origin::{Bytes, Content, RangeReader};
use crate::placement::Placement;

/// Bounds a piece.
const PIECE_BYTES_MAX: u64 = 256 << 10;

/// Bounds the pieces that wait. Most files are small, and each is one.
pub(crate) const PIECES_MAX: usize = 64;

/// Bytes of a file that follow those before.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    /// With the last piece of a file: whether the file is what it was when it was selected.
    end: Option<Result<(), BuildError>>,
}

/// Nobody takes pieces any more.
struct Gone;

type Sent = Result<(), Gone>;

/// Sends the content of every file of a placement, in its order, for as long as somebody takes it.
pub(crate) fn send(placement: &Placement, files: &Files, pieces: &SyncSender<Piece>) {
    let mut contents = placement
        .values()
        .filter_map(|placed| match &placed.content {
            Content::File { size_bytes, bytes } => Some((*size_bytes, bytes)),
            Content::Directory | Content::Symlink { .. } | Content::HardLink { .. } => None,
        });
    let sent =
        contents.try_for_each(
            |(size_bytes, bytes)| match Source::open(size_bytes, bytes, files) {
                Ok(source) => source.send(size_bytes, pieces),
                Err(error) => send_piece(pieces, Vec::new(), Some(Err(error))),
            },
        );
    // Whoever takes no more knows why.
    drop(sent);
}

fn send_piece(
    pieces: &SyncSender<Piece>,
    bytes: Vec<u8>,
    end: Option<Result<(), BuildError>>,
) -> Sent {
    pieces.send(Piece { bytes, end }).map_err(|_| Gone)
}

/// A file that is being read.
struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    /// Path and digest of a file of the context, which others may write to.
    known: Option<(&'a Path, FileDigest)>,
}

impl<'a> Source<'a> {
    fn open(size_bytes: u64, bytes: &'a Bytes, files: &Files) -> Result<Self, BuildError> {
        let (reader, known): (Box<dyn Read + 'a>, _) = match bytes {
            Bytes::Memory(bytes) => (Box::new(&bytes[..]), None),
            Bytes::Range { file, offset_bytes } => {
                let reader = RangeReader {
                    file: &file.file,
                    offset_bytes: *offset_bytes,
                    rest_bytes: size_bytes,
                };
                (Box::new(reader), None)
            }
            Bytes::Context { path, digest } => {
                let opened = files.open_file(path);
                let (file, _) = opened.map_err(|_| BuildError::Changed(path.to_path_buf()))?;
                (Box::new(file), Some((path.as_ref(), *digest)))
            }
        };
        Ok(Self { reader, known })
    }

    fn send(mut self, size_bytes: u64, pieces: &SyncSender<Piece>) -> Sent {
        let mut hasher = FileHasher::new();
        let mut rest_bytes = size_bytes;
        loop {
            let wanted_bytes = rest_bytes.min(PIECE_BYTES_MAX);
            let (bytes, failed) = match self.read(wanted_bytes) {
                Ok(bytes) => (bytes, None),
                Err(error) => (Vec::new(), Some(self.unreadable(error))),
            };
            if self.known.is_some() {
                hasher.update(&bytes);
            }
            rest_bytes -= bytes.len() as u64;
            let is_last = rest_bytes == 0 || (bytes.len() as u64) < wanted_bytes;
            let end = match failed {
                Some(error) => Some(Err(error)),
                None => is_last.then(|| self.verify(rest_bytes, &hasher)),
            };
            send_piece(pieces, bytes, end)?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn read(&mut self, count_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(count_bytes).unwrap_or(0));
        self.reader
            .by_ref()
            .take(count_bytes)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn unreadable(&self, source: io::Error) -> BuildError {
        BuildError::Io {
            action: "read",
            path: self
                .known
                .map_or(Path::new("a layer"), |(path, _)| path)
                .to_owned(),
            source,
        }
    }

    /// The layer's key was made from what the file held before; the layer must hold the same.
    fn verify(&mut self, rest_bytes: u64, hasher: &FileHasher) -> Result<(), BuildError> {
        let Some((path, digest)) = self.known else {
            return Ok(());
        };
        let is_longer = self.reader.read(&mut [0]).is_ok_and(|count| count > 0);
        match rest_bytes > 0 || is_longer || hasher.finish() != digest {
            true => Err(BuildError::Changed(path.to_owned())),
            false => Ok(()),
        }
    }
}

/// Reads the content of one file from its pieces.
pub(crate) struct Pieces<'a> {
    pieces: &'a Receiver<Piece>,
    bytes: io::Cursor<Vec<u8>>,
    end: Option<Result<(), BuildError>>,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(pieces: &'a Receiver<Piece>) -> Self {
        Self {
            pieces,
            bytes: io::Cursor::default(),
            end: None,
        }
    }

    /// Returns what is wrong with the file, once `written` says whether all of it was taken.
    pub(crate) fn finish<E: Into<BuildError>>(
        mut self,
        written: Result<(), E>,
    ) -> Result<(), BuildError> {
        while written.is_ok() && self.end.is_none() {
            self.next().map_err(|source| BuildError::Io {
                action: "read",
                path: "the files to copy".into(),
                source,
            })?;
        }
        match self.end {
            Some(Err(error)) => Err(error),
            Some(Ok(())) | None => written.map_err(E::into),
        }
    }

    fn next(&mut self) -> io::Result<()> {
        let gone = |_| io::Error::other("the thread that reads them has ended");
        let piece = self.pieces.recv().map_err(gone)?;
        self.bytes = io::Cursor::new(piece.bytes);
        self.end = piece.end;
        Ok(())
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.bytes.read(buffer)? {
                0 if self.end.is_none() => self.next()?,
                count => return Ok(count),
            }
        }
    }
}
