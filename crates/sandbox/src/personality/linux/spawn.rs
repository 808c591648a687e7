//! `minke.*`: what a system call cannot say to a kernel that does not see the guest's frames.

use std::sync::Arc;

use minke_abi::linux::{OpenFlags, Signal};
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};
use minke_kernel::calls::At;
use minke_kernel::{Fd, Pid, Process, Task};
use wasmtime::{Caller, Linker};

use super::calls::processes::start_arguments;
use super::context::{Context, task_of};
use super::entry::StartBlock;
use super::link::raw;
use super::signals;
use super::threads::{self, NewThread};
use crate::personality::Linked;
use crate::processes::Image;
use crate::runtime::guest::Started;
use crate::runtime::{Guest, GuestAddr, MemoryView, fork};

/// The module name of these functions.
pub(super) const MODULE: &str = "minke";

/// A function of the module, as the support page shows it.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) signature: &'static str,
    pub(super) does: &'static str,
    define: fn(&mut Linker<Guest>, &'static str) -> wasmtime::Result<()>,
}

/// Every function.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "start_size",
        signature: "() -> i32",
        does: "bytes of what the program is started with",
        define: |linker, name| {
            linker.func_wrap(MODULE, name, start_size)?;
            Ok(())
        },
    },
    Function {
        name: "start_fill",
        signature: "(i32)",
        does: "writes that to an address: Linux's initial stack",
        define: |linker, name| {
            linker.func_wrap(MODULE, name, start_fill)?;
            Ok(())
        },
    },
    Function {
        name: "fork",
        signature: "() -> i32",
        does: "makes a child with a copy of the memory, which goes on in the export `resume`",
        define: |linker, name| {
            linker.func_wrap_async(MODULE, name, |mut caller: Caller<'_, Guest>, (): ()| {
                Box::new(async move {
                    let forked = fork::fork(&mut caller).await;
                    raw(forked.map(|pid| i64::from(pid.0))) as i32
                })
            })?;
            Ok(())
        },
    },
    Function {
        name: "attend",
        signature: "()",
        does: "calls handlers that are to be called, and waits while the process is stopped: a program that exports `signal_attend` has \
               its loops call that when there is something to do, and it calls this",
        define: |linker, name| {
            linker.func_wrap_async(MODULE, name, |mut caller: Caller<'_, Guest>, (): ()| {
                Box::new(async move { signals::attend_in_code(&mut caller).await })
            })?;
            Ok(())
        },
    },
    Function {
        name: "clone",
        signature: "(i32, i32, i32) -> i32",
        does: "starts a thread, which calls the export `thread_start` with the first argument; its number goes to the second \
               address, and the number at the third becomes 0 when it has ended",
        define: |linker, name| {
            linker.func_wrap_async(
                MODULE,
                name,
                |mut caller: Caller<'_, Guest>, (block, tid, clear_tid): (i32, u32, u32)| {
                    let thread = NewThread {
                        block,
                        tid,
                        clear_tid,
                    };
                    Box::new(async move { Ok(threads::clone(&mut caller, thread).await?) })
                },
            )?;
            Ok(())
        },
    },
    Function {
        name: "spawn",
        signature: "(i32, i32, i32, i32, i32, i32) -> i32",
        does: "makes a child that runs a program: path, arguments, environment, file actions and their count, attributes",
        define: |linker, name| {
            linker.func_wrap(
                MODULE,
                name,
                |mut caller: Caller<'_, Guest>,
                 path,
                 argv,
                 envp,
                 actions,
                 count,
                 attributes|
                 -> i32 {
                    let request = Request {
                        path,
                        argv,
                        envp,
                        actions,
                        count,
                        attributes,
                    };
                    raw(spawn(&mut caller, &request)) as i32
                },
            )?;
            Ok(())
        },
    },
];

/// Defines a function by name.
pub(super) fn link(linker: &mut Linker<Guest>, name: &str) -> wasmtime::Result<Linked> {
    match FUNCTIONS.iter().find(|function| function.name == name) {
        Some(function) => {
            (function.define)(linker, function.name)?;
            Ok(Linked::Yes)
        }
        None => Ok(Linked::NotMine),
    }
}

fn start_size(mut caller: Caller<'_, Guest>) -> i32 {
    let guest = caller.data_mut();
    let block = StartBlock::of(&guest.task);
    let size = block.encode(GuestAddr(0)).map_or(0, |bytes| bytes.len());
    guest.linux.start_block = Some(block);
    i32::try_from(size).unwrap_or(0)
}

fn start_fill(mut caller: Caller<'_, Guest>, address: u32) -> wasmtime::Result<()> {
    let mut context = Context::of(&mut caller);
    let Some(block) = context.guest.linux.start_block.take() else {
        return Ok(());
    };
    let address = GuestAddr::from(address);
    let filled = block
        .encode(address)
        .and_then(|bytes| context.memory.write(address, &bytes));
    filled.map_err(|errno| wasmtime::format_err!("no room for the start block: {errno}"))
}

/// What `minke.spawn` is given.
struct Request {
    path: u32,
    argv: u32,
    envp: u32,
    actions: u32,
    count: u32,
    attributes: u32,
}

/// Most file actions of one call.
const ACTIONS_MAX: u32 = 4096;

/// Bytes of a file action.
const ACTION_BYTES: u64 = 24;

fn spawn(caller: &mut Caller<'_, Guest>, request: &Request) -> Result<i64> {
    let Started { launcher, .. } = caller.data().started.clone().ok_or(Errno::ENOSYS)?;
    let parent = task_of(caller);
    let context = Context::of(caller);
    let path = context.path(request.path.into())?;
    let start_with = start_arguments(&context, request.argv.into(), request.envp.into())?;
    if request.count > ACTIONS_MAX {
        return Err(Errno::E2BIG);
    }
    let process = parent.fork()?;
    let child = Task::main_of(Arc::clone(&process));
    let prepared = prepare(&context, &child, request)
        .and_then(|()| launcher.open(&child, &path, start_with.args, start_with.env));
    match prepared {
        Ok(image) => Ok(start(&launcher, process, image)),
        Err(errno) => {
            parent.forget_child(&process);
            Err(errno)
        }
    }
}

fn start(launcher: &Arc<crate::processes::Launcher>, process: Arc<Process>, image: Image) -> i64 {
    let pid = process.pid;
    // Who waits for the process hears of its end from the kernel.
    drop(launcher.start(process, image));
    i64::from(pid.0)
}

/// Does in the child what was asked for. POSIX: `posix_spawn()`.
fn prepare(context: &Context<'_>, child: &Task, request: &Request) -> Result<()> {
    if request.attributes != 0 {
        set_attributes(&context.memory, child, request.attributes.into())?;
    }
    for index in 0..u64::from(request.count) {
        let action = GuestAddr::from(request.actions).offset(index * ACTION_BYTES);
        act(context, child, action)?;
    }
    Ok(())
}

/// `POSIX_SPAWN_*`.
mod attribute {
    pub(super) const RESETIDS: u32 = 0x1;
    pub(super) const SETPGROUP: u32 = 0x2;
    pub(super) const SETSIGDEF: u32 = 0x4;
    pub(super) const SETSIGMASK: u32 = 0x8;
    pub(super) const SETSID: u32 = 0x80;
}

fn set_attributes(memory: &MemoryView<'_>, child: &Task, attributes: GuestAddr) -> Result<()> {
    let flags = memory.read_u32(attributes)?;
    let signals = &child.process.signals;
    if flags & attribute::SETSIGDEF != 0 {
        let defaults = SignalSet(memory.read_u64(attributes.offset(8))?);
        defaults
            .without(SignalSet::UNBLOCKABLE)
            .iter()
            .for_each(|signal: Signal| signals.set_ignored(signal, false));
    }
    if flags & attribute::SETSIGMASK != 0 {
        child
            .signals()
            .set_mask(SignalSet(memory.read_u64(attributes.offset(16))?));
    }
    if flags & attribute::SETSID != 0 {
        child.begin_session()?;
    }
    if flags & attribute::SETPGROUP != 0 {
        child.set_group(Pid(0), Pid(memory.read_u32(attributes.offset(4))?))?;
    }
    if flags & attribute::RESETIDS != 0 {
        let mut who = (*child.process.credentials()).clone();
        (who.euid, who.egid) = (who.uid, who.gid);
        child.process.set_credentials(who);
    }
    Ok(())
}

/// What a file action does.
mod action {
    pub(super) const CLOSE: u32 = 1;
    pub(super) const DUP2: u32 = 2;
    pub(super) const OPEN: u32 = 3;
    pub(super) const CHDIR: u32 = 4;
    pub(super) const FCHDIR: u32 = 5;
}

fn act(context: &Context<'_>, child: &Task, at: GuestAddr) -> Result<()> {
    let word = |offset: u64| context.memory.read_u32(at.offset(offset));
    let fd = Fd(word(4)?);
    match word(0)? {
        // Linux's C libraries do not mind what is closed already.
        action::CLOSE => {
            let _ = child.close(fd);
            Ok(())
        }
        action::DUP2 if word(8)? == fd.0 => child.process.fds.set_close_on_exec(fd, false),
        action::DUP2 => child.duplicate_to(Fd(word(8)?), fd, false),
        action::OPEN => {
            let path = context.path(word(20)?.into())?;
            let flags = OpenFlags::from_bits_retain(word(12)?);
            let description = child.open_description(At::Cwd, &path, flags, word(16)?)?;
            let is_close_on_exec = flags.contains(OpenFlags::CLOEXEC);
            child.process.fds.replace(fd, description, is_close_on_exec)
        }
        action::CHDIR => {
            let path = context.path(word(20)?.into())?;
            child.change_directory(At::Cwd, &path)
        }
        action::FCHDIR => child.change_directory(At::Fd(fd), b""),
        _ => Err(Errno::EINVAL),
    }
}
