//! What happened to containers and images: a bounded log in the home that commands and sandboxes append to.
//!
//! The log is one file that keeps its inode, so that a jailed sandbox can go on writing through a descriptor that it opened
//! before: [`EventWriter`]. Each event is one line of JSON in one `write(2)` with `O_APPEND`, under a shared `flock(2)`. When
//! the file is full, the next command copies it to [`OLDER`] and empties it, under the exclusive lock; what was there before
//! is gone. Docker keeps the last 256 events in memory.
//!
//! | module | is |
//! |---|---|
//! | `read` | past events, then those to come |
//! | `filter` | which of them are asked for |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use minke_sandbox::logs;
use serde::{Deserialize, Serialize};

use crate::home::{Home, make_private};
use crate::record::ContainerConfig;

mod filter;
mod read;

pub use filter::EventFilter;
pub use read::EventReader;

/// The file that is written to, in [`Home::events`].
const NEWEST: &str = "log";

/// What [`NEWEST`] was before it was emptied last.
const OLDER: &str = "log.1";

/// Bounds one file of the log: some thousand events.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Bounds one event; labels that make it longer are left out.
const EVENT_BYTES_MAX: usize = 16 << 10;

/// What an event is about. Docker: `api/types/events`, `Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    Container,
    Image,
    Volume,
    Network,
    Builder,
}

impl EventKind {
    /// All kinds, in Docker's words.
    pub const ALL: [EventKind; 5] = [
        EventKind::Container,
        EventKind::Image,
        EventKind::Volume,
        EventKind::Network,
        EventKind::Builder,
    ];

    /// Returns Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Container => "container",
            EventKind::Image => "image",
            EventKind::Volume => "volume",
            EventKind::Network => "network",
            EventKind::Builder => "builder",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339 with nine digits, UTC.
    pub time: String,
    pub kind: EventKind,
    /// Docker's word, such as `die` or `untag`.
    pub action: String,
    /// Of the container or image.
    pub id: String,
    /// Docker's names: `name`, `image`, `exitCode`, the labels.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// Makes an event of now.
    pub fn new(kind: EventKind, action: &str, id: &str) -> Event {
        Event {
            time: logs::now(),
            kind,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes: BTreeMap::new(),
        }
    }

    /// Makes an event of a container with its labels, image and name.
    pub fn of_container(action: &str, config: &ContainerConfig) -> Event {
        let mut event = Event::new(EventKind::Container, action, &config.spec.id);
        event.attributes.clone_from(&config.labels);
        event
            .with("image", &config.image)
            .with("name", &config.name)
    }

    /// Adds an attribute.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Event {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }
}

/// The log of one home.
#[derive(Clone, Debug)]
pub struct EventLog {
    directory: PathBuf,
}

impl EventLog {
    /// Names the log; it need not exist.
    pub fn of(home: &Home) -> EventLog {
        EventLog {
            directory: home.events(),
        }
    }

    /// Adds an event. What cannot be written is lost: no operation fails because nobody can be told of it.
    pub fn record(&self, event: &Event) {
        let written = self.writer().and_then(|writer| {
            writer.make_room(&self.directory)?;
            writer.append(event)
        });
        if let Err(error) = written {
            tracing::warn!(%error, action = event.action, "an event is not recorded");
        }
    }

    /// Opens the log for somebody who cannot open files later.
    pub fn writer(&self) -> io::Result<EventWriter> {
        use std::os::unix::fs::OpenOptionsExt;
        make_private(&self.directory)?;
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600);
        Ok(EventWriter {
            file: options.open(self.directory.join(NEWEST))?,
            appending: Mutex::default(),
        })
    }

    /// Reads the log from its beginning.
    pub fn reader(&self) -> io::Result<EventReader> {
        EventReader::open(&self.directory)
    }

    /// The directory that changes with each event.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The log, open to append to.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    /// The lock of the file is the description's: threads would give up each other's.
    appending: Mutex<()>,
}

impl EventWriter {
    /// Adds an event; the file may become longer than its bound by what sandboxes write until the next command does.
    pub fn append(&self, event: &Event) -> io::Result<()> {
        let line = encode(event);
        let _appending = self
            .appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.file.lock_shared()?;
        let written = (&self.file).write_all(&line);
        self.file.unlock()?;
        written
    }

    /// Copies a full file away and empties it. Whoever reads just now keeps it from being done: the next command does it.
    fn make_room(&self, directory: &Path) -> io::Result<()> {
        if self.file.metadata()?.len() < FILE_BYTES_MAX || self.file.try_lock().is_err() {
            return Ok(());
        }
        let result = self.empty(directory);
        self.file.unlock()?;
        result
    }

    fn empty(&self, directory: &Path) -> io::Result<()> {
        if self.file.metadata()?.len() < FILE_BYTES_MAX {
            return Ok(());
        }
        let copy = directory.join("log.new");
        let copied = fs::copy(directory.join(NEWEST), &copy)
            .and_then(|_| fs::rename(&copy, directory.join(OLDER)));
        if copied.is_err() {
            // On a full disk the newest events are worth more than the oldest.
            let _ = fs::remove_file(&copy);
        }
        self.file.set_len(0)?;
        copied
    }
}

fn encode(event: &Event) -> Vec<u8> {
    let encoded = |event: &Event| {
        let mut line = serde_json::to_vec(event).expect("texts are JSON");
        line.push(b'\n');
        line
    };
    let line = encoded(event);
    if line.len() <= EVENT_BYTES_MAX {
        return line;
    }
    let mut short = event.clone();
    short.attributes.retain(|name, value| {
        matches!(
            name.as_str(),
            "image" | "name" | "exitCode" | "execID" | "signal"
        ) && value.len() < 4096
    });
    encoded(&short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, EventLog) {
        let directory = tempfile::tempdir().expect("a directory");
        let log = EventLog::of(&Home::at(directory.path()));
        (directory, log)
    }

    fn numbers(reader: &mut EventReader) -> Vec<u64> {
        let mut events = Vec::new();
        while let Some(event) = reader.next_event().expect("readable") {
            events.push(event.id.parse().expect("a number"));
        }
        events
    }

    #[test]
    fn events_are_read_in_order_while_the_log_is_emptied_under_the_reader() {
        let (_directory, log) = log();
        let mut reader = log.reader().expect("a reader");
        let filler = "x".repeat(4000);
        let mut read = Vec::new();
        for number in 0..1000 {
            let event = Event::new(EventKind::Image, "tag", &number.to_string());
            log.record(&event.with("filler", filler.as_str()));
            if number % 7 == 0 {
                read.extend(numbers(&mut reader));
            }
        }
        read.extend(numbers(&mut reader));
        assert_eq!(read, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_log_takes_bounded_disk_and_a_late_reader_reads_what_is_kept() {
        let (_directory, log) = log();
        let filler = "x".repeat(10_000);
        for number in 0..500 {
            let event = Event::new(EventKind::Image, "tag", &number.to_string());
            log.record(&event.with("filler", filler.as_str()));
        }
        let files = fs::read_dir(log.directory()).expect("readable").flatten();
        let bytes: u64 = files
            .map(|file| file.metadata().expect("there").len())
            .sum();
        assert!(
            bytes <= 2 * FILE_BYTES_MAX + 2 * EVENT_BYTES_MAX as u64,
            "{bytes}"
        );
        let read = numbers(&mut log.reader().expect("a reader"));
        assert_eq!(read.last(), Some(&499));
        assert!(
            read.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{read:?}"
        );
    }

    #[test]
    fn a_writer_that_was_opened_before_the_log_was_emptied_is_still_heard() {
        let (_directory, log) = log();
        let writer = log.writer().expect("a writer");
        let filler = "x".repeat(10_000);
        for number in 0..200 {
            let event = Event::new(EventKind::Image, "tag", &number.to_string());
            log.record(&event.with("filler", filler.as_str()));
        }
        writer
            .append(&Event::new(EventKind::Container, "die", "200"))
            .expect("written");
        let read = numbers(&mut log.reader().expect("a reader"));
        assert_eq!(read.last(), Some(&200));
    }

    #[test]
    fn endless_labels_are_left_out() {
        let event = Event::new(EventKind::Container, "die", "1")
            .with("name", "web")
            .with("label", "x".repeat(EVENT_BYTES_MAX));
        let short: Event = serde_json::from_slice(&encode(&event)).expect("JSON");
        assert_eq!(short.attributes.len(), 1);
    }
}
