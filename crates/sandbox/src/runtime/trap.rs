//! How a guest's code ended, as an exit status and as a text for its standard error.

use std::fmt::Write as _;
use std::sync::Arc;

use minke_kernel::ExitStatus;
use wasmtime::{FrameInfo, Store, ThrownException, Trap, WasmBacktrace};

use super::guest::Guest;
use super::limits::InstanceLimits;
use super::lines::SourceLine;
use super::process_memory::OverBudget;
use super::program::Program;
use super::stop::Stop;

/// How a guest ended.
pub(super) struct Ending {
    pub(super) status: ExitStatus,
    /// What the guest's standard error is told.
    pub(super) report: Option<String>,
    /// What the process becomes instead of ending.
    pub(super) next_program: Option<Arc<Program>>,
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        Self {
            status,
            report: None,
            next_program: None,
        }
    }
}

/// Says how code ended that returned `result`. `is_interrupted` tells whether it was made to trap.
pub(super) fn ending(
    result: wasmtime::Result<()>,
    store: &Store<Guest>,
    is_interrupted: bool,
    program: &Program,
) -> Ending {
    let Err(error) = result else {
        return ExitStatus::Exited(0).into();
    };
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Ending {
            next_program: store.data().next_program.clone(),
            ..status_of(*stop).into()
        };
    }
    let fatal = store.data().task.process.signals.fatal();
    if let Some(signal) = fatal
        && is_interrupted
        && matches!(
            error.downcast_ref::<Trap>(),
            Some(Trap::MemoryOutOfBounds | Trap::UnreachableCodeReached)
        )
    {
        return ExitStatus::Signaled(signal).into();
    }
    trapped(&error, &store.data().limits, program)
}

/// Says how a program ended that could not even be instantiated.
pub(super) fn failed_instantiation(
    error: &wasmtime::Error,
    limits: &InstanceLimits,
    program: &Program,
) -> Ending {
    trapped(error, limits, program)
}

/// Says that a process could not have the memory that its threads share.
pub(super) fn no_memory(error: &wasmtime::Error, bytes_max: u64, program: &str) -> Ending {
    let reason = if error.is::<OverBudget>() {
        out_of_memory(bytes_max)
    } else {
        error.root_cause().to_string()
    };
    Ending {
        report: Some(format!("minke: `{program}` trapped: {reason}\n")),
        ..ExitStatus::Trapped(reason).into()
    }
}

fn out_of_memory(bytes_max: u64) -> String {
    format!("out of memory: the container may have {bytes_max} bytes")
}

fn status_of(stop: Stop) -> ExitStatus {
    match stop {
        // Linux: kernel/exit.c sys_exit_group(): the low eight bits are kept.
        Stop::Exit(code) => ExitStatus::Exited((code & 0xff) as u8),
        Stop::Signal(signal) => ExitStatus::Signaled(signal),
        // With the program that comes next, nobody looks at it, nor when a thread has ended.
        Stop::Exec | Stop::Thread => ExitStatus::Exited(0),
    }
}

fn trapped(error: &wasmtime::Error, limits: &InstanceLimits, program: &Program) -> Ending {
    let reason = reason_of(error, limits);
    let path = &program.context.path;
    let mut report = format!("minke: `{path}` trapped: {reason}\n");
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let frames = backtrace.frames();
        let positions: Vec<_> = frames.iter().map(FrameInfo::module_offset).collect();
        write_backtrace(&mut report, frames, &program.source_lines(&positions));
    }
    Ending {
        report: Some(report),
        ..ExitStatus::Trapped(reason).into()
    }
}

/// Names why code trapped, in words that stay the same between versions of wasmtime.
fn reason_of(error: &wasmtime::Error, limits: &InstanceLimits) -> String {
    if limits.is_refused() && error.downcast_ref::<Trap>() != Some(&Trap::StackOverflow) {
        return out_of_memory(limits.bytes_max());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "unreachable".to_owned(),
        Some(Trap::StackOverflow) => "stack overflow".to_owned(),
        Some(trap) => {
            let text = trap.to_string();
            text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
        }
        None if error.is::<ThrownException>() => "uncaught exception".to_owned(),
        None => error.root_cause().to_string(),
    }
}

/// Appends one line for each frame, innermost first, and one for its place in the source where that is known. What
/// was inlined into a frame's function comes before it under the same number.
fn write_backtrace(report: &mut String, frames: &[FrameInfo], lines: &[Vec<SourceLine>]) {
    for (number, frame) in frames.iter().enumerate() {
        let mut prefix = format!("{number:>5}: ");
        let (own, inlined) = match lines.get(number).and_then(|lines| lines.split_last()) {
            Some((own, inlined)) => (Some(own), inlined),
            None => (None, &[][..]),
        };
        for line in inlined {
            let name = line.function.as_deref().map(demangled);
            write_frame(report, &prefix, name.as_deref().unwrap_or("?"), Some(line));
            prefix = " ".repeat(prefix.len());
        }
        write_frame(report, &prefix, &name_of(frame, own), own);
    }
}

fn write_frame(report: &mut String, prefix: &str, name: &str, line: Option<&SourceLine>) {
    // A `String` takes everything.
    let _ = writeln!(report, "{prefix}{name}");
    if let Some(place) = line.and_then(|line| line.place.as_ref()) {
        let _ = writeln!(report, "             at {place}");
    }
}

/// Returns a frame's function as its source named it, else its index.
fn name_of(frame: &FrameInfo, line: Option<&SourceLine>) -> String {
    let index = frame.func_index();
    // The name section has whole paths where debug information may have the last part only.
    let described = || line.and_then(|line| line.function.as_deref());
    match frame.func_name().or_else(described) {
        Some(name) => demangled(name),
        None => format!("function {index}"),
    }
}

/// Undoes Rust's and C++'s mangling; other names are returned as they are.
fn demangled(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        // The alternate form leaves the hash out.
        return format!("{rust:#}");
    }
    // Without the prefix, a name such as `f` would be read as the type that it abbreviates.
    let cpp = name
        .starts_with("_Z")
        .then(|| cpp_demangle::Symbol::new(name).ok());
    let text = cpp.flatten().and_then(|symbol| symbol.demangle().ok());
    text.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled() {
        let rust = "_ZN4core9panicking5panic17h0123456789abcdefE";
        assert_eq!(demangled(rust), "core::panicking::panic");
        assert_eq!(demangled("_Z3addii"), "add(int, int)");
        assert_eq!(demangled("main"), "main");
        assert_eq!(demangled("f"), "f");
    }
}
