//! The files of a container that does not run: its mounts without a guest, in a jail all the same, for its disks are a guest's work.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use minke_kernel::kernel::MemoryBudget;
use minke_kernel::platform::Clock;
use serde::{Deserialize, Serialize};

use super::error::StartError;
use super::mounts::{self, Assembled};
use super::{policy, surroundings_of_nothing};
use crate::control::message;
use crate::executor::{Executor, ExecutorConfig};
use crate::files::changes::RuntimePaths;
use crate::files::request::FilesRequest;
use crate::files::{Files, RootWrites, is_mountable};
use crate::jail::{self, JailPolicy};
use crate::platform::HostClock;
use crate::spec::SandboxSpec;

/// Which of a container's file systems are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilesScope {
    /// The root alone.
    Root,
    /// What is mounted in it too, as far as it is still on the host.
    Mounts,
}

/// Serves requests about the files of a container that does not run, until the client goes; calls `ready` before.
pub fn serve_files(
    spec: &SandboxSpec,
    scope: FilesScope,
    ready: impl FnOnce() -> io::Result<()>,
    stream: &UnixStream,
) -> Result<(), StartError> {
    super::raise_descriptor_limit();
    let made = RuntimePaths::of(spec);
    let mut spec = spec.clone();
    spec.mounts
        .retain(|mount| scope == FilesScope::Mounts && is_mountable(mount));
    let executor = Executor::new(ExecutorConfig { workers: 1 })
        .map_err(|error| StartError::failed("cannot read the clock", &error))?;
    let clock: Arc<dyn Clock> = Arc::new(HostClock::new(Arc::clone(executor.reactor())));
    let memory = MemoryBudget::new(spec.limits.memory_bytes_max);
    let Assembled {
        mounts,
        lower,
        mut disks,
    } = mounts::assemble(&spec, &clock, &memory)?;
    let jail = JailPolicy {
        has_network: false,
        ..policy(&spec, surroundings_of_nothing())
    };
    jail::enter(&jail).map_err(|error| StartError::failed("cannot close the jail", &error))?;
    let root_writes = match &spec.root.disk {
        Some(disk) if !disk.is_temporary => RootWrites::Kept,
        _ => RootWrites::Lost,
    };
    let files = Files::new(&mounts, lower, made, root_writes);
    let served = ready().and_then(|()| serve(&files, stream));
    let finished = disks.finish().map_err(io::Error::other);
    served
        .and(finished)
        .map_err(|error| StartError::failed("cannot serve the container's files", &error))
}

fn serve(files: &Files, stream: &UnixStream) -> io::Result<()> {
    loop {
        let request: FilesRequest = match message::receive(&mut &*stream) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            request => request?,
        };
        files.serve(&request, stream, &mut &*stream)?;
    }
}
