//! Reading directories.

use minke_abi::{Errno, Result};

use crate::descriptor::Fd;
use crate::task::Task;
use crate::vfs::DirectoryEntry;

impl Task {
    /// Lists an open directory from a cookie on, `.` and `..` first, until `emit` says `false`. Linux: `getdents64(2)`.
    pub fn read_directory(
        &self,
        fd: Fd,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let _ = (fd, cookie, emit);
        Err(Errno::ENOSYS)
    }
}
