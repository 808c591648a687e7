//! Content of files.
//!
//! | module | is |
//! |---|---|
//! | [`map`] | where blocks are |
//! | [`extents`], [`indirect`] | the two forms of maps on the device |
//! | [`read`] | reading: from blocks in memory, the device, or in place |
//! | [`write`] | writing into memory, and from memory to blocks |
//! | [`cache`] | content that is on the device, kept in memory |
//! | [`resize`] | cutting, preallocating and punching holes |

pub(crate) mod cache;
pub(crate) mod extents;
pub(crate) mod indirect;
pub(crate) mod map;
mod read;
mod resize;
mod write;
pub(crate) use read::TARGET_BYTES_MAX;
pub use resize::Preallocation;
pub(crate) use write::WAITING_BYTES_MAX;
