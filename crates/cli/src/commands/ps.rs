//! `minke ps`: containers as a table, ids or JSON.

use clap::{Args, ValueEnum};
use minke_engine::spec::{PublishedPort, TransportSpec};
use minke_engine::{Container, Status};
use serde::Serialize;

use crate::commands::engine;
use crate::output::{ago, print, seconds_since, table};
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

    /// `table`, or `json`: one object per line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

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
        let lines =
            |line: &dyn Fn(&Row) -> String| rows.iter().map(|row| line(row) + "\n").collect();
        let text: String = match (self.quiet, self.format) {
            (true, _) => lines(&|row| row.id.clone()),
            (false, Format::Table) => table(&cells(&rows)),
            (false, Format::Json) => {
                lines(&|row| serde_json::to_string(row).expect("texts are JSON"))
            }
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

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let heading = [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ];
    let heading = heading.map(str::to_owned).to_vec();
    let cells = rows.iter().map(|row| {
        let cells = [
            &row.id,
            &row.image,
            &row.command,
            &row.running_for,
            &row.status,
            &row.ports,
            &row.names,
        ];
        cells.map(String::clone).to_vec()
    });
    std::iter::once(heading).chain(cells).collect()
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
