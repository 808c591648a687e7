//! The whole table at once: the support page, and calls with wild arguments.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{Network, NetworkMode};
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{MountOptions, MountTree};
use minke_kernel::{Credentials, Kernel, KernelConfig, Pid, Task};
use wasmtime::{Engine, Instance, Linker, Module, Store, Val};

use super::link::link_as;
use super::table::{Body, Function, Kind, functions};
use super::{prepare, support_page};
use crate::executor::{Executor, ExecutorConfig};
use crate::personality::{Linked, ProgramContext};
use crate::platform::{HostClock, HostEntropy, HostInternet, PublishedSockets, Resolver};
use crate::runtime::Guest;

/// Calls of each function with wild arguments.
const CALLS: u32 = 300;
const MEMORY_BYTES: u64 = 64 << 20;

#[test]
fn the_support_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compat/emscripten.md");
    if std::env::var_os("MINKE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, support_page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(
        page == support_page(),
        "docs/compat/emscripten.md differs from the table: run this test with MINKE_UPDATE_DOCS=1"
    );
}

#[test]
fn no_row_hides_another() {
    let rows: Vec<&Function> = functions().collect();
    for (index, row) in rows.iter().enumerate() {
        for later in &rows[index + 1..] {
            let is_hidden = row.name == later.name
                && !row.arguments.contains(&Kind::Long)
                && later.arguments.starts_with(row.arguments);
            assert!(
                !is_hidden,
                "`{}` takes fewer arguments before more",
                row.name
            );
        }
    }
}

fn task() -> Arc<Task> {
    let executor = Executor::new(ExecutorConfig { workers: 1 }).unwrap();
    let reactor = executor.reactor();
    let config = KernelConfig {
        hostname: "orca".to_owned(),
        pids_max: 4,
        fds_max: 64,
        resource_limits: minke_kernel::ResourceLimits::new(64),
        memory_bytes_max: MEMORY_BYTES,
        cpus: 1,
    };
    let clock = Arc::new(HostClock::new(Arc::clone(reactor)));
    let memory = MemoryBudget::new(MEMORY_BYTES);
    let options = MemoryOptions::new(Arc::clone(&clock) as _, Arc::clone(&memory));
    let root = MemoryFileSystem::tmpfs(options).unwrap();
    let published = PublishedSockets::bind(&[]).unwrap();
    let host = HostInternet::new(Arc::clone(reactor), published, Resolver::new());
    let network = Network::new(NetworkMode::None, Arc::new(host), Arc::clone(&memory));
    let mounts = MountTree::new(root, MountOptions::default());
    let entropy = Arc::new(HostEntropy);
    let kernel = Kernel::new(config, clock, entropy, network, mounts, memory);
    let root = kernel.mounts.root();
    let fs = FsContext {
        root: Arc::clone(&root),
        cwd: root,
        umask: 0o022,
    };
    let process = kernel.spawn(Pid(0), ProcessImage::default(), Credentials::root(), fs);
    Arc::new(Task::main_of(process.unwrap()))
}

/// A sequence of numbers that is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0 >> 24
    }

    /// Prefers numbers at which code goes wrong: small ones, ends of the memory, signs.
    fn word(&mut self) -> i32 {
        const EDGES: [i32; 12] = [
            0,
            1,
            2,
            3,
            -1,
            -100,
            8,
            65_528,
            65_535,
            65_536,
            i32::MIN,
            i32::MAX,
        ];
        let number = self.next();
        match number % 4 {
            0 => number as i32,
            1 => (number >> 8) as i32 & 0xffff,
            _ => EDGES[(number >> 8) as usize % EDGES.len()],
        }
    }
}

/// Makes a module that hands a function on to the host, with a heap and a table as emcc's have.
fn module(engine: &Engine, function: &Function) -> Module {
    let params: String = function
        .arguments
        .iter()
        .map(|kind| match kind {
            Kind::Word => "i32 ",
            Kind::Long => "i64 ",
            Kind::Split => "i32 i32 ",
        })
        .collect();
    let module = match function.body {
        _ if function.arguments.contains(&Kind::Split) => "wasi_snapshot_preview1",
        _ => "env",
    };
    let text = format!(
        "(module (import \"{module}\" \"{name}\" (func $call (param {params}) (result i32)))
           (memory (export \"memory\") 1) (table (export \"__indirect_function_table\") 2 funcref)
           (func $same (param i32) (result i32) local.get 0) (elem (i32.const 1) $same)
           (func (export \"stackSave\") (result i32) i32.const 4096)
           (func (export \"stackRestore\") (param i32))
           (func (export \"setThrew\") (param i32 i32))
           (func (export \"malloc\") (param i32) (result i32)
             (select (i32.const 0) (i32.const 32768) (i32.gt_u (local.get 0) (i32.const 32768))))
           (func (export \"free\") (param i32))
           (func (export \"emscripten_builtin_memalign\") (param i32 i32) (result i32) i32.const 65520)
           (func (export \"__cxa_can_catch\") (param i32 i32 i32) (result i32) i32.const 0)
           (func (export \"__cxa_is_pointer_type\") (param i32) (result i32) i32.const 1)
           (func (export \"__errno_location\") (result i32) i32.const 64)
           (export \"call\" (func $call)))",
        name = function.name,
    );
    Module::new(engine, wat::parse_str(text).unwrap()).unwrap()
}

/// Polls once: what would wait is dropped.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn instantiate(engine: &Engine, module: &Module, task: &Arc<Task>) -> (Store<Guest>, Instance) {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        let linked = link_as(&mut linker, &import, import.module(), import.name()).unwrap();
        assert_eq!(linked, Linked::Yes, "{}", import.name());
    }
    let mut store = Store::new(engine, Guest::new(Arc::clone(task)));
    let instance = poll_once(linker.instantiate_async(&mut store, module))
        .unwrap()
        .unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    store.data_mut().memory = Some(memory.into());
    poll_once(prepare(&mut store, &instance, &ProgramContext::default()))
        .unwrap()
        .unwrap();
    (store, instance)
}

#[test]
fn wild_arguments_only_give_errors() {
    let engine = Engine::default();
    let mut numbers = Numbers(1);
    for function in functions() {
        let task = task();
        let module = module(&engine, function);
        let (mut store, mut instance) = instantiate(&engine, &module, &task);
        for _ in 0..CALLS {
            let call = instance.get_func(&mut store, "call").unwrap();
            let params: Vec<Val> = call
                .ty(&store)
                .params()
                .map(|param| match param {
                    wasmtime::ValType::I64 => Val::I64(numbers.next() as i64 - (1 << 30)),
                    _ => Val::I32(numbers.word()),
                })
                .collect();
            let mut results = [Val::I32(0)];
            let outcome = poll_once(call.call_async(&mut store, &params, &mut results));
            if let (Body::Syscall(_), Some(outcome)) = (function.body, &outcome) {
                assert!(outcome.is_ok(), "{}{params:?}: {outcome:?}", function.name);
            }
            if outcome.is_none() {
                (store, instance) = instantiate(&engine, &module, &task);
            }
        }
    }
}
