//! `minke events`: what happened to containers and images, and what happens now.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use minke_engine::events::{Event, EventFilter, EventReader};
use minke_engine::syntax::parse_time;
use minke_engine::watch::Watch;
use serde_json::{Value, json};

use crate::commands::engine;
use crate::format::Format;
use crate::report::Report;

/// Show what happens to containers and images
///
/// Goes on until it is ended, or until the time of `--until`. Past events are shown from the time of `--since` on, as far as they are kept:
/// the log holds some thousand.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke events --since 1h --until 0s\n  minke events -f event=die -f container=web --format json"
)]
pub(crate) struct Events {
    /// Show past events too: from a duration ago (`10m`), a time, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Stop at this time; with a time that is past, only past events are shown
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// Show some events only: `event=`, `container=`, `image=`, `type=` or `label=`
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// `json` (one object per line), or a template such as `{{.Action}} {{.Actor.ID}}`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    format: Format,
}

impl Events {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let filter = EventFilter::parse(&self.filter)?;
        let since = self.since.as_deref().map(parse_time).transpose()?;
        let until = self.until.as_deref().map(parse_time).transpose()?;
        let log = engine()?.events();
        let mut reader = log.reader()?;
        // Before the first look, so that nothing is missed between looking and waiting.
        let watch = Watch::new(log.directory())?;
        // Docker: without a time only what happens from now on.
        if since.is_none() && until.is_none() {
            reader.skip_past();
        }
        let window = Window { since, until };
        loop {
            if !self.show(&mut reader, &window, &filter)? {
                return Ok(0);
            }
            let Some(patience) = window.patience() else {
                return Ok(0);
            };
            watch.wait(patience, &[])?;
        }
    }

    /// Shows the events that are there; `false` when nobody reads them any more.
    fn show(
        &self,
        reader: &mut EventReader,
        window: &Window,
        filter: &EventFilter,
    ) -> Result<bool, Report> {
        let mut output = io::stdout().lock();
        let mut written = Ok(());
        while let (Ok(()), Some(event)) = (&written, reader.next_event()?) {
            if window.holds(&event) && filter.matches(&event) {
                let line = self.format.object(&json(&event), || text(&event) + "\n")?;
                written = output.write_all(line.as_bytes());
            }
        }
        match written.and_then(|()| output.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The time of the events that are shown.
struct Window {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Window {
    fn holds(&self, event: &Event) -> bool {
        let Ok(time) = event.time.parse::<Timestamp>() else {
            return false;
        };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    /// How long events may still come; inside, `None` for ever.
    fn patience(&self) -> Option<Option<std::time::Duration>> {
        let Some(until) = self.until else {
            return Some(None);
        };
        let left = until.duration_since(Timestamp::now());
        match std::time::Duration::try_from(left) {
            Ok(left) if !left.is_zero() => Some(Some(left)),
            _ => None,
        }
    }
}

/// Docker: `cli/command/system/events.go`, `prettyPrintEvent()`.
fn text(event: &Event) -> String {
    let attributes = event.attributes.iter();
    let attributes: Vec<String> = attributes
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let head = format!(
        "{} {} {} {}",
        event.time,
        event.kind.word(),
        event.action,
        event.id
    );
    match attributes.is_empty() {
        true => head,
        false => format!("{head} ({})", attributes.join(", ")),
    }
}

/// Docker: `api/types/events`, `Message`.
fn json(event: &Event) -> Value {
    let nanoseconds = event
        .time
        .parse::<Timestamp>()
        .map_or(0, Timestamp::as_nanosecond);
    json!({
        "Type": event.kind.word(),
        "Action": event.action,
        "Actor": { "ID": event.id, "Attributes": event.attributes },
        "scope": "local",
        "time": nanoseconds / 1_000_000_000,
        "timeNano": i64::try_from(nanoseconds).unwrap_or(i64::MAX),
        "status": event.action,
        "id": event.id,
        "from": event.attributes.get("image").map_or("", String::as_str),
    })
}
