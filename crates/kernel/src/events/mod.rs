//! Descriptors of which something is read that has happened. Linux: anonymous inodes (`fs/anon_inodes.c`).
//!
//! | module | is |
//! |---|---|
//! | [`epoll`] | which of many descriptors are ready |
//! | [`counter`] | a number that is added to and read: `eventfd` |
//! | [`notify`] | what happens to files: `inotify` |
//! | [`process`] | processes that end: `pidfd` |
//! | [`signals`] | signals that are not handled: `signalfd` |
//! | [`timer`] | how often a timer has rung: `timerfd` |

pub mod counter;
pub mod epoll;
pub mod notify;
pub mod process;
pub mod signals;
pub mod timer;
