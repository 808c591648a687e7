//! `cargo xtask guests`: compiles and fetches the programs that tests, examples and benchmarks run.
//!
//! A [`Unit`] is one step with its inputs and outputs. A unit is done again when the digest of its
//! inputs, recipe and compiler differs from the one kept beside its outputs ([`stamp`]), so a
//! second run reads files and starts no compiler.

mod base;
mod catalogue;
mod fetch;
mod linux;
mod recipe;
mod stamp;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::layout::guests_dir;
pub use catalogue::EXAMPLES;
pub use linux::rust::{TOOLCHAIN as LINUX_TOOLCHAIN, link};
use recipe::Recipe;

/// Units made at once: each is a single-threaded compiler, and the smallest machine has two cores.
const JOBS: usize = 2;

/// One step: what it reads, what it does, what it leaves.
pub struct Unit {
    pub name: String,
    /// Chosen by `cargo xtask guests GROUP` too.
    pub group: &'static str,
    /// Files, and directories with everything below them, relative to the workspace.
    pub inputs: Vec<PathBuf>,
    pub recipe: Recipe,
}

/// `guests [NAME...] [--list]`.
pub fn command(args: &[String]) -> Result<()> {
    let units = catalogue::units()?;
    if args.iter().any(|it| it == "--list") {
        units
            .iter()
            .for_each(|it| println!("{}\t{}", it.name, it.group));
        return Ok(());
    }
    let start = Instant::now();
    let made = make(select(units, args)?)?;
    println!(
        "guests: {made} made in {:.1} s, all in {}",
        start.elapsed().as_secs_f32(),
        guests_dir().display()
    );
    Ok(())
}

/// Makes the units or groups of these names; every unit but the benchmarks' if there are none.
pub fn ensure(names: &[&str]) -> Result<usize> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    make(select(catalogue::units()?, &names)?)
}

/// The names of all programs, each once: those under `guests/`, the published ones, the examples.
pub fn programs() -> Result<Vec<String>> {
    let mut names: Vec<String> = EXAMPLES.iter().map(ToString::to_string).collect();
    let units = catalogue::units()?;
    for unit in units.iter().filter(|it| it.is_program()) {
        let outputs = unit.recipe.outputs();
        let stems = outputs
            .iter()
            .filter_map(|it| it.file_name()?.to_str()?.split('.').next());
        names.extend(stems.map(str::to_string));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn select(units: Vec<Unit>, names: &[String]) -> Result<Vec<Unit>> {
    if names.is_empty() {
        return Ok(units
            .into_iter()
            .filter(|it| it.group != catalogue::BENCH)
            .collect());
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| !units.iter().any(|it| it.is_called(name)))
    {
        bail!("unknown guest `{unknown}`\nhint: `cargo xtask guests --list` names them all");
    }
    let is_named = |unit: &Unit| names.iter().any(|name| unit.is_called(name));
    let needs_programs = units.iter().any(|it| is_named(it) && it.is_image());
    let is_wanted = |unit: &Unit| is_named(unit) || (needs_programs && unit.is_in_base());
    let wants = |which: fn(&Recipe) -> bool| {
        let mut wanted = units.iter().filter(|it| is_wanted(it));
        wanted.any(|it| which(&it.recipe))
    };
    let needs_sdk = wants(Recipe::is_in_rust_for_linux);
    let needs_cplusplus = needs_sdk || wants(|it| matches!(it, Recipe::LinuxSdk));
    let needs_library =
        needs_cplusplus || wants(|it| matches!(it, Recipe::Linux(_) | Recipe::LinuxCplusplus));
    Ok(units
        .into_iter()
        .filter(|it| {
            is_wanted(it)
                || (needs_library && it.is_library())
                || (needs_cplusplus && it.is_cplusplus())
                || (needs_sdk && it.is_sdk())
        })
        .collect())
}

impl Unit {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.group == name
    }

    fn is_library(&self) -> bool {
        matches!(self.recipe, Recipe::LinuxLibrary)
    }

    /// Whether it is made with the library.
    fn is_cplusplus(&self) -> bool {
        matches!(self.recipe, Recipe::LinuxCplusplus)
    }

    fn is_sdk(&self) -> bool {
        matches!(self.recipe, Recipe::LinuxSdk)
    }

    fn needs_sdk(&self) -> bool {
        self.recipe.is_in_rust_for_linux()
    }

    /// Whether it is made of other units.
    fn is_image(&self) -> bool {
        matches!(self.recipe, Recipe::Base(_))
    }

    fn is_in_base(&self) -> bool {
        let name = self.name.strip_prefix("linux-").unwrap_or_default();
        base::PROGRAMS.contains(&name)
    }

    fn is_program(&self) -> bool {
        let is_none = matches!(
            self.recipe,
            Recipe::LinuxLibrary
                | Recipe::LinuxCplusplus
                | Recipe::LinuxSdk
                | Recipe::LinuxSources(_)
                | Recipe::Base(_)
        );
        !EXAMPLES.contains(&self.group) && !is_none
    }
}

/// Makes each unit that is not up to date, libraries first and last what is made of other units; returns how many there were.
fn make(units: Vec<Unit>) -> Result<usize> {
    let (libraries, others): (Vec<_>, Vec<_>) = units.into_iter().partition(Unit::is_library);
    let (over_them, others): (Vec<_>, Vec<_>) = others.into_iter().partition(Unit::is_cplusplus);
    let is_late = |unit: &Unit| unit.is_image() || unit.needs_sdk();
    let (images, programs) = others.into_iter().partition(is_late);
    let stages = [libraries, over_them, programs, images];
    stages.into_iter().map(make_side_by_side).sum()
}

/// Makes units that do not need each other, [`JOBS`] at a time.
fn make_side_by_side(units: Vec<Unit>) -> Result<usize> {
    let mut stale = VecDeque::new();
    for unit in units {
        let digest = stamp::digest(&unit)?;
        if !stamp::is_current(&unit, &digest) {
            stale.push_back((unit, digest));
        }
    }
    let count = stale.len();
    let queue = Mutex::new(stale);
    let errors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| work(&queue, &errors));
        }
    });
    let errors = errors
        .into_inner()
        .expect("no worker panics with the lock held");
    match errors.is_empty() {
        true => Ok(count),
        false => bail!("{}", errors.join("\n")),
    }
}

fn work(queue: &Mutex<VecDeque<(Unit, String)>>, errors: &Mutex<Vec<String>>) {
    loop {
        let next = queue
            .lock()
            .expect("no worker panics with the lock held")
            .pop_front();
        let Some((unit, digest)) = next else {
            return;
        };
        println!("guests: {}", unit.name);
        if let Err(error) = make_one(&unit, &digest) {
            errors
                .lock()
                .expect("no worker panics with the lock held")
                .push(format!("{error:#}"));
        }
    }
}

fn make_one(unit: &Unit, digest: &str) -> Result<()> {
    stamp::forget(unit)?;
    unit.recipe
        .make()
        .with_context(|| format!("guest `{}`", unit.name))?;
    stamp::remember(unit, digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_guest_is_named() {
        let error = ensure(&["no-such-guest"]).expect_err("there is none of this name");
        assert!(error.to_string().contains("`no-such-guest`"), "{error}");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = catalogue::units()
            .expect("a catalogue")
            .into_iter()
            .map(|it| it.name)
            .collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
