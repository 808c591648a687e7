//! The table of everything that guests of Emscripten import from `env`.
//!
//! Linking, the error for a missing import and `docs/compat/emscripten.md` come from it.

use std::future::Future;

use minke_abi::Result;
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::{exceptions, library, syscalls, threads};
use crate::personality::{HostCall, Support};
use crate::runtime::Guest;

/// The module name that programs import Emscripten's functions from.
pub const MODULE: &str = "env";

/// An argument as C declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `i32`: a number, a pointer, a descriptor.
    Word,
    /// `i64`, or a pair of `i32` with the lower half first.
    Long,
    /// A pair of `i32` only: the whole form belongs to another personality.
    Split,
}

/// A result as C declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    Nothing,
    Word,
    /// `i64`, or an `i32` with the upper half behind `getTempRet0`.
    Long,
}

/// What a call that may wait gives: its result or what stops the guest.
pub(super) type Pending<'a> = Box<dyn Future<Output = wasmtime::Result<i64>> + Send + 'a>;

/// What a call does.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Never waits; an error is returned as a negative number.
    Syscall(fn(&mut Context<'_>, &Arguments) -> Result<i64>),
    /// Never waits; an error stops the guest.
    Library(fn(&mut Caller<'_, Guest>, &Arguments) -> wasmtime::Result<i64>),
    /// May wait, or call the guest back.
    Waiting(for<'a> fn(Caller<'a, Guest>, Arguments) -> Pending<'a>),
}

/// A function whose arguments are integers.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [Kind],
    pub(super) returns: Returns,
    pub(super) support: Support,
    pub(super) body: Body,
}

impl Function {
    /// Declares a system call that is served whole.
    pub(super) const fn syscall(
        name: &'static str,
        arguments: &'static [Kind],
        body: fn(&mut Context<'_>, &Arguments) -> Result<i64>,
    ) -> Function {
        Function {
            name,
            arguments,
            returns: Returns::Word,
            support: Support::Whole,
            body: Body::Syscall(body),
        }
    }

    /// Declares a call that may wait and is served whole.
    pub(super) const fn waiting(
        name: &'static str,
        arguments: &'static [Kind],
        body: for<'a> fn(Caller<'a, Guest>, Arguments) -> Pending<'a>,
    ) -> Function {
        Function {
            name,
            arguments,
            returns: Returns::Word,
            support: Support::Whole,
            body: Body::Waiting(body),
        }
    }

    /// Declares a function of the JavaScript library that is served whole.
    pub(super) const fn library(
        name: &'static str,
        arguments: &'static [Kind],
        returns: Returns,
        body: fn(&mut Caller<'_, Guest>, &Arguments) -> wasmtime::Result<i64>,
    ) -> Function {
        Function {
            name,
            arguments,
            returns,
            support: Support::Whole,
            body: Body::Library(body),
        }
    }

    /// The same function with a difference from what its definition says.
    pub(super) const fn partial(mut self, difference: &'static str) -> Function {
        self.support = Support::Partial(difference);
        self
    }

    /// The same function, which always fails.
    pub(super) const fn refused(mut self, reason: &'static str) -> Function {
        self.support = Support::Refused(reason);
        self
    }

    /// The same function, which returns nothing.
    pub(super) const fn without_result(mut self) -> Function {
        self.returns = Returns::Nothing;
        self
    }
}

/// One to eight words: the arguments of most calls.
pub(super) const WORDS: [&[Kind]; 8] = [
    &[],
    &[Kind::Word],
    &[Kind::Word; 2],
    &[Kind::Word; 3],
    &[Kind::Word; 4],
    &[Kind::Word; 5],
    &[Kind::Word; 6],
    &[Kind::Word; 7],
];

/// A family of calls, as the support page groups them.
pub(super) struct Family {
    pub(super) title: &'static str,
    pub(super) functions: &'static [Function],
}

/// Every function whose arguments are integers. Several rows of one name differ in their arguments.
pub(super) static FAMILIES: &[Family] = &[
    Family {
        title: "Paths",
        functions: syscalls::paths::FUNCTIONS,
    },
    Family {
        title: "Attributes",
        functions: syscalls::attributes::FUNCTIONS,
    },
    Family {
        title: "Open files",
        functions: syscalls::files::FUNCTIONS,
    },
    Family {
        title: "Descriptors",
        functions: syscalls::descriptors::FUNCTIONS,
    },
    Family {
        title: "Sockets",
        functions: syscalls::sockets::FUNCTIONS,
    },
    Family {
        title: "Waiting",
        functions: syscalls::poll::FUNCTIONS,
    },
    Family {
        title: "Processes",
        functions: syscalls::process::FUNCTIONS,
    },
    Family {
        title: "Mapped files",
        functions: syscalls::mapping::FUNCTIONS,
    },
    Family {
        title: "WASI with split 64-bit numbers",
        functions: syscalls::wasi_split::FUNCTIONS,
    },
    Family {
        title: "Memory",
        functions: library::heap::FUNCTIONS,
    },
    Family {
        title: "Clocks",
        functions: library::clocks::FUNCTIONS,
    },
    Family {
        title: "Calendar",
        functions: library::calendar_calls::FUNCTIONS,
    },
    Family {
        title: "Host names",
        functions: library::names::FUNCTIONS,
    },
    Family {
        title: "Process and console",
        functions: library::process::FUNCTIONS,
    },
    Family {
        title: "Threads",
        functions: threads::FUNCTIONS,
    },
    Family {
        title: "C++ exceptions",
        functions: exceptions::FUNCTIONS,
    },
];

/// Functions with floating-point numbers, whose types are fixed.
pub(super) fn float_calls() -> impl Iterator<Item = &'static HostCall> {
    library::clocks::FLOAT_CALLS
        .iter()
        .chain(threads::FLOAT_CALLS)
}

/// Every row, in the order of the page.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|family| family.functions.iter())
}

/// Whether a name is in the table.
pub(super) fn is_known(name: &str) -> bool {
    functions().any(|function| function.name == name) || float_calls().any(|call| call.name == name)
}
