//! What travels beside the bytes of a message: who sends, and descriptors. Linux: `struct scm_cookie`.

use std::sync::Arc;

use crate::descriptor::FileDescription;
use crate::net::UserCredentials;
use crate::net::unix::rights::Rights;
use crate::stream::Consume;

/// What travels beside the bytes of a message.
#[derive(Clone, Default)]
pub(crate) struct Companions {
    /// Who sends; `None` is who the connection was made by.
    pub(crate) credentials: Option<UserCredentials>,
    pub(crate) rights: Option<Arc<Rights>>,
}

impl Companions {
    /// Whether nothing travels beside the bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.credentials.is_none() && self.rights.is_none()
    }

    /// Returns the descriptors: themselves if the message is taken, or copies.
    pub(crate) fn descriptions(self, consume: Consume) -> Vec<Arc<FileDescription>> {
        match (self.rights, consume) {
            (None, _) => Vec::new(),
            (Some(rights), Consume::Take) => rights.take(),
            (Some(rights), Consume::Peek) => rights.copies(),
        }
    }
}
