//! What an open file can do, whatever stands behind it.

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::net::Socket;
use crate::process::Process;
use crate::stream::Stream;
use crate::tty::End;
use crate::vfs::Metadata;
use crate::vfs::tree::ByteRange;

/// How a terminal treats what passes through it. Linux: include/uapi/asm-generic/termbits.h, `struct termios`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalModes {
    /// Of input, output, the line and the terminal itself: `c_iflag`, `c_oflag`, `c_cflag`, `c_lflag`.
    pub flags: [u32; 4],
    /// The number of the line discipline.
    pub discipline: u8,
    /// Characters that do something, and what a read waits for.
    pub characters: [u8; 19],
}

/// When new modes of a terminal take effect. POSIX: `tcsetattr()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModesChange {
    Now,
    /// When all output is written.
    Drained,
    /// Then, and input that nobody has read is dropped.
    Flushed,
}

/// What becomes of a range. Linux: `fallocate(2)`, there flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// It has room, and the file reaches its end (mode 0).
    Extend,
    /// It has room; the size stays (`FALLOC_FL_KEEP_SIZE`).
    KeepSize,
    /// It reads as zeros and takes no room; the size stays (`FALLOC_FL_PUNCH_HOLE`).
    Hole,
}

/// An open file's operations. Linux: `struct file_operations`.
///
/// Tries never block: what is not ready answers `EAGAIN`. Positions live in the
/// [`FileDescription`](crate::FileDescription), which calls the `_at` forms for seekable files
/// and the plain forms for streams.
pub trait File: Any + Send + Sync {
    /// Whether the file has positions (regular files, devices such as `/dev/zero` too).
    fn is_seekable(&self) -> bool {
        false
    }

    /// Reads at a position; fewer bytes than asked for only at the end.
    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> Result<usize> {
        Err(Errno::ESPIPE)
    }

    /// Writes at a position.
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> Result<usize> {
        Err(Errno::ESPIPE)
    }

    /// Writes at the end in one step (`O_APPEND`); returns the bytes written and the position after them.
    fn append(&self, _bytes: &[u8]) -> Result<(usize, u64)> {
        Err(Errno::ESPIPE)
    }

    /// Reads the next bytes of a stream; 0 is its end.
    fn read(&self, _buffer: &mut [u8]) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Writes to a stream; may take fewer bytes than given.
    fn write(&self, _bytes: &[u8]) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Returns what of `interest` holds now (plus `ERR`, `HUP`), and registers `waker`, when given, for changes.
    fn poll(&self, interest: PollEvents, _waker: Option<&Waker>) -> PollEvents {
        interest & (PollEvents::IN | PollEvents::OUT)
    }

    /// Registers `waker` for changes of `interest`, before a try. A file that can answer `EAGAIN`
    /// keeps the waker and wakes it; this form need not find out what holds now.
    fn register(&self, interest: PollEvents, waker: &Waker) {
        let _ = self.poll(interest, Some(waker));
    }

    /// Returns the whole content, where it is as yet the unchanged file of a layer.
    fn fixed_content(&self) -> Option<ByteRange> {
        None
    }

    /// Returns what a child has instead that inherits this by `fork`; `None` for what both share.
    fn inherited(&self, _child: &Arc<Process>) -> Option<Arc<dyn File>> {
        None
    }

    /// Returns the attributes that `fstat` shows.
    fn metadata(&self) -> Result<Metadata>;

    /// Gives a range room, or takes it away. POSIX: `posix_fallocate()`; Linux: `fallocate(2)`.
    fn allocate(&self, _offset: u64, _length: u64, _allocation: Allocation) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Returns the next position that holds data (`SEEK_DATA`); files without holes have it everywhere.
    fn seek_data(&self, offset: u64) -> Result<u64> {
        if offset < self.metadata()?.size {
            Ok(offset)
        } else {
            Err(Errno::ENXIO)
        }
    }

    /// Returns the next position in a hole (`SEEK_HOLE`); the end of a file is one.
    fn seek_hole(&self, offset: u64) -> Result<u64> {
        let size = self.metadata()?.size;
        if offset < size {
            Ok(size)
        } else {
            Err(Errno::ENXIO)
        }
    }

    /// Returns the socket operations, if this is a socket.
    fn socket(&self) -> Option<&dyn Socket> {
        None
    }

    /// Returns which end of which of the kernel's terminals this is, if it is one.
    fn terminal(&self) -> Option<&End> {
        None
    }

    /// Whether this is a terminal (`isatty`).
    fn is_terminal(&self) -> bool {
        false
    }

    /// Returns rows, columns and the pixels of both of a terminal whose window is known (`TIOCGWINSZ`).
    fn window(&self) -> Option<[u16; 4]> {
        None
    }

    /// Returns a terminal's modes (`TCGETS`); `ENOTTY` for what has none.
    fn modes(&self) -> Result<TerminalModes> {
        Err(Errno::ENOTTY)
    }

    /// Changes a terminal's modes (`TCSETS`, `TCSETSW`, `TCSETSF`).
    fn set_modes(&self, _modes: &TerminalModes, _when: ModesChange) -> Result<()> {
        Err(Errno::ENOTTY)
    }

    /// Bytes that a read would get at once (`FIONREAD`).
    fn readable_bytes(&self) -> Result<usize> {
        Err(Errno::ENOTTY)
    }

    /// Returns the bytes of a pipe or fifo, if this is an end of one.
    fn pipe(&self) -> Option<&Stream> {
        None
    }

    /// Whether this is an end of a fifo whose other end nobody has opened since: for that, an `open` that may wait does.
    fn awaits_peer(&self) -> bool {
        false
    }

    /// Called when the last descriptor of the description has gone.
    fn close(&self) {}
}
