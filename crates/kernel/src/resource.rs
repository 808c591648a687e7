//! Limits of each process's resources, the same for all processes of a container.

use minke_abi::resource::{CORE, NOFILE, RESOURCES, UNLIMITED};

/// What is asked for first, and how far a process may raise it itself. Linux: `struct rlimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    pub soft: u64,
    pub hard: u64,
}

impl ResourceLimit {
    /// The same number for both.
    pub const fn both(limit: u64) -> ResourceLimit {
        ResourceLimit {
            soft: limit,
            hard: limit,
        }
    }
}

/// The limit of each resource, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLimits([ResourceLimit; RESOURCES.len()]);

impl ResourceLimits {
    /// No limits but on descriptors; no core is ever dumped.
    pub fn new(fds_max: u32) -> ResourceLimits {
        let mut limits = ResourceLimits([ResourceLimit::both(UNLIMITED); RESOURCES.len()]);
        limits.set(CORE, ResourceLimit::both(0));
        limits.set(NOFILE, ResourceLimit::both(u64::from(fds_max)));
        limits
    }

    /// Returns a resource's limit; `None` for a number that there is not.
    pub fn get(&self, number: usize) -> Option<ResourceLimit> {
        self.0.get(number).copied()
    }

    /// Returns what holds now.
    pub fn soft(&self, number: usize) -> u64 {
        self.get(number).map_or(UNLIMITED, |limit| limit.soft)
    }

    /// Sets a resource's limit; a number that there is not changes nothing.
    pub fn set(&mut self, number: usize, limit: ResourceLimit) {
        if let Some(place) = self.0.get_mut(number) {
            *place = limit;
        }
    }
}
