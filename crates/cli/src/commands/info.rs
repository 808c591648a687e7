//! `minke info`: the machine and what is kept on it.

use std::fmt::Write;

use clap::Args;
use minke_engine::{Engine, Status};
use serde_json::{Value, json};

use crate::commands::engine;
use crate::format::Format;
use crate::output::{binary_size, print};
use crate::report::Report;

/// Show how many containers and images there are, and what they run on
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke info\n  minke info --format '{{.ContainersRunning}} of {{.Containers}}'"
)]
pub(crate) struct Info {
    /// `json`, or a template such as `{{.Containers}}`
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,
}

/// Docker: `cli/command/system/info.go`, its words; a field, and whether it is a part of the one before.
const LINES: &[(&str, &str)] = &[
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Security Options", "SecurityOptions"),
    ("Cgroup Version", "CgroupVersion"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("Docker Root Dir", "DockerRootDir"),
];

impl Info {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let value = describe(&engine)?;
        print(&self.format.object(&value, || lines(&value))?)?;
        Ok(0)
    }
}

fn describe(engine: &Engine) -> Result<Value, Report> {
    let containers = engine.containers()?;
    let count = |status| {
        let with = containers.iter().filter(|it| it.state.status == status);
        with.count()
    };
    let (running, paused) = (count(Status::Running), count(Status::Paused));
    let uname = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    let has_cgroups = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    Ok(json!({
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused,
        "Images": engine.images()?.len(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "SecurityOptions": security(),
        "CgroupVersion": if has_cgroups { "2" } else { "none" },
        "KernelVersion": uname.release().to_string_lossy(),
        "OperatingSystem": operating_system(),
        "OSType": std::env::consts::OS,
        "Architecture": std::env::consts::ARCH,
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": (memory.totalram as u64).saturating_mul(u64::from(memory.mem_unit.max(1))),
        "Name": uname.nodename().to_string_lossy(),
        "DockerRootDir": engine.home().data,
    }))
}

fn security() -> Vec<String> {
    let landlock = match minke_engine::landlock_version() {
        0 => None,
        version => Some(format!("name=landlock,version={version}")),
    };
    std::iter::once("name=seccomp".to_owned())
        .chain(landlock)
        .collect()
}

/// Spec: os-release(5), `PRETTY_NAME`.
fn operating_system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or(std::env::consts::OS)
        .trim_matches('"')
        .to_owned()
}

fn lines(value: &Value) -> String {
    let mut text = String::new();
    for (heading, field) in LINES {
        let shown = match &value[field] {
            Value::String(text) => text.clone(),
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            Value::Number(bytes) if *field == "MemTotal" => {
                binary_size(bytes.as_u64().unwrap_or(0))
            }
            other => other.to_string(),
        };
        // A string takes everything.
        let _ = writeln!(text, "{heading}: {shown}");
    }
    text
}
