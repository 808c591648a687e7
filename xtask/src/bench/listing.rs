//! Listing containers.

use anyhow::Result;

use super::Lab;
use super::report::{Reach, Row, Unit, median};
use super::usage::measure;
use crate::layout::guests_dir;
use crate::process::run_quietly;

const CONTAINERS_COUNT: usize = 100;
const ROUNDS: usize = 21;
const PS_MS_MAX: f64 = 20.0;

/// `minke ps -a` with a hundred containers, none of which runs.
pub fn containers(lab: &Lab) -> Result<Vec<Row>> {
    let module = guests_dir().join("hello.wasm");
    let module = module.to_string_lossy();
    let names: Vec<String> = (0..CONTAINERS_COUNT)
        .map(|number| format!("bench-ps-{number}"))
        .collect();
    for name in &names {
        run_quietly(&mut lab.product.command(&["create", "--name", name, &module]))?;
    }
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        figures.push(measure(&mut lab.product.command(&["ps", "-a"]))?.wall_ms);
    }
    let mut remove = lab.product.command(&["rm", "-f"]);
    run_quietly(remove.args(&names))?;
    Ok(vec![Row::alone(
        format!("minke ps -a, {CONTAINERS_COUNT} containers"),
        Unit::Milliseconds,
        median(&figures),
        Reach::AtMost(PS_MS_MAX),
    )])
}
