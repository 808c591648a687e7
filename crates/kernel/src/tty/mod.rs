//! Terminals: pairs of a master and a slave with Linux's line discipline between them, and job control.
//!
//! What is typed is written to the master and read from the slave; what programs print goes the other way. The master of a pair is a
//! program's (`/dev/ptmx`) or the host's ([`Master`]).
//!
//! | module | is |
//! |---|---|
//! | `termios` | modes, decoded |
//! | `input`, `output` | what waits in either direction |
//! | `discipline`, `erasing`, `letters` | typed bytes become lines, signals and echoes |
//! | `pair`, `state` | a terminal: what it holds, who waits for it, and its transfers |
//! | `ends` | both ends as open files |
//! | `master` | the end that the host drives |
//! | `session` | controlling terminals, foreground groups, orphaned groups |
//! | `registry` | a container's terminals by number |
//! | `devpts` | `/dev/pts` |
//!
//! Linux: drivers/tty/pty.c, n_tty.c, tty_io.c, tty_jobctrl.c; `pty(7)`, `termios(3)`, `ioctl_tty(2)`. Hardware is left out: speeds,
//! parity, modem lines; `PARMRK` and `IXOFF` do nothing.

mod devpts;
mod discipline;
mod ends;
mod erasing;
mod input;
mod letters;
mod master;
mod output;
mod pair;
mod registry;
mod session;
mod state;
mod termios;

pub use devpts::{DevptsFileSystem, mount};
pub use ends::{End, Side};
pub use master::Master;
pub use pair::{Flow, Pair, Queue, Window};
pub use termios::DEFAULT_MODES;

pub(crate) use ends::{open_master, open_slave};
pub(crate) use pair::Readiness;
pub(crate) use registry::Terminals;
pub(crate) use session::{Access, Stealing};
