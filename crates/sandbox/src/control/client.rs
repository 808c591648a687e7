//! The commands' side of a control socket.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::attach::Connection;
use crate::files::request::FilesRequest;

use super::{
    AttachRequest, ExecRequest, Request, Response, descriptors, message, open_directory, short_path,
};

/// A connection to a running sandbox.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the sandbox whose run directory this is.
    pub fn connect(run_directory: &Path) -> io::Result<Client> {
        let directory = open_directory(run_directory)?;
        let stream = UnixStream::connect(short_path(&directory))?;
        Ok(Client { stream })
    }

    /// Bounds how long [`Client::ask`] waits; `None` waits for ever.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    /// Gives up the connection for one request about files; what is to be sent and read after it is the caller's.
    pub fn into_files(mut self, request: FilesRequest) -> io::Result<UnixStream> {
        message::send(&mut self.stream, &Request::Files(request))?;
        Ok(self.stream)
    }

    /// Asks for a program to be started; returns the first answer, and the connection on which the second comes.
    ///
    /// # Errors
    /// `ArgumentListTooLong` when arguments and environment are too long for a message.
    pub fn exec(
        self,
        request: ExecRequest,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<(Response, ExecClient)> {
        let bytes = message::encode(&Request::Exec(request));
        if bytes.len() > message::MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        descriptors::send(&self.stream, &bytes, descriptors)?;
        let first = message::receive(&mut &self.stream)?;
        self.stream.set_read_timeout(None)?;
        Ok((first, ExecClient(self.stream)))
    }

    /// Asks to be attached to the first process; returns the answer, and the connection on which frames follow [`Response::Done`].
    pub fn attach(mut self, request: AttachRequest) -> io::Result<(Response, Connection)> {
        let answer = self.ask(&Request::Attach(request))?;
        self.stream.set_read_timeout(None)?;
        Ok((answer, Connection::new(self.stream)?))
    }

    /// Sends a request and waits for its answer; `UnexpectedEof` when the sandbox died meanwhile.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        message::send(&mut self.stream, request)?;
        message::receive(&mut self.stream)
    }
}

/// A connection to a program that [`Client::exec`] has started.
#[derive(Debug)]
pub struct ExecClient(UnixStream);

impl ExecClient {
    /// Takes the connection over, of a program with a terminal.
    pub fn into_connection(self) -> io::Result<Connection> {
        Connection::new(self.0)
    }

    /// Waits for the program's end; returns its exit code. `UnexpectedEof` when the sandbox ended without telling.
    pub fn wait(mut self) -> io::Result<u8> {
        match message::receive(&mut self.0)? {
            Response::Ended { exit_code } => Ok(exit_code),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
