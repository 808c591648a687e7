//! The table of system calls. Linking and `docs/compat/linux.md` come from it.

use std::pin::Pin;

use minke_abi::Result;
use wasmtime::Caller;

use super::calls;
use super::context::{Arguments, Context};
use crate::personality::Support;
use crate::runtime::Guest;

/// The module name that programs import system calls from.
pub(super) const MODULE: &str = "wali";

/// How the names of imports begin.
pub(super) const PREFIX: &str = "SYS_";

/// A call that is under way.
pub(super) type Pending<'a> = Pin<Box<dyn Future<Output = Result<i64>> + Send + 'a>>;

/// What a call does.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Never waits.
    Now(fn(&mut Context<'_>, &Arguments) -> Result<i64>),
    /// May wait.
    Waiting(for<'a> fn(&'a mut Caller<'_, Guest>, Arguments) -> Pending<'a>),
}

/// What becomes of a call that a handler has interrupted. POSIX: `sigaction()`, `SA_RESTART`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// It is made again if the handler was set with `SA_RESTART`.
    Restarts,
    /// It gives `EINTR` in any case. Linux: `signal(7)`.
    Fails,
}

/// A system call.
pub(super) struct Syscall {
    /// As Linux names it.
    pub(super) name: &'static str,
    /// x86-64's number.
    pub(super) number: u16,
    pub(super) support: Support,
    pub(super) interrupted: Interrupted,
    /// A signal that it makes due takes effect before it returns.
    pub(super) is_attentive: bool,
    pub(super) body: Body,
}

impl Syscall {
    /// Declares a call that never waits and is served whole.
    pub(super) const fn now(
        name: &'static str,
        number: u16,
        body: fn(&mut Context<'_>, &Arguments) -> Result<i64>,
    ) -> Syscall {
        Syscall {
            name,
            number,
            support: Support::Whole,
            interrupted: Interrupted::Fails,
            is_attentive: false,
            body: Body::Now(body),
        }
    }

    /// Declares a call that may wait and is served whole.
    pub(super) const fn waiting(
        name: &'static str,
        number: u16,
        body: for<'a> fn(&'a mut Caller<'_, Guest>, Arguments) -> Pending<'a>,
    ) -> Syscall {
        Syscall {
            name,
            number,
            support: Support::Whole,
            interrupted: Interrupted::Fails,
            is_attentive: true,
            body: Body::Waiting(body),
        }
    }

    /// The same call, made again after a handler that was set so.
    pub(super) const fn restarting(mut self) -> Syscall {
        self.interrupted = Interrupted::Restarts;
        self
    }

    /// The same call, which may send its caller a signal or unblock one.
    pub(super) const fn attentive(mut self) -> Syscall {
        self.is_attentive = true;
        self
    }

    /// The same call with a difference from Linux.
    pub(super) const fn partial(mut self, difference: &'static str) -> Syscall {
        self.support = Support::Partial(difference);
        self
    }

    /// The same call, which always fails.
    pub(super) const fn refused(mut self, reason: &'static str) -> Syscall {
        self.support = Support::Refused(reason);
        self
    }
}

/// A family of calls, as the support page groups them.
pub(super) struct Family {
    pub(super) title: &'static str,
    pub(super) calls: &'static [Syscall],
}

/// Every system call.
pub(super) static FAMILIES: &[Family] = &[
    Family {
        title: "Reading and writing",
        calls: calls::transfers::CALLS,
    },
    Family {
        title: "Paths",
        calls: calls::paths::CALLS,
    },
    Family {
        title: "Attributes",
        calls: calls::attributes::CALLS,
    },
    Family {
        title: "Extended attributes",
        calls: calls::extended::CALLS,
    },
    Family {
        title: "Open files",
        calls: calls::files::CALLS,
    },
    Family {
        title: "Descriptors",
        calls: calls::descriptors::CALLS,
    },
    Family {
        title: "Waiting for descriptors",
        calls: calls::poll::CALLS,
    },
    Family {
        title: "Events",
        calls: calls::events::CALLS,
    },
    Family {
        title: "Sockets",
        calls: calls::sockets::CALLS,
    },
    Family {
        title: "Processes",
        calls: calls::processes::CALLS,
    },
    Family {
        title: "Processes behind descriptors",
        calls: calls::process_files::CALLS,
    },
    Family {
        title: "Threads",
        calls: calls::threads::CALLS,
    },
    Family {
        title: "Users and limits",
        calls: calls::identity::CALLS,
    },
    Family {
        title: "Settings and scheduling",
        calls: calls::settings::CALLS,
    },
    Family {
        title: "Signals",
        calls: calls::signals::CALLS,
    },
    Family {
        title: "Clocks",
        calls: calls::clocks::CALLS,
    },
    Family {
        title: "Timers and alarms",
        calls: calls::timers::CALLS,
    },
    Family {
        title: "System and memory",
        calls: calls::system::CALLS,
    },
];

/// Finds a call by the name of its import.
pub(super) fn find(import: &str) -> Option<&'static Syscall> {
    let name = import.strip_prefix(PREFIX)?;
    let mut calls = FAMILIES.iter().flat_map(|family| family.calls.iter());
    calls.find(|call| call.name == name)
}
