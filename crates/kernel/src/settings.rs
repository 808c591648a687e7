//! What a process has set for itself, beside files, signals and credentials: limits, niceness, what `prctl` keeps.

use std::sync::atomic::{AtomicBool, AtomicI8, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use minke_abi::linux::Signal;

use crate::resource::{ResourceLimit, ResourceLimits};

/// Bytes of a name that count. Linux: `TASK_COMM_LEN`, without the zero.
pub const NAME_BYTES_MAX: usize = 15;

/// Settings of one process. Children inherit them, but for the death signal and the adoption of orphans.
#[derive(Debug)]
pub struct Settings {
    limits: Mutex<ResourceLimits>,
    /// The name that it gave itself (`PR_SET_NAME`), until it becomes another program.
    name: Mutex<Option<Vec<u8>>>,
    niceness: AtomicI8,
    is_dumpable: AtomicBool,
    has_no_new_privileges: AtomicBool,
    adopts_orphans: AtomicBool,
    /// Sent when the parent ends; 0 for none.
    death_signal: AtomicU8,
}

impl Settings {
    /// Makes the settings of a process without a parent.
    pub(crate) fn new(limits: ResourceLimits) -> Settings {
        Settings {
            limits: Mutex::new(limits),
            name: Mutex::default(),
            niceness: AtomicI8::new(0),
            is_dumpable: AtomicBool::new(true),
            has_no_new_privileges: AtomicBool::new(false),
            adopts_orphans: AtomicBool::new(false),
            death_signal: AtomicU8::new(0),
        }
    }

    /// Returns what a child starts with. Linux: `prctl(2)`.
    pub(crate) fn fork(&self) -> Settings {
        let settings = Settings::new(self.limits().clone());
        *settings.lock_name() = self.name();
        settings.set_niceness(self.niceness());
        settings.set_dumpable(self.is_dumpable());
        let has_none = self.has_no_new_privileges();
        settings
            .has_no_new_privileges
            .store(has_none, Ordering::Relaxed);
        settings
    }

    /// Forgets what belongs to the program that ends. Linux: fs/exec.c `begin_new_exec()`.
    pub(crate) fn begin_image(&self) {
        *self.lock_name() = None;
        self.set_dumpable(true);
    }

    /// Returns the limits of its resources.
    pub fn limits(&self) -> MutexGuard<'_, ResourceLimits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces a resource's limit; who asked was allowed to.
    pub(crate) fn set_limit(&self, number: usize, limit: ResourceLimit) {
        self.limits().set(number, limit);
    }

    /// Returns the name that it gave itself.
    pub fn name(&self) -> Option<Vec<u8>> {
        self.lock_name().clone()
    }

    /// Gives it a name, of which so many bytes count as Linux keeps.
    pub fn set_name(&self, name: &[u8]) {
        let kept = name[..name.len().min(NAME_BYTES_MAX)].to_vec();
        *self.lock_name() = Some(kept);
    }

    fn lock_name(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how much it lets others go first, -20 to 19. Nothing here is scheduled by it.
    pub fn niceness(&self) -> i8 {
        self.niceness.load(Ordering::Relaxed)
    }

    /// Sets how much it lets others go first.
    pub fn set_niceness(&self, niceness: i8) {
        self.niceness.store(niceness, Ordering::Relaxed);
    }

    /// Whether a core could be dumped (`PR_GET_DUMPABLE`); none ever is.
    pub fn is_dumpable(&self) -> bool {
        self.is_dumpable.load(Ordering::Relaxed)
    }

    /// Says whether a core could be dumped.
    pub fn set_dumpable(&self, is_dumpable: bool) {
        self.is_dumpable.store(is_dumpable, Ordering::Relaxed);
    }

    /// Whether it has promised to gain nothing by an `exec` (`PR_SET_NO_NEW_PRIVS`); here none gains anything.
    pub fn has_no_new_privileges(&self) -> bool {
        self.has_no_new_privileges.load(Ordering::Relaxed)
    }

    /// Promises that, for good.
    pub fn give_up_new_privileges(&self) {
        self.has_no_new_privileges.store(true, Ordering::Relaxed);
    }

    /// Whether it becomes the parent of its descendants' orphans (`PR_SET_CHILD_SUBREAPER`).
    pub fn adopts_orphans(&self) -> bool {
        self.adopts_orphans.load(Ordering::Relaxed)
    }

    /// Says whether it becomes that.
    pub fn set_adopts_orphans(&self, adopts: bool) {
        self.adopts_orphans.store(adopts, Ordering::Relaxed);
    }

    /// Returns what it is sent when its parent ends (`PR_SET_PDEATHSIG`).
    pub fn death_signal(&self) -> Option<Signal> {
        Signal::from_raw(i32::from(self.death_signal.load(Ordering::Relaxed)))
    }

    /// Sets what it is sent then.
    pub fn set_death_signal(&self, signal: Option<Signal>) {
        let raw = signal.map_or(0, Signal::raw);
        self.death_signal.store(raw, Ordering::Relaxed);
    }
}
