//! `minke image inspect`: all that is known of images, in Docker's field names.

use std::collections::BTreeMap;

use clap::Args;
use minke_engine::image::{Image, Reference};
use serde_json::{Value, json};

use crate::commands::engine;
use crate::commands::inspect::inspected;
use crate::format::Format;
use crate::output::print;
use crate::report::{Kind, Report};

/// Show all that is known of images, as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke image inspect app:1\n  minke image inspect -f '{{json .Config.Labels}}' app:1"
)]
pub(crate) struct Inspect {
    /// `json`, or a template for each, such as `{{.Config.Cmd}}`
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let store = engine.store()?;
        let mut found = Vec::new();
        let mut code = 0;
        for name in &self.images {
            match store.image(name) {
                Ok(image) => found.push(image_json(&image)),
                Err(error) => {
                    Report::from(minke_engine::EngineError::from(error)).print();
                    code = Kind::Command.exit_code();
                }
            }
        }
        print(&inspected(&self.format, found)?)?;
        Ok(code)
    }
}

/// Docker: `GET /images/{name}/json`, the fields that apply.
pub(in crate::commands) fn image_json(image: &Image) -> Value {
    let config = &image.config;
    let created = image
        .created_s
        .and_then(|s| jiff::Timestamp::from_second(s).ok());
    let by_digest = |name: &Reference| format!("{}@{}", name.name(), image.manifest_digest);
    let mut digests: Vec<String> = image.tags.iter().map(by_digest).collect();
    digests.dedup();
    json!({
        "Id": image.id.to_string(),
        "RepoTags": image.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "RepoDigests": digests,
        "Parent": "",
        "Comment": "",
        "Created": created.map(|time| time.to_string()),
        "DockerVersion": "",
        "Author": config.author.as_deref().unwrap_or_default(),
        "Architecture": image.platform.architecture,
        "Os": image.platform.os,
        "Size": image.size_bytes,
        "Config": {
            "User": config.user.as_deref().unwrap_or_default(),
            "ExposedPorts": set(&config.exposed_ports),
            "Env": config.env,
            "Entrypoint": config.entrypoint,
            "Cmd": config.cmd,
            "Volumes": set(&config.volumes),
            "WorkingDir": config.working_dir,
            "Healthcheck": config.health_check,
            "OnBuild": (!config.on_build.is_empty()).then_some(&config.on_build),
            "Shell": (!config.shell.is_empty()).then_some(&config.shell),
            "Labels": config.labels,
            "StopSignal": config.stop_signal,
        },
        "RootFS": {
            "Type": "layers",
            "Layers": image.layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>(),
        },
    })
}

/// Docker writes a set as an object of empty objects.
fn set(names: &[String]) -> BTreeMap<&str, Value> {
    names
        .iter()
        .map(|name| (name.as_str(), json!({})))
        .collect()
}
