//! What the personality keeps of a process, shared by its threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minke_abi::wasi::{Errno, Rights};
use minke_kernel::Fd;

use super::Answer;

/// What the threads of a process keep together.
#[derive(Clone, Default)]
pub struct State(Arc<Shared>);

struct Shared {
    /// The descriptor of the pre-opened root, until the guest closes it; [`NO_DESCRIPTOR`] before and after.
    root: AtomicU32,
    /// `PWD=…`, unless the working directory is the root.
    working_directory: OnceLock<Vec<u8>>,
    /// Whether `limits` was ever used: nearly no program does, and then no call has to take the lock.
    has_limits: AtomicBool,
    /// What is left of the rights of descriptors whose rights were dropped.
    limits: Mutex<BTreeMap<Fd, RightsLimit>>,
}

/// What a guest left itself of a descriptor's rights.
#[derive(Clone, Copy)]
pub(super) struct RightsLimit {
    pub(super) base: Rights,
    pub(super) inheriting: Rights,
}

/// No descriptor has this number.
const NO_DESCRIPTOR: u32 = u32::MAX;

impl Default for Shared {
    fn default() -> Self {
        Self {
            root: AtomicU32::new(NO_DESCRIPTOR),
            working_directory: OnceLock::new(),
            has_limits: AtomicBool::new(false),
            limits: Mutex::default(),
        }
    }
}

impl State {
    /// Notes the pre-opened root.
    pub(super) fn set_root(&self, root: Fd) {
        self.0.root.store(root.0, Ordering::Relaxed);
    }

    /// Whether a descriptor is the pre-opened root.
    pub(super) fn is_root(&self, fd: Fd) -> bool {
        fd.0 != NO_DESCRIPTOR && self.0.root.load(Ordering::Relaxed) == fd.0
    }

    /// Notes `PWD=…` of a working directory that is not the root.
    pub(super) fn set_pwd_variable(&self, variable: Vec<u8>) {
        // It is set once, before the guest runs.
        let _ = self.0.working_directory.set(variable);
    }

    /// Returns `PWD=…` when the working directory is not the root.
    pub(super) fn pwd_variable(&self) -> Option<&[u8]> {
        self.0.working_directory.get().map(Vec::as_slice)
    }

    /// Refuses what the guest has dropped the right to.
    pub(super) fn require(&self, fd: u32, rights: Rights) -> Answer<()> {
        match self.limit(Fd(fd)) {
            Some(limit) if !limit.base.contains(rights) => Err(Errno::NOTCAPABLE),
            _ => Ok(()),
        }
    }

    /// Returns what is left of a descriptor's rights, if some were dropped.
    pub(super) fn limit(&self, fd: Fd) -> Option<RightsLimit> {
        if !self.0.has_limits.load(Ordering::Acquire) {
            return None;
        }
        self.limits().get(&fd).copied()
    }

    /// Notes what is left of a descriptor's rights.
    pub(super) fn set_limit(&self, fd: Fd, limit: RightsLimit) {
        self.limits().insert(fd, limit);
        self.0.has_limits.store(true, Ordering::Release);
    }

    /// Forgets what was known of a descriptor that is closed now.
    pub(super) fn forget(&self, fd: Fd) {
        if self.0.has_limits.load(Ordering::Acquire) {
            self.limits().remove(&fd);
        }
        if self.is_root(fd) {
            self.0.root.store(NO_DESCRIPTOR, Ordering::Relaxed);
        }
    }

    /// Moves what is known of a descriptor to its new number.
    pub(super) fn renumber(&self, from: Fd, to: Fd) {
        let limit = self.limits().remove(&from);
        let was_root = self.is_root(from);
        self.forget(to);
        if let Some(limit) = limit {
            self.set_limit(to, limit);
        }
        if was_root {
            self.set_root(to);
        }
    }

    fn limits(&self) -> MutexGuard<'_, BTreeMap<Fd, RightsLimit>> {
        self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
