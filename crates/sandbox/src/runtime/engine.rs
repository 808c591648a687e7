//! The two wasmtime engines: one whose instances come from a pool, one for what the pool does not hold.
//!
//! A pooled instance is there in 2 µs and gone in 5, because its slots keep their mappings. The
//! pool has slots for ordinary modules: at most [`POOL_MEMORIES_PER_MODULE_MAX`] memories of 32 bits, [`POOL_TABLES_PER_MODULE_MAX`]
//! tables of [`POOL_TABLE_ELEMENTS_MAX`] elements, one stack an instance, and [`CALLBACK_STACKS_MAX`] for handlers of signals.
//! Shared and 64-bit memories, larger tables, guests that call back through the host, and whatever is started while all slots are taken, go to the other engine, where an instance costs some 50 µs.
//! Both engines are made on first use. Where a container may well have one process only, the pool is made for the first program that can
//! start others ([`Pool::AmongOthers`]).

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmparser::WasmFeatures;
use wasmtime::{
    Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

/// Native stack that a wasm thread's compiled code may use; beyond it, the code traps with a stack
/// overflow. Linux gives a program 8 MiB (`RLIMIT_STACK`); C and Rust programs
/// keep most of their frames on a stack of their own in linear memory.
pub const WASM_STACK_BYTES: usize = 7 << 20;

/// The whole stack of a wasm thread's fiber: what is left above [`WASM_STACK_BYTES`] is for host calls.
const FIBER_STACK_BYTES: usize = 8 << 20;

/// Memories that a module in the pool may define: one of its own and the hidden one (`runtime::instrument`).
pub const POOL_MEMORIES_PER_MODULE_MAX: u32 = 2;

/// Tables that a module in the pool may define.
pub const POOL_TABLES_PER_MODULE_MAX: u32 = 4;

/// Elements of a table in the pool.
pub const POOL_TABLE_ELEMENTS_MAX: u64 = 1 << 16;

/// Size of wasmtime's own data of an instance in the pool: it grows with the functions that a module exports or
/// puts in tables. Slots are allocated as large as needed; this bounds them.
const POOL_INSTANCE_BYTES_MAX: usize = 8 << 20;

/// Calls from the host back into a guest that may be under way: each runs on a
/// fiber's stack of its own (C++ exceptions, handlers of signals). Bounds what a guest that nests them makes the host hold.
pub const CALLBACK_STACKS_MAX: u32 = 256;

/// How much of a memory's slot stays resident when its instance is gone: less than this is set back by
/// copying instead of unmapping, which costs page faults in the next.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// Frames that the backtrace of a trap shows.
const BACKTRACE_FRAMES_MAX: usize = 64;

/// Address space of a linear memory: all that 32 bits reach, so that no access needs a bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 1 << 32;

/// Which engine a module belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allocation {
    /// The pool, which is made for it if need be: the program may start others.
    AmongOthers,
    /// The pool.
    Pooled,
    /// The engine for everything else.
    OnDemand,
}

/// When instances come from a pool, and how many do; further ones are slower to start. Each slot costs a guard page to
/// protect when the pool is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Never.
    None,
    /// From the first program on.
    Always { instances_max: u32 },
    /// From the first program on that may start others: to make a pool for one process takes longer than to make its instance
    /// on demand.
    AmongOthers { instances_max: u32 },
}

/// The engines of a container.
pub struct Engines {
    pool: Pool,
    pooled: Mutex<Option<Engine>>,
    on_demand: Mutex<Option<Engine>>,
}

impl Engines {
    /// Prepares engines. Without a pool, everything is made on demand.
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            pooled: Mutex::default(),
            on_demand: Mutex::default(),
        }
    }

    /// Returns an engine, making it first if need be.
    ///
    /// # Errors
    /// When the host has not the address space, or when its CPU is not supported.
    pub fn get(&self, allocation: Allocation) -> wasmtime::Result<Engine> {
        match (allocation, self.pool) {
            (Allocation::OnDemand, _) | (_, Pool::None) => self.on_demand(),
            (_, Pool::Always { instances_max })
            | (Allocation::AmongOthers, Pool::AmongOthers { instances_max }) => {
                get_or_make(&self.pooled, || pooled_config(instances_max))
            }
            (Allocation::Pooled, Pool::AmongOthers { .. }) => match &*lock(&self.pooled) {
                Some(engine) => Ok(engine.clone()),
                None => self.on_demand(),
            },
        }
    }

    fn on_demand(&self) -> wasmtime::Result<Engine> {
        get_or_make(&self.on_demand, common_config)
    }
}

fn lock(slot: &Mutex<Option<Engine>>) -> MutexGuard<'_, Option<Engine>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn get_or_make(
    slot: &Mutex<Option<Engine>>,
    config: impl FnOnce() -> Config,
) -> wasmtime::Result<Engine> {
    let mut slot = lock(slot);
    if let Some(engine) = &*slot {
        return Ok(engine.clone());
    }
    let engine = Engine::new(&config())?;
    Ok(slot.insert(engine).clone())
}

/// What guests may use: all that is final in WebAssembly 3.0, relaxed SIMD, and threads.
pub fn wasm_features() -> WasmFeatures {
    WasmFeatures::WASM3 | WasmFeatures::THREADS
}

/// Returns a hash of everything in an engine that compiled code depends on: compiler, its settings and version,
/// the CPU's features, and what guests may use.
pub fn compatibility_hash(engine: &Engine) -> [u8; 32] {
    let mut hasher = ShaHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// Feeds what is hashed to SHA-256: the standard library's hashers promise no stable result.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

fn pooled_config(instances_max: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(instances_max)
        // Exceptions and GC objects live in a memory of their own.
        .total_memories(instances_max * (POOL_MEMORIES_PER_MODULE_MAX + 1))
        .total_gc_heaps(instances_max)
        .total_tables(instances_max * POOL_TABLES_PER_MODULE_MAX)
        .total_stacks(instances_max + CALLBACK_STACKS_MAX)
        .max_memories_per_module(POOL_MEMORIES_PER_MODULE_MAX)
        .max_tables_per_module(POOL_TABLES_PER_MODULE_MAX)
        .table_elements(POOL_TABLE_ELEMENTS_MAX as usize)
        .max_core_instance_size(POOL_INSTANCE_BYTES_MAX)
        .max_memory_size(MEMORY_RESERVATION_BYTES as usize)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(instances_max);
    let mut config = common_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn common_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_features(wasm_features(), true)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_may_move(true)
        .memory_init_cow(true)
        .shared_memory(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        // The checks of two functions must not meet in one (`runtime::instrument`).
        .compiler_inlining(Inlining::No)
        .concurrency_support(false)
        .native_unwind_info(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_run_the_same_compiled_code() {
        let engines = Engines::new(Pool::Always { instances_max: 2 });
        let pooled = engines.get(Allocation::Pooled).unwrap();
        let on_demand = engines.get(Allocation::OnDemand).unwrap();
        assert_eq!(compatibility_hash(&pooled), compatibility_hash(&on_demand));
    }

    #[test]
    fn the_pool_is_made_for_the_first_program_that_may_start_others_and_serves_all_from_then_on() {
        let engines = Engines::new(Pool::AmongOthers { instances_max: 2 });
        let on_demand = engines.get(Allocation::OnDemand).unwrap();
        let first = engines.get(Allocation::Pooled).unwrap();
        assert!(Engine::same(&first, &on_demand));
        let pooled = engines.get(Allocation::AmongOthers).unwrap();
        assert!(!Engine::same(&pooled, &on_demand));
        let later = engines.get(Allocation::Pooled).unwrap();
        assert!(Engine::same(&later, &pooled));
    }
}
