//! What pax and GNU headers say of the entry that follows them. POSIX: pax, "pax Extended Header".

use crate::sparse::SparseKeys;
use crate::{ArchiveError, Extended, Modified, letter};

/// Key prefix of extended attributes.
pub(crate) const EXTENDED_PREFIX: &[u8] = b"SCHILY.xattr.";
/// Key prefix of what is said of holes. GNU tar: "Storing Sparse Files".
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// What was said of the next entry.
#[derive(Default)]
pub(crate) struct Extensions {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) modified: Option<Modified>,
    pub(crate) extended: Extended,
    pub(crate) sparse: Option<SparseKeys>,
}

impl Extensions {
    /// Takes the content of a header that says something of the next entry.
    pub(crate) fn take(&mut self, kind: u8, content: &[u8]) -> Result<(), ArchiveError> {
        match kind {
            letter::PAX => return self.read(content),
            letter::GNU_LONG_NAME => self.path = Some(long_name(content)),
            letter::GNU_LONG_LINK => self.link = Some(long_name(content)),
            // What a global header says holds for all, which no writer of layers uses.
            _ => {}
        }
        Ok(())
    }

    /// Reads the records `LENGTH KEY=VALUE\n` of a pax header.
    fn read(&mut self, mut content: &[u8]) -> Result<(), ArchiveError> {
        let bad = || ArchiveError::Corrupt("pax record");
        while !content.is_empty() {
            let space = content.iter().position(|byte| *byte == b' ');
            let space = space.ok_or_else(bad)?;
            let length = decimal(&content[..space]).ok_or_else(bad)?;
            let length = usize::try_from(length).map_err(|_| bad())?;
            let record = content.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let (key, value) = record.split_at(equals.ok_or_else(bad)?);
            self.set(key, &value[1..])?;
            content = &content[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let bad = ArchiveError::Corrupt("pax value");
        let id = || decimal(value).and_then(|id| u32::try_from(id).ok());
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value).ok_or(bad)?),
            b"uid" => self.uid = Some(id().ok_or(bad)?),
            b"gid" => self.gid = Some(id().ok_or(bad)?),
            b"mtime" => self.modified = Some(time(value).ok_or(bad)?),
            _ => {
                if let Some(name) = key.strip_prefix(EXTENDED_PREFIX) {
                    self.extended.push((name.to_vec(), value.to_vec()));
                } else if let Some(rest) = key.strip_prefix(SPARSE_PREFIX) {
                    let sparse = self.sparse.get_or_insert_default();
                    sparse.set(rest, value)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a GNU long name, which a zero ends.
fn long_name(content: &[u8]) -> Vec<u8> {
    let name = content.split(|byte| *byte == 0).next();
    name.unwrap_or_default().to_vec()
}

pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses seconds with an optional fraction, which may be negative.
fn time(text: &[u8]) -> Option<Modified> {
    const DIGITS: usize = 9;
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().take(DIGITS).collect();
    let nanoseconds: u32 = format!("{digits:0<DIGITS$}").parse().ok()?;
    if !whole.starts_with('-') || nanoseconds == 0 {
        return Some(Modified {
            seconds,
            nanoseconds,
        });
    }
    Some(Modified {
        seconds: seconds.checked_sub(1)?,
        nanoseconds: 1_000_000_000 - nanoseconds,
    })
}
