//! `minke stats`: what containers use, again and again or once.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use minke_engine::{Container, Engine, EngineError, Status, Usage};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{binary_size, print, size};
use crate::report::Report;

/// Time between two looks; a share of CPU time needs two. Docker: one second.
const INTERVAL: Duration = Duration::from_secs(1);

/// Puts a terminal's cursor home and clears what is below. Spec: ECMA-48, CUP and ED.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Show what containers use of CPU, memory, disk and network
///
/// CPU is a share of one CPU: 200% are two. Memory is what counts against `--memory`: the programs' linear memory, what the kernel
/// in the sandbox keeps (inodes, pipes, sockets), and the contents of files in memory. Block I/O is the sandbox's, as the host counts it.
/// The numbers are shown every second until the command is interrupted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke stats\n  minke stats --no-stream --format '{{.Name}}: {{.MemUsage}}' web"
)]
pub(crate) struct Stats {
    /// Show containers that do not run too
    #[arg(short, long)]
    all: bool,

    /// Show the numbers once
    #[arg(long)]
    no_stream: bool,

    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.Name}} {{.CPUPerc}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Names, ids or beginnings of ids [default: all that run]
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Docker: `cli/command/container/formatter_stats.go`.
const LIST: List = List {
    fields: &[
        ("BlockIO", "BLOCK I/O"),
        ("CPUPerc", "CPU %"),
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("MemCache", "CACHE"),
        ("MemKernel", "KERNEL"),
        ("MemLinear", "LINEAR"),
        ("MemOwn", "MEM OWN"),
        ("MemParts", "LINEAR / KERNEL / CACHE"),
        ("MemPerc", "MEM %"),
        ("MemShared", "MEM SHARED"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("Name", "NAME"),
        ("NetIO", "NET I/O"),
        ("PIDs", "PIDS"),
    ],
    columns: &[
        "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "MemParts", "NetIO", "BlockIO", "PIDs",
    ],
};

#[derive(Serialize)]
struct Row {
    #[serde(rename = "BlockIO")]
    block_io: String,
    #[serde(rename = "CPUPerc")]
    cpu: String,
    #[serde(rename = "Container")]
    container: String,
    #[serde(rename = "ID")]
    id: String,
    /// Ours: contents of files in memory.
    #[serde(rename = "MemCache")]
    memory_cache: String,
    /// Ours: what the kernel in the sandbox keeps: inodes, names, pipes, sockets.
    #[serde(rename = "MemKernel")]
    memory_kernel: String,
    /// Ours: the programs' own memory.
    #[serde(rename = "MemLinear")]
    memory_linear: String,
    /// Ours: these three.
    #[serde(rename = "MemParts")]
    memory_parts: String,
    /// Ours: memory of the sandbox process on the host, which others do not share.
    #[serde(rename = "MemOwn")]
    memory_own: String,
    #[serde(rename = "MemPerc")]
    memory_share: String,
    /// Ours: its program and the image's files, which containers share.
    #[serde(rename = "MemShared")]
    memory_shared: String,
    #[serde(rename = "MemUsage")]
    memory: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "NetIO")]
    net_io: String,
    #[serde(rename = "PIDs")]
    pids: String,
}

/// What one container used at some time.
struct Sample {
    container: Container,
    /// `None` where it does not run.
    usage: Option<Usage>,
    at: Instant,
}

impl Stats {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let mut before = self.samples(&engine)?;
        loop {
            std::thread::sleep(INTERVAL);
            let now = self.samples(&engine)?;
            let rows: Vec<Row> = now.iter().map(|it| self.row(it, &before)).collect();
            let text = LIST.text(&self.format, &rows)?;
            if self.no_stream {
                print(&text)?;
                return Ok(0);
            }
            if !self.show(&text)? {
                return Ok(0);
            }
            before = now;
        }
    }

    /// Shows a round of numbers; `false` when nobody reads them any more.
    fn show(&self, text: &str) -> Result<bool, Report> {
        let mut out = std::io::stdout().lock();
        let is_table = matches!(self.format, Format::Table | Format::TableOf(_));
        let start = match is_table && out.is_terminal() {
            true => CLEAR,
            false => "",
        };
        let shown = out.write_all(format!("{start}{text}").as_bytes());
        match shown.and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn samples(&self, engine: &Engine) -> Result<Vec<Sample>, Report> {
        let containers = match self.containers.is_empty() {
            true => engine.containers()?,
            false => self
                .containers
                .iter()
                .map(|name| engine.container(name))
                .collect::<Result<_, _>>()?,
        };
        let is_shown = |container: &Container| {
            self.all || !self.containers.is_empty() || container.state.has_processes()
        };
        let shown = containers.into_iter().filter(is_shown);
        shown.map(|container| sample(engine, container)).collect()
    }

    fn row(&self, sample: &Sample, before: &[Sample]) -> Row {
        let container = &sample.container;
        let usage = sample.usage.unwrap_or_default();
        let sandbox = usage.sandbox;
        let others = sandbox.kernel_bytes + sandbox.page_bytes;
        let linear = binary_size(sandbox.memory_bytes.saturating_sub(others));
        let kernel = binary_size(sandbox.kernel_bytes);
        let cache = binary_size(sandbox.page_bytes);
        let share = sandbox.memory_bytes as f64 / sandbox.memory_bytes_max.max(1) as f64;
        let earlier = before.iter().find(|it| it.container.id() == container.id());
        Row {
            block_io: pair(usage.disk_read_bytes, usage.disk_written_bytes),
            cpu: format!("{:.2}%", cpu_share(sample, earlier) * 100.0),
            container: container.config.name.clone(),
            id: match self.no_trunc {
                true => container.id().to_owned(),
                false => container.short_id().to_owned(),
            },
            memory_parts: format!("{linear} / {kernel} / {cache}"),
            memory_cache: cache,
            memory_kernel: kernel,
            memory_linear: linear,
            memory_own: binary_size(usage.own_bytes),
            memory_share: format!("{:.2}%", share * 100.0),
            memory_shared: binary_size(usage.file_bytes),
            memory: format!(
                "{} / {}",
                binary_size(sandbox.memory_bytes),
                binary_size(sandbox.memory_bytes_max)
            ),
            name: container.config.name.clone(),
            net_io: pair(sandbox.network_received_bytes, sandbox.network_sent_bytes),
            pids: sandbox.processes.to_string(),
        }
    }
}

fn sample(engine: &Engine, container: Container) -> Result<Sample, Report> {
    let usage = match container.state.status {
        Status::Running | Status::Paused => match engine.usage(&container) {
            Ok(usage) => Some(usage),
            // It ended meanwhile.
            Err(EngineError::NotRunning { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        _ => None,
    };
    Ok(Sample {
        container,
        usage,
        at: Instant::now(),
    })
}

/// Returns CPU time per time between two samples of a container; 0 where there is only one.
fn cpu_share(now: &Sample, before: Option<&Sample>) -> f64 {
    let Some(before) = before else { return 0.0 };
    let used = |sample: &Sample| sample.usage.map(|usage| usage.sandbox.cpu_time_ns);
    let (Some(first), Some(last)) = (used(before), used(now)) else {
        return 0.0;
    };
    let elapsed = now.at.duration_since(before.at).as_nanos().max(1);
    last.saturating_sub(first) as f64 / elapsed as f64
}

fn pair(inward: u64, outward: u64) -> String {
    format!("{} / {}", size(inward), size(outward))
}
