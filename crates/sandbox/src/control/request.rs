//! Requests and responses, as they are on the wire.

use std::io;

use serde::{Deserialize, Serialize};

use super::message;
use crate::files::request::{FileStatus, FilesRequest};

/// What a command asks of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    /// Sends a signal to the first process; the answer comes at once.
    Kill { signal: u8 },
    /// Sends a signal, and `SIGKILL` when the container still runs after a time; the answer is [`Response::Ended`].
    Stop {
        signal: u8,
        /// `None` waits for ever.
        timeout_ms: Option<u64>,
    },
    /// Answers with [`Response::Ended`] when the container has ended.
    Wait,
    /// Answers with [`Response::Statistics`].
    Statistics,
    /// Changes what the container may have from now on; the answer comes at once.
    Limit(LimitsChange),
    /// Takes a snapshot of the root under this name, which no other has; the answer comes when it is there, and ends the connection.
    Snapshot { name: String },
    /// Works on the container's files. The connection is its own from then on, and ends with it: streams go over it in
    /// [`frames`](crate::files::frames).
    Files(FilesRequest),
}

/// New limits; `None` leaves one as it is. What is in use already stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsChange {
    pub memory_bytes_max: Option<u64>,
    pub pids_max: Option<u32>,
    /// CPU time per time, in billionths of a CPU; 0 is no limit. Docker: `NanoCpus`.
    #[serde(default)]
    pub nano_cpus: Option<u64>,
}

/// What a sandbox answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "lowercase")]
pub enum Response {
    Done,
    Ended {
        exit_code: u8,
    },
    Statistics(Statistics),
    FileStatus {
        /// `None` where there is nothing.
        status: Option<FileStatus>,
    },
    /// The request is not understood, or cannot be done.
    Refused {
        message: String,
    },
}

/// What a container uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Linear memory, tables and in-memory files.
    pub memory_bytes: u64,
    pub memory_bytes_max: u64,
    /// Of `memory_bytes`: inodes, names, pipes and sockets.
    #[serde(default)]
    pub kernel_bytes: u64,
    /// Of `memory_bytes`: contents of files in memory. The rest is linear memory and tables.
    #[serde(default)]
    pub page_bytes: u64,
    pub processes: u32,
    pub cpu_time_ns: u64,
    /// What was written to the root, which is in memory.
    #[serde(default)]
    pub root_bytes: u64,
    /// What guests received and sent through sockets of the host.
    #[serde(default)]
    pub network_received_bytes: u64,
    #[serde(default)]
    pub network_sent_bytes: u64,
}

/// Takes the first whole request out of bytes that were received; `None` when more are needed.
///
/// # Errors
/// When they can be no request, at the earliest byte that shows it.
pub fn take_request(inbox: &mut Vec<u8>) -> io::Result<Option<Request>> {
    message::take(inbox)
}
