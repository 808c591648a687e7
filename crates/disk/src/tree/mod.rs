//! Trees of files between tars and the file systems of disks, without a mount and without root.
//!
//! | module | is |
//! |---|---|
//! | `import` | entries of a tar, or of anything like one, made in a file system |
//! | `place` | their paths, taken apart in the file system |
//! | `hide` | whiteouts, and what makes room for something else |
//! | `walk` | a tree of a file system, one entry after the other |
//! | `export` | such a tree as a tar |

mod export;
mod hide;
mod import;
mod place;
mod walk;

pub use export::{ExportError, Holes, export};
pub use hide::remove_tree;
pub use import::{ContentSource, ImportError, ImportOptions, Importer, import};
pub use minke_archive::{
    ArchiveError, Change, Content, Member, MemberKind, Modified, ReadError, Segment, Whiteouts,
};
pub use walk::{Walk, WalkError, Walked};

use minke_ext4::Timestamp;

/// Bytes of a path that an error shows.
const SHOWN_BYTES_MAX: usize = 200;

/// Bytes of content that are moved at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Returns what a message shows of a path.
fn shown(path: &[u8]) -> String {
    let part = &path[..path.len().min(SHOWN_BYTES_MAX)];
    String::from_utf8_lossy(part).into_owned()
}

fn timestamp(modified: Modified) -> Timestamp {
    Timestamp {
        seconds: modified.seconds,
        nanoseconds: modified.nanoseconds,
    }
}
