//! `minke ps`: containers as a table, ids or as `--format` says.

use std::cell::RefCell;
use std::collections::HashMap;

use clap::Args;
use minke_engine::filter::network_name;
use minke_engine::{Container, ContainerFilter, Engine, Status};
use serde::Serialize;

use crate::commands::engine;
use crate::format::{Format, List};
use crate::output::{ago, listed_time, print, seconds_since, size};
use crate::report::Report;

mod ports;

/// Longest command that the table shows. Docker: `cli/command/formatter`, 20 characters with quotes.
const COMMAND_CHARS_MAX: usize = 20;

/// List containers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke ps -a\n  minke ps --format '{{.ID}}: {{.Status}}'\n  minke ps -q --filter label=app=web"
)]
pub(crate) struct Ps {
    /// Show those that do not run too
    #[arg(short, long)]
    all: bool,

    /// Show the last created ones, whatever their state
    #[arg(
        short = 'n',
        long,
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    last: Option<i64>,

    /// Show the last created one, whatever its state
    #[arg(short, long, conflicts_with = "last")]
    latest: bool,

    /// Show some only: `id=`, `name=`, `label=`, `status=`, `ancestor=`, `exited=`, `publish=`, `expose=`, `before=`, `since=`,
    /// `volume=` or `network=`
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Show sizes: what a container wrote to its own files, and its image
    #[arg(short, long)]
    size: bool,

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
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Mounts", "MOUNTS"),
        ("Names", "NAMES"),
        ("Networks", "NETWORKS"),
        ("Ports", "PORTS"),
        ("RunningFor", "CREATED"),
        ("Size", "SIZE"),
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

/// The same with `-s`.
const LIST_WITH_SIZES: List = List {
    columns: &[
        "ID",
        "Image",
        "Command",
        "RunningFor",
        "Status",
        "Ports",
        "Names",
        "Size",
    ],
    ..LIST
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
    local_volumes: String,
    mounts: String,
    names: String,
    networks: String,
    ports: String,
    running_for: String,
    size: String,
    state: &'static str,
    status: String,
}

impl Ps {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let filter = ContainerFilter::parse(&self.filter)?;
        let engine = engine()?;
        let shown = self.shown(&engine.containers()?, &filter)?;
        // Docker: a template that has it is enough.
        let sizes = Sizes::of(&engine, self.size || self.format.mentions("Size"));
        let rows: Vec<Row> = shown.iter().map(|it| self.row(it, &sizes)).collect();
        let list = if self.size { LIST_WITH_SIZES } else { LIST };
        let text = match self.quiet {
            true => rows.iter().map(|row| format!("{}\n", row.id)).collect(),
            false => list.text(&self.format, &rows)?,
        };
        print(&text)?;
        Ok(0)
    }

    /// Chooses among all containers, newest first. Docker: `daemon/list.go`, `includeContainerInList()`.
    fn shown(
        &self,
        containers: &[Container],
        filter: &ContainerFilter,
    ) -> Result<Vec<Container>, Report> {
        let made_at = |wanted: &str| {
            let is_wanted =
                |it: &&Container| it.config.name == wanted || it.id().starts_with(wanted);
            containers
                .iter()
                .find(is_wanted)
                .map(|it| it.config.created_at.clone())
        };
        if let Some(missing) = filter.references().find(|wanted| made_at(wanted).is_none()) {
            return Err(Report::new(
                format!("no such container: `{missing}`"),
                "`minke ps -a` lists the containers",
            ));
        }
        let last = if self.latest { Some(1) } else { self.last };
        let last = last
            .and_then(|last| usize::try_from(last).ok())
            .filter(|last| *last > 0);
        let is_any_state = self.all || last.is_some() || filter.names_states();
        let is_shown = |container: &&Container| {
            (is_any_state || container.state.is_up()) && filter.matches(container, &made_at)
        };
        let shown = containers.iter().filter(is_shown).cloned();
        Ok(shown.take(last.unwrap_or(usize::MAX)).collect())
    }

    fn row(&self, container: &Container, sizes: &Sizes<'_>) -> Row {
        let config = &container.config;
        let labels = config
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let mounts = config.spec.mounts.iter().map(super::inspect::mount_source);
        Row {
            command: self.command(container),
            created_at: created_at(&config.created_at),
            id: match self.no_trunc {
                true => container.id().to_owned(),
                false => container.short_id().to_owned(),
            },
            image: config.image.clone(),
            labels: labels.collect::<Vec<_>>().join(","),
            local_volumes: config.volumes().count().to_string(),
            mounts: mounts.collect::<Vec<_>>().join(","),
            names: config.name.clone(),
            networks: network_name(config.spec.network.mode).to_owned(),
            ports: ports::ports(container),
            running_for: format!("{} ago", ago(seconds_since(&config.created_at))),
            size: sizes.text(container),
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

/// Sizes of images, looked up once each, if anybody wants them.
struct Sizes<'a> {
    engine: Option<&'a Engine>,
    images: RefCell<HashMap<String, u64>>,
}

impl Sizes<'_> {
    fn of(engine: &Engine, is_wanted: bool) -> Sizes<'_> {
        Sizes {
            engine: is_wanted.then_some(engine),
            images: RefCell::default(),
        }
    }

    /// Docker: `0B (virtual 5.5MB)`; where nobody asks for it, nothing is measured.
    fn text(&self, container: &Container) -> String {
        let Some(engine) = self.engine else {
            return size(0);
        };
        let written = engine.written_bytes(container);
        match self.image(engine, container) {
            0 => size(written),
            image => format!("{} (virtual {})", size(written), size(written + image)),
        }
    }

    fn image(&self, engine: &Engine, container: &Container) -> u64 {
        let Some(id) = &container.config.image_id else {
            return 0;
        };
        let mut images = self.images.borrow_mut();
        *images
            .entry(id.clone())
            .or_insert_with(|| super::inspect::image_bytes(engine, id))
    }
}

/// A damaged record has no time.
fn created_at(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), listed_time)
}

/// Docker: `container/state.go`, `String()`.
fn status(container: &Container) -> String {
    let state = &container.state;
    let since = |time: &Option<String>| ago(time.as_deref().map_or(0, seconds_since));
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up {}", since(&state.started_at)),
        Status::Paused => format!("Up {} (Paused)", since(&state.started_at)),
        Status::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(&state.finished_at)
        ),
        Status::Dead => "Dead".to_owned(),
        Status::Exited => format!(
            "Exited ({}) {} ago",
            state.exit_code,
            since(&state.finished_at)
        ),
    }
}
