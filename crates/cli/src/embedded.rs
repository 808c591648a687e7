//! Files that lie in the command itself, if they were there when it was built (`build.rs`).

/// A file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedded {
    pub(crate) bytes: &'static [u8],
    /// As whoever made the file wrote it beside it.
    pub(crate) digest: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
