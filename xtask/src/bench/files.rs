//! System calls from a loop in a guest, beside the same loop compiled for the machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::Lab;
use super::peers::native;
use super::report::{Reach, Row, Unit};
use crate::layout::guests_dir;
use crate::process::read;

const ROUNDS: usize = 5;
/// Where Linux has a tmpfs for everybody.
const TMPFS: &str = "/dev/shm";

/// Each operation, and what it should be beside the native one; all should be faster than `wasmtime`.
const OPERATIONS: &[(&str, &str, Reach)] = &[
    ("read", "4 KiB read", Reach::Less),
    ("write", "4 KiB write", Reach::None),
    ("stat", "stat", Reach::Less),
    ("open_close", "open and close", Reach::Less),
];

/// Nanoseconds of each operation, one entry per round.
pub type Figures = BTreeMap<String, Vec<f64>>;

struct Measured {
    ours: Figures,
    native: Figures,
    wasmtime: Result<Figures, String>,
}

pub fn calls(lab: &Lab) -> Result<Vec<Row>> {
    let measured = measure(lab)?;
    let mut rows = Vec::new();
    for (name, shown, reach) in OPERATIONS {
        let ours = &measured.ours[*name];
        let native = Ok(measured.native.get(*name).cloned().unwrap_or_default());
        rows.push(Row::compare(
            *shown,
            Unit::Nanoseconds,
            ours,
            ("native on tmpfs", &native),
            *reach,
        ));
        rows.push(Row::compare(
            *shown,
            Unit::Nanoseconds,
            ours,
            ("wasmtime run", &measured.wasmtime(name)),
            Reach::Less,
        ));
    }
    Ok(rows)
}

/// The clock, a call with no work of its own.
pub fn clock(lab: &Lab) -> Result<Vec<Row>> {
    let measured = measure(lab)?;
    let (ours, other) = (&measured.ours["clock"], measured.wasmtime("clock"));
    Ok(vec![Row::compare(
        "clock",
        Unit::Nanoseconds,
        ours,
        ("wasmtime run", &other),
        Reach::RatioAtMost(1.0),
    )])
}

impl Measured {
    fn wasmtime(&self, name: &str) -> Result<Vec<f64>, String> {
        self.wasmtime
            .as_ref()
            .map(|it| it.get(name).cloned().unwrap_or_default())
            .map_err(Clone::clone)
    }
}

fn measure(lab: &Lab) -> Result<Measured> {
    let module = guests_dir().join("bench-loop.wasm");
    let module = module.to_string_lossy();
    let shared = SharedDirectory::new()?;
    let mapping = format!("{}::/data", shared.0.display());
    let mut measured = Measured {
        ours: Figures::new(),
        native: Figures::new(),
        wasmtime: Ok(Figures::new()),
    };
    for _ in 0..ROUNDS {
        add(
            &mut measured.ours,
            &mut lab.product.command(&["run", "--rm", &module, "/"]),
        )?;
        add(
            &mut measured.native,
            Command::new(native("bench-loop")).arg(&shared.0),
        )?;
        let wasmtime = lab.peers.wasmtime(&["--dir", &mapping, &module, "/data"]);
        if let Ok(figures) = &mut measured.wasmtime {
            let added = wasmtime
                .and_then(|mut it| add(figures, &mut it).map_err(|error| format!("{error:#}")));
            if let Err(reason) = added {
                measured.wasmtime = Err(reason);
            }
        }
    }
    Ok(measured)
}

/// Runs the loop once and keeps its figures.
pub fn add(figures: &mut Figures, command: &mut Command) -> Result<()> {
    for (name, figure) in parse(&read(command)?)? {
        figures.entry(name).or_default().push(figure);
    }
    Ok(())
}

/// Lines of `NAME NUMBER`.
fn parse(text: &str) -> Result<Vec<(String, f64)>> {
    let lines = text.lines().map(|line| {
        let (name, figure) = line
            .split_once(' ')
            .with_context(|| format!("expected `NAME NS`, found `{line}`"))?;
        Ok((
            name.to_string(),
            figure
                .trim()
                .parse()
                .with_context(|| format!("no number in `{line}`"))?,
        ))
    });
    lines.collect()
}

/// A directory on tmpfs that goes when the value goes.
struct SharedDirectory(PathBuf);

impl SharedDirectory {
    fn new() -> Result<SharedDirectory> {
        let path = PathBuf::from(TMPFS).join(format!("minke-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(SharedDirectory(path))
    }
}

impl Drop for SharedDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_loop_are_names_and_numbers() {
        let figures = parse("read 120.5\nclock 9.0\n").expect("it is well formed");
        assert_eq!(
            figures,
            [("read".to_string(), 120.5), ("clock".to_string(), 9.0)]
        );
        assert!(parse("read").is_err());
    }
}
