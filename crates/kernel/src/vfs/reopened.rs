//! What `/proc/<pid>/fd/<n>` leads to when it has no place in the tree: a pipe, a terminal, a stream.

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use crate::descriptor::FileDescription;
use crate::file::{File, ModesChange, TerminalModes};
use crate::stream::Stream;
use crate::tty::End;
use crate::vfs::{AttributeChange, Inode, Metadata};

/// The inode of something that is open.
pub(crate) struct DescriptionInode(pub(crate) Arc<FileDescription>);

impl Inode for DescriptionInode {
    fn metadata(&self) -> Result<Metadata> {
        self.0.file.metadata()
    }

    fn file_type(&self) -> FileType {
        self.metadata()
            .map_or(FileType::Fifo, |metadata| metadata.file_type)
    }

    fn number(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.inode)
    }

    /// Opens it again; a socket cannot be: `ENXIO`. Linux: `sock_no_open()`.
    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        let has = self.0.flags();
        let wants_more = (flags.is_writable() && !has.is_writable())
            || (flags.is_readable() && !has.is_readable());
        if wants_more {
            return Err(Errno::EACCES);
        }
        if self.file_type() == FileType::Socket {
            return Err(Errno::ENXIO);
        }
        Ok(reopen(&self.0))
    }

    /// Refuses, but takes a cut as done: a shell that redirects to `/dev/stdout` asks for one.
    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let cut = AttributeChange {
            size: change.size,
            ..AttributeChange::default()
        };
        if *change == cut {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }
}

/// Makes a file of something open, for a second description.
pub(crate) fn reopen(description: &Arc<FileDescription>) -> Arc<dyn File> {
    // Never one inside another: a guest could nest them without end.
    let file: &dyn Any = &*description.file;
    let description = match file.downcast_ref::<Reopened>() {
        Some(Reopened(inner)) => inner,
        None => description,
    };
    Arc::new(Reopened(Arc::clone(description)))
}

/// A description inside another one: the inner closes when the last of both has gone.
struct Reopened(Arc<FileDescription>);

impl File for Reopened {
    fn is_seekable(&self) -> bool {
        self.0.file.is_seekable()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.0.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.0.file.write_at(bytes, offset)
    }

    fn append(&self, bytes: &[u8]) -> Result<(usize, u64)> {
        self.0.file.append(bytes)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.0.file.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.0.file.write(bytes)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        self.0.file.poll(interest, waker)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.0.file.metadata()
    }

    fn pipe(&self) -> Option<&Stream> {
        self.0.file.pipe()
    }

    fn terminal(&self) -> Option<&End> {
        self.0.file.terminal()
    }

    fn is_terminal(&self) -> bool {
        self.0.file.is_terminal()
    }

    fn window(&self) -> Option<[u16; 4]> {
        self.0.file.window()
    }

    fn modes(&self) -> Result<TerminalModes> {
        self.0.file.modes()
    }

    fn set_modes(&self, modes: &TerminalModes, when: ModesChange) -> Result<()> {
        self.0.file.set_modes(modes, when)
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.0.file.readable_bytes()
    }
}
