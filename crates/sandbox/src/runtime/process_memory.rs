//! The memory that the threads of a process share, charged to the container as it grows.

use std::sync::{Arc, Mutex, PoisonError};

use minke_kernel::kernel::MemoryBudget;
use wasmtime::{Engine, MemoryType, SharedMemory};

/// A shared memory, and what it has taken of the container's budget.
pub struct ProcessMemory {
    memory: SharedMemory,
    budget: Arc<MemoryBudget>,
    /// Bytes charged; locked while the memory grows, so that two threads cannot grow it past each other's charge.
    bytes_charged: Mutex<u64>,
}

/// The container's budget does not hold a memory.
#[derive(Debug, thiserror::Error)]
#[error("the container's memory does not hold {bytes} bytes")]
pub(super) struct OverBudget {
    bytes: u64,
}

impl ProcessMemory {
    /// Makes the memory that a module imports, as large as it demands at least.
    pub(super) fn new(
        engine: &Engine,
        ty: MemoryType,
        budget: &Arc<MemoryBudget>,
    ) -> wasmtime::Result<Self> {
        let bytes = ty.minimum().saturating_mul(ty.page_size());
        budget.charge(bytes).map_err(|_| OverBudget { bytes })?;
        let memory = SharedMemory::new(engine, ty).inspect_err(|_| budget.release(bytes))?;
        Ok(Self {
            memory,
            budget: Arc::clone(budget),
            bytes_charged: Mutex::new(bytes),
        })
    }

    /// Takes a memory that a module defines and that was charged to its instance.
    pub(super) fn defined(memory: SharedMemory, budget: &Arc<MemoryBudget>) -> Self {
        Self {
            memory,
            budget: Arc::clone(budget),
            bytes_charged: Mutex::default(),
        }
    }

    /// Returns wasmtime's handle.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Grows by pages; returns how many there were.
    pub fn grow(&self, pages: u64) -> Growth {
        let Some(bytes) = pages.checked_mul(self.memory.page_size()) else {
            return Growth::Impossible;
        };
        let mut bytes_charged = self
            .bytes_charged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.budget.charge(bytes).is_err() {
            return Growth::OverBudget;
        }
        match self.memory.grow(pages) {
            Ok(before) => {
                *bytes_charged += bytes;
                Growth::Grown { before }
            }
            Err(_) => {
                self.budget.release(bytes);
                Growth::Impossible
            }
        }
    }
}

/// What became of a growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// There were so many pages.
    Grown {
        before: u64,
    },
    OverBudget,
    /// Beyond the memory's own maximum, or what the host has.
    Impossible,
}

impl Drop for ProcessMemory {
    fn drop(&mut self) {
        let bytes_charged = self.bytes_charged.get_mut();
        self.budget
            .release(*bytes_charged.unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::{Allocation, Engines, Pool};

    #[test]
    fn growth_is_charged_and_what_fails_is_not() {
        let engine = Engines::new(Pool::None).get(Allocation::OnDemand).unwrap();
        let budget = MemoryBudget::new(4 * 65_536);
        let memory = ProcessMemory::new(&engine, MemoryType::shared(1, 3), &budget).unwrap();
        assert_eq!(memory.grow(2), Growth::Grown { before: 1 });
        assert_eq!(memory.grow(1), Growth::Impossible);
        assert_eq!(budget.used(), 3 * 65_536);
        assert_eq!(memory.grow(2), Growth::OverBudget);
        assert_eq!(memory.grow(u64::MAX), Growth::Impossible);
        drop(memory);
        assert_eq!(budget.used(), 0);
        assert!(ProcessMemory::new(&engine, MemoryType::shared(5, 5), &budget).is_err());
        assert_eq!(budget.used(), 0);
    }
}
