//! Pure computation: what it costs that running code can be interrupted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::Lab;
use super::report::{Reach, Row, Unit, geometric_mean, median};
use crate::layout::guests_dir;
use crate::process::read;

const ROUNDS: usize = 7;
const MEAN_MAX: f64 = 1.05;
const EACH_MAX: f64 = 1.15;

/// Seconds of each kernel, one entry per round.
type Figures = BTreeMap<String, Vec<f64>>;

pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    let (mut ours, mut theirs) = (Figures::new(), Ok(Figures::new()));
    for _ in 0..ROUNDS {
        for module in modules() {
            let module = module.to_string_lossy();
            add(
                &mut ours,
                &mut lab.product.command(&["run", "--rm", &module]),
            )?;
            if let Ok(figures) = &mut theirs {
                let wasmtime = lab.peers.wasmtime(&[&module]);
                let added = wasmtime
                    .and_then(|mut it| add(figures, &mut it).map_err(|error| format!("{error:#}")));
                if let Err(reason) = added {
                    theirs = Err(reason);
                }
            }
        }
    }
    Ok(rows(&ours, &theirs))
}

fn modules() -> [PathBuf; 2] {
    ["kernels.wasm", "sqlite-memory.wasm"].map(|name| guests_dir().join(name))
}

fn rows(ours: &Figures, theirs: &Result<Figures, String>) -> Vec<Row> {
    let other = |name: &str| {
        theirs
            .as_ref()
            .map(|it| it.get(name).cloned().unwrap_or_default())
            .map_err(Clone::clone)
    };
    let row = |(name, figures): (&String, &Vec<f64>)| {
        Row::compare(
            name,
            Unit::Seconds,
            figures,
            ("wasmtime run", &other(name)),
            Reach::RatioAtMost(EACH_MAX),
        )
    };
    let mut rows: Vec<_> = ours.iter().map(row).collect();
    if let Ok(theirs) = theirs {
        let ratios: Vec<f64> = ours
            .iter()
            .map(|(name, it)| median(it) / median(&theirs[name]))
            .collect();
        let mean = geometric_mean(&ratios);
        rows.push(Row::alone(
            "kernels, geometric mean of the ratios",
            Unit::Times,
            mean,
            Reach::AtMost(MEAN_MAX),
        ));
    }
    rows
}

/// Runs the kernels of one module once: lines of `NAME SECONDS CHECKSUM`.
fn add(figures: &mut Figures, command: &mut Command) -> Result<()> {
    for line in read(command)?.lines() {
        let mut words = line.split(' ');
        let (name, seconds) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let seconds = seconds
            .parse()
            .with_context(|| format!("expected `NAME SECONDS`, found `{line}`"))?;
        figures.entry(name.to_string()).or_default().push(seconds);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_the_medians_ratios() {
        let figures = |sort: f64, sha: f64| -> Figures {
            [
                ("sort".to_string(), vec![sort]),
                ("sha256".to_string(), vec![sha]),
            ]
            .into()
        };
        let rows = rows(&figures(2.0, 1.0), &Ok(figures(1.0, 2.0)));
        assert_eq!(rows.len(), 3);
        assert!(
            rows[2].ours.is_some_and(|it| (it - 1.0).abs() < 1e-9),
            "{rows:?}"
        );
    }
}
