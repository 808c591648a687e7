//! A user-space kernel with Linux semantics, for programs that are WebAssembly.
//!
//! One [`Kernel`] serves one container. Its [`Process`]es own descriptors, credentials and a
//! view of the mount tree; a [`Task`] is a process's thread and the subject of every call: a
//! personality decodes a guest's arguments, checks its pointers once, and calls a method of
//! [`Task`] (see [`calls`]). What a guest sees of a failure is an [`Errno`](minke_abi::Errno).
//!
//! The kernel never asks its host: clock, entropy, timers, host sockets and host files come
//! in through the traits of [`platform`]. It builds for `wasm32-unknown-unknown`.
//!
//! # Blocking
//!
//! Objects offer non-blocking tries, which answer `EAGAIN`, and [`File::poll`], which takes a
//! waker. [`Task::block_on`] makes an interruptible, timed wait of the two.
//!
//! # Lock order
//!
//! ```text
//! Kernel::processes
//!   a terminal's session and foreground group
//!   Process::fs, Process::credentials
//!     Process's signals, image, futexes, interrupters
//!     FdTable
//!       FileDescription::offset
//!         file system locks (directory before file)
//!         a terminal's state
//!         a socket's role or state
//!           port table, names of Unix sockets
//!             a listener's queue
//!               an end's name, streams and datagram queues
//!           table of file locks
//!             a set's watches, then its queue
//!               WaitQueue
//! ```
//! A lock is never held across an await, and none while a waker runs.

pub mod alarm;
pub mod anonymous;
pub mod calls;
pub mod cpu_time;
pub mod descriptor;
pub mod events;
pub mod family;
pub mod file;
pub mod futex;
pub mod kernel;
pub mod locks;
pub mod net;
pub mod pipe;
pub mod platform;
pub mod process;
pub mod resource;
pub mod settings;
pub mod signal;
pub mod stream;
pub mod task;
pub mod timers;
pub mod tty;
pub mod vfs;
pub mod wait;

pub use descriptor::{Fd, FdTable, FileDescription};
pub use file::{Allocation, File, ModesChange, TerminalModes};
pub use futex::{ALL_BITS, FutexWait};
pub use kernel::{Kernel, KernelConfig};
pub use minke_abi::{Errno, Result};
pub use process::{Credentials, ExitStatus, Interruption, Pid, Process};
pub use resource::{ResourceLimit, ResourceLimits};
pub use task::Task;
