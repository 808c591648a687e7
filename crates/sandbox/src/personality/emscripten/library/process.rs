//! Ending, complaining, asking the host for odds and ends.

use minke_abi::linux::Signal;
use minke_abi::{Errno, Result};
use minke_kernel::Fd;
use wasmtime::Caller;

use crate::personality::Support;
use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::invoke::table_function;
use crate::personality::emscripten::library::clocks::c_result;
use crate::personality::emscripten::table::{Body, Function, Pending, Returns, WORDS};
use crate::runtime::{Guest, GuestAddr, Stop};

/// Longest text that a guest may have printed by the console's functions, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most bytes that `getentropy` gives at once. Linux: `getentropy(3)`.
const ENTROPY_BYTES_MAX: u32 = 256;
const STDOUT: Fd = Fd(1);
const STDERR: Fd = Fd(2);

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    library("exit", 1, exit),
    library("emscripten_force_exit", 1, exit),
    library("abort", 0, abort),
    library("_abort_js", 0, abort),
    library("segfault", 0, |_, _| Err(ended_by(Signal::SEGV))),
    library("alignfault", 0, |_, _| Err(ended_by(Signal::BUS))),
    library("__assert_fail", 4, assert_fail),
    library("__handle_stack_overflow", 1, |caller, _| {
        print(caller, STDERR, "stack overflow");
        Err(ended_by(Signal::SEGV))
    }),
    library("emscripten_console_log", 1, |c, a| console(c, a, STDOUT)),
    library("emscripten_console_warn", 1, |c, a| console(c, a, STDERR)),
    library("emscripten_console_error", 1, |c, a| console(c, a, STDERR)),
    library("_emscripten_out", 1, |c, a| console(c, a, STDOUT)),
    library("_emscripten_err", 1, |c, a| console(c, a, STDERR)),
    library("emscripten_out", 1, |c, a| console(c, a, STDOUT)),
    library("emscripten_err", 1, |c, a| console(c, a, STDERR)),
    library("_emscripten_runtime_keepalive_clear", 0, |_, _| Ok(0)),
    library("emscripten_exit_with_live_runtime", 0, |_, _| {
        Err(wasmtime::Error::new(Stop::Exit(0)))
    })
    .partial("ends the program with 0: there is no event loop that would call it again"),
    Function::library("getentropy", WORDS[2], Returns::Word, getentropy),
    Function::library("system", WORDS[1], Returns::Word, system)
        .partial("there is no shell: `ENOSYS`, and 0 for a null command"),
    Function::library("alarm", WORDS[1], Returns::Word, |_, _| Ok(0))
        .partial("no signal will come: a program has no signals of its own yet"),
    Function::library(
        "_emscripten_get_progname",
        WORDS[2],
        Returns::Nothing,
        program_name,
    ),
    Function::library(
        "emscripten_get_module_name",
        WORDS[2],
        Returns::Word,
        program_name,
    ),
    Function::library(
        "emscripten_has_asyncify",
        WORDS[0],
        Returns::Word,
        |_, _| Ok(0),
    ),
    library("emscripten_debugger", 0, |_, _| Ok(0)),
    Function::library(
        "emscripten_return_address",
        WORDS[1],
        Returns::Word,
        |_, _| Ok(0),
    )
    .partial("always 0"),
    Function {
        name: "__call_sighandler",
        arguments: WORDS[2],
        returns: Returns::Nothing,
        support: Support::Whole,
        body: Body::Waiting(call_handler),
    },
];

const fn library(
    name: &'static str,
    arguments: usize,
    body: fn(&mut Caller<'_, Guest>, &Arguments) -> wasmtime::Result<i64>,
) -> Function {
    Function::library(name, WORDS[arguments], Returns::Nothing, body)
}

fn exit(_: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    Err(wasmtime::Error::new(Stop::Exit(arguments.int(0))))
}

/// As on Linux, `abort` is a signal: the exit code is 134, where node's would be 1.
fn abort(_: &mut Caller<'_, Guest>, _: &Arguments) -> wasmtime::Result<i64> {
    Err(ended_by(Signal::ABRT))
}

fn ended_by(signal: Signal) -> wasmtime::Error {
    wasmtime::Error::new(Stop::Signal(signal))
}

/// Prints what musl's `assert` prints: condition, file, function, line.
fn assert_fail(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let context = Context::of(caller);
    let text = |index| match arguments.pointer(index) {
        Some(address) => read_text(&context, address).unwrap_or_default(),
        None => "?".to_owned(),
    };
    let (condition, file, function) = (text(0), text(1), text(3));
    let line = arguments.int(2);
    let message = format!("Assertion failed: {condition} ({file}: {function}: {line})");
    print(caller, STDERR, &message);
    Err(ended_by(Signal::ABRT))
}

fn read_text(context: &Context<'_>, address: GuestAddr) -> Result<String> {
    let bytes = context.memory.read_c_string(address, TEXT_BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a line to a descriptor; what a full or closed one does not take is lost, as a console's output may be.
fn print(caller: &mut Caller<'_, Guest>, fd: Fd, line: &str) {
    let fds = &caller.data().task.process.fds;
    if let Ok(description) = fds.get(fd) {
        let _ = description.write(format!("{line}\n").as_bytes());
    }
}

fn console(caller: &mut Caller<'_, Guest>, arguments: &Arguments, fd: Fd) -> wasmtime::Result<i64> {
    let text = read_text(&Context::of(caller), arguments.address(0));
    if let Ok(text) = text {
        print(caller, fd, &text);
    }
    Ok(0)
}

fn getentropy(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let count = arguments.word(1);
    let result = if count > ENTROPY_BYTES_MAX {
        Err(Errno::EIO)
    } else {
        let entropy = std::sync::Arc::clone(&context.task().process.kernel.entropy);
        context
            .memory
            .receive(
                arguments.address(0),
                u64::from(count),
                |bytes| {
                    entropy.fill(bytes);
                    Ok(bytes.len())
                },
                |count| *count,
            )
            .map(|_| 0)
    };
    Ok(c_result(caller, result))
}

/// POSIX: `system()` of a null pointer asks whether there is a shell.
fn system(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    if arguments.pointer(0).is_none() {
        return Ok(0);
    }
    Ok(c_result(caller, Err(Errno::ENOSYS)))
}

/// Copies the program's name, cut and terminated, into a buffer of a given size; returns its length.
fn program_name(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let image = context.task().process.image();
    let mut name = image.args.first().cloned().unwrap_or_default();
    let room = arguments.word(1) as usize;
    if room == 0 {
        return Ok(0);
    }
    name.truncate(room - 1);
    name.push(0);
    let written = context.memory.write(arguments.address(0), &name);
    Ok(written.map_or(0, |()| name.len() as i64 - 1))
}

/// Calls a signal handler of the guest: function, signal.
fn call_handler(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let handler = table_function(&mut caller, arguments.int(0))?;
        let handler = handler.typed::<i32, ()>(&caller)?;
        handler.call_async(&mut caller, arguments.int(1)).await?;
        Ok(0)
    })
}
