//! `minke ps`: containers as a table, ids or as `--format` says.

use clap::Args;
use minke_engine::spec::{PublishedPort, TransportSpec};
use minke_engine::{Container, Status};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{ago, print, seconds_since};
use crate::report::Report;

/// Longest command that the table shows. Docker: `cli/command/formatter`, 20 characters with quotes.
const COMMAND_CHARS_MAX: usize = 20;

/// List containers
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Show those that have ended too
    #[arg(short, long)]
    all: bool,

    /// Show ids only
    #[arg(short, long)]
    quiet: bool,

    /// Show whole ids and commands
    #[arg(long)]
    no_trunc: bool,

    /// `table`, `json` (one object per line), or a template such as `{{.ID}} {{.Names}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// Docker: `cli/command/formatter/container.go`, `NewContainerContext()`.
const LIST: List = List {
    fields: &[
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("Names", "NAMES"),
        ("Networks", "NETWORKS"),
        ("Ports", "PORTS"),
        ("RunningFor", "CREATED"),
        ("State", "STATE"),
        ("Status", "STATUS"),
    ],
    columns: &[
        "ID",
        "Image",
        "Command",
        "RunningFor",
        "Status",
        "Ports",
        "Names",
    ],
};

/// Docker's fields of `docker ps --format json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    command: String,
    created_at: String,
    #[serde(rename = "ID")]
    id: String,
    image: String,
    labels: String,
    mounts: String,
    names: String,
    networks: String,
    ports: String,
    running_for: String,
    state: &'static str,
    status: String,
}

impl Ps {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let containers = engine.containers()?;
        let shown = containers
            .iter()
            .filter(|container| self.all || container.state.status == Status::Running);
        let rows: Vec<Row> = shown.map(|container| self.row(container)).collect();
        let text = match self.quiet {
            true => rows.iter().map(|row| format!("{}\n", row.id)).collect(),
            false => LIST.text(&self.format, &rows)?,
        };
        print(&text)?;
        Ok(0)
    }

    fn row(&self, container: &Container) -> Row {
        let config = &container.config;
        let labels = config
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let mounts = config.spec.mounts.iter().map(super::inspect::mount_source);
        Row {
            command: self.command(container),
            created_at: config.created_at.clone(),
            id: match self.no_trunc {
                true => container.id().to_owned(),
                false => container.short_id().to_owned(),
            },
            image: config.image.clone(),
            labels: labels.collect::<Vec<_>>().join(","),
            mounts: mounts.collect::<Vec<_>>().join(","),
            names: config.name.clone(),
            networks: super::inspect::network_name(config.spec.network.mode).to_owned(),
            ports: ports(container),
            running_for: format!("{} ago", ago(seconds_since(&config.created_at))),
            state: container.state.status.word(),
            status: status(container),
        }
    }

    fn command(&self, container: &Container) -> String {
        let command = container.config.spec.process.args.join(" ");
        if self.no_trunc || command.chars().count() <= COMMAND_CHARS_MAX {
            return format!("\"{command}\"");
        }
        let start: String = command.chars().take(COMMAND_CHARS_MAX - 1).collect();
        format!("\"{start}…\"")
    }
}

/// Docker: `container/state.go`, `String()`.
fn status(container: &Container) -> String {
    let state = &container.state;
    let since = |time: &Option<String>| ago(time.as_deref().map_or(0, seconds_since));
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up {}", since(&state.started_at)),
        Status::Exited => format!(
            "Exited ({}) {} ago",
            state.exit_code,
            since(&state.finished_at)
        ),
    }
}

/// Docker: `cli/command/formatter/container.go`, `DisplayablePorts()`, without ranges.
fn ports(container: &Container) -> String {
    if container.state.status != Status::Running {
        return String::new();
    }
    let published = &container.state.published;
    let mut shown: Vec<String> = published.iter().map(published_port).collect();
    for exposed in &container.config.exposed_ports {
        let is_published = published.iter().any(|port| *exposed == guest_port(port));
        if !is_published {
            shown.push(exposed.clone());
        }
    }
    shown.join(", ")
}

fn published_port(port: &PublishedPort) -> String {
    let host = match port.host_address {
        Some(address) => std::net::SocketAddr::new(address, port.host_port).to_string(),
        None => port.host_port.to_string(),
    };
    format!("{host}->{}", guest_port(port))
}

/// Returns `3000/tcp`.
pub(super) fn guest_port(port: &PublishedPort) -> String {
    let transport = match port.transport {
        TransportSpec::Tcp => "tcp",
        TransportSpec::Udp => "udp",
    };
    format!("{}/{transport}", port.guest_port)
}
