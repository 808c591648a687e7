//! The terminals of a container, by number. Linux: `struct pts_fs_info`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::{Errno, Result};

use super::pair::Pair;
use crate::kernel::Kernel;

/// Terminals at the same time. Linux: `/proc/sys/kernel/pty/max` is 4096; this bounds what a guest can make us hold.
const TERMINALS_MAX: u32 = 256;

/// All terminals whose master is open.
#[derive(Default)]
pub(crate) struct Terminals {
    pairs: Mutex<BTreeMap<u32, Arc<Pair>>>,
    /// What `/dev/console` opens.
    console: Mutex<Weak<Pair>>,
}

impl Terminals {
    /// Makes a terminal under the lowest free number; `ENOSPC` when there are as many as may be.
    pub(super) fn add(&self, kernel: &Arc<Kernel>, uid: u32) -> Result<Arc<Pair>> {
        let mut pairs = self.lock();
        let is_free = |number: &u32| !pairs.contains_key(number);
        let number = (0..TERMINALS_MAX).find(is_free).ok_or(Errno::ENOSPC)?;
        let pair = Arc::new(Pair::new(kernel, number, uid)?);
        pairs.insert(number, Arc::clone(&pair));
        Ok(pair)
    }

    pub(super) fn remove(&self, number: u32) {
        let removed = self.lock().remove(&number);
        // Its last holder may be this one.
        drop(removed);
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<Pair>> {
        self.lock().get(&number).map(Arc::clone)
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        self.lock().keys().copied().collect()
    }

    pub(crate) fn console(&self) -> Option<Arc<Pair>> {
        self.lock_console().upgrade()
    }

    pub(super) fn set_console(&self, pair: &Arc<Pair>) {
        *self.lock_console() = Arc::downgrade(pair);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Pair>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_console(&self) -> MutexGuard<'_, Weak<Pair>> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
