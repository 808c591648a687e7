//! Loading modules from inside of the jail: a process outside of it finds or compiles what a container's processes start.
//!
//! A jailed sandbox can neither open the cache nor start a compiling child. Where its first program may start others, it starts
//! this server before the jail closes; else a command does, which passes the connection in. A request is a file in memory with
//! the module; the answer is the compiled module's file,
//! opened for reading. The server trusts nothing: it hashes the module itself, and has it compiled by a
//! jailed child as any other (`compiler`). It serves one request at a time, and ends with the sandbox.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::cache::{Digest, Stamp};
use super::compiler::{Compiler, end_with};
use super::engine::{Allocation, Pool};
use super::error::{LoadError, MODULE_BYTES_MAX};
use super::program::{Runtime, RuntimeConfig};
use crate::control::{descriptors, message};

/// The hidden command of the program that is a module server.
pub const MODULE_SERVER_COMMAND: &str = "serve-modules";

/// Stands for the number of a parent where there is none to end with.
const NO_PARENT: u32 = 0;

/// What goes with a descriptor: a stream carries none without a byte.
const MARK: [u8; 1] = [0];

/// What a sandbox asks for; a descriptor with the module comes before it.
#[derive(Serialize, Deserialize)]
struct Request {
    /// Path in the container, for messages.
    program: String,
    bytes: u64,
}

/// What a server says; after `Loaded` comes a descriptor.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
enum Answer {
    Loaded {
        digest: Digest,
        allocation: Allocation,
    },
    Failed {
        reason: String,
    },
}

/// A sandbox's side: asks the server, one request at a time.
pub struct ModuleServer {
    stream: Mutex<UnixStream>,
    /// Reaped by nobody: it ends with this process. `None` for one that another process has started.
    _child: Option<Child>,
}

/// What a module server ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// The process that starts it, and its connection.
    Parent,
    /// Its connection alone, which is passed to a sandbox.
    Connection,
}

impl ModuleServer {
    /// Starts a server for a cache directory. To be called before the jail closes.
    pub fn start(cache: &Path) -> io::Result<ModuleServer> {
        let (stream, child) = spawn(cache, Lifetime::Parent, Stdio::inherit())?;
        Ok(ModuleServer {
            stream: Mutex::new(stream),
            _child: Some(child),
        })
    }

    /// Takes the connection to a server of [`start_for_another`].
    pub(crate) fn connected(connection: OwnedFd) -> io::Result<ModuleServer> {
        let stream = UnixStream::from(connection);
        stream.set_nonblocking(false)?;
        Ok(ModuleServer {
            stream: Mutex::new(stream),
            _child: None,
        })
    }

    /// Returns a module's compiled form.
    pub(super) fn load(&self, wasm: &[u8], program: &str) -> Result<(Stamp, File), LoadError> {
        let failed = |reason: String| LoadError::Compile {
            program: program.to_owned(),
            reason,
        };
        match self.ask(wasm, program) {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(reason)) => Err(failed(reason)),
            Err(error) => Err(failed(format!("the module server is gone: {error}"))),
        }
    }

    fn ask(&self, wasm: &[u8], program: &str) -> io::Result<Result<(Stamp, File), String>> {
        let module = in_memory(wasm)?;
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        send_file(&stream, &module)?;
        let request = Request {
            program: program.to_owned(),
            bytes: wasm.len() as u64,
        };
        message::send(&mut &*stream, &request)?;
        match message::receive(&mut &*stream)? {
            Answer::Failed { reason } => Ok(Err(reason)),
            Answer::Loaded { digest, allocation } => {
                let file = receive_file(&stream)?;
                Ok(Ok((Stamp { digest, allocation }, file)))
            }
        }
    }
}

/// Starts a server for a sandbox that runs already; returns the connection to be passed to it.
///
/// It outlives this process, and keeps none of its streams open.
pub fn start_for_another(cache: &Path) -> io::Result<OwnedFd> {
    let (stream, _child) = spawn(cache, Lifetime::Connection, Stdio::null())?;
    Ok(stream.into())
}

fn spawn(cache: &Path, lifetime: Lifetime, stderr: Stdio) -> io::Result<(UnixStream, Child)> {
    let (own, other) = UnixStream::pair()?;
    let parent = match lifetime {
        Lifetime::Parent => std::process::id(),
        Lifetime::Connection => NO_PARENT,
    };
    let child = Command::new("/proc/self/exe")
        .arg(MODULE_SERVER_COMMAND)
        .arg(parent.to_string())
        .arg(cache)
        .current_dir("/")
        .stdin(OwnedFd::from(other))
        .stdout(Stdio::null())
        .stderr(stderr)
        // Signals of a terminal are meant for guests.
        .process_group(0)
        .spawn()?;
    Ok((own, child))
}

/// Is the module server of the process `parent` ([`NO_PARENT`] for one that ends with its connection alone): serves what stands at its standard input, and returns the exit code.
pub fn module_server_main(parent: u32, cache: &Path) -> u8 {
    match serve(parent, cache) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "cannot serve modules");
            1
        }
    }
}

fn serve(parent: u32, cache: &Path) -> io::Result<()> {
    if parent != NO_PARENT {
        end_with(parent)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let runtime = Runtime::new(&RuntimeConfig {
        cache: Some(cache),
        compiler: Compiler::InChild,
        pool: Pool::None,
    });
    loop {
        let module = match receive_file(&stream) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            module => module?,
        };
        let request: Request = message::receive(&mut &stream)?;
        answer(&stream, &runtime, &module, &request)?;
    }
}

fn answer(
    stream: &UnixStream,
    runtime: &Runtime,
    module: &File,
    request: &Request,
) -> io::Result<()> {
    // What is too large is found out by one byte more.
    let mut wasm = vec![0; request.bytes.min(MODULE_BYTES_MAX + 1) as usize];
    module.read_exact_at(&mut wasm, 0)?;
    match runtime.compiled_file(&wasm, &request.program) {
        Ok((stamp, file)) => {
            let loaded = Answer::Loaded {
                digest: stamp.digest,
                allocation: stamp.allocation,
            };
            message::send(&mut &*stream, &loaded)?;
            send_file(stream, &file)
        }
        Err(error) => {
            let reason = match error {
                LoadError::Invalid { reason, .. } | LoadError::Compile { reason, .. } => reason,
                other => other.to_string(),
            };
            message::send(&mut &*stream, &Answer::Failed { reason })
        }
    }
}

/// Puts bytes into a file in memory.
pub(super) fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"module", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

fn send_file(stream: &UnixStream, file: &File) -> io::Result<()> {
    descriptors::send(stream, &MARK, &[file.as_fd()])
}

fn receive_file(stream: &UnixStream) -> io::Result<File> {
    let mut mark = MARK;
    let mut files = Vec::new();
    if descriptors::receive(stream, &mut mark, &mut files)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let file = files.into_iter().next();
    let file = file.ok_or_else(|| io::Error::other("a message came without its file"))?;
    Ok(File::from(file))
}
