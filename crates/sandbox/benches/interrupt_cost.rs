//! What the checks cost: the same code compiled with and without them, run in turns.
//!
//! Further kernels may be given as arguments: paths of modules without imports that export
//! `run` without parameters.

use std::path::Path;
use std::time::{Duration, Instant};

use minke_sandbox::runtime::engine::{Allocation, Engines, Pool, wasm_features};
use minke_sandbox::runtime::instrument;
use wasmtime::{Engine, Instance, Module, Store, TypedFunc};

mod report;

use report::median;

/// Turns that the median is of, and how long each takes about.
const TURNS: usize = 15;
const TURN: Duration = Duration::from_millis(40);

fn main() {
    let engines = Engines::new(Pool::Always { instances_max: 4 });
    let engine = engines.get(Allocation::Pooled).expect("an engine");
    let mut logarithms = Vec::new();
    let mut worst = 0.0_f64;
    for (name, wasm) in kernels() {
        let ratio = compare(&engine, &wasm);
        logarithms.push(ratio.ln());
        worst = worst.max(ratio);
        report::print(&format!("interrupt_cost/{name}"), &[("ratio", ratio)]);
    }
    let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
    let figures = [("geometric_mean", mean.exp()), ("worst", worst)];
    report::print("interrupt_cost", &figures);
}

fn kernels() -> Vec<(String, Vec<u8>)> {
    let own = include_str!("kernels.wat");
    let mut kernels: Vec<_> = own
        .split(";; kernel: ")
        .skip(1)
        .map(|part| {
            let (name, text) = part.split_once('\n').expect("a name ends with its line");
            (name.to_owned(), wat::parse_str(text).expect("a module"))
        })
        .collect();
    for argument in std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
    {
        let wasm = std::fs::read(&argument).expect("the file can be read");
        let name = Path::new(&argument).file_stem().unwrap_or_default();
        kernels.push((name.to_string_lossy().into_owned(), wasm));
    }
    kernels
}

/// One version of a kernel, ready to be called.
struct Version {
    store: Store<()>,
    run: TypedFunc<(), ()>,
}

impl Version {
    fn new(engine: &Engine, wasm: &[u8]) -> Version {
        let module = Module::new(engine, wasm).expect("it compiles");
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("it has no imports");
        let run = instance
            .get_typed_func(&mut store, "run")
            .expect("it exports `run`");
        Version { store, run }
    }

    fn time(&mut self, calls: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..calls {
            self.run.call(&mut self.store, ()).expect("it returns");
        }
        start.elapsed().as_secs_f64()
    }
}

/// Returns the time with checks, of the time without.
fn compare(engine: &Engine, wasm: &[u8]) -> f64 {
    let instrumented = instrument::instrument(wasm, wasm_features()).expect("it is valid");
    let mut plain = Version::new(engine, wasm);
    let mut checked = Version::new(engine, &instrumented);
    let once = plain.time(1).max(1e-7);
    let calls = (TURN.as_secs_f64() / once).ceil().max(1.0) as u32;
    checked.time(calls);
    let ratios = (0..TURNS).map(|_| {
        // The other way round every time, so that a change of clock speed hits both.
        let (before, with, after) = (plain.time(calls), checked.time(calls), plain.time(calls));
        2.0 * with / (before + after)
    });
    median(ratios.collect())
}
