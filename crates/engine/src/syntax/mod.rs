//! Ports, mounts, variables, sizes and times as people type them, in Docker's short forms.

mod cpus;
mod host;
mod mount;
mod port;
mod size;
mod time;
mod ulimit;
mod variables;
mod volume;

pub use cpus::parse_cpus;
pub use host::{check_hostname, parse_host};
pub use mount::parse_mount;
pub use port::{PortRange, guest_port_name, parse_publish};
pub use size::{parse_bytes, parse_memory};
pub use time::{parse_duration, parse_time};
pub use ulimit::parse_ulimit;
pub use variables::{parse_label, read_labels, read_variables};
pub use volume::{parse_mounts_from, parse_tmpfs, parse_volume};

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// An action.
    pub hint: String,
}

impl SyntaxError {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> SyntaxError {
        SyntaxError {
            message: message.into(),
            hint: hint.into(),
        }
    }
}
