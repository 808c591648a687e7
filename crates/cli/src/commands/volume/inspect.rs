//! `minke volume inspect`: all that is known of volumes, in Docker's field names.

use clap::Args;
use minke_engine::Volume;
use minke_engine::volumes::size_bytes;
use serde_json::{Value, json};

use crate::commands::engine;
use crate::commands::inspect::inspected;
use crate::format::Format;
use crate::output::print;
use crate::report::{Kind, Report};

/// Show all that is known of volumes, as JSON
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke volume inspect data\n  minke volume inspect -f '{{.Mountpoint}}' data"
)]
pub(crate) struct Inspect {
    /// `json`, or a template for each, such as `{{.Mountpoint}}`
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,

    /// Names
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let users = engine.volume_users()?;
        let mut found = Vec::new();
        let mut code = 0;
        for name in &self.volumes {
            match engine.volume(name) {
                Ok(volume) => found.push(volume_json(&volume, users.of(name).len())),
                Err(error) => {
                    Report::from(error).print();
                    code = Kind::Command.exit_code();
                }
            }
        }
        print(&inspected(&self.format, found)?)?;
        Ok(code)
    }
}

/// Docker: `GET /volumes/{name}`.
fn volume_json(volume: &Volume, users_count: usize) -> Value {
    json!({
        "CreatedAt": volume.created_at,
        "Driver": volume.driver.word(),
        "Labels": volume.labels,
        "Mountpoint": volume.data,
        "Name": volume.name,
        "Options": volume.disk_bytes.map(|bytes| json!({ "size": bytes.to_string() })),
        "Scope": "local",
        "UsageData": { "RefCount": users_count, "Size": size_bytes(volume) },
    })
}
