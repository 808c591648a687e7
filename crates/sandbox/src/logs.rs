//! A container's log: what its programs print, line by line, on disk.
//!
//! A log is the file [`FILE_NAMES`]`[0]` in the container's directory; when it is full it is renamed to the next
//! name, and the oldest is dropped, so a guest that prints without end costs a bounded amount of disk. An
//! [`Entry`] is one line of JSON with Docker's fields (Docker: `daemon/logger/jsonfilelog`, without its extras).
//! The engine reads what this module writes.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::platform::stdio::{LineEnd, LogSink};

/// The files of a log, newest first.
pub const FILE_NAMES: [&str; 3] = ["log", "log.1", "log.2"];

/// Bounds one file of a log; a log takes at most as many times this as it has files.
pub const FILE_BYTES_MAX: u64 = 10 << 20;

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line of a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The line with its newline; bytes that are not UTF-8 became `U+FFFD`, as with Docker.
    pub log: Cow<'a, str>,
    pub stream: Stream,
    /// RFC 3339, UTC, nanoseconds.
    pub time: Cow<'a, str>,
}

/// Writes a container's log. Never fails towards the guest: what the disk does not take is lost, and said once.
pub struct LogWriter {
    directory: PathBuf,
    /// Guards the order of lines; never held while anything else is locked.
    state: Mutex<State>,
}

struct State {
    file: File,
    file_bytes: u64,
    /// Whether a failure to write was reported already.
    has_failed: bool,
}

impl LogWriter {
    /// Opens the log in a container's directory, to go on where it ends.
    pub fn open(directory: &Path) -> io::Result<LogWriter> {
        let file = open_append(&directory.join(FILE_NAMES[0]))?;
        let file_bytes = file.metadata()?.len();
        Ok(LogWriter {
            directory: directory.to_path_buf(),
            state: Mutex::new(State {
                file,
                file_bytes,
                has_failed: false,
            }),
        })
    }

    /// Adds a line without its newline, or a piece of one.
    pub fn write_line(&self, stream: Stream, line: &[u8], end: LineEnd) {
        let entry = encode(stream, line, end);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.append(&mut state, &entry);
    }

    /// Returns what takes the lines of one stream.
    pub fn sink(self: &Arc<LogWriter>, stream: Stream) -> Arc<dyn LogSink> {
        Arc::new(Sink {
            writer: Arc::clone(self),
            stream,
        })
    }

    fn append(&self, state: &mut State, entry: &[u8]) {
        if let Err(error) = self.try_append(state, entry)
            && !std::mem::replace(&mut state.has_failed, true)
        {
            tracing::warn!(%error, directory = %self.directory.display(), "log lines are lost");
        }
    }

    fn try_append(&self, state: &mut State, entry: &[u8]) -> io::Result<()> {
        if state.file_bytes > 0 && state.file_bytes + entry.len() as u64 > FILE_BYTES_MAX {
            state.file = self.rotate()?;
            state.file_bytes = 0;
        }
        state.file_bytes += entry.len() as u64;
        state.file.write_all(entry)
    }

    /// Moves each file to the next older name and starts a new one.
    fn rotate(&self) -> io::Result<File> {
        for pair in FILE_NAMES.windows(2).rev() {
            let (from, to) = (self.directory.join(pair[0]), self.directory.join(pair[1]));
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        open_append(&self.directory.join(FILE_NAMES[0]))
    }
}

struct Sink {
    writer: Arc<LogWriter>,
    stream: Stream,
}

impl LogSink for Sink {
    fn write_line(&self, line: &[u8], end: LineEnd) {
        self.writer.write_line(self.stream, line, end);
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn encode(stream: Stream, line: &[u8], end: LineEnd) -> Vec<u8> {
    let mut log = String::from_utf8_lossy(line);
    if end == LineEnd::Newline {
        log.to_mut().push('\n');
    }
    let entry = Entry {
        log,
        stream,
        time: Cow::Owned(now()),
    };
    let mut json = serde_json::to_vec(&entry).expect("texts are JSON");
    json.push(b'\n');
    json
}

/// Returns the time as RFC 3339 with all nine digits, so that times sort as texts.
pub fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::stdio::LINE_BYTES_MAX;

    fn lines(directory: &Path, name: &str) -> Vec<(Stream, String)> {
        let text = fs::read_to_string(directory.join(name)).expect(name);
        text.lines()
            .map(|line| serde_json::from_str::<Entry<'_>>(line).expect(line))
            .map(|entry| (entry.stream, entry.log.into_owned()))
            .collect()
    }

    #[test]
    fn lines_of_both_streams_are_kept_in_order() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let writer = Arc::new(LogWriter::open(directory.path()).expect("a log"));
        let (stdout, stderr) = (writer.sink(Stream::Stdout), writer.sink(Stream::Stderr));
        stdout.write_line(b"one", LineEnd::Newline);
        stderr.write_line(b"wro\xffng", LineEnd::Newline);
        stdout.write_line(b"cut", LineEnd::Cut);
        let expected = [
            (Stream::Stdout, "one\n"),
            (Stream::Stderr, "wro\u{fffd}ng\n"),
            (Stream::Stdout, "cut"),
        ];
        assert_eq!(
            lines(directory.path(), "log"),
            expected.map(|(stream, text)| (stream, text.to_owned()))
        );
    }

    #[test]
    fn a_log_without_end_takes_bounded_disk() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let writer = LogWriter::open(directory.path()).expect("a log");
        let line = [b'y'; LINE_BYTES_MAX];
        for _ in 0..4 * FILE_BYTES_MAX / line.len() as u64 {
            writer.write_line(Stream::Stdout, &line, LineEnd::Cut);
        }
        for name in FILE_NAMES {
            let file = fs::metadata(directory.path().join(name)).expect(name);
            assert!(file.len() <= FILE_BYTES_MAX, "{name} has {}", file.len());
        }
        let files = fs::read_dir(directory.path()).expect("readable");
        assert_eq!(files.count(), FILE_NAMES.len());
    }

    #[test]
    fn times_have_nine_digits_and_sort() {
        let times = [now(), now()];
        assert!(times[0] <= times[1]);
        assert_eq!(times[0].len(), "2026-01-01T00:00:00.000000000Z".len());
    }
}
