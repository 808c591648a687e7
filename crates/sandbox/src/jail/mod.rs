//! The jail: what the sandbox process gives up before a guest's first instruction.
//!
//! A guest can reach the host only through a mistake in wasmtime or in this program. The jail
//! bounds what such a mistake is worth: no new privileges, no capabilities that a container does
//! not need, no files outside the binds ([Landlock]), only the system calls that the sandbox makes
//! itself (seccomp), no core dumps. Everything that needs more was opened before.
//!
//! What a host does not offer is left out and reported in [`JailReport`]; the wasm sandbox holds
//! without it.
//!
//! [Landlock]: https://docs.kernel.org/userspace-api/landlock.html

use std::path::PathBuf;

use rustix::process::{Resource, Rlimit};

mod capabilities;
mod files;
mod prologue;
mod syscalls;

pub use files::{FilesConfined, LANDLOCK_VERSION_WANTED, landlock_version};

/// What stays reachable from inside.
#[derive(Clone, Debug, Default)]
pub struct JailPolicy {
    /// Trees (or files) that stay readable: read-only binds.
    pub readable: Vec<PathBuf>,
    /// Trees (or files) that stay readable and writable: binds, the container's own state.
    pub writable: Vec<PathBuf>,
    /// Directories below which empty directories may be removed, and nothing else: what ends with the container.
    pub removable: Vec<PathBuf>,
    /// Whether Internet sockets may be made.
    pub has_network: bool,
}

/// What the host let us give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JailReport {
    pub files: FilesConfined,
}

/// Why the jail could not be closed. The container must not start then.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    #[error("cannot give up privileges")]
    Privileges(#[source] rustix::io::Errno),
    #[error("cannot confine files")]
    Files(#[source] landlock::RulesetError),
    #[error("cannot limit system calls")]
    SystemCalls(#[source] seccompiler::Error),
}

/// Gives up for good what `policy` does not keep. Call on the main thread before others are made:
/// they inherit what it has.
pub fn enter(policy: &JailPolicy) -> Result<JailReport, JailError> {
    rustix::thread::set_no_new_privs(true).map_err(JailError::Privileges)?;
    capabilities::drop_unneeded().map_err(JailError::Privileges)?;
    forbid_core_dumps().map_err(JailError::Privileges)?;
    let files = files::confine(policy).map_err(JailError::Files)?;
    syscalls::limit(policy.has_network).map_err(JailError::SystemCalls)?;
    Ok(JailReport { files })
}

/// Gives up for good everything but the descriptors at hand, memory and threads of its own: for a process that only
/// computes. Call as [`enter`].
pub fn enter_for_computing() -> Result<JailReport, JailError> {
    rustix::thread::set_no_new_privs(true).map_err(JailError::Privileges)?;
    capabilities::drop_all().map_err(JailError::Privileges)?;
    forbid_core_dumps().map_err(JailError::Privileges)?;
    let files = files::confine(&JailPolicy::default()).map_err(JailError::Files)?;
    syscalls::limit_to_computing().map_err(JailError::SystemCalls)?;
    Ok(JailReport { files })
}

/// A core dump would hold the guest's memory, and with it other people's data.
fn forbid_core_dumps() -> rustix::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)
}
