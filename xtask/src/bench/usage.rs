//! Time and memory of a process from its start to its end.
#![expect(
    unsafe_code,
    reason = "`wait4` tells a child's peak memory, and the standard library does not call it"
)]

use std::io;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::shown;

/// What a whole process took, with the children that it waited for.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub wall_ms: f64,
    pub peak_mib: f64,
}

/// Runs a program to its end with nothing to read and its output thrown away; it must succeed.
pub fn measure(command: &mut Command) -> Result<Usage> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let (status, peak_kib) = wait(child.id())?;
    let wall_ms = start.elapsed().as_secs_f64() * 1000.0;
    if status != 0 {
        bail!("{} failed with wait status {status}", shown(command));
    }
    Ok(Usage {
        wall_ms,
        peak_mib: peak_kib as f64 / 1024.0,
    })
}

/// Waits for a child of ours; returns its wait status and its peak memory in KiB.
fn wait(pid: u32) -> Result<(i32, i64)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let pid = libc::pid_t::try_from(pid).context("a process number is positive")?;
    loop {
        // SAFETY: both pointers are to places of the right type that outlive the call.
        let waited = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
        if waited == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error).context("cannot wait for a child");
        }
    }
    // SAFETY: all zeroes are a `rusage`, and the call has filled it in.
    let usage = unsafe { usage.assume_init() };
    Ok((status, usage.ru_maxrss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_time_and_a_peak() {
        let usage = measure(&mut Command::new("true")).expect("`true` succeeds");
        assert!(usage.wall_ms > 0.0 && usage.peak_mib > 0.0, "{usage:?}");
    }

    #[test]
    fn a_failure_is_no_figure() {
        assert!(measure(&mut Command::new("false")).is_err());
    }
}
