//! Calls on files of a disk: the benchmark of the crate `kernel`, and a guest on its root.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Lab;
use super::files::{Figures, add};
use super::inprocess::bench_of;
use super::peers::native;
use super::report::{Reach, Row, Unit};
use crate::layout::guests_dir;

/// What the other side is: whatever file system has the directory of temporary files, ext4 on the machines that figures are from.
const HOST: &str = "the host's file system";
const ROUNDS: usize = 5;
/// Each operation of `bench-loop`, and how many times as fast as natively it should be.
const FROM_GUEST: &[(&str, &str, f64)] = &[
    ("read", "4 KiB cached read, a guest's", 1.5),
    ("stat", "stat, a guest's", 2.0),
    ("open_close", "open and close, a guest's", 2.0),
];

/// CPU time of each call inside the kernel, then what a guest sees.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let text = bench_of("kernel", "disk-ops")?;
    let mut rows = parse(&text)?;
    rows.extend(from_guest(lab)?);
    Ok(rows)
}

fn parse(text: &str) -> Result<Vec<Row>> {
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["benchmark"] == "disk-ops")
        .map(|line| row(&line))
        .collect()
}

fn row(line: &Value) -> Result<Row> {
    let figure = |name: &str| {
        let found = line[name].as_f64();
        found.with_context(|| format!("`disk-ops` told no `{name}` in `{line}`"))
    };
    let name = line["name"].as_str().context("a figure without a name")?;
    let (ours, theirs, reach) = (figure("disk")?, figure("native")?, figure("reach")?);
    let (unit, reach) = match line["unit"].as_str() {
        Some("ns") => (Unit::Nanoseconds, Reach::RatioAtMost(1.0 / reach)),
        _ => (Unit::Times, Reach::AtLeast(reach)),
    };
    Ok(Row::compare(
        format!("disk: {name}"),
        unit,
        &[ours],
        (HOST, &Ok(vec![theirs])),
        reach,
    ))
}

/// The same loop as a guest on its root, which is a disk, and natively.
fn from_guest(lab: &Lab) -> Result<Vec<Row>> {
    let context = guests_dir().join("native").join("disk-ops-image");
    std::fs::create_dir_all(&context)?;
    std::fs::copy(
        guests_dir().join("bench-loop.wasm"),
        context.join("bench-loop.wasm"),
    )?;
    std::fs::write(
        context.join("Balenafile"),
        "FROM scratch\nCOPY bench-loop.wasm /usr/bin/\nCMD [\"bench-loop\", \"/\"]\n",
    )?;
    lab.product
        .build("bench-disk-ops", &context.to_string_lossy())?;
    let (mut ours, mut theirs) = (Figures::new(), Figures::new());
    for _ in 0..ROUNDS {
        let mut guest = lab.product.command(&["run", "--rm", "bench-disk-ops"]);
        add(&mut ours, &mut guest)?;
        let directory = std::env::temp_dir();
        add(
            &mut theirs,
            Command::new(native("bench-loop")).arg(directory),
        )?;
    }
    let row = |(name, shown, reach): &(&str, &'static str, f64)| {
        let figures = |of: &Figures| of.get(*name).cloned().unwrap_or_default();
        let other = Ok(figures(&theirs));
        let reach = Reach::RatioAtMost(1.0 / reach);
        let ours = figures(&ours);
        Row::compare(
            format!("disk: {shown}"),
            Unit::Nanoseconds,
            &ours,
            (HOST, &other),
            reach,
        )
    };
    Ok(FROM_GUEST.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Other;

    #[test]
    fn a_line_becomes_a_row_that_knows_what_it_should_reach() {
        let text = "noise\n{\"benchmark\":\"disk-ops\",\"name\":\"stat\",\"unit\":\"ns\",\"native\":800,\"disk\":300,\"reach\":2}\n";
        let rows = parse(text).expect("it is well formed");
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].ours, rows[0].reach),
            (Some(300.0), Reach::RatioAtMost(0.5))
        );
        assert_eq!(rows[0].other, Other::Figure(HOST, 800.0));
        assert!(parse("{\"benchmark\":\"disk-ops\",\"name\":\"stat\"}").is_err());
    }
}
