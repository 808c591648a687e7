//! How soon a container ends that keeps the machine busier than it can be.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Lab;
use super::report::{Reach, Row, Unit, median};
use crate::layout::guests_dir;
use crate::process::run_quietly;

const THREADS: usize = 1000;
const ROUNDS: usize = 5;
const STOP_MS_MAX: f64 = 100.0;
/// Rust gives each thread a mebibyte, more than a thousand find in a guest's memory.
const SMALL_STACKS: &str = "RUST_MIN_STACK=65536";
/// How long the threads compute before they are stopped.
const RUN_TIME: Duration = Duration::from_secs(5);
/// How long all threads may take to be there.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// `minke stop` of a container whose thousand threads compute.
pub fn thousand(lab: &Lab) -> Result<Vec<Row>> {
    let module = guests_dir().join("threads.wasm");
    let module = module.to_string_lossy();
    let threads = THREADS.to_string();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let container = lab.product.start(
            "bench-stop",
            &["-e", SMALL_STACKS, &module, "hold", "spin", &threads],
        )?;
        wait_for_threads(container.pid()?)?;
        std::thread::sleep(RUN_TIME);
        let before = Instant::now();
        run_quietly(&mut lab.product.command(&["stop", "bench-stop"]))?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    Ok(vec![Row::alone(
        "`minke stop` of 1,000 CPU-bound threads",
        Unit::Milliseconds,
        median(&times),
        Reach::AtMost(STOP_MS_MAX),
    )])
}

fn wait_for_threads(pid: u32) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while fs::read_dir(format!("/proc/{pid}/task"))?.count() < THREADS {
        if Instant::now() > deadline {
            bail!("not all threads run after {} s", START_TIMEOUT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
