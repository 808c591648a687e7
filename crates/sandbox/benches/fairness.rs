//! A thousand compute-bound guests in one container: how evenly they run, and how soon it still answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minke_abi::linux::Signal;
use minke_sandbox::executor::reactor::monotonic_now;
use minke_sandbox::executor::{Executor, ExecutorConfig, Reactor};
use minke_sandbox::runtime::{Compiler, Pool, Runtime, RuntimeConfig};

#[path = "../tests/machine/mod.rs"]
mod machine;
mod report;

use machine::{Machine, load};
use report::median;

/// Processes that the container may have.
const PIDS_MAX: u32 = 4096;
const GUESTS: usize = 1000;

/// When the shares are compared.
const RUN_TIME: Duration = Duration::from_secs(5);

const SPIN: &str = "(module (memory 1) (func (export \"_start\") (local i64)
    (loop (local.set 0 (i64.add (local.get 0) (i64.const 1))) (br 0))))";

/// What was measured, times in milliseconds.
struct Measured {
    all_started: f64,
    slowest_to_median: f64,
    timer_late: f64,
    kill: f64,
    kill_all: f64,
}

fn main() {
    let executor = Executor::new(ExecutorConfig::for_this_machine()).expect("descriptors");
    let machine = Arc::new(Machine::new(executor.reactor(), 4 << 30, PIDS_MAX));
    let container = Arc::clone(&machine);
    let runtime = Runtime::new(&RuntimeConfig {
        cache: None,
        compiler: Compiler::InThisProcess,
        pool: Pool::Always {
            instances_max: GUESTS as u32,
        },
    });
    let program = load(&runtime, SPIN).expect("it loads");
    let start = Instant::now();
    let guests: Vec<_> = (0..GUESTS)
        .map(|_| {
            let (program, task) = (Arc::clone(&program), machine.task());
            let own = Arc::clone(&task);
            let spawner = executor.spawner();
            let running = executor.spawn(async move { program.run(own, &spawner).await });
            (task, running)
        })
        .collect();
    let spawner = executor.spawner();
    let measure = async move {
        let reactor = spawner.reactor();
        while run_times().len() < GUESTS {
            sleep(reactor, Duration::from_millis(5)).await;
        }
        let all_started = milliseconds(start.elapsed());
        let before = Instant::now();
        sleep(reactor, RUN_TIME).await;
        let timer_late = milliseconds(before.elapsed() - RUN_TIME);
        let slowest_to_median = slowest_to_median();
        let mut guests = guests.into_iter();
        let (first, handle) = guests.next().expect("there are guests");
        let before = Instant::now();
        first.process.kill(Signal::TERM);
        handle.await.expect("no panic");
        container.reap(&first);
        let kill = milliseconds(before.elapsed());
        let before = Instant::now();
        let rest: Vec<_> = guests.collect();
        for (task, _) in &rest {
            task.process.kill(Signal::KILL);
        }
        for (_, handle) in rest {
            handle.await.expect("no panic");
        }
        Measured {
            all_started,
            slowest_to_median,
            timer_late,
            kill,
            kill_all: milliseconds(before.elapsed()),
        }
    };
    let measured = executor.run(measure).expect("no panic");
    assert_eq!(machine.stderr(), [""; 0], "no guest traps");
    assert_eq!(machine.memory_used(), 0, "no guest is left");
    report::print(
        "fairness",
        &[
            ("all_started_ms", measured.all_started),
            ("slowest_to_median", measured.slowest_to_median),
            ("timer_late_ms", measured.timer_late),
            ("kill_one_ms", measured.kill),
            ("kill_all_ms", measured.kill_all),
        ],
    );
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

async fn sleep(reactor: &Reactor, duration: Duration) {
    let deadline = monotonic_now() + duration.as_nanos() as u64;
    let mut timer = None;
    std::future::poll_fn(|cx| {
        if monotonic_now() >= deadline {
            return std::task::Poll::Ready(());
        }
        timer.get_or_insert_with(|| reactor.wake_at(deadline, cx.waker().clone()));
        std::task::Poll::Pending
    })
    .await;
}

/// The CPU time of each of our threads in nanoseconds, by thread.
///
/// Linux: Documentation/scheduler/sched-stats.rst, `/proc/<pid>/schedstat`.
fn run_times() -> HashMap<String, f64> {
    let threads = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
    let time_of = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanoseconds = text.split(' ').next()?.parse().ok()?;
        Some((
            path.file_name()?.to_string_lossy().into_owned(),
            nanoseconds,
        ))
    };
    threads.filter_map(time_of).collect()
}

/// The share of the slowest guest, of the median's. The threads with the longest times are the guests'.
fn slowest_to_median() -> f64 {
    let mut times: Vec<_> = run_times().into_values().collect();
    times.sort_by(|one, other| other.total_cmp(one));
    times.truncate(GUESTS);
    times[times.len() - 1] / median(times)
}
