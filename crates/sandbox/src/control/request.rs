//! Requests and responses, as they are on the wire.

use std::io;

use serde::{Deserialize, Serialize};

use super::message;
use crate::attach::WindowSize;
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
    /// Keeps all processes from going on until [`Request::Resume`], a stop, or a signal that ends the container; the answer comes when
    /// they stand still. One that is paused stays so.
    Pause,
    /// Lets all processes go on; the answer comes at once.
    Resume,
    /// Changes what the container may have from now on; the answer comes at once.
    Limit(LimitsChange),
    /// Takes a snapshot of the root under this name, which no other has; the answer comes when it is there, and ends the connection.
    Snapshot { name: String },
    /// Works on the container's files. The connection is its own from then on, and ends with it: streams go over it in
    /// [`frames`](crate::files::frames).
    Files(FilesRequest),
    /// Starts a program beside the first. The connection is its own from then on: the answer is [`Response::Begun`], and
    /// [`Response::Ended`] when the program has ended; or [`Response::NotBegun`] or [`Response::ModulesWanted`], and the end.
    Exec(ExecRequest),
    /// Answers with [`Response::Processes`].
    Processes,
    /// Shows what the first process prints from now on. The connection is its own from then on: the answer is [`Response::Done`], and
    /// [frames](crate::attach::Frame) behind it in both directions; or [`Response::Refused`], and the end.
    Attach(AttachRequest),
}

/// How a command is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Whether what the command is typed reaches the process, if that was started with an input.
    pub is_typed: bool,
    /// The size of the command's window, if it has one; the program's terminal gets it.
    #[serde(default)]
    pub window: Option<WindowSize>,
}

/// A program to start in a running container. Descriptors come with the first byte of the request, in the order of the
/// fields that tell of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// By which events name it: 64 hexadecimal digits.
    pub id: String,
    /// Program and arguments, as typed.
    pub args: Vec<String>,
    /// Absolute paths in the container at which the program may be, best first; the first that is a file is run.
    pub program_paths: Vec<String>,
    /// `KEY=value`; `HOME` and `HOSTNAME` are added where they are not there.
    pub env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    /// As typed: `name`, `uid`, `uid:gid`, `name:group`; empty is root.
    pub user: String,
    /// Whether a standard input comes; else it is `/dev/null`.
    pub has_input: bool,
    /// Whether a standard output and a standard error come; else they are `/dev/null`.
    pub has_outputs: bool,
    /// How the command is attached to a terminal of the program, in place of streams: then [frames](crate::attach::Frame) follow
    /// [`Response::Begun`] in both directions, and no [`Response::Ended`].
    #[serde(default)]
    pub terminal: Option<AttachRequest>,
    /// Whether a connection to a module server comes, for a sandbox that has none.
    pub has_modules: bool,
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
    Processes {
        processes: Vec<ProcessStatus>,
    },
    FileStatus {
        /// `None` where there is nothing.
        status: Option<FileStatus>,
    },
    /// The program of an [`ExecRequest`] runs.
    Begun {
        pid: u32,
    },
    /// It cannot run.
    NotBegun {
        /// 125, 126 or 127, as a shell and Docker have it.
        exit_code: u8,
        message: String,
        /// An action.
        hint: Option<String>,
    },
    /// It cannot be loaded without a module server: to be asked again, with one.
    ModulesWanted,
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

/// A process of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    pub pid: u32,
    /// 0 for the first, and for those that commands started.
    pub parent: u32,
    /// The effective user.
    pub uid: u32,
    /// Seconds since 1970.
    pub started_at_s: u64,
    /// Linux: `proc_pid_stat(5)`: `S`, `T` or `Z`.
    pub state: char,
    pub threads: u32,
    /// Number N of its controlling terminal `/dev/pts/N`.
    pub terminal: Option<u32>,
    /// Its arguments with blanks between them, perhaps cut short.
    pub command: String,
}

/// Takes the first whole request out of bytes that were received; `None` when more are needed.
///
/// # Errors
/// When they can be no request, at the earliest byte that shows it.
pub fn take_request(inbox: &mut Vec<u8>) -> io::Result<Option<Request>> {
    message::take(inbox)
}
