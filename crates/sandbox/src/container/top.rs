//! A container's processes, for `minke top`.

use minke_kernel::{Kernel, Process};

use crate::control::ProcessStatus;

/// Bounds the text of all commands together: an answer is bounded, and a container may have thousands of processes.
const COMMANDS_BYTES_MAX: usize = 256 << 10;

/// Bounds the text of one command. Linux: `ps -ww` shows as much.
const COMMAND_BYTES_MAX: usize = 4096;

const NANOSECONDS: u64 = 1_000_000_000;

/// Returns all processes that have not ended, or that nobody has waited for, by number.
pub(super) fn processes(kernel: &Kernel) -> Vec<ProcessStatus> {
    let processes = kernel.processes();
    let command_bytes_max = (COMMANDS_BYTES_MAX / processes.len().max(1)).min(COMMAND_BYTES_MAX);
    processes
        .iter()
        .map(|process| status(process, command_bytes_max))
        .collect()
}

fn status(process: &Process, command_bytes_max: usize) -> ProcessStatus {
    let clock = &process.kernel.clock;
    let age = clock.monotonic().saturating_sub(process.started_at);
    let mut command = process.image().args.join(&b' ');
    command.truncate(command_bytes_max);
    ProcessStatus {
        pid: process.pid.0,
        parent: process.parent().0,
        uid: process.credentials().euid,
        started_at_s: clock.realtime().saturating_sub(age) / NANOSECONDS,
        state: process.state_letter(),
        threads: process.threads_count(),
        terminal: process.terminal_number(),
        command: String::from_utf8_lossy(&command).into_owned(),
    }
}
