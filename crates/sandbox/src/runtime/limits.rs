//! What an instance may take: linear memory and tables, out of the container's budget.

use std::sync::Arc;

use minke_kernel::kernel::MemoryBudget;
use wasmtime::ResourceLimiter;

use super::instrument::MEMORY_BYTES;

/// Most elements of one table; a guest with more functions than this does not exist.
const TABLE_ELEMENTS_MAX: usize = 10_000_000;

/// What a table's element takes in the host.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Charges what one instance takes to the container, and gives it back when it is dropped.
pub struct InstanceLimits {
    budget: Arc<MemoryBudget>,
    bytes_charged: u64,
    /// What the growth under way was charged, should it fail.
    bytes_pending: u64,
    is_refused: bool,
}

impl InstanceLimits {
    /// Makes the limits of an instance that has nothing yet.
    pub(super) fn new(budget: Arc<MemoryBudget>) -> Self {
        Self {
            budget,
            bytes_charged: 0,
            bytes_pending: 0,
            is_refused: false,
        }
    }

    /// Whether the last request for memory was refused for the container's limit.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Notes that the shared memory, which is charged elsewhere, was refused growth for the container's limit.
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Returns the container's limit in bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        self.budget.bytes_max()
    }

    fn charge(&mut self, bytes: u64) -> bool {
        let is_granted = self.budget.charge(bytes).is_ok();
        self.is_refused = !is_granted;
        self.bytes_pending = if is_granted { bytes } else { 0 };
        self.bytes_charged += self.bytes_pending;
        is_granted
    }

    fn give_back_pending(&mut self) {
        let bytes = std::mem::take(&mut self.bytes_pending);
        self.bytes_charged -= bytes;
        self.budget.release(bytes);
    }
}

impl Drop for InstanceLimits {
    fn drop(&mut self) {
        self.budget.release(self.bytes_charged);
    }
}

impl ResourceLimiter for InstanceLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if current == 0 && desired == MEMORY_BYTES && maximum == Some(MEMORY_BYTES) {
            // The hidden memory, or one like it: never written, so it takes no page.
            return Ok(true);
        }
        Ok(self.charge((desired - current) as u64))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back_pending();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.charge((desired - current) as u64 * TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back_pending();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_charged_until_the_instance_is_gone() {
        let budget = MemoryBudget::new(1 << 20);
        let mut limits = InstanceLimits::new(Arc::clone(&budget));
        assert!(limits.memory_growing(0, 1 << 19, None).unwrap());
        assert!(limits.memory_growing(1 << 19, 1 << 20, None).unwrap());
        assert!(!limits.table_growing(0, 1, None).unwrap());
        assert!(limits.is_refused());
        assert_eq!(budget.used(), 1 << 20);
        drop(limits);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn growth_that_fails_is_given_back() {
        let budget = MemoryBudget::new(1 << 20);
        let mut limits = InstanceLimits::new(Arc::clone(&budget));
        assert!(limits.memory_growing(0, 4096, None).unwrap());
        let error = wasmtime::format_err!("no address space");
        limits.memory_grow_failed(error).unwrap();
        assert_eq!(budget.used(), 0);
    }
}
