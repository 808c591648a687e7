//! Programs run, end, are stopped, and are cached.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_kernel::{ExitStatus, Task};
use minke_sandbox::executor::{Executor, ExecutorConfig, Reactor};
use minke_sandbox::personality::ProgramContext;
use minke_sandbox::runtime::{
    Compiler, LoadError, ModuleBytes, ModuleFile, Pool, Program, Progress, Runtime, RuntimeConfig,
};

mod machine;

use machine::{Machine, load};

const MEMORY_BYTES: u64 = 64 << 20;
const PIDS_MAX: u32 = 64;

fn executor() -> Executor {
    Executor::new(ExecutorConfig { workers: 2 }).unwrap()
}

fn runtime(pooled_instances_max: u32) -> Runtime {
    Runtime::new(&RuntimeConfig {
        cache: None,
        compiler: Compiler::InThisProcess,
        pool: Pool::Always {
            instances_max: pooled_instances_max,
        },
    })
}

/// Runs a module given as text; returns how it ended and what its standard error got.
fn run(wat: &str) -> (ExitStatus, Vec<String>) {
    let executor = executor();
    let machine = Machine::new(executor.reactor(), MEMORY_BYTES, PIDS_MAX);
    let program = load(&runtime(2), wat).unwrap();
    let task = machine.task();
    let own = Arc::clone(&task);
    let spawner = executor.spawner();
    let status = executor
        .run(async move { program.run(own, &spawner).await })
        .unwrap();
    machine.reap(&task);
    assert_eq!(machine.memory_used(), 0, "an ended guest holds nothing");
    (status, machine.stderr())
}

#[track_caller]
fn check_trap(wat: &str, reason: &str, report: &[&str]) {
    let (status, lines) = run(wat);
    assert_eq!(status, ExitStatus::Trapped(reason.to_owned()));
    assert_eq!(status.code(), 134);
    assert_eq!(lines.iter().take(report.len()).collect::<Vec<_>>(), report);
}

#[test]
fn returning_from_start_is_success() {
    let (status, lines) = run("(module (memory 1) (func (export \"_start\")))");
    assert_eq!(status, ExitStatus::Exited(0));
    assert!(lines.is_empty());
}

#[test]
fn the_start_function_runs_before_the_entry_point() {
    let (status, _) = run("(module (global $g (mut i32) (i32.const 0))
           (func $init (global.set $g (i32.const 1))) (start $init)
           (func (export \"_start\") (if (i32.eqz (global.get $g)) (then unreachable))))");
    assert_eq!(status, ExitStatus::Exited(0));
}

#[test]
fn traps_tell_their_reason_and_where_they_happened() {
    check_trap(
        "(module (func $inner unreachable) (func $outer (export \"_start\") (call $inner)))",
        "unreachable",
        &[
            "minke: `/bin/test.wasm` trapped: unreachable",
            "    0: inner",
            "    1: outer",
        ],
    );
    check_trap(
        "(module (memory 1) (func $peek (export \"_start\") (drop (i32.load (i32.const -1)))))",
        "out of bounds memory access",
        &[
            "minke: `/bin/test.wasm` trapped: out of bounds memory access",
            "    0: peek",
        ],
    );
    check_trap(
        "(module (func (export \"_start\") (drop (i32.div_u (i32.const 1) (i32.const 0)))))",
        "integer divide by zero",
        &["minke: `/bin/test.wasm` trapped: integer divide by zero"],
    );
}

#[test]
fn recursion_without_end_is_a_stack_overflow() {
    check_trap(
        "(module (func $f (export \"_start\") (call $f)))",
        "stack overflow",
        &[
            "minke: `/bin/test.wasm` trapped: stack overflow",
            "    0: f",
        ],
    );
}

#[test]
fn memory_without_end_is_refused_at_the_containers_limit() {
    check_trap(
        "(module (memory 1) (func (export \"_start\")
           (loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable))",
        "out of memory: the container may have 67108864 bytes",
        &[],
    );
    check_trap(
        "(module (memory 2000) (func (export \"_start\")))",
        "out of memory: the container may have 67108864 bytes",
        &[],
    );
}

#[test]
fn an_uncaught_exception_is_named() {
    check_trap(
        "(module (tag $e) (func (export \"_start\") (throw $e)))",
        "uncaught exception",
        &[],
    );
}

async fn sleep_a_moment(reactor: &Reactor) {
    let deadline = minke_sandbox::executor::reactor::monotonic_now() + 20_000_000;
    let mut timer = None;
    std::future::poll_fn(|cx| {
        if minke_sandbox::executor::reactor::monotonic_now() >= deadline {
            return std::task::Poll::Ready(());
        }
        timer.get_or_insert_with(|| reactor.wake_at(deadline, cx.waker().clone()));
        std::task::Poll::Pending
    })
    .await;
}

/// Starts guests that never end by themselves, lets them run, and kills them.
fn kill_while_running(runtime: &Runtime, programs: &[Arc<Program>]) {
    let executor = executor();
    let machine = Machine::new(executor.reactor(), MEMORY_BYTES, PIDS_MAX);
    let guests: Vec<(Arc<Task>, _)> = programs
        .iter()
        .map(|program| {
            let (task, program) = (machine.task(), Arc::clone(program));
            let own = Arc::clone(&task);
            let spawner = executor.spawner();
            let running = executor.spawn(async move { program.run(own, &spawner).await });
            (task, running)
        })
        .collect();
    let spawner = executor.spawner();
    let statuses = executor.run(async move {
        sleep_a_moment(spawner.reactor()).await;
        let mut statuses = Vec::new();
        for (task, guest) in guests {
            task.process.kill(Signal::TERM);
            statuses.push(guest.await.unwrap());
        }
        statuses
    });
    for status in statuses.unwrap() {
        assert_eq!(status, ExitStatus::Signaled(Signal::TERM));
    }
    // The slots of the pool that they had are as good as new.
    let program = load(runtime, COUNTING).unwrap();
    let task = machine.task();
    let spawner = executor.spawner();
    let status = executor.run(async move { program.run(task, &spawner).await });
    assert_eq!(status.unwrap(), ExitStatus::Exited(0));
    assert_eq!(machine.memory_used(), 0);
}

/// Computes for a while and ends.
const COUNTING: &str = "(module (func (export \"_start\") (local i32)
    (loop (local.set 0 (i32.add (local.get 0) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get 0) (i32.const 1000000))))))";

/// More guests than compute at the same time under two workers.
const CROWD: usize = 24;

#[test]
fn each_guest_of_a_crowd_that_computes_is_killed() {
    let runtime = runtime(2);
    let spin = load(
        &runtime,
        "(module (func (export \"_start\") (loop (br 0))))",
    )
    .unwrap();
    kill_while_running(&runtime, &vec![spin; CROWD]);
}

#[test]
fn each_guest_of_a_crowd_that_computes_comes_to_its_end() {
    let runtime = runtime(2);
    let executor = executor();
    let machine = Machine::new(executor.reactor(), MEMORY_BYTES, PIDS_MAX);
    // Long enough for all to be there at the same time.
    let computing = COUNTING.replace("1000000", "60000000");
    let program = load(&runtime, &computing).unwrap();
    let spawner = executor.spawner();
    let guests: Vec<_> = (0..CROWD)
        .map(|_| {
            let (program, task) = (Arc::clone(&program), machine.task());
            let spawner = spawner.clone();
            executor.spawn(async move { program.run(task, &spawner).await })
        })
        .collect();
    let ended = executor.run(async move {
        let mut count = 0;
        for guest in guests {
            assert_eq!(guest.await.unwrap(), ExitStatus::Exited(0));
            count += 1;
        }
        count
    });
    assert_eq!(ended.unwrap(), CROWD);
    assert_eq!(machine.memory_used(), 0);
}

#[test]
fn running_code_is_killed_wherever_it_is() {
    let endless = [
        // Registers only.
        "(module (func (export \"_start\") (local i64)
           (loop (local.set 0 (i64.add (local.get 0) (i64.const 1))) (br 0))))",
        // Nested loops, the inner ones short.
        "(module (func (export \"_start\") (local i32) (loop
           (local.set 0 (i32.const 3))
           (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
           (br 0))))",
        // Recursion that takes longer than the universe lasts.
        "(module (func $fib (param i64) (result i64)
             (if (result i64) (i64.lt_u (local.get 0) (i64.const 2)) (then (local.get 0))
               (else (i64.add (call $fib (i64.sub (local.get 0) (i64.const 1)))
                              (call $fib (i64.sub (local.get 0) (i64.const 2)))))))
           (func (export \"_start\") (drop (call $fib (i64.const 200)))))",
        // Tail calls.
        "(module (func $even (return_call $odd)) (func $odd (return_call $even))
           (func (export \"_start\") (call $even)))",
        // Tail calls that need more room for arguments each.
        "(module (func $few (return_call $many (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
             (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9) (i64.const 10)))
           (func $many (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (return_call $few))
           (func (export \"_start\") (call $few)))",
        // Calls through a table.
        "(module (type $t (func (param i32))) (table 1 funcref) (elem (i32.const 0) $f)
           (func $f (type $t) (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
           (func (export \"_start\") (call $f (i32.const 0))))",
        // A loop whose back edge is a caught exception.
        "(module (tag $e) (func (export \"_start\")
           (loop $l (try_table (catch $e $l) (throw $e)))))",
        // The start function.
        "(module (func $spin (loop (br 0))) (start $spin) (func (export \"_start\")))",
        // Bulk operations.
        "(module (memory 640) (func (export \"_start\") (local i32) (local.set 0 (i32.const 0x2000000))
           (loop (memory.fill (i32.const 1) (i32.const 7) (local.get 0))
             (memory.copy (i32.const 1) (i32.const 2) (local.get 0))
             (memory.copy (i32.const 2) (i32.const 1) (local.get 0)) (br 0))))",
        // Bulk operations of a known length, which take most of the time all the same.
        "(module (memory 640) (func (export \"_start\")
           (loop (memory.fill (i32.const 1) (i32.const 7) (i32.const 1048576)) (br 0))))",
        "(module (memory 1) (func (export \"_start\")
           (loop (memory.fill (i32.const 1) (i32.const 7) (i32.const 256)) (br 0))))",
        "(module (table 60000 funcref) (elem declare func $f) (func $f) (func (export \"_start\")
           (loop (table.fill 0 (i32.const 0) (ref.func $f) (i32.const 60000))
             (table.copy (i32.const 1) (i32.const 0) (i32.const 50000)) (br 0))))",
        // Calls of the host that do not wait.
        "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func $yield (result i32)))
           (memory (export \"memory\") 1) (func (export \"_start\") (loop (drop (call $yield)) (br 0))))",
        // Growing by nothing, and by too much.
        "(module (memory 1) (func (export \"_start\")
           (loop (drop (memory.grow (i32.const 0))) (drop (memory.grow (i32.const 60000))) (br 0))))",
        // Loops that load the same byte of the same page as others would.
        "(module (memory 1) (func (export \"_start\")
           (loop (drop (i32.load8_u (i32.const 0))) (loop) (loop) (br 0))))",
    ];
    let runtime = runtime(4);
    for wat in endless {
        kill_while_running(&runtime, &[load(&runtime, wat).unwrap()]);
    }
}

#[test]
fn a_process_that_is_to_end_before_it_starts_ends_soon() {
    let executor = executor();
    let machine = Machine::new(executor.reactor(), MEMORY_BYTES, PIDS_MAX);
    let program = load(
        &runtime(1),
        "(module (func (export \"_start\") (loop (br 0))))",
    )
    .unwrap();
    let task = machine.task();
    task.process.kill(Signal::KILL);
    let spawner = executor.spawner();
    let status = executor.run(async move { program.run(task, &spawner).await });
    assert_eq!(status.unwrap(), ExitStatus::Signaled(Signal::KILL));
}

#[test]
fn more_instances_than_the_pool_holds_run_all_the_same() {
    let runtime = runtime(2);
    let spin = load(
        &runtime,
        "(module (memory 1) (func (export \"_start\") (loop (br 0))))",
    );
    let programs = vec![spin.unwrap(); 6];
    kill_while_running(&runtime, &programs);
}

#[test]
fn modules_that_the_pool_does_not_hold_run_and_are_killed() {
    let runtime = runtime(2);
    let memory64 = "(module (memory i64 1) (func (export \"_start\") (loop
        (i64.store (i64.const 8) (i64.add (i64.load (i64.const 8)) (i64.const 1))) (br 0))))";
    let two_memories = "(module (memory 1) (memory 1) (table 70000 funcref) (func (export \"_start\") (loop (br 0))))";
    let gc = "(module (type $a (array (mut i64))) (func (export \"_start\")
        (loop (drop (array.new_default $a (i32.const 9))) (br 0))))";
    for wat in [memory64, two_memories, gc] {
        kill_while_running(&runtime, &[load(&runtime, wat).unwrap()]);
    }
}

#[test]
fn a_module_may_import_its_memory_and_table() {
    let (status, _) = run(
        "(module (import \"env\" \"memory\" (memory 2 4)) (import \"env\" \"table\" (table 1 funcref))
           (data (i32.const 8) \"x\") (elem (i32.const 0) $f) (func $f)
           (func (export \"_start\") (call_indirect (i32.const 0))
             (if (i32.ne (i32.load8_u (i32.const 8)) (i32.const 120)) (then unreachable))))",
    );
    assert_eq!(status, ExitStatus::Exited(0));
}

#[track_caller]
fn check_refused(wasm: &[u8], expected: &str) {
    let context = ProgramContext {
        path: "/bin/test.wasm".to_owned(),
        ..ProgramContext::default()
    };
    let loaded = runtime(1).load(&ModuleBytes(wasm), context, &|_| {});
    assert_eq!(loaded.err().unwrap().to_string(), expected);
}

#[test]
fn an_import_that_nobody_provides_is_named_before_anything_runs() {
    let wasm = wat::parse_str(
        "(module (import \"nobody\" \"knows\" (func (param i32 i64) (result f32)))
           (func (export \"_start\") unreachable))",
    );
    check_refused(
        &wasm.unwrap(),
        "`/bin/test.wasm` imports `nobody` `knows` (i32, i64) -> f32, which minke does not provide",
    );
}

#[test]
fn an_invalid_module_is_refused_with_the_place() {
    let wasm = wat::parse_str("(module (func (result i32) (i64.const 0)))").unwrap();
    check_refused(
        &wasm,
        "`/bin/test.wasm` is not a valid WebAssembly module: type mismatch: expected i32, found i64, at byte 0x1a",
    );
}

/// Loads the module in a file through a cache; returns whether it was compiled.
fn load_through(cache: &Path, path: &Path) -> bool {
    let runtime = Runtime::new(&RuntimeConfig {
        cache: Some(cache),
        compiler: Compiler::InThisProcess,
        pool: Pool::Always { instances_max: 1 },
    });
    let is_compiled = Cell::new(false);
    let source = ModuleFile::whole(std::fs::File::open(path).unwrap()).unwrap();
    let context = ProgramContext {
        path: "/bin/test.wasm".to_owned(),
        ..ProgramContext::default()
    };
    let program: Result<Arc<Program>, LoadError> = runtime.load(&source, context, &|progress| {
        is_compiled.set(is_compiled.get() || progress == Progress::Compiled);
    });
    let executor = executor();
    let machine = Machine::new(executor.reactor(), MEMORY_BYTES, PIDS_MAX);
    let (program, task) = (program.unwrap(), machine.task());
    let spawner = executor.spawner();
    let status = executor.run(async move { program.run(task, &spawner).await });
    assert_eq!(status.unwrap(), ExitStatus::Exited(0));
    is_compiled.get()
}

#[test]
fn a_module_is_compiled_once_and_again_when_its_artefact_was_changed() {
    let directory = tempfile::tempdir().unwrap();
    let (cache, path) = (
        directory.path().join("cache"),
        directory.path().join("p.wasm"),
    );
    std::fs::write(&path, wat::parse_str(COUNTING).unwrap()).unwrap();
    assert!(load_through(&cache, &path));
    assert!(!load_through(&cache, &path));
    // The same contents in another file are known too.
    let copy = directory.path().join("copy.wasm");
    std::fs::copy(&path, &copy).unwrap();
    assert!(!load_through(&cache, &copy));
    let artefact = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&artefact)
        .unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.write_at(&[0xcc; 16], middle).unwrap();
    drop(file);
    assert!(load_through(&cache, &path));
    assert!(!load_through(&cache, &path));
}
