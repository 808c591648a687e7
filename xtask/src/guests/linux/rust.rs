//! Programs in Rust: built as `minke cargo` builds them, with this program in the place of `minke`, which is built later.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};
use minke_sdk::arguments::Compiler;
use minke_sdk::{System, Tools, compile};

use super::{sdk, sources, tools};
use crate::layout::guests_dir;

/// The toolchain, since theirs is younger than ours; rustup calls it so.
pub const TOOLCHAIN: &str = "1.99.1";

/// Where the programs are: a workspace of their own.
pub const WORKSPACE: &str = "guests/linux/rust";

pub fn version() -> Result<String> {
    Ok(format!("{TOOLCHAIN} {}", tools::version()?))
}

/// Returns a cargo that builds for containers.
pub fn cargo() -> Result<Command> {
    let system = system()?;
    forget_if_changed(&system)?;
    let ours = std::env::current_exe().context("this program has no path")?;
    let variables = minke_sdk::rust::variables(&system, &environment(), &ours)?;
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN, "cargo"]).envs(variables);
    Ok(command)
}

/// Removes what was compiled with another wrapper of rustc, which cargo takes for current: its file's name is the same.
fn forget_if_changed(system: &System) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .expect("nobody panics with the lock held");
    let built = guests_dir().join(".cargo").join(minke_sdk::rust::TARGET);
    let kept = built.join("minke-rustc");
    let wrapper = fs::read(system.directory.join("bin/minke-rustc"))?;
    if fs::read(&kept).is_ok_and(|it| it == wrapper) {
        return Ok(());
    }
    sources::remove(&built)?;
    fs::create_dir_all(&built)?;
    fs::write(&kept, wrapper).with_context(|| format!("cannot write {}", kept.display()))
}

/// `cc ARG...`: what such a cargo links with.
pub fn link(arguments: &[String]) -> Result<()> {
    let words: Vec<_> = arguments.iter().map(Into::into).collect();
    let done = compile(&system()?, &environment(), Compiler::C, &words)?;
    std::process::exit(done.code.into());
}

fn system() -> Result<System> {
    Ok(System::open(
        Some(sdk::directory()),
        &sdk::directory(),
        None,
    )?)
}

fn environment() -> Tools {
    Tools::from_environment(|name| std::env::var_os(name))
}
