//! Requests about a container's files.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use minke_sandbox::control::{Client, Response, message};
use minke_sandbox::files::frames::{FrameReader, FrameWriter};
use minke_sandbox::files::request::{FileStatus, FilesRequest, Links};

use super::FilesError;
use super::process::FilesProcess;
use crate::record::Lock;

/// Who answers about a container's files.
pub(crate) enum Source {
    /// Its sandbox, whose run directory this is; each request has a connection.
    Running(PathBuf),
    /// A process of our own, while the container is locked against starting.
    Stopped(
        FilesProcess,
        #[expect(dead_code, reason = "held for its lock")] Lock,
    ),
}

/// The files of one container.
pub(crate) struct FilesClient {
    pub(crate) container: String,
    pub(crate) source: Source,
}

impl FilesClient {
    /// Returns what a path names; `None` if it names nothing.
    pub(crate) fn status(
        &self,
        path: &[u8],
        links: Links,
    ) -> Result<Option<FileStatus>, FilesError> {
        let path = path.to_vec();
        let mut stream = self.ask(FilesRequest::Status { path, links })?;
        match self.answer(&mut stream)? {
            Response::FileStatus { status } => Ok(status),
            _ => Ok(None),
        }
    }

    /// Has `take` read the stream that answers a request, and returns what it makes of it, if the stream is whole.
    pub(crate) fn download<T>(
        &self,
        request: FilesRequest,
        take: impl FnOnce(&mut dyn Read) -> Result<T, FilesError>,
    ) -> Result<T, FilesError> {
        let stream = self.ask(request)?;
        let mut frames = FrameReader::new(stream);
        let mut failed = None;
        let taken = take(&mut Watched {
            source: &mut frames,
            failed: &mut failed,
        });
        if let Some(error) = failed {
            return Err(self.ended(error));
        }
        // What is wrong with a tar that the server could not finish, it says itself.
        if let Err(error) = &taken
            && !matches!(error, FilesError::Archive(_))
        {
            return taken;
        }
        // A tar may be followed by padding.
        io::copy(&mut frames, &mut io::sink()).map_err(|error| self.ended(error))?;
        self.answer(&mut frames.into_source())?;
        taken
    }

    /// Has `give` write the stream that a request takes.
    pub(crate) fn upload(
        &self,
        request: FilesRequest,
        give: impl FnOnce(&mut dyn Write) -> Result<(), FilesError>,
    ) -> Result<(), FilesError> {
        let mut stream = self.ask(request)?;
        let mut failed = None;
        let mut frames = FrameWriter::new(&stream);
        let given = give(&mut Watched {
            source: &mut frames,
            failed: &mut failed,
        });
        let sent = match (given, failed) {
            (_, Some(error)) => Err(error),
            // The server sees the connection's end.
            (Err(error), None) => return Err(error),
            (Ok(()), None) => frames.finish(),
        };
        // A server that has given up says why before it closes the connection.
        match (self.answer(&mut stream), sent) {
            (Err(FilesError::Ended { .. }), Err(error)) => Err(self.ended(error)),
            (answer, _) => answer.map(drop),
        }
    }

    fn ask(&self, request: FilesRequest) -> Result<UnixStream, FilesError> {
        let asked = match &self.source {
            Source::Running(directory) => {
                Client::connect(directory).and_then(|client| client.into_files(request))
            }
            Source::Stopped(process, _) => message::send(&mut &process.stream, &request)
                .and_then(|()| process.stream.try_clone()),
        };
        asked.map_err(|error| self.ended(error))
    }

    fn answer(&self, stream: &mut UnixStream) -> Result<Response, FilesError> {
        match message::receive(stream) {
            Ok(Response::Refused { message }) => Err(FilesError::Refused {
                container: self.container.clone(),
                message,
            }),
            answer => answer.map_err(|error| self.ended(error)),
        }
    }

    fn ended(&self, source: io::Error) -> FilesError {
        FilesError::Ended {
            container: self.container.clone(),
            source,
        }
    }
}

/// A connection whose own failure is told from that of the other end of a copy.
struct Watched<'a, S> {
    source: &'a mut S,
    failed: &'a mut Option<io::Error>,
}

impl<S> Watched<'_, S> {
    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                *self.failed = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
    }
}

impl<S: Read> Read for Watched<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer);
        self.watch(read)
    }
}

impl<S: Write> Write for Watched<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.source.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.source.flush();
        self.watch(flushed)
    }
}
