//! Compiling, in this process or in a child that lives no longer than it takes.
//!
//! A module is hostile, and Cranelift works on it with megabytes of heap and a thread for each CPU. So a sandbox has it
//! compiled by a child, which holds two descriptors and can open nothing: the module comes through its standard
//! input, and what it makes goes to a file in memory that is its standard output. The parent names, seals
//! and keeps the result, so a child that was taken over spoils no other module's code. It ends with its parent.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::cache::Digest;
use super::engine::{Allocation, Engines, Pool, wasm_features};
use super::error::{LoadError, MODULE_BYTES_MAX};
use super::instrument;
use crate::jail;

/// The hidden command of the program that is a compiling child.
pub const COMPILE_COMMAND: &str = "compile-module";

/// Where modules are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// Here: heap and all.
    InThisProcess,
    /// In a child: this program again, with [`COMPILE_COMMAND`]. Where no child can be made, here.
    InChild,
}

/// What compiling made.
pub(super) enum Artefact {
    InMemory(Vec<u8>),
    /// A file in memory that its writer, a child that has ended, no longer holds.
    InFile(File),
}

impl Artefact {
    /// Copies it to a file; returns its digest.
    pub(super) fn copy_to(&mut self, file: &mut File) -> io::Result<Digest> {
        let mut hashed = Hashed {
            file,
            hasher: Sha256::new(),
        };
        match self {
            Artefact::InMemory(bytes) => hashed.write_all(bytes)?,
            Artefact::InFile(artefact) => {
                artefact.rewind()?;
                io::copy(artefact, &mut hashed)?;
            }
        }
        Ok(hashed.hasher.finalize().into())
    }
}

/// A file, with the digest of what is written to it.
struct Hashed<'a> {
    file: &'a mut File,
    hasher: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Why a module was not compiled, from the child to its parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "lowercase")]
enum Failure {
    Invalid { reason: String },
    Compile { reason: String },
}

/// Exit code of a child whose output is a [`Failure`].
const FAILED: u8 = 1;

/// Bounds a failure's text, which may quote names of the module.
const FAILURE_BYTES_MAX: u64 = 1 << 20;

/// Bounds what a child may write: no artefact of a module that may be compiled is so large.
const ARTEFACT_BYTES_MAX: u64 = 32 << 30;

/// The memory that a child may have at least, however small the host is.
const CHILD_MEMORY_BYTES_MIN: u64 = 1 << 30;

/// A child may have this share of the host's memory: one part in so many.
const CHILD_MEMORY_SHARE: u64 = 2;

impl Compiler {
    /// Instruments and compiles.
    pub(super) fn compile(self, wasm: &[u8], program: &str) -> Result<Artefact, LoadError> {
        if self == Compiler::InChild {
            match start_child() {
                Ok(started) => return in_child(started, wasm, program),
                Err(error) => tracing::debug!(%error, "no child to compile in; compiling here"),
            }
        }
        let made = in_passing_threads(|| compile(wasm)).map(Artefact::InMemory);
        made.map_err(|failure| failure.of(program))
    }
}

impl Failure {
    fn of(self, program: &str) -> LoadError {
        let program = program.to_owned();
        match self {
            Failure::Invalid { reason } => LoadError::Invalid { program, reason },
            Failure::Compile { reason } => LoadError::Compile { program, reason },
        }
    }
}

fn compile(wasm: &[u8]) -> Result<Vec<u8>, Failure> {
    let instrumented =
        instrument::instrument(wasm, wasm_features()).map_err(|error| Failure::Invalid {
            reason: LoadError::reason_of(&error),
        })?;
    let failed = |error: wasmtime::Error| Failure::Compile {
        reason: format!("{error:#}"),
    };
    // Both engines compile the same code, and this one reserves no pool.
    let engine: Engine = Engines::new(Pool::None)
        .get(Allocation::OnDemand)
        .map_err(failed)?;
    engine.precompile_module(&instrumented).map_err(failed)
}

/// Runs `compile` with threads of its own, which end with it: what compiles before the jail closes
/// must not stay outside of it. Where no threads can be made, the process's own serve.
fn in_passing_threads<T: Send>(compile: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(threads) => threads.install(compile),
        Err(_) => compile(),
    }
}

fn start_child() -> io::Result<(Child, File)> {
    let output = File::from(memfd_create(c"artefact", MemfdFlags::CLOEXEC)?);
    let child = Command::new("/proc/self/exe")
        .arg(COMPILE_COMMAND)
        .arg(std::process::id().to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .spawn()?;
    Ok((child, output))
}

/// Has a child compile, and waits for its end.
fn in_child(
    (mut child, mut output): (Child, File),
    wasm: &[u8],
    program: &str,
) -> Result<Artefact, LoadError> {
    let mut input = child.stdin.take().expect("it was asked for");
    // A child that ends early closes its input; its exit status says why.
    let _ = input.write_all(wasm);
    drop(input);
    let ended = |reason: String| Failure::Compile { reason }.of(program);
    let status = child.wait().map_err(|error| ended(error.to_string()))?;
    if status.success() {
        return Ok(Artefact::InFile(output));
    }
    let failure = read_failure(&mut output, status);
    Err(failure.map_or_else(|| ended(early_end(status)), |failure| failure.of(program)))
}

fn read_failure(output: &mut File, status: ExitStatus) -> Option<Failure> {
    if status.code() != Some(i32::from(FAILED)) {
        return None;
    }
    output.rewind().ok()?;
    serde_json::from_reader(output.take(FAILURE_BYTES_MAX)).ok()
}

fn early_end(status: ExitStatus) -> String {
    format!("the compiling process ended before it was done ({status})")
}

/// Is the compiling child of the process `parent`: reads a module, writes its artefact, and returns the exit code.
pub fn compile_main(parent: u32) -> u8 {
    match serve(parent) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "cannot compile");
            FAILED + 1
        }
    }
}

fn serve(parent: u32) -> io::Result<u8> {
    end_with(parent)?;
    limit_resources()?;
    jail::enter_for_computing().map_err(io::Error::other)?;
    let mut wasm = Vec::new();
    io::stdin()
        .take(MODULE_BYTES_MAX + 1)
        .read_to_end(&mut wasm)?;
    let (code, bytes) = match compile(&wasm) {
        Ok(artefact) => (0, artefact),
        Err(failure) => (FAILED, serde_json::to_vec(&failure)?),
    };
    // Not through the standard library's line buffer.
    let output = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    (&output).write_all(&bytes)?;
    Ok(code)
}

/// Makes this process end when its parent does, however that ends.
pub(super) fn end_with(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that.
    let now = rustix::process::getppid().map(Pid::as_raw_nonzero);
    match now.is_some_and(|pid| u32::try_from(pid.get()) == Ok(parent)) {
        true => Ok(()),
        false => Err(io::Error::other("not started by `minke`")),
    }
}

fn limit_resources() -> io::Result<()> {
    let host = rustix::system::sysinfo();
    let memory = (host.totalram as u64).saturating_mul(u64::from(host.mem_unit.max(1)));
    let memory = (memory / CHILD_MEMORY_SHARE).max(CHILD_MEMORY_BYTES_MIN);
    for (resource, bytes) in [
        (Resource::Data, memory),
        (Resource::Fsize, ARTEFACT_BYTES_MAX),
    ] {
        let held = rustix::process::getrlimit(resource).maximum;
        let limit = Some(held.map_or(bytes, |held| held.min(bytes)));
        let (current, maximum) = (limit, limit);
        rustix::process::setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}
