//! `minke inspect`: all that is known of containers and images, in Docker's field names.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use minke_engine::filter::network_name;
use minke_engine::spec::{MountSpec, PublishedPort, ResourceSpec};
use minke_engine::syntax::guest_port_name;
use minke_engine::{Container, Engine, EngineError, Status, snapshot_bytes};
use serde_json::{Value, json};

use super::image::inspect::image_json;
use crate::commands::engine;
use crate::format::Format;
use crate::output::print;
use crate::report::{self, Report};

/// Docker's time of what has not happened yet.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Show all that is known of containers or images, as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke inspect web\n  minke inspect -f '{{.State.ExitCode}}' web"
)]
pub(crate) struct Inspect {
    /// `json`, or a template for each, such as `{{.State.Status}}`
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,

    /// Look for one kind only
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Kind>,

    /// Show the sizes of containers too
    #[arg(short, long)]
    size: bool,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        self.run_for(self.kind)
    }

    /// As `minke container inspect`: looks for containers alone.
    pub(super) fn run_for_containers(&self) -> Result<u8, Report> {
        self.run_for(Some(Kind::Container))
    }

    fn run_for(&self, kind: Option<Kind>) -> Result<u8, Report> {
        let engine = engine()?;
        let mut found = Vec::new();
        let mut code = 0;
        for name in &self.names {
            match self.inspect(&engine, name, kind) {
                Ok(value) => found.push(value),
                Err(report) => {
                    report.print();
                    code = report::Kind::Command.exit_code();
                }
            }
        }
        print(&inspected(&self.format, found)?)?;
        Ok(code)
    }

    /// Looks for a container, then for an image; it is the container that is missed when there is neither.
    fn inspect(&self, engine: &Engine, name: &str, kind: Option<Kind>) -> Result<Value, Report> {
        let missing = match kind {
            Some(Kind::Image) => None,
            _ => match engine.container(name) {
                Ok(container) => return Ok(self.container(engine, &container)),
                Err(error) => Some(error),
            },
        };
        match (engine.store()?.image(name), missing) {
            (Ok(image), _) if kind != Some(Kind::Container) => Ok(image_json(&image)),
            (_, Some(missing)) => Err(missing.into()),
            (result, None) => Ok(image_json(&result.map_err(EngineError::from)?)),
        }
    }

    fn container(&self, engine: &Engine, container: &Container) -> Value {
        let mut value = container_json(engine, container);
        if self.size {
            let written = engine.written_bytes(container);
            let image = container.config.image_id.as_deref();
            value["SizeRw"] = written.into();
            value["SizeRootFs"] = (written + image.map_or(0, |id| image_bytes(engine, id))).into();
        }
        value
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Container,
    Image,
}

/// Returns the size of an image; 0 when it is gone.
pub(super) fn image_bytes(engine: &Engine, id: &str) -> u64 {
    let image = engine.store().ok().and_then(|store| store.image(id).ok());
    image.map_or(0, |image| image.size_bytes)
}

/// Returns what `inspect` prints of what it found: a list, or a template's text for each.
pub(super) fn inspected(format: &Format, found: Vec<Value>) -> Result<String, Report> {
    match format {
        Format::Table => {
            let text = serde_json::to_string_pretty(&found).expect("values are JSON");
            Ok(text + "\n")
        }
        Format::Json => Ok(format!("{}\n", Value::from(found))),
        Format::TableOf(template) | Format::Each(template) => {
            let lines = found.iter().map(|value| Ok(template.render(value)? + "\n"));
            lines.collect()
        }
    }
}

/// Docker: `GET /containers/{id}/json`, the fields that apply.
fn container_json(engine: &Engine, container: &Container) -> Value {
    let (config, state) = (&container.config, &container.state);
    let process = &config.spec.process;
    let directory = engine.home().containers().join(container.id());
    json!({
        "Id": container.id(),
        "Name": format!("/{}", config.name),
        "Created": config.created_at,
        "Path": process.args.first(),
        "Args": process.args.get(1..).unwrap_or_default(),
        "State": {
            "Status": state.status.word(),
            "Running": state.is_up(),
            "Paused": state.status == Status::Paused,
            "Restarting": state.status == Status::Restarting,
            "OOMKilled": state.is_out_of_memory,
            "Dead": state.status == Status::Dead,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "Reason": state.reason,
            "StartedAt": state.started_at.as_deref().unwrap_or(NEVER),
            "FinishedAt": state.finished_at.as_deref().unwrap_or(NEVER),
            "Health": config.health_check.as_ref().filter(|check| check.is_on()).map(|_| {
                // Docker: `none` is for a container that nobody checks.
                json!({ "Status": "none", "FailingStreak": 0, "Log": null })
            }),
        },
        "RestartCount": state.restart_count,
        "Image": config.image_id,
        "Platform": "wasi",
        // Ours alone: `fully`, `partly` or `no`, by what Landlock this host's kernel has.
        "FilesConfined": state.files_confined,
        // Ours alone: where the host holds the limits too, if it does.
        "ControlGroup": state.control_group,
        "LogPath": directory.join("log"),
        "HostConfig": host_config(container),
        // Ours alone.
        "Snapshots": snapshots(engine, container),
        "Mounts": config.spec.mounts.iter().map(mount_json).collect::<Vec<_>>(),
        "Config": {
            "Hostname": config.spec.hostname,
            "User": process.user,
            "ExposedPorts": config.exposed_ports.iter().map(|port| (port.clone(), json!({}))).collect::<BTreeMap<_, _>>(),
            "Env": process.env,
            "Entrypoint": config.entrypoint,
            "Cmd": config.command,
            "Image": config.image,
            "WorkingDir": process.cwd,
            "Labels": config.labels,
            "Healthcheck": config.health_check,
            "StopSignal": process.stop_signal,
            "StopTimeout": config.stop_timeout_s,
            "Tty": process.has_terminal,
            "OpenStdin": process.is_stdin_open,
            "StdinOnce": process.is_stdin_once,
        },
        "NetworkSettings": { "Ports": ports(container) },
    })
}

fn host_config(container: &Container) -> Value {
    let spec = &container.config.spec;
    json!({
        "AutoRemove": container.config.is_auto_removed,
        "RestartPolicy": {
            "Name": container.config.restart.name(),
            "MaximumRetryCount": container.config.restart.retries_max(),
        },
        "Init": container.config.has_init,
        "ExtraHosts": spec.network.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect::<Vec<_>>(),
        "PortBindings": bindings(&spec.network.published),
        "Memory": spec.limits.memory_bytes_max,
        "PidsLimit": spec.limits.pids_max,
        "NanoCpus": spec.limits.cpus.map_or(0, |cpus| (cpus * 1e9) as u64),
        "CpuShares": spec.limits.cpu_shares.unwrap_or(0),
        "Ulimits": spec.limits.resources.iter().map(ulimit).collect::<Vec<_>>(),
        "StorageOpt": spec.limits.root_bytes_max.map(|bytes| json!({ "size": bytes.to_string() })),
        "NetworkMode": network_name(spec.network.mode),
        "ReadonlyRootfs": spec.root.is_read_only,
        "LogConfig": { "Type": "json-file", "Config": {} },
    })
}

/// The snapshots of a container's root; null where the list of them cannot be read.
fn snapshots(engine: &Engine, container: &Container) -> Value {
    let Ok(snapshots) = engine.snapshots(container) else {
        return Value::Null;
    };
    let values = snapshots.iter().map(|snapshot| {
        json!({
            "Name": snapshot.name,
            "CreatedAt": snapshot.created_at,
            "Parent": snapshot.parent,
            "Current": snapshot.is_current,
            "Size": snapshot_bytes(snapshot),
        })
    });
    values.collect()
}

/// Published and exposed ports; those of a container that runs with the addresses that were bound.
fn ports(container: &Container) -> BTreeMap<String, Value> {
    let exposed = container.config.exposed_ports.iter();
    let mut ports: BTreeMap<_, _> = exposed.map(|port| (port.clone(), Value::Null)).collect();
    if container.state.is_up() {
        ports.extend(bindings(&container.state.published));
    }
    ports
}

/// Where ports are published: a list for each.
fn bindings(published: &[PublishedPort]) -> BTreeMap<String, Value> {
    let mut ports: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in published {
        let binding = json!({
            "HostIp": port.host_address.map(|address| address.to_string()).unwrap_or_default(),
            "HostPort": match port.host_port {
                0 => String::new(),
                port => port.to_string(),
            },
        });
        ports
            .entry(guest_port_name(port))
            .or_default()
            .push(binding);
    }
    ports
        .into_iter()
        .map(|(name, list)| (name, list.into()))
        .collect()
}

/// Docker: -1 is no limit.
fn ulimit(resource: &ResourceSpec) -> Value {
    let shown = |limit: u64| i64::try_from(limit).unwrap_or(-1);
    json!({
        "Name": resource.name,
        "Soft": shown(resource.soft),
        "Hard": shown(resource.hard),
    })
}

fn mount_json(mount: &MountSpec) -> Value {
    match mount {
        MountSpec::Bind {
            source,
            target,
            is_read_only,
        } => json!({
            "Type": "bind",
            "Source": source,
            "Destination": target,
            "Mode": if *is_read_only { "ro" } else { "" },
            "RW": !is_read_only,
        }),
        MountSpec::Volume {
            name,
            is_disk,
            source,
            target,
            is_read_only,
            ..
        } => json!({
            "Type": "volume",
            "Name": name,
            "Source": source,
            "Destination": target,
            "Driver": if *is_disk { "disk" } else { "local" },
            "Mode": if *is_read_only { "ro" } else { "" },
            "RW": !is_read_only,
        }),
        MountSpec::Disk {
            source,
            target,
            is_read_only,
            ..
        } => json!({
            "Type": "disk",
            "Source": source,
            "Destination": target,
            "Mode": if *is_read_only { "ro" } else { "" },
            "RW": !is_read_only,
        }),
        MountSpec::Tmpfs { target, .. }
        | MountSpec::Layers { target, .. }
        | MountSpec::File { target, .. } => json!({
            "Type": "tmpfs",
            "Source": "",
            "Destination": target,
            "Mode": "",
            "RW": true,
        }),
    }
}

/// Returns what a mount shows of the host.
pub(super) fn mount_source(mount: &MountSpec) -> String {
    match mount {
        MountSpec::Bind { source, .. } | MountSpec::Disk { source, .. } => {
            source.display().to_string()
        }
        MountSpec::Volume { name, .. } => name.clone(),
        MountSpec::Tmpfs { target, .. }
        | MountSpec::Layers { target, .. }
        | MountSpec::File { target, .. } => target.clone(),
    }
}
