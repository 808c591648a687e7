//! Reading the log of events: past ones, then those to come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{EVENT_BYTES_MAX, Event, EventLog, OLDER};

/// Bounds one line of the log; ours are shorter.
const LINE_BYTES_MAX: u64 = 4 * EVENT_BYTES_MAX as u64;

/// Reads events in the order in which they were written. At the end of the log it can be asked again later.
pub struct EventReader {
    directory: PathBuf,
    newest: File,
    /// Where reading of [`NEWEST`] goes on.
    position: u64,
    /// Which [`OLDER`] was there when `position` was last right.
    older: Option<u64>,
    pending: std::collections::VecDeque<Event>,
}

impl EventReader {
    pub(super) fn open(directory: &Path) -> io::Result<EventReader> {
        let log = EventLog {
            directory: directory.to_path_buf(),
        };
        let mut reader = EventReader {
            directory: directory.to_path_buf(),
            newest: log.writer()?.file,
            position: 0,
            older: None,
            pending: std::collections::VecDeque::new(),
        };
        reader.locked(EventReader::read_all)?;
        Ok(reader)
    }

    /// Goes to the end: only events to come are read.
    pub fn skip_past(&mut self) {
        self.pending.clear();
    }

    /// Returns the next event; `None` at the end for now.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        if self.pending.is_empty() {
            self.locked(EventReader::read_on)?;
        }
        Ok(self.pending.pop_front())
    }

    /// Does something while nobody can empty the log.
    fn locked(&mut self, read: fn(&mut EventReader) -> io::Result<()>) -> io::Result<()> {
        self.newest.lock_shared()?;
        let result = read(self);
        self.newest.unlock()?;
        result
    }

    fn read_all(&mut self) -> io::Result<()> {
        self.older = inode(&self.directory);
        self.read_older(0)?;
        self.read_newest()
    }

    fn read_on(&mut self) -> io::Result<()> {
        let older = inode(&self.directory);
        if older != self.older {
            // The log was emptied: what was not read of it yet is in the copy.
            self.older = older;
            let unread = std::mem::take(&mut self.position);
            self.read_older(unread)?;
        }
        self.read_newest()
    }

    fn read_older(&mut self, from: u64) -> io::Result<()> {
        match File::open(self.directory.join(OLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(file) => self.take_lines(file, from).map(drop),
        }
    }

    fn read_newest(&mut self) -> io::Result<()> {
        let length = self.newest.metadata()?.len();
        // Emptied without a copy, on a full disk.
        let from = if length < self.position {
            0
        } else {
            self.position
        };
        let file = self.newest.try_clone()?;
        self.position = self.take_lines(file, from)?;
        Ok(())
    }

    /// Reads whole lines from a position on; returns where the next begins.
    fn take_lines(&mut self, mut file: File, from: u64) -> io::Result<u64> {
        let mut position = file.seek(SeekFrom::Start(from))?;
        let mut reader = BufReader::new(file);
        loop {
            let mut line = Vec::new();
            let count = (&mut reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") && (count as u64) < LINE_BYTES_MAX {
                return Ok(position);
            }
            position += count as u64;
            // A line that a full disk cut short is skipped.
            self.pending
                .extend(serde_json::from_slice::<Event>(&line).ok());
        }
    }
}

fn inode(directory: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(directory.join(OLDER)).ok()?;
    Some(metadata.ino())
}
