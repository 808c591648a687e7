//! Whole processes: from the command's start to its end, with what is cached cached.

use anyhow::Result;

use super::Lab;
use super::peers::Bundle;
use super::report::{Reach, Row, Unit};
use super::usage::{Usage, measure};
use crate::layout::guests_dir;

/// Runs of each side; the first ones fill caches.
const ROUNDS: usize = 41;
const WARM_UP: usize = 3;

const MODULE_REACH: Reach = Reach::RatioAtMost(1.0);
const CRUN_REACH: Reach = Reach::RatioAtMost(1.0);
const RUNC_REACH: Reach = Reach::RatioAtMost(0.3);

/// `minke run --rm hello.wasm` against `wasmtime run hello.wasm`.
pub fn module(lab: &Lab) -> Result<Vec<Row>> {
    let path = guests_dir().join("hello.wasm");
    let path = path.to_string_lossy();
    let other = || match lab.peers.wasmtime(&[&path]) {
        Ok(mut command) => measure(&mut command).map_err(|error| format!("{error:#}")),
        Err(reason) => Err(reason),
    };
    let (ours, theirs) = in_turns(
        || measure(&mut lab.product.command(&["run", "--rm", &path])),
        |_| other(),
    )?;
    Ok(rows(
        "minke run --rm hello.wasm",
        &ours,
        ("wasmtime run", &theirs),
        MODULE_REACH,
    ))
}

/// `minke run --rm IMAGE` against OCI runtimes with a static hello.
pub fn image(lab: &Lab) -> Result<Vec<Row>> {
    let context = guests_dir().join("native").join("hello-image");
    write_image(&context)?;
    lab.product
        .build("bench-hello", &context.to_string_lossy())?;
    let mut rows = Vec::new();
    for (runtime, name, reach) in [
        ("crun", "crun run", CRUN_REACH),
        ("runc", "runc run", RUNC_REACH),
    ] {
        let bundle = Bundle::prepare(runtime);
        let ours = || measure(&mut lab.product.command(&["run", "--rm", "bench-hello"]));
        let other = |turn| match &bundle {
            Ok(bundle) => bundle.measure(turn).map_err(|error| format!("{error:#}")),
            Err(reason) => Err(reason.clone()),
        };
        let (ours, theirs) = in_turns(ours, other)?;
        rows.extend(
            self::rows("minke run --rm IMAGE", &ours, (name, &theirs), reach)
                .into_iter()
                .take(1),
        );
    }
    Ok(rows)
}

fn write_image(context: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(context)?;
    std::fs::copy(guests_dir().join("hello.wasm"), context.join("hello.wasm"))?;
    std::fs::write(
        context.join("Balenafile"),
        "FROM scratch\nCOPY hello.wasm /usr/bin/\nCMD [\"hello\"]\n",
    )?;
    Ok(())
}

type Theirs = Result<Vec<Usage>, String>;

/// Runs both sides one after the other, [`ROUNDS`] times; a side that fails is not tried again.
fn in_turns(
    ours: impl Fn() -> Result<Usage>,
    theirs: impl Fn(usize) -> Result<Usage, String>,
) -> Result<(Vec<Usage>, Theirs)> {
    let (mut our_figures, mut their_figures) = (Vec::new(), Ok(Vec::new()));
    for turn in 0..WARM_UP + ROUNDS {
        our_figures.push(ours()?);
        if let Ok(figures) = &mut their_figures {
            match theirs(turn) {
                Ok(usage) => figures.push(usage),
                Err(reason) => their_figures = Err(reason),
            }
        }
    }
    let warm = |figures: Vec<Usage>| figures[WARM_UP..].to_vec();
    Ok((warm(our_figures), their_figures.map(warm)))
}

/// A row for the time and one for the peak memory.
fn rows(
    measure: &str,
    ours: &[Usage],
    (name, theirs): (&'static str, &Theirs),
    reach: Reach,
) -> Vec<Row> {
    let row = |what: &str, unit, figure: fn(&Usage) -> f64| {
        let ours: Vec<f64> = ours.iter().map(figure).collect();
        let theirs = theirs
            .as_ref()
            .map(|it| it.iter().map(figure).collect())
            .map_err(Clone::clone);
        Row::compare(
            format!("`{measure}`, {what}"),
            unit,
            &ours,
            (name, &theirs),
            reach,
        )
    };
    vec![
        row("time", Unit::Milliseconds, |it| it.wall_ms),
        row("peak memory", Unit::Mebibytes, |it| it.peak_mib),
    ]
}
