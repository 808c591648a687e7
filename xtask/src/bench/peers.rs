//! What minke is compared with: the `wasmtime` command, OCI runtimes, native programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::usage::{Usage, measure};
use crate::layout::{guests_dir, target_dir};
use crate::process::{cargo, find, read, run, run_quietly};

/// The version that minke itself is built on.
const WASMTIME_VERSION: &str = "48.0.8";

pub struct Peers {
    wasmtime: Option<PathBuf>,
}

impl Peers {
    /// Looks in `$PATH`, then where `--install` puts it.
    pub fn find() -> Peers {
        let installed = tools_dir().join("bin/wasmtime");
        Peers {
            wasmtime: find("wasmtime").or_else(|| installed.is_file().then_some(installed)),
        }
    }

    /// `wasmtime run ARGS`, if it is there.
    pub fn wasmtime(&self, args: &[&str]) -> Result<Command, String> {
        let program = self
            .wasmtime
            .as_ref()
            .ok_or("no `wasmtime` in PATH: `cargo xtask bench --install` builds it")?;
        let mut command = Command::new(program);
        command.arg("run").args(args);
        Ok(command)
    }
}

fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Builds the `wasmtime` command; takes ten minutes of two cores.
pub fn install_wasmtime() -> Result<()> {
    if Peers::find().wasmtime.is_some() {
        return Ok(());
    }
    eprintln!("bench: cargo install wasmtime-cli {WASMTIME_VERSION}");
    let mut command = cargo();
    command.args([
        "install",
        "wasmtime-cli",
        "--quiet",
        "--locked",
        "--version",
        WASMTIME_VERSION,
        "--root",
    ]);
    run(command.arg(tools_dir()))
}

/// A native program of the benchmarks' group.
pub fn native(name: &str) -> PathBuf {
    guests_dir().join("native").join(name)
}

/// An OCI bundle of a static hello for `runtime`, run once to see that it can.
pub struct Bundle {
    runtime: PathBuf,
    directory: PathBuf,
}

impl Bundle {
    pub fn prepare(runtime: &str) -> Result<Bundle, String> {
        let program = find(runtime).ok_or_else(|| format!("`{runtime}` is not installed"))?;
        let directory = guests_dir()
            .join("native")
            .join(format!("bundle-{runtime}"));
        let bundle = Bundle {
            runtime: program,
            directory,
        };
        bundle.write().map_err(|error| format!("{error:#}"))?;
        bundle.try_out()?;
        Ok(bundle)
    }

    fn write(&self) -> Result<()> {
        let rootfs = self.directory.join("rootfs");
        fs::create_dir_all(&rootfs)?;
        fs::copy(native("hello"), rootfs.join("hello")).context("the static hello is missing")?;
        let config = self.directory.join("config.json");
        let _ = fs::remove_file(&config);
        let mut spec = Command::new(&self.runtime);
        spec.arg("spec").current_dir(&self.directory);
        if read(Command::new("id").arg("-u"))? != "0" {
            spec.arg("--rootless");
        }
        run(&mut spec)?;
        edit(&config)
    }

    /// The runtime's own words, if it cannot run here.
    fn try_out(&self) -> Result<(), String> {
        let output = self
            .command("minke-bench-try")
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Err(text
            .lines()
            .next()
            .unwrap_or("it failed without a word")
            .to_string())
    }

    fn command(&self, id: &str) -> Command {
        let mut command = self.call(&["run"]);
        command.arg(id);
        command
    }

    fn call(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.runtime);
        if self.runtime.ends_with("crun") {
            // It would want limits that only a host's first root may set.
            command.arg("--cgroup-manager=disabled");
        }
        command.args(words).current_dir(&self.directory);
        command
    }

    /// Starts a container that stays, of a program that waits for its end.
    pub fn hold(runtime: &str) -> Result<Held, String> {
        let bundle = Bundle::prepare(runtime)?;
        let start = || -> Result<()> {
            fs::copy(
                native("processes"),
                bundle.directory.join("rootfs/processes"),
            )
            .context("the static program is missing")?;
            let config = bundle.directory.join("config.json");
            set_arguments(&config, &["/processes", "hold"])?;
            run_quietly(&mut bundle.call(&["run", "--detach", HELD]))
        };
        start().map_err(|error| format!("{error:#}"))?;
        Ok(Held(bundle))
    }

    pub fn measure(&self, turn: usize) -> Result<Usage> {
        measure(&mut self.command(&format!("minke-bench-{turn}")))
    }
}

/// The name of a container that stays.
const HELD: &str = "minke-bench-held";

/// A container of another runtime, for as long as this lives.
pub struct Held(Bundle);

impl Held {
    /// Runs a program in it that does nothing.
    pub fn exec(&self) -> Result<Usage> {
        measure(&mut self.0.call(&["exec", HELD, "/processes", "nothing"]))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It is removed even if it does not run any more.
        let _ = run_quietly(&mut self.0.call(&["delete", "--force", HELD]));
    }
}

/// Makes the default configuration run our program without a terminal.
fn edit(config: &Path) -> Result<()> {
    set_arguments(config, &["/hello"])
}

fn set_arguments(config: &Path, words: &[&str]) -> Result<()> {
    let mut spec: Value = serde_json::from_str(&fs::read_to_string(config)?)?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(words);
    fs::write(config, serde_json::to_string(&spec)?)
        .context("cannot write the bundle's configuration")
}
