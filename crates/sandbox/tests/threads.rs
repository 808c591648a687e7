//! Threads of one process: shared memory, waiting and waking, how they end together, and their limits.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_kernel::ExitStatus;
use minke_sandbox::executor::{Executor, ExecutorConfig};
use minke_sandbox::runtime::{Compiler, LoadError, Pool, Runtime, RuntimeConfig};

mod machine;

use machine::{Machine, load};

const MEMORY_BYTES: u64 = 64 << 20;
/// Processes and threads that a container of these tests may have.
const PIDS_MAX: u32 = 64;

/// What becomes of a process from outside.
enum Fate {
    /// It ends by itself.
    Own,
    /// It is sent a signal when it has so many threads.
    KilledAt(u32),
}

/// Runs a module given as text; returns how it ended and what its standard error got. Nothing of it is left.
fn run_to(wat: &str, fate: &Fate) -> (ExitStatus, Vec<String>) {
    let executor = Executor::new(ExecutorConfig { workers: 2 }).unwrap();
    let machine = Machine::new(executor.reactor(), MEMORY_BYTES, PIDS_MAX);
    let runtime = Runtime::new(&RuntimeConfig {
        cache: None,
        compiler: Compiler::InThisProcess,
        pool: Pool::Always { instances_max: 1 },
    });
    let program = load(&runtime, wat).unwrap();
    let task = machine.task();
    let (own, spawner) = (Arc::clone(&task), executor.spawner());
    let running = executor.spawn(async move { program.run(own, &spawner).await });
    let process = Arc::clone(&task.process);
    let killer = fate.threads_at_kill().map(|count| {
        executor.spawn(async move {
            while process.threads_count() < count {
                let now = process.kernel.clock.monotonic();
                minke_kernel::Task::main_of(Arc::clone(&process))
                    .sleep_until(now + 1_000_000)
                    .await
                    .unwrap();
            }
            process.kill(Signal::TERM);
        })
    });
    let status = executor.run(running).unwrap().unwrap();
    drop(killer);
    assert_eq!(task.process.threads_count(), 1, "no thread is left");
    machine.reap(&task);
    assert_eq!(machine.memory_used(), 0, "an ended guest holds nothing");
    (status, machine.stderr())
}

impl Fate {
    fn threads_at_kill(&self) -> Option<u32> {
        match self {
            Fate::Own => None,
            Fate::KilledAt(count) => Some(*count),
        }
    }
}

#[track_caller]
fn check(wat: &str, expected: &ExitStatus) {
    let (status, lines) = run_to(wat, &Fate::Own);
    assert_eq!(&status, expected, "{lines:?}");
}

#[track_caller]
fn check_exit(wat: &str, code: u8) {
    check(wat, &ExitStatus::Exited(code));
}

#[track_caller]
fn check_trap(wat: &str, reason: &str) {
    check(wat, &ExitStatus::Trapped(reason.to_owned()));
}

/// A module of threads: each runs `thread` with `$tid` and `$arg`; the first runs `start`.
fn threaded(thread: &str, start: &str) -> String {
    format!(
        "(module
           (import \"any\" \"name\" (memory 1 32 shared))
           (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))
           (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
           {HELPERS}
           (func $add (param $at i32) (result i32) (i32.atomic.rmw.add (local.get $at) (i32.const 1)))
           (func $sleep (drop (memory.atomic.wait32 (i32.const 1024) (i32.const 0) (i64.const -1))))
           (func $spin (loop (br 0)))
           ;; Waits until the number at an address is a given one.
           (func $until (param $at i32) (param $wanted i32) (local $seen i32)
             (loop $again
               (local.set $seen (i32.atomic.load (local.get $at)))
               (if (i32.ne (local.get $seen) (local.get $wanted)) (then
                 (drop (memory.atomic.wait32 (local.get $at) (local.get $seen) (i64.const -1)))
                 (br $again)))))
           ;; Starts threads, each with its number from 0.
           (func $spawn_all (param $count i32) (local $i i32)
             (loop $more
               (call $must (i32.gt_s (call $spawn (local.get $i)) (i32.const 1)))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $more (i32.lt_u (local.get $i) (local.get $count)))))
           (func (export \"wasi_thread_start\") (param $tid i32) (param $arg i32) {thread})
           (func $start (export \"_start\") {start}))"
    )
}

/// Functions that every module of these tests has.
const HELPERS: &str = "
    (func $must (param i32) (if (i32.eqz (local.get 0)) (then (call $exit (i32.const 99)))))
    (func $is (param i32 i32) (call $must (i32.eq (local.get 0) (local.get 1))))";

/// A module of one thread over a memory of its own.
fn alone(memory: &str, start: &str) -> String {
    format!(
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
           {memory} {HELPERS} (func $start (export \"_start\") {start}))"
    )
}

#[test]
fn threads_share_memory_and_wake_each_other() {
    let thread = "(local $n i32)
        (loop $count
          (drop (call $add (i32.const 0)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $count (i32.lt_u (local.get $n) (i32.const 1000))))
        (drop (call $add (i32.const 4)))
        (drop (memory.atomic.notify (i32.const 4) (i32.const 1)))";
    let start = "(call $spawn_all (i32.const 20)) (call $until (i32.const 4) (i32.const 20))
        (call $is (i32.atomic.load (i32.const 0)) (i32.const 20000)) (call $exit (i32.const 5))";
    check_exit(&threaded(thread, start), 5);
}

#[test]
fn threads_start_threads_and_have_numbers_and_arguments_of_their_own() {
    // The first adds its own number to 8, starts the second and ends.
    let thread = "(drop (i32.atomic.rmw.add (i32.const 8) (local.get $arg)))
        (if (i32.lt_u (local.get $arg) (i32.const 3)) (then
          (call $must (i32.gt_s (call $spawn (i32.add (local.get $arg) (i32.const 1))) (local.get $tid)))))
        (drop (call $add (i32.const 0))) (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))";
    let start = "(call $spawn_all (i32.const 1)) (call $until (i32.const 0) (i32.const 4))
        (call $is (i32.atomic.load (i32.const 8)) (i32.const 6))";
    check_exit(&threaded(thread, start), 0);
}

#[test]
fn the_start_function_runs_in_each_thread() {
    let module = "(module (import \"env\" \"memory\" (memory 1 1 shared))
        (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))
        (func $init (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))) (start $init)
        (func (export \"wasi_thread_start\") (param i32 i32)
          (i32.atomic.store (i32.const 4) (i32.const 1))
          (drop (memory.atomic.notify (i32.const 4) (i32.const 1))))
        (func (export \"_start\") (drop (call $spawn (i32.const 0)))
          (drop (memory.atomic.wait32 (i32.const 4) (i32.const 0) (i64.const -1)))
          (if (i32.ne (i32.atomic.load (i32.const 0)) (i32.const 2)) (then unreachable))))";
    check_exit(module, 0);
}

#[test]
fn a_trap_in_a_thread_ends_the_process_with_its_reason() {
    for first in ["(call $sleep)", "(call $spin)"] {
        let start = format!("(call $spawn_all (i32.const 3)) {first}");
        let thread =
            "(if (i32.eq (local.get $arg) (i32.const 2)) (then unreachable)) (call $sleep)";
        let (status, lines) = run_to(&threaded(thread, &start), &Fate::Own);
        assert_eq!(status, ExitStatus::Trapped("unreachable".to_owned()));
        assert_eq!(lines[0], "minke: `/bin/test.wasm` trapped: unreachable");
    }
}

#[test]
fn an_exit_in_a_thread_ends_the_process_with_its_code() {
    let thread = "(if (i32.eq (local.get $arg) (i32.const 1)) (then (call $exit (i32.const 7)))) (call $spin)";
    check_exit(
        &threaded(thread, "(call $spawn_all (i32.const 2)) (call $sleep)"),
        7,
    );
}

#[test]
fn the_process_ends_when_its_first_thread_returns() {
    let thread =
        "(drop (call $add (i32.const 0))) (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))
        (if (local.get $arg) (then (call $spin))) (call $sleep)";
    let start = "(call $spawn_all (i32.const 3)) (call $until (i32.const 0) (i32.const 3))";
    check_exit(&threaded(thread, start), 0);
}

#[test]
fn threads_that_wait_or_spin_are_killed() {
    for thread in ["(call $sleep)", "(call $spin)"] {
        for first in ["(call $sleep)", "(call $spin)"] {
            let start = format!("(call $spawn_all (i32.const 4)) {first}");
            let (status, lines) = run_to(&threaded(thread, &start), &Fate::KilledAt(5));
            assert_eq!(status, ExitStatus::Signaled(Signal::TERM), "{lines:?}");
        }
    }
}

#[test]
fn threads_without_end_meet_the_limit_and_those_that_ended_make_room() {
    // One place of the limit is the first thread's.
    let start = format!(
        "(local $n i32)
         (block $full (loop $more
           (br_if $full (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)))
           (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $more)))
         (call $is (local.get $n) (i32.const {}))
         (call $is (call $spawn (i32.const 0)) (i32.const -6))
         ;; All return, and in the end there is room for another.
         (i32.atomic.store (i32.const 1024) (i32.const 1))
         (drop (memory.atomic.notify (i32.const 1024) (i32.const -1)))
         (loop $again (br_if $again (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0))))",
        PIDS_MAX - 1
    );
    check_exit(&threaded("(call $sleep)", &start), 0);
}

#[test]
fn threads_that_start_threads_without_end_are_stopped() {
    let spawn = "(loop (drop (call $spawn (i32.const 0))) (br 0))";
    let (status, lines) = run_to(&threaded(spawn, spawn), &Fate::KilledAt(PIDS_MAX / 2));
    assert_eq!(status, ExitStatus::Signaled(Signal::TERM), "{lines:?}");
}

#[test]
fn the_memory_grows_for_all_threads_within_the_limit() {
    // 16 threads grow by one page each: 17 pages in the end, each thread at another place.
    let thread = "(call $must (i32.ge_s (memory.grow (i32.const 1)) (i32.const 1)))
        (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 1))
        (drop (call $add (i32.const 0))) (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))";
    let start = "(call $spawn_all (i32.const 16)) (call $until (i32.const 0) (i32.const 16))
        (call $is (memory.size) (i32.const 17))
        (call $is (memory.grow (i32.const 16)) (i32.const -1))
        (call $is (memory.grow (i32.const 15)) (i32.const 17))";
    check_exit(&threaded(thread, start), 0);
}

#[test]
fn a_memory_beyond_the_containers_limit_is_refused() {
    let reason = format!("out of memory: the container may have {MEMORY_BYTES} bytes");
    let huge = |pages: &str| {
        format!(
            "(module (import \"m\" \"m\" (memory {pages} shared)) (func (export \"_start\")
               (if (i32.eq (memory.grow (i32.const 2000)) (i32.const -1)) (then unreachable))))"
        )
    };
    check_trap(&huge("2000 4000"), &reason);
    check_trap(&huge("1 4000"), &reason);
    let own = "(module (memory 1 4000 shared) (func (export \"_start\")
        (if (i32.eq (memory.grow (i32.const 2000)) (i32.const -1)) (then unreachable))))";
    check_trap(own, &reason);
}

#[test]
fn waits_tell_how_they_ended() {
    for (memory, address) in [
        ("(memory 1 2 shared)", "i32"),
        ("(memory i64 1 2 shared)", "i64"),
    ] {
        let start = format!(
            "({address}.const 8) (i32.const 3) (i32.atomic.store)
             (call $is (memory.atomic.wait32 ({address}.const 8) (i32.const 4) (i64.const -1)) (i32.const 1))
             (call $is (memory.atomic.wait32 offset=8 ({address}.const 0) (i32.const 3) (i64.const 1000000)) (i32.const 2))
             (call $is (memory.atomic.wait32 ({address}.const 8) (i32.const 3) (i64.const 0)) (i32.const 2))
             (call $is (memory.atomic.wait64 ({address}.const 8) (i64.const 0x100000003) (i64.const 0)) (i32.const 1))
             (call $is (memory.atomic.wait64 ({address}.const 8) (i64.const 3) (i64.const 0)) (i32.const 2))
             (call $is (memory.atomic.notify ({address}.const 65532) (i32.const 1)) (i32.const 0))
             (call $must ({address}.eq (memory.grow ({address}.const 1)) ({address}.const 1)))
             (call $must ({address}.eq (memory.grow ({address}.const 1)) ({address}.const -1)))
             (call $is (memory.atomic.notify ({address}.const 131068) (i32.const 1)) (i32.const 0))"
        );
        check_exit(&alone(memory, &start), 0);
    }
}

#[test]
fn a_notify_wakes_as_many_as_it_is_told_and_counts_them() {
    // Three threads wait at 0; they are counted at 4 before, and at 8 when they were woken.
    let thread =
        "(drop (call $add (i32.const 4))) (drop (memory.atomic.notify (i32.const 4) (i32.const 1)))
        (call $is (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0))
        (drop (call $add (i32.const 8))) (drop (memory.atomic.notify (i32.const 8) (i32.const 1)))";
    let start = "(local $woken i32)
        (call $spawn_all (i32.const 3)) (call $until (i32.const 4) (i32.const 3))
        (call $is (memory.atomic.notify (i32.const 0) (i32.const 0)) (i32.const 0))
        ;; Somebody may be counted and not wait yet.
        (loop $more
          (local.set $woken (i32.add (local.get $woken) (memory.atomic.notify (i32.const 0) (i32.const 2))))
          (br_if $more (i32.lt_u (local.get $woken) (i32.const 3))))
        (call $is (local.get $woken) (i32.const 3))
        (call $until (i32.const 8) (i32.const 3))";
    check_exit(&threaded(thread, start), 0);
}

#[test]
fn bad_addresses_trap() {
    let shared = "(memory 1 1 shared)";
    let one = |memory, operator: &str| alone(memory, &format!("(drop ({operator}))"));
    for (operator, reason) in [
        (
            "memory.atomic.wait32 (i32.const 2) (i32.const 0) (i64.const 0)",
            "unaligned atomic",
        ),
        (
            "memory.atomic.wait64 (i32.const 4) (i64.const 0) (i64.const 0)",
            "unaligned atomic",
        ),
        (
            "memory.atomic.notify offset=1 (i32.const 0) (i32.const 0)",
            "unaligned atomic",
        ),
        (
            "memory.atomic.wait32 (i32.const 65536) (i32.const 0) (i64.const 0)",
            "out of bounds memory access",
        ),
        (
            "memory.atomic.wait64 offset=4294967288 (i32.const 8) (i64.const 0) (i64.const 0)",
            "out of bounds memory access",
        ),
        (
            "memory.atomic.notify offset=4294967292 (i32.const 4) (i32.const 1)",
            "out of bounds memory access",
        ),
    ] {
        check_trap(&one(shared, operator), reason);
    }
    let wait = "memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)";
    check_trap(&one("(memory 1)", wait), "atomic wait on non-shared memory");
}

#[test]
fn a_wait_without_an_end_is_killed_in_a_process_of_one_thread() {
    let wait = "(drop (memory.atomic.wait64 (i32.const 0) (i64.const 0) (i64.const -1)))";
    let (status, _) = run_to(&alone("(memory 1 1 shared)", wait), &Fate::KilledAt(1));
    assert_eq!(status, ExitStatus::Signaled(Signal::TERM));
}

#[test]
fn a_module_that_cannot_have_threads_is_told_so() {
    // Without a shared memory, and without an entry.
    for module in [
        "(module (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32))) (memory 1)
           (func (export \"wasi_thread_start\") (param i32 i32))
           (func (export \"_start\") (if (i32.ge_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))))",
        "(module (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))
           (import \"env\" \"memory\" (memory 1 1 shared))
           (func (export \"_start\") (if (i32.ge_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))))",
    ] {
        check_exit(module, 0);
    }
}

#[test]
fn two_shared_memories_are_refused_when_the_module_is_loaded() {
    let runtime = Runtime::new(&RuntimeConfig {
        cache: None,
        compiler: Compiler::InThisProcess,
        pool: Pool::Always { instances_max: 1 },
    });
    let two = "(module (import \"m\" \"a\" (memory 1 1 shared)) (import \"m\" \"b\" (memory 1 1 shared)))";
    let error = load(&runtime, two).err().unwrap();
    let LoadError::Invalid { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, "has more than one shared memory");
}
