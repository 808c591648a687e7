//! Loading modules from inside of the jail: a process outside of it finds or compiles what a container's processes start.
//!
//! A jailed sandbox can neither open the cache nor start a compiling child. Where its first program may start others, it starts
//! this server before the jail closes. A request is a file in memory with the module; the answer is the compiled module's file,
//! opened for reading. The server trusts nothing: it hashes the module itself, and has it compiled by a
//! jailed child as any other (`compiler`). It serves one request at a time, and ends with the sandbox.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::cache::{Digest, Stamp};
use super::compiler::{Compiler, end_with};
use super::engine::Allocation;
use super::error::{LoadError, MODULE_BYTES_MAX};
use super::program::{Runtime, RuntimeConfig};
use crate::control::message;

/// The hidden command of the program that is a module server.
pub const MODULE_SERVER_COMMAND: &str = "serve-modules";

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
    Loaded { digest: Digest, is_pooled: bool },
    Failed { reason: String },
}

/// A sandbox's side: asks the server, one request at a time.
pub struct ModuleServer {
    stream: Mutex<UnixStream>,
    /// Reaped by nobody: it ends with this process.
    _child: Child,
}

impl ModuleServer {
    /// Starts a server for a cache directory. To be called before the jail closes.
    pub fn start(cache: &Path) -> io::Result<ModuleServer> {
        let (own, other) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg(MODULE_SERVER_COMMAND)
            .arg(std::process::id().to_string())
            .arg(cache)
            .current_dir("/")
            .stdin(OwnedFd::from(other))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(ModuleServer {
            stream: Mutex::new(own),
            _child: child,
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
            Answer::Loaded { digest, is_pooled } => {
                let allocation = if is_pooled {
                    Allocation::Pooled
                } else {
                    Allocation::OnDemand
                };
                let file = receive_file(&stream)?;
                Ok(Ok((Stamp { digest, allocation }, file)))
            }
        }
    }
}

/// Is the module server of the process `parent`: serves what stands at its standard input, and returns the exit code.
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
    end_with(parent)?;
    rustix::thread::set_no_new_privs(true)?;
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let runtime = Runtime::new(&RuntimeConfig {
        cache: Some(cache),
        compiler: Compiler::InChild,
        pooled_instances_max: 0,
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
                is_pooled: stamp.allocation == Allocation::Pooled,
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&files));
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&MARK)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    match sent {
        1 => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn receive_file(stream: &UnixStream) -> io::Result<File> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut mark = MARK;
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut mark)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let files = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let file = files.ok_or_else(|| io::Error::other("a message came without its file"))?;
    Ok(File::from(file))
}
