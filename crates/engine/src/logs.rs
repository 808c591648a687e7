//! Reading what a container's programs printed, across rotations, as it grows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use minke_sandbox::logs::{Entry, FILE_NAMES, Stream};

/// Bounds one line of a log file: an entry with every byte escaped.
const LINE_BYTES_MAX: u64 = 256 << 10;

/// How much of a log is read at a time from its end.
const CHUNK_BYTES: usize = 64 << 10;

/// One line that a program printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// With its newline, unless the line was cut or never ended.
    pub text: String,
    pub stream: Stream,
    /// RFC 3339.
    pub time: String,
}

impl LogLine {
    /// Whether it was printed to the standard error.
    pub fn is_error_output(&self) -> bool {
        self.stream == Stream::Stderr
    }
}

/// Reads a container's log from its beginning.
pub struct LogReader {
    directory: PathBuf,
    current: Option<Current>,
    /// Bytes of a line whose end is not written yet.
    partial: Vec<u8>,
}

struct Current {
    file: BufReader<File>,
    inode: u64,
}

impl LogReader {
    /// Reads the log in a container's directory.
    pub fn open(directory: &Path) -> LogReader {
        LogReader {
            directory: directory.to_path_buf(),
            current: None,
            partial: Vec::new(),
        }
    }

    /// Leaves out all but the last `lines` of what is there. Reads from the end, so a long log costs what is shown of it.
    pub fn keep_last(&mut self, lines: usize) -> io::Result<()> {
        let mut wanted = lines;
        for name in FILE_NAMES {
            let file = match File::open(self.directory.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                file => file?,
            };
            let inode = file.metadata()?.ino();
            if self
                .current
                .as_ref()
                .is_some_and(|newer| newer.inode == inode)
            {
                // It was renamed meanwhile, and is counted already.
                continue;
            }
            let (position, found) = seek_last(&file, wanted)?;
            wanted -= found;
            let mut file = BufReader::new(file);
            file.seek(SeekFrom::Start(position))?;
            self.current = Some(Current { file, inode });
            if wanted == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Returns the container's directory, in which the log grows.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the next line that was written; `None` at the end for now.
    pub fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        loop {
            let is_newest = match &mut self.current {
                Some(current) => {
                    // Asked before reading: what is written to a file after it was renamed would be missed otherwise.
                    let is_newest = inode(&self.directory, FILE_NAMES[0]) == Some(current.inode);
                    let mut limited = (&mut current.file).take(LINE_BYTES_MAX);
                    limited.read_until(b'\n', &mut self.partial)?;
                    is_newest
                }
                None => false,
            };
            if self.partial.ends_with(b"\n") || self.partial.len() as u64 >= LINE_BYTES_MAX {
                let line = std::mem::take(&mut self.partial);
                // A line that a full disk cut short is skipped.
                match decode(&line) {
                    Some(line) => return Ok(Some(line)),
                    None => continue,
                }
            }
            if is_newest || !self.go_on()? {
                return Ok(None);
            }
        }
    }

    /// Opens the file after the current one, or the oldest; `false` when there is none.
    fn go_on(&mut self) -> io::Result<bool> {
        let inodes = FILE_NAMES.map(|name| inode(&self.directory, name));
        let at = self.current.as_ref().map(|current| Some(current.inode));
        let known = at.and_then(|inode| inodes.iter().position(|found| *found == inode));
        // Newest is index 0. A file that has gone was older than all that are there.
        let next = match known {
            Some(0) => return Ok(false),
            Some(index) => index - 1,
            None => match inodes.iter().rposition(Option::is_some) {
                Some(oldest) => oldest,
                None => return Ok(false),
            },
        };
        let file = match File::open(self.directory.join(FILE_NAMES[next])) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        self.partial.clear();
        self.current = Some(Current {
            inode: file.metadata()?.ino(),
            file: BufReader::new(file),
        });
        Ok(true)
    }
}

/// Returns where the last `wanted` lines of a file begin, and how many lines there are from there on.
fn seek_last(file: &File, wanted: usize) -> io::Result<(u64, usize)> {
    let mut position = file.metadata()?.len();
    // What has no newline yet is read when it has.
    let mut newlines = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    while position > 0 {
        let start = position.saturating_sub(CHUNK_BYTES as u64);
        let chunk = &mut chunk[..(position - start) as usize];
        file.read_exact_at(chunk, start)?;
        for (index, _) in chunk
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            if newlines == wanted {
                return Ok((start + index as u64 + 1, wanted));
            }
            newlines += 1;
        }
        position = start;
    }
    Ok((0, newlines))
}

fn inode(directory: &Path, name: &str) -> Option<u64> {
    std::fs::metadata(directory.join(name))
        .ok()
        .map(|metadata| metadata.ino())
}

fn decode(line: &[u8]) -> Option<LogLine> {
    let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
    Some(LogLine {
        text: entry.log.into_owned(),
        stream: entry.stream,
        time: entry.time.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use minke_sandbox::logs::LogWriter;
    use minke_sandbox::platform::stdio::LineEnd;

    use super::*;

    #[test]
    fn lines_are_read_across_rotations_while_they_are_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let writer = LogWriter::open(directory.path()).expect("a log");
        let mut reader = LogReader::open(directory.path());
        assert_eq!(reader.next_line().expect("readable"), None);
        let filler = "x".repeat(16_000);
        // Three files hold about 1,900 of these lines; reading keeps pace, so that none is lost.
        for number in 0..3000 {
            let line = format!("{number} {filler}");
            writer.write_line(Stream::Stdout, line.as_bytes(), LineEnd::Newline);
            let read = reader.next_line().expect("readable").expect("a line");
            assert_eq!(
                read.text.split(' ').next(),
                Some(number.to_string().as_str())
            );
        }
        assert_eq!(reader.next_line().expect("readable"), None);
    }

    #[test]
    fn a_reader_that_comes_late_reads_all_that_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let writer = LogWriter::open(directory.path()).expect("a log");
        let filler = "x".repeat(16_000);
        for number in 0..1000 {
            let line = format!("{number} {filler}");
            writer.write_line(Stream::Stderr, line.as_bytes(), LineEnd::Newline);
        }
        let mut reader = LogReader::open(directory.path());
        let mut count = 0;
        while let Some(line) = reader.next_line().expect("readable") {
            assert_eq!(
                line.text.split(' ').next(),
                Some(count.to_string().as_str())
            );
            count += 1;
        }
        assert_eq!(count, 1000);
    }

    #[test]
    fn the_last_lines_are_found_across_rotations() {
        let directory = tempfile::tempdir().expect("a directory");
        let writer = LogWriter::open(directory.path()).expect("a log");
        let filler = "x".repeat(16_000);
        for number in 0..1500 {
            let line = format!("{number} {filler}");
            writer.write_line(Stream::Stdout, line.as_bytes(), LineEnd::Newline);
        }
        for wanted in [0, 1, 7, 700, 1300] {
            let mut reader = LogReader::open(directory.path());
            reader.keep_last(wanted).expect("readable");
            let mut numbers = Vec::new();
            while let Some(line) = reader.next_line().expect("readable") {
                let number = line.text.split(' ').next().expect("a number");
                numbers.push(number.parse::<usize>().expect("a number"));
            }
            assert_eq!(numbers, (1500 - wanted..1500).collect::<Vec<_>>());
        }
        let mut reader = LogReader::open(directory.path());
        reader.keep_last(usize::MAX).expect("readable");
        let first = reader.next_line().expect("readable").expect("a line");
        let mut whole = LogReader::open(directory.path());
        assert_eq!(whole.next_line().expect("readable"), Some(first));
    }
}
