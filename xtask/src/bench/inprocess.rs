//! What can only be measured inside the process: the benchmarks of the crates.
//!
//! With `--json` such a benchmark prints a line for each thing it measured, an object of numbers.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Lab;
use super::report::{Reach, Row, Unit};
use crate::layout::root;
use crate::process::{cargo, read};

const SPAWN_RATIO_MAX: f64 = 1.5;
const SLOWEST_TO_MEDIAN_MIN: f64 = 0.3;
const STOP_MS_MAX: f64 = 100.0;
const CHAIN_RATIO_MAX: f64 = 1.05;

/// Spawn, run and end of a 3 KB module, beside wasmtime's pooled instantiate, call and drop.
pub fn spawn(_: &Lab) -> Result<Vec<Row>> {
    let text = bench("spawn")?;
    let ours = figure(&text, "spawn", "process_us")?;
    let row = |measure: &str, name: &'static str, peer: &str, reach: Reach| -> Result<Row> {
        let other = Ok(vec![figure(&text, "spawn", peer)?]);
        Ok(Row::compare(
            measure,
            Unit::Microseconds,
            &[ours],
            (name, &other),
            reach,
        ))
    };
    Ok(vec![
        row(
            "spawn, run and end of a 3 KB module",
            "wasmtime, its pool set up as ours",
            "plain_us",
            Reach::RatioAtMost(SPAWN_RATIO_MAX),
        )?,
        row(
            "… of the same",
            "wasmtime, its pool as it comes",
            "as_it_comes_us",
            Reach::None,
        )?,
    ])
}

/// A thousand guests that compute, for five seconds.
pub fn fairness(_: &Lab) -> Result<Vec<Row>> {
    let text = bench("fairness")?;
    let even = figure(&text, "fairness", "slowest_to_median")?;
    let kill_ms = figure(&text, "fairness", "kill_one_ms")?;
    let all_ms = figure(&text, "fairness", "kill_all_ms")?;
    let reach = Reach::AtLeast(SLOWEST_TO_MEDIAN_MIN);
    Ok(vec![
        Row::alone(
            "1,000 CPU-bound guests, slowest to median",
            Unit::Times,
            even,
            reach,
        ),
        Row::alone(
            "… one of them is ended after",
            Unit::Milliseconds,
            kill_ms,
            Reach::AtMost(STOP_MS_MAX),
        ),
        Row::alone(
            "… all of them are ended after",
            Unit::Milliseconds,
            all_ms,
            Reach::None,
        ),
    ])
}

/// A file system that twenty snapshots make, beside the same one in one snapshot.
pub fn disk_chain(_: &Lab) -> Result<Vec<Row>> {
    let text = bench_of("disk", "disk-chain")?;
    let row = |measure: &str, chain: &str, flat: &str, reach| -> Result<Row> {
        let ours = figure(&text, "disk-chain", chain)?;
        let other = Ok(vec![figure(&text, "disk-chain", flat)?]);
        let one = ("one snapshot", &other);
        let unit = Unit::Microseconds;
        Ok(Row::compare(measure, unit, &[ours], one, reach))
    };
    Ok(vec![
        row(
            "a thousand files through 20 snapshots, listed and read",
            "chain_read_us",
            "flat_read_us",
            Reach::RatioAtMost(CHAIN_RATIO_MAX),
        )?,
        row(
            "… opening them",
            "chain_open_us",
            "flat_open_us",
            Reach::None,
        )?,
    ])
}

fn bench(name: &str) -> Result<String> {
    bench_of("sandbox", name)
}

/// Runs a benchmark of a crate; returns what it printed.
pub fn bench_of(member: &str, name: &str) -> Result<String> {
    let file = format!("crates/{member}/benches/{name}.rs");
    if !root().join(&file).is_file() {
        bail!("no benchmark `{name}` in the crate `minke-{member}`");
    }
    let mut command: Command = cargo();
    command.args([
        "bench",
        "--quiet",
        "--locked",
        "--workspace",
        "--bench",
        name,
        "--",
        "--json",
    ]);
    read(command.current_dir(root()).stdin(Stdio::null()))
}

/// A number of the line that `benchmark` printed.
fn figure(text: &str, benchmark: &str, name: &str) -> Result<f64> {
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = lines.into_iter().find(|it| it["benchmark"] == benchmark);
    let figure = found.as_ref().and_then(|it| it[name].as_f64());
    figure.with_context(|| format!("the benchmark `{benchmark}` told no `{name}`:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_benchmark_and_name() {
        let text = "running\n{\"benchmark\":\"spawn\",\"process_us\":7.9}\n";
        assert_eq!(
            figure(text, "spawn", "process_us").expect("it is there"),
            7.9
        );
        assert!(figure(text, "spawn", "other").is_err());
        assert!(figure(text, "fairness", "process_us").is_err());
    }
}
