//! Stopping: programs of steps that run while another stage fails are ended, for nobody waits for what they make.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use minke_engine::step::Step;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The programs that run.
#[derive(Debug, Default)]
pub(crate) struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    next: u64,
    /// By number. A descriptor means its process even after that has ended and another has its number.
    processes: Vec<(u64, OwnedFd)>,
}

/// Keeps a program in the list.
#[derive(Debug)]
pub(crate) struct Registered {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl Running {
    /// Adds a program until the value is dropped. After [`Running::stop`], it is ended at once.
    pub(crate) fn register(&self, step: &Step) -> Registered {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.next += 1;
        let number = state.next;
        // Without a descriptor the program runs to its end, which the build then waits for.
        if let Some(process) = step
            .pid()
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        {
            state.processes.push((number, process));
        }
        if state.is_stopped {
            state.kill();
        }
        Registered {
            state: Arc::clone(&self.0),
            number,
        }
    }

    /// Ends all.
    pub(crate) fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_stopped = true;
        state.kill();
    }
}

impl State {
    fn kill(&self) {
        for (_, process) in &self.processes {
            // One that has ended needs no signal.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.processes.retain(|(number, _)| *number != self.number);
    }
}
