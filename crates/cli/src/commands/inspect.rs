//! `minke inspect`: all that is known of containers and images, in Docker's field names.

use std::collections::BTreeMap;

use clap::Args;
use minke_engine::spec::{MountSpec, NetworkModeSpec};
use minke_engine::{Container, Engine, Status};
use serde_json::{Value, json};

use super::ps::guest_port;
use crate::commands::engine;
use crate::format::Format;
use crate::output::print;
use crate::report::{Kind, Report};

/// Docker's time of what has not happened yet.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Show all that is known of containers or images, as JSON
#[derive(Debug, Args)]
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

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let mut found = Vec::new();
        let mut code = 0;
        for name in &self.names {
            match inspect(&engine, name) {
                Ok(value) => found.push(value),
                Err(report) => {
                    report.print();
                    code = Kind::Command.exit_code();
                }
            }
        }
        print(&inspected(&self.format, found)?)?;
        Ok(code)
    }
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

/// Looks for a container, then for an image; it is the container that is missed when there is neither.
fn inspect(engine: &Engine, name: &str) -> Result<Value, Report> {
    let missing = match engine.container(name) {
        Ok(container) => return Ok(container_json(engine, &container)),
        Err(error) => error,
    };
    match engine.store()?.image(name) {
        Ok(image) => Ok(image_json(&image)),
        Err(_) => Err(missing.into()),
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
            "Running": state.status == Status::Running,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": "",
            "Reason": state.reason,
            "StartedAt": state.started_at.as_deref().unwrap_or(NEVER),
            "FinishedAt": state.finished_at.as_deref().unwrap_or(NEVER),
        },
        "Image": config.image_id,
        // Ours alone: `fully`, `partly` or `no`, by what Landlock this host's kernel has.
        "FilesConfined": state.files_confined,
        "LogPath": directory.join("log"),
        "HostConfig": host_config(container),
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
            "StopSignal": process.stop_signal,
        },
        "NetworkSettings": { "Ports": ports(container) },
    })
}

fn host_config(container: &Container) -> Value {
    let spec = &container.config.spec;
    json!({
        "AutoRemove": container.config.is_auto_removed,
        "Memory": spec.limits.memory_bytes_max,
        "PidsLimit": spec.limits.pids_max,
        "NetworkMode": network_name(spec.network.mode),
        "ReadonlyRootfs": spec.root.is_read_only,
        "LogConfig": { "Type": "json-file", "Config": {} },
    })
}

/// Docker's word for a network mode.
pub(super) fn network_name(mode: NetworkModeSpec) -> &'static str {
    match mode {
        NetworkModeSpec::Private => "private",
        NetworkModeSpec::Host => "host",
        NetworkModeSpec::None => "none",
    }
}

/// Published and exposed ports; those of a container that runs with the addresses that were bound.
fn ports(container: &Container) -> BTreeMap<String, Value> {
    let mut ports = BTreeMap::new();
    for exposed in &container.config.exposed_ports {
        ports.insert(exposed.clone(), Value::Null);
    }
    for port in &container.state.published {
        let binding = json!({
            "HostIp": port.host_address.map(|address| address.to_string()).unwrap_or_default(),
            "HostPort": port.host_port.to_string(),
        });
        let bindings = ports.entry(guest_port(port)).or_insert(Value::Null);
        match bindings {
            Value::Array(bindings) => bindings.push(binding),
            other => *other = json!([binding]),
        }
    }
    ports
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
        MountSpec::Tmpfs { target, .. } => json!({
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
        MountSpec::Bind { source, .. } => source.display().to_string(),
        MountSpec::Tmpfs { target, .. } => target.clone(),
    }
}

/// Docker: `GET /images/{name}/json`, the fields that apply.
fn image_json(image: &minke_engine::image::Image) -> Value {
    let config = &image.config;
    let created = image
        .created_s
        .and_then(|s| jiff::Timestamp::from_second(s).ok());
    json!({
        "Id": image.id.to_string(),
        "RepoTags": image.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Created": created.map(|time| time.to_string()),
        "Architecture": image.platform.architecture,
        "Os": image.platform.os,
        "Size": image.size_bytes,
        "Config": {
            "User": config.user.as_deref().unwrap_or_default(),
            "ExposedPorts": config.exposed_ports.iter().map(|port| (port.clone(), json!({}))).collect::<BTreeMap<_, _>>(),
            "Env": config.env,
            "Entrypoint": config.entrypoint,
            "Cmd": config.cmd,
            "WorkingDir": config.working_dir,
            "Labels": config.labels,
            "StopSignal": config.stop_signal,
        },
        "RootFS": {
            "Type": "layers",
            "Layers": image.layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>(),
        },
    })
}
