//! What can only be measured inside the process: the benchmarks of the crate `sandbox`.
//!
//! Such a benchmark prints lines of `NAME NUMBER`; units are in the names.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Lab;
use super::report::{Reach, Row, Unit};
use crate::layout::root;
use crate::process::{cargo, read};

const SPAWN_RATIO_MAX: f64 = 1.5;
const SLOWEST_TO_MEDIAN_MIN: f64 = 0.3;
const STOP_MS_MAX: f64 = 100.0;

/// Spawn, run and end of a 3 KB module, beside wasmtime's pooled instantiate, call and drop.
pub fn spawn(_: &Lab) -> Result<Vec<Row>> {
    let text = bench("spawn")?;
    let (ours, other) = (figure(&text, "minke_us")?, figure(&text, "wasmtime_us")?);
    let reach = Reach::RatioAtMost(SPAWN_RATIO_MAX);
    let other = Ok(vec![other]);
    Ok(vec![Row::compare(
        "spawn, run and end of a 3 KB module",
        Unit::Microseconds,
        &[ours],
        ("wasmtime, pooled", &other),
        reach,
    )])
}

/// A thousand guests that compute, for five seconds.
pub fn fairness(_: &Lab) -> Result<Vec<Row>> {
    let text = bench("fairness")?;
    let (ratio, stop_ms) = (
        figure(&text, "slowest_to_median")?,
        figure(&text, "stop_ms")?,
    );
    Ok(vec![
        Row::alone(
            "1,000 CPU-bound guests, slowest to median",
            Unit::Times,
            ratio,
            Reach::AtLeast(SLOWEST_TO_MEDIAN_MIN),
        ),
        Row::alone(
            "… and how soon `stop` is answered",
            Unit::Milliseconds,
            stop_ms,
            Reach::AtMost(STOP_MS_MAX),
        ),
    ])
}

fn bench(name: &str) -> Result<String> {
    if !root()
        .join("crates/sandbox/benches")
        .join(format!("{name}.rs"))
        .is_file()
    {
        bail!("no benchmark `{name}` in the crate `minke-sandbox`");
    }
    let mut command: Command = cargo();
    command.args([
        "bench",
        "--quiet",
        "--locked",
        "-p",
        "minke-sandbox",
        "--bench",
        name,
    ]);
    read(command.current_dir(root()).stdin(Stdio::null()))
}

fn figure(text: &str, name: &str) -> Result<f64> {
    let line = text
        .lines()
        .find(|it| it.split_whitespace().next() == Some(name));
    let line = line.with_context(|| format!("the benchmark told no `{name}`:\n{text}"))?;
    let number = line.split_whitespace().nth(1).unwrap_or_default();
    number
        .parse()
        .with_context(|| format!("no number in `{line}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_name() {
        let text = "running\nminke_us 7.9\nwasmtime_us 5.7\n";
        assert_eq!(figure(text, "wasmtime_us").expect("it is there"), 5.7);
        assert!(figure(text, "other").is_err());
    }
}
