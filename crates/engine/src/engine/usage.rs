//! What running containers use.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minke_disk::History;
use minke_sandbox::control::{Request, Response, Statistics};

use super::stop::ANSWER_WITHIN;
use super::{Engine, EngineError};
use crate::record::Container;

/// Bounds what is read of a file in `/proc`; those that are read have a few lines.
const PROC_BYTES_MAX: u64 = 64 << 10;

/// What a container uses: as its sandbox counts it, and as the host counts the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub sandbox: Statistics,
    /// Bytes that the sandbox had the host's disks read and write.
    pub disk_read_bytes: u64,
    pub disk_written_bytes: u64,
    /// Memory of the sandbox process: its own, and that of files, which it shares with others (code, layers).
    pub own_bytes: u64,
    pub file_bytes: u64,
}

impl Engine {
    /// Returns what a container uses now.
    pub fn usage(&self, container: &Container) -> Result<Usage, EngineError> {
        let sandbox = self.statistics(container)?;
        // What the host does not tell counts as nothing.
        let text = |name| proc_file(container.state.pid, name).unwrap_or_default();
        let (io, status) = (text("io"), text("status"));
        Ok(Usage {
            sandbox,
            disk_read_bytes: number_after(&io, "read_bytes:"),
            disk_written_bytes: number_after(&io, "write_bytes:"),
            own_bytes: number_after(&status, "RssAnon:") << 10,
            file_bytes: number_after(&status, "RssFile:") << 10,
        })
    }

    /// Returns the bytes that a container wrote to its root: those of a bare module are in memory, and gone when it has ended.
    pub fn written_bytes(&self, container: &Container) -> u64 {
        match &container.config.spec.root.disk {
            Some(disk) => changes_bytes(&disk.changes),
            None if container.state.has_processes() => self
                .statistics(container)
                .map_or(0, |statistics| statistics.root_bytes),
            None => 0,
        }
    }

    /// Returns what a container uses now, as its sandbox counts it.
    pub fn statistics(&self, container: &Container) -> Result<Statistics, EngineError> {
        match self.ask(container, &Request::Statistics, Some(ANSWER_WITHIN))? {
            Response::Statistics(statistics) => Ok(statistics),
            _ => Ok(Statistics::default()),
        }
    }
}

/// Returns the bytes that a root's changes take on the host, with those that snapshots keep.
fn changes_bytes(changes: &Path) -> u64 {
    let files = History::read(changes).map_or_else(|_| Vec::new(), |it| it.files());
    let room = |file: &PathBuf| std::fs::metadata(file).map_or(0, |file| file.blocks() * 512);
    files.iter().map(room).sum()
}

fn proc_file(pid: u32, name: &str) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(format!("/proc/{pid}/{name}"))?;
    file.take(PROC_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Returns the number of the line that begins with `name`.
fn number_after(text: &str, name: &str) -> u64 {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name));
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_the_whole_beginning_of_their_line() {
        let io = "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 3\n";
        assert_eq!(number_after(io, "read_bytes:"), 4096);
        assert_eq!(number_after(io, "write_bytes:"), 8192);
        assert_eq!(number_after(io, "nothing:"), 0);
        assert_eq!(number_after("RssAnon:\t  12 kB\n", "RssAnon:"), 12);
    }
}
