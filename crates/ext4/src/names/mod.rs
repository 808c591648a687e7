//! Names: entries of directories, found, listed and changed.
//!
//! | module | is |
//! |---|---|
//! | [`directory`] | a directory's blocks, and finding a name in them |
//! | [`tree`] | the way through a hash tree |
//! | [`list`] | listing, with cookies that stay right under change |
//! | [`insert`] | adding and removing entries |
//! | [`change`] | operations on names: create, link, unlink, rename |
//! | [`nameless`] | files without a name |
//! | [`replay`] | names that a journal adds and removes |

mod change;
mod directory;
mod insert;
mod list;
mod nameless;
mod replay;
mod tree;

pub use change::{NewInode, Ownership, RenameMode};
pub use list::ListedEntry;
