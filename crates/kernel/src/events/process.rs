//! Processes behind descriptors, readable once they have ended. Linux: kernel/pid.c; `pidfd_open(2)`.

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::descriptor::FileDescription;
use crate::file::File;
use crate::process::Process;
use crate::task::Task;
use crate::vfs::Metadata;

/// A process behind a descriptor: this one, whoever gets its number later.
pub struct ProcessFile {
    pub(crate) process: Arc<Process>,
    inode: AnonymousInode,
}

impl ProcessFile {
    /// Makes a file for a process, which belongs to a task's user.
    pub(crate) fn new(task: &Task, process: Arc<Process>) -> ProcessFile {
        ProcessFile {
            process,
            inode: AnonymousInode::of(task, FileType::Fifo),
        }
    }

    /// Returns the process behind a description; `EBADF` for what is none.
    pub(crate) fn process_of(description: &FileDescription) -> Result<&Arc<Process>> {
        let file: &dyn Any = &*description.file;
        let file: &ProcessFile = file.downcast_ref().ok_or(Errno::EBADF)?;
        Ok(&file.process)
    }
}

impl File for ProcessFile {
    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, self.process.poll_told_end(waker));
        ready & interest
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }
}
