//! Pipes. Linux: fs/pipe.c; `pipe(7)`.

use std::sync::Arc;

use minke_abi::{Errno, Result};

use crate::file::File;

/// Makes a pipe: its reading and its writing end.
pub fn pipe() -> Result<(Arc<dyn File>, Arc<dyn File>)> {
    Err(Errno::ENOSYS)
}
