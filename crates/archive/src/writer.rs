//! Writing a tar: equal members make equal bytes.
//!
//! Headers are plain ustar; what does not fit one goes to a pax header before it. Owners are numbers only, so that no reader looks up a
//! name of its own machine. Files with holes are in version 1.0 of GNU's sparse formats, which all but the oldest readers know.
//!
//! POSIX: pax, "pax Extended Header"; GNU tar: "Storing Sparse Files".

use std::io::{self, Write};

use crate::header::{BLOCK_BYTES, Fields, ID_MAX, NAME_BYTES, NUMBER_MAX};
use crate::pax::EXTENDED_PREFIX;
use crate::{Content, Member, MemberKind, Modified, letter};

/// Name of a pax header, which only readers that do not know it see.
const PAX_NAME: &[u8] = b"PaxHeaders/entry";
/// Directory that a sparse file seems to lie in to readers that do not know of it, as with GNU tar.
const SPARSE_DIRECTORY: &[u8] = b"GNUSparseFile.0/";

/// A tar being written.
pub struct Writer<W> {
    target: W,
    /// Bytes of content of the last member that were not written yet.
    left: u64,
    /// Zeros behind them.
    padding: usize,
}

impl<W: Write> Writer<W> {
    /// Begins a tar.
    pub fn new(target: W) -> Writer<W> {
        Writer {
            target,
            left: 0,
            padding: 0,
        }
    }

    /// Adds a member. Its content follows by [`Writer::content`]: as many bytes as it has of data.
    ///
    /// # Errors
    /// What the target says.
    pub fn append(&mut self, member: &Member<Content>) -> io::Result<()> {
        assert!(self.left == 0, "content is written whole");
        let map = match &member.kind {
            MemberKind::Regular(content) => sparse_map(content),
            _ => Vec::new(),
        };
        let data = match &member.kind {
            MemberKind::Regular(content) => content.data_bytes(),
            _ => 0,
        };
        let path = entry_path(member);
        let size = data + map.len() as u64;
        let records = records(member, &path, size, !map.is_empty());
        if !records.is_empty() {
            self.append_records(&records)?;
        }
        let header = fields(member, &path, size, !map.is_empty());
        self.target.write_all(&header)?;
        self.target.write_all(&map)?;
        self.left = data;
        self.padding = padding(data);
        self.end_content()
    }

    fn append_records(&mut self, records: &[u8]) -> io::Result<()> {
        let header = Fields {
            kind: letter::PAX,
            path: PAX_NAME,
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: records.len() as u64,
            seconds: 0,
            device: (0, 0),
        };
        self.target.write_all(&header.block())?;
        self.target.write_all(records)?;
        self.target
            .write_all(&[0; BLOCK_BYTES][..padding(records.len() as u64)])
    }

    /// Adds content of the last member.
    ///
    /// # Errors
    /// What the target says.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.expect("no more content comes than was said");
        self.target.write_all(bytes)?;
        self.end_content()
    }

    fn end_content(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Ok(());
        }
        let padding = std::mem::take(&mut self.padding);
        self.target.write_all(&[0; BLOCK_BYTES][..padding])
    }

    /// Ends the tar, and gives the target back.
    ///
    /// # Errors
    /// What the target says.
    pub fn finish(mut self) -> io::Result<W> {
        assert!(self.left == 0, "content is written whole");
        self.target.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.target.flush()?;
        Ok(self.target)
    }
}

fn padding(length: u64) -> usize {
    (length.next_multiple_of(BLOCK_BYTES as u64) - length) as usize
}

/// Returns the path as a tar has it: a directory's ends with a slash.
fn entry_path(member: &Member<Content>) -> Vec<u8> {
    let mut path = member.path.clone();
    if path.is_empty() {
        path.push(b'.');
    }
    if member.kind == MemberKind::Directory {
        path.push(b'/');
    }
    path
}

fn fields(member: &Member<Content>, path: &[u8], size: u64, is_sparse: bool) -> [u8; BLOCK_BYTES] {
    let (kind, link, device): (u8, &[u8], _) = match &member.kind {
        MemberKind::Regular(_) => (letter::REGULAR, b"", (0, 0)),
        MemberKind::Directory => (letter::DIRECTORY, b"", (0, 0)),
        MemberKind::Symlink(target) => (letter::SYMLINK, target, (0, 0)),
        MemberKind::HardLink(target) => (letter::LINK, target, (0, 0)),
        MemberKind::CharacterDevice { major, minor } => {
            (letter::CHARACTER_DEVICE, b"", (*major, *minor))
        }
        MemberKind::BlockDevice { major, minor } => (letter::BLOCK_DEVICE, b"", (*major, *minor)),
        MemberKind::Fifo => (letter::FIFO, b"", (0, 0)),
    };
    let sparse_path;
    let path = match is_sparse {
        false => path,
        true => {
            sparse_path = [SPARSE_DIRECTORY, path].concat();
            &sparse_path
        }
    };
    let header = Fields {
        kind,
        path,
        link,
        mode: member.mode & 0o7777,
        uid: member.uid,
        gid: member.gid,
        size,
        seconds: member.modified.seconds,
        device,
    };
    header.block()
}

/// Returns the pax records of what a header has no room for.
fn records(member: &Member<Content>, path: &[u8], size: u64, is_sparse: bool) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| append_record(&mut records, key, value);
    let is_long = |text: &[u8]| text.len() > NAME_BYTES;
    if let (true, MemberKind::Regular(content)) = (is_sparse, &member.kind) {
        add(b"GNU.sparse.major", b"1");
        add(b"GNU.sparse.minor", b"0");
        add(b"GNU.sparse.name", path);
        add(b"GNU.sparse.realsize", content.size.to_string().as_bytes());
    } else if is_long(path) {
        add(b"path", path);
    }
    if let MemberKind::Symlink(target) | MemberKind::HardLink(target) = &member.kind
        && is_long(target)
    {
        add(b"linkpath", target);
    }
    for (key, id) in [(b"uid", member.uid), (b"gid", member.gid)] {
        if id > ID_MAX {
            add(key, id.to_string().as_bytes());
        }
    }
    if size > NUMBER_MAX {
        add(b"size", size.to_string().as_bytes());
    }
    let Modified {
        seconds,
        nanoseconds,
    } = member.modified;
    if nanoseconds != 0 || !(0..=NUMBER_MAX as i64).contains(&seconds) {
        add(b"mtime", time_text(member.modified).as_bytes());
    }
    for (name, value) in &member.extended {
        add(&[EXTENDED_PREFIX, name].concat(), value);
    }
    records
}

/// Adds `LENGTH KEY=VALUE\n`, of which the length counts its own digits.
fn append_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Returns seconds with their fraction, if there is one.
fn time_text(time: Modified) -> String {
    const NS_PER_S: u32 = 1_000_000_000;
    let (sign, seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds, 0) => return seconds.to_string(),
        // The fraction counts away from zero.
        (seconds, fraction) if seconds < 0 => ("-", -(seconds + 1), NS_PER_S - fraction),
        (seconds, fraction) => ("", seconds, fraction),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// Returns the map in front of a sparse file's content, filled up to whole blocks; empty for a file without holes.
fn sparse_map(content: &Content) -> Vec<u8> {
    let Some(segments) = &content.segments else {
        return Vec::new();
    };
    let mut map = format!("{}\n", segments.len());
    for segment in segments {
        map.push_str(&format!("{}\n{}\n", segment.offset, segment.length));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK_BYTES), 0);
    map
}
