//! Starts, runs and ends a module of 3 KB: as a process of a container, and with nothing but wasmtime.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minke_kernel::ExitStatus;
use minke_sandbox::executor::{Executor, ExecutorConfig};
use minke_sandbox::runtime::engine::{Allocation, Engines, Pool};
use minke_sandbox::runtime::{Compiler, Runtime, RuntimeConfig};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, Linker, Module, Store};

#[path = "../tests/machine/mod.rs"]
mod machine;
mod report;

use machine::{Machine, load};
use report::median;

/// Processes that the container may have.
const PIDS_MAX: u32 = 4096;
/// How many instances a batch makes, and how many batches the median is of.
const BATCH: u32 = 500;
const BATCHES: usize = 41;

/// Slots of the pool, as in a small container.
const POOL: u32 = 16;

fn main() {
    let wat = module();
    // For a profiler, one of the two alone.
    match std::env::args().nth(1).as_deref() {
        Some("plain") => return report::print("spawn", &[("plain_us", plain(&tuned(), &wat))]),
        Some("process") => return report::print("spawn", &[("process_us", process(&wat))]),
        _ => {}
    }
    let engine = time(|| {
        drop(
            Engines::new(Pool::Always {
                instances_max: POOL,
            })
            .get(Allocation::Pooled),
        );
    });
    let as_it_comes = plain(&as_it_comes(), &wat);
    let plain = plain(&tuned(), &wat);
    let process = process(&wat);
    let large = time(|| {
        drop(
            Engines::new(Pool::Always {
                instances_max: 64 * POOL,
            })
            .get(Allocation::Pooled),
        );
    });
    let figures = [
        ("large_engine_us", large.as_secs_f64() * 1e6),
        ("engine_us", engine.as_secs_f64() * 1e6),
        ("as_it_comes_us", as_it_comes),
        ("plain_us", plain),
        ("process_us", process),
        ("ratio", process / plain),
    ];
    report::print("spawn", &figures);
}

/// A module with a memory, a table, a few functions and 2 KB of data, as small programs have.
fn module() -> String {
    let mut functions = String::new();
    for index in 0..20 {
        let _ = write!(
            functions,
            "(func $f{index} (param i32) (result i32)
               (i32.store offset={index} (local.get 0) (i32.const {index}))
               (i32.add (local.get 0) (i32.const {index})))"
        );
    }
    let data = "0123456789abcdef".repeat(128);
    format!(
        "(module (memory (export \"memory\") 17) (table 21 funcref) (elem (i32.const 1) $f1 $f2 $f3)
           (data (i32.const 65536) \"{data}\") {functions}
           (func (export \"_start\") (drop (call $f7 (i32.const 70000)))))"
    )
}

/// Microseconds per instance: the median of the batches' means.
fn per_instance(batches: &[Duration]) -> f64 {
    let means = batches
        .iter()
        .map(|batch| batch.as_secs_f64() * 1e6 / f64::from(BATCH));
    median(means.collect())
}

/// Returns how long `action` takes.
fn time(action: impl FnOnce()) -> Duration {
    let start = Instant::now();
    action();
    start.elapsed()
}

/// wasmtime with a pool set up as ours is.
fn tuned() -> Engine {
    Engines::new(Pool::Always {
        instances_max: POOL,
    })
    .get(Allocation::Pooled)
    .expect("an engine")
}

/// wasmtime with its own pool's defaults.
fn as_it_comes() -> Engine {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::pooling());
    Engine::new(&config).expect("an engine")
}

/// wasmtime alone: instantiate in the pool, call, drop.
fn plain(engine: &Engine, wat: &str) -> f64 {
    let wasm = wat::parse_str(wat).expect("a module");
    let module = Module::new(engine, wasm).expect("it compiles");
    let pre = Linker::<()>::new(engine)
        .instantiate_pre(&module)
        .expect("no imports");
    let batch = || {
        for _ in 0..BATCH {
            let mut store = Store::new(engine, ());
            let instance = pre.instantiate(&mut store).expect("a slot");
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
            start
                .expect("it is exported")
                .call(&mut store, ())
                .expect("it returns");
        }
    };
    batch();
    let batches: Vec<_> = (0..BATCHES).map(|_| time(batch)).collect();
    per_instance(&batches)
}

/// The whole life of a process.
fn process(wat: &str) -> f64 {
    let executor = Executor::new(ExecutorConfig { workers: 2 }).expect("descriptors");
    let machine = Arc::new(Machine::new(executor.reactor(), 1 << 30, PIDS_MAX));
    let runtime = Runtime::new(&RuntimeConfig {
        cache: None,
        compiler: Compiler::InThisProcess,
        pool: Pool::Always {
            instances_max: POOL,
        },
    });
    let program = load(&runtime, wat).expect("it loads");
    let container = Arc::clone(&machine);
    let spawner = executor.spawner();
    let batches = executor.run(async move {
        let mut batches = Vec::new();
        for _ in 0..=BATCHES {
            let start = Instant::now();
            for _ in 0..BATCH {
                let task = machine.task();
                let status = program.run(Arc::clone(&task), &spawner).await;
                assert_eq!(status, ExitStatus::Exited(0));
                machine.reap(&task);
            }
            batches.push(start.elapsed());
        }
        batches.split_off(1)
    });
    assert_eq!(container.stderr(), [""; 0], "no guest traps");
    assert_eq!(container.memory_used(), 0, "no guest is left");
    per_instance(&batches.expect("no panic"))
}
