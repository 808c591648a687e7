//! Image configurations: how a container of an image starts, and their OCI form.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use oci_spec::image::{
    Arch, Config, ConfigBuilder, History, HistoryBuilder, ImageConfiguration,
    ImageConfigurationBuilder, Os, RootFsBuilder,
};
use serde::{Deserialize, Serialize};

use crate::Digest;

/// How a container starts unless its creator says otherwise.
///
/// Spec: OCI image-spec 1.1 config.md, "Properties", `config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `NAME=value`, in the order in which they were set, each name once.
    pub env: Vec<String>,
    /// Words before `cmd`; empty where there are none.
    pub entrypoint: Vec<String>,
    /// Words that the creator's arguments replace.
    pub cmd: Vec<String>,
    /// `user`, `uid`, `user:group`, `uid:gid` and their mixtures; none for root.
    pub user: Option<String>,
    /// Absolute, `/` where the image says nothing.
    pub working_dir: String,
    /// `port/protocol`, sorted.
    pub exposed_ports: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// A name or number; none for `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Directories that want their own storage, sorted.
    pub volumes: Vec<String>,
    /// The program and arguments that take a command's shell form; empty where the image says nothing.
    #[serde(default)]
    pub shell: Vec<String>,
    /// Instructions for builds that begin with this image.
    #[serde(default)]
    pub on_build: Vec<String>,
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// Who made the image: `MAINTAINER`.
    #[serde(default)]
    pub author: Option<String>,
}

/// How a container is found to be well; what is none or zero has Docker's default.
///
/// Spec: Docker image-spec 1.2, `Healthcheck`; times are in nanoseconds there too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// `NONE`; `CMD` and a program with arguments; or `CMD-SHELL` and a text.
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u64,
}

impl HealthCheck {
    /// Returns whether it checks something: `NONE` takes a base image's check away.
    pub fn is_on(&self) -> bool {
        self.test.first().is_some_and(|kind| kind != "NONE")
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Fields of `config` that Docker has and OCI does not.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerFields {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    shell: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    on_build: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<HealthCheck>,
}

/// Reads `null` as nothing, which Docker writes for empty lists.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The part of a configuration blob that OCI's type leaves out.
#[derive(Default, Deserialize)]
struct DockerConfiguration {
    #[serde(default, deserialize_with = "or_default")]
    config: DockerFields,
}

/// What an image's programs are made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
}

impl Default for Platform {
    /// `wasi/wasm`, the words that containerd's and crun's wasm support look for.
    fn default() -> Self {
        Self {
            os: "wasi".to_owned(),
            architecture: "wasm".to_owned(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    /// Reads `os/architecture`; a variant after that makes no difference to WebAssembly.
    fn from_str(text: &str) -> Result<Self, ParsePlatformError> {
        let mut parts = text.split('/').map(str::to_owned);
        match (parts.next(), parts.next()) {
            (Some(os), Some(architecture)) if !os.is_empty() && !architecture.is_empty() => {
                Ok(Self { os, architecture })
            }
            _ => Err(ParsePlatformError {
                text: text.to_owned(),
            }),
        }
    }
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a platform of the form `OS/ARCHITECTURE`")]
pub struct ParsePlatformError {
    pub text: String,
}

/// One line of an image's history.
///
/// Spec: OCI image-spec 1.1 config.md, `history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The instruction, with its variables replaced.
    pub created_by: String,
    /// Seconds since 1970; none where it is not known.
    pub created_s: Option<i64>,
    /// Whether the line stands for a layer; the others changed the configuration only.
    pub has_layer: bool,
    /// A remark of whoever made the line, mostly their name; empty for none.
    pub comment: String,
}

/// A configuration blob, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) platform: Platform,
    pub(crate) created_s: Option<i64>,
    pub(crate) config: ImageConfig,
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) history: Vec<HistoryEntry>,
}

impl Configuration {
    /// Returns the blob's bytes: JSON with sorted keys, so that equal configurations have equal digests.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let root = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(
                self.diff_ids
                    .iter()
                    .map(Digest::to_string)
                    .collect::<Vec<_>>(),
            )
            .build()
            .expect("every field of the root is given");
        let mut builder = ImageConfigurationBuilder::default()
            .architecture(Arch::from(self.platform.architecture.as_str()))
            .os(Os::from(self.platform.os.as_str()))
            .config(to_oci(&self.config))
            .rootfs(root)
            .history(self.history.iter().map(history_to_oci).collect::<Vec<_>>());
        if let Some(created) = self.created_s.and_then(rfc3339) {
            builder = builder.created(created);
        }
        if let Some(author) = &self.config.author {
            builder = builder.author(author.as_str());
        }
        let built = builder.build();
        let oci = built.expect("every field of the configuration is given");
        let mut value = serde_json::to_value(oci).expect("OCI documents have text keys");
        add_docker_fields(&mut value, &self.config);
        canonical_json(&value)
    }

    /// Reads a configuration blob. Spec: OCI image-spec 1.1 config.md.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let parsed: ImageConfiguration =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let diff_ids = parsed
            .rootfs()
            .diff_ids()
            .iter()
            .map(|text| text.parse::<Digest>());
        let docker: DockerConfiguration =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let config = ImageConfig {
            shell: docker.config.shell,
            on_build: docker.config.on_build,
            health_check: docker.config.healthcheck,
            author: parsed.author().clone().filter(|author| !author.is_empty()),
            ..parsed.config().as_ref().map(from_oci).unwrap_or_else(empty)
        };
        Ok(Self {
            platform: Platform {
                os: parsed.os().to_string(),
                architecture: parsed.architecture().to_string(),
            },
            created_s: parsed.created().as_deref().and_then(seconds),
            config,
            diff_ids: diff_ids
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?,
            history: parsed
                .history()
                .iter()
                .flatten()
                .map(history_from_oci)
                .collect(),
        })
    }
}

fn empty() -> ImageConfig {
    ImageConfig {
        working_dir: "/".to_owned(),
        ..ImageConfig::default()
    }
}

fn to_oci(config: &ImageConfig) -> Config {
    let mut builder = ConfigBuilder::default()
        .working_dir(config.working_dir.as_str())
        .env(config.env.clone());
    if let Some(user) = &config.user {
        builder = builder.user(user.as_str());
    }
    if let Some(signal) = &config.stop_signal {
        builder = builder.stop_signal(signal.as_str());
    }
    if !config.entrypoint.is_empty() {
        builder = builder.entrypoint(config.entrypoint.clone());
    }
    if !config.cmd.is_empty() {
        builder = builder.cmd(config.cmd.clone());
    }
    if !config.exposed_ports.is_empty() {
        builder = builder.exposed_ports(config.exposed_ports.clone());
    }
    if !config.volumes.is_empty() {
        builder = builder.volumes(config.volumes.clone());
    }
    if !config.labels.is_empty() {
        builder = builder.labels(config.labels.clone().into_iter().collect::<HashMap<_, _>>());
    }
    builder.build().expect("every field has a default")
}

fn from_oci(config: &Config) -> ImageConfig {
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.sort();
        list
    };
    let some_text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    ImageConfig {
        env: config.env().clone().unwrap_or_default(),
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        user: some_text(config.user()),
        working_dir: some_text(config.working_dir()).unwrap_or_else(|| "/".to_owned()),
        exposed_ports: sorted(config.exposed_ports()),
        labels: config
            .labels()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
        stop_signal: some_text(config.stop_signal()),
        volumes: sorted(config.volumes()),
        ..ImageConfig::default()
    }
}

fn add_docker_fields(configuration: &mut serde_json::Value, config: &ImageConfig) {
    let fields = DockerFields {
        shell: config.shell.clone(),
        on_build: config.on_build.clone(),
        healthcheck: config.health_check.clone(),
    };
    let fields = serde_json::to_value(fields).expect("Docker's fields have text keys");
    if let (Some(config), serde_json::Value::Object(fields)) =
        (configuration["config"].as_object_mut(), fields)
    {
        config.extend(fields);
    }
}

fn history_to_oci(entry: &HistoryEntry) -> History {
    let mut builder = HistoryBuilder::default().created_by(entry.created_by.as_str());
    if let Some(created) = entry.created_s.and_then(rfc3339) {
        builder = builder.created(created);
    }
    if !entry.has_layer {
        builder = builder.empty_layer(true);
    }
    if !entry.comment.is_empty() {
        builder = builder.comment(entry.comment.as_str());
    }
    builder.build().expect("every field has a default")
}

fn history_from_oci(history: &History) -> HistoryEntry {
    HistoryEntry {
        created_by: history.created_by().clone().unwrap_or_default(),
        created_s: history.created().as_deref().and_then(seconds),
        has_layer: !history.empty_layer().unwrap_or(false),
        comment: history.comment().clone().unwrap_or_default(),
    }
}

fn rfc3339(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds)
        .ok()
        .map(|timestamp| timestamp.to_string())
}

fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|timestamp| timestamp.as_second())
}

/// Returns JSON without spaces whose objects have sorted keys.
///
/// The OCI types hold hash maps, whose order differs from run to run.
pub(crate) fn canonical_json(value: &impl Serialize) -> Vec<u8> {
    let mut value = serde_json::to_value(value).expect("OCI documents have text keys");
    value.sort_all_objects();
    serde_json::to_vec(&value).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Configuration {
        let labels = (0..20)
            .map(|number| (format!("label{number}"), number.to_string()))
            .collect();
        Configuration {
            platform: Platform::default(),
            created_s: Some(1_700_000_000),
            config: ImageConfig {
                env: vec!["B=2".into(), "A=1".into()],
                entrypoint: vec!["/server.wasm".into()],
                cmd: vec!["-p".into(), "3000".into()],
                user: Some("1000:1000".into()),
                working_dir: "/app".into(),
                exposed_ports: (3000..3020).map(|port| format!("{port}/tcp")).collect(),
                labels,
                stop_signal: Some("SIGINT".into()),
                volumes: vec!["/data".into()],
                shell: vec!["/bin/sh".into(), "-c".into()],
                on_build: vec!["RUN [\"x\"]".into()],
                health_check: Some(HealthCheck {
                    test: vec!["CMD".into(), "/well.wasm".into()],
                    interval: 1_000_000_000,
                    retries: 3,
                    ..HealthCheck::default()
                }),
                author: Some("somebody".into()),
            },
            diff_ids: vec![Digest::of(b"layer")],
            history: vec![HistoryEntry {
                created_by: "COPY . /".into(),
                created_s: Some(0),
                has_layer: true,
                comment: "a remark".into(),
            }],
        }
    }

    #[test]
    fn a_configuration_survives_its_blob() {
        assert_eq!(
            Configuration::from_bytes(&sample().to_bytes()),
            Ok(sample())
        );
    }

    #[test]
    fn equal_configurations_have_equal_bytes() {
        for _ in 0..20 {
            assert_eq!(sample().to_bytes(), sample().to_bytes());
        }
    }

    #[test]
    fn what_docker_leaves_empty_is_read() {
        let text = br#"{"architecture":"wasm","os":"wasi","rootfs":{"type":"layers","diff_ids":[]},
            "config":{"OnBuild":null,"Shell":null,"Healthcheck":{"Test":["NONE"]}}}"#;
        let config = Configuration::from_bytes(text).expect("it is valid").config;
        assert!(config.on_build.is_empty() && config.shell.is_empty());
        assert_eq!(config.health_check.expect("it has one").test, ["NONE"]);
    }

    #[test]
    fn the_smallest_foreign_configuration_is_read() {
        let text =
            br#"{"architecture":"wasm","os":"wasip1","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let parsed = Configuration::from_bytes(text).expect("it is valid");
        assert_eq!(parsed.config.working_dir, "/");
        assert_eq!(parsed.platform.os, "wasip1");
    }
}
