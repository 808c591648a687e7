//! Threads of programs made with `-pthread`.
//!
//! The glue would run each thread in a worker and keep all else on the browser's main thread. Here a thread is an
//! instance over the process's memory, and every thread calls the host itself, so nothing is proxied: what a
//! program queues for another thread (`emscripten_async_run_in_main_runtime_thread_`) runs when that thread waits next.
//!
//! Source: Emscripten 3.1.6 `src/library_pthread.js`, `src/worker.js`, `system/lib/pthread/pthread_create.c`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_abi::emscripten::errno_number;
use minke_abi::{Errno, Result};
use minke_kernel::task::Deadline;
use minke_kernel::wait::WaitQueue;
use wasmtime::{AsContext, AsContextMut, Caller, Instance, Store, Val};

use crate::personality::emscripten::context::{Arguments, task_of};
use crate::personality::emscripten::entry::flush_at_exit;
use crate::personality::emscripten::invoke::table_function;
use crate::personality::emscripten::table::{Function, Pending, Returns, WORDS};
use crate::personality::emscripten::{exceptions, exports};
use crate::personality::{HostCall, Support};
use crate::runtime::stop::unless_ending;
use crate::runtime::{Guest, GuestAddr, Stop, threads};

/// `SIGCANCEL` of musl: what `pthread_cancel` sends, besides noting it where the thread looks itself.
const SIGCANCEL: i32 = 33;
/// The highest signal. Linux: `_NSIG`.
const SIGNAL_MAX: i32 = 64;
/// `EMSCRIPTEN_RESULT_NOT_SUPPORTED`.
const NOT_SUPPORTED: i64 = -1;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::waiting("__pthread_create_js", WORDS[4], create),
    Function::waiting("__emscripten_init_main_thread_js", WORDS[1], init_main).without_result(),
    Function::waiting("_emscripten_init_main_thread_js", WORDS[1], init_main).without_result(),
    Function::waiting("__emscripten_thread_cleanup", WORDS[1], cleanup).without_result(),
    Function::waiting("_emscripten_thread_cleanup", WORDS[1], cleanup).without_result(),
    nothing("_emscripten_thread_set_strongref", 1),
    nothing("_emscripten_thread_mailbox_await", 1).partial(QUEUED),
    nothing("_emscripten_notify_mailbox_postmessage", 2).partial(QUEUED),
    Function::library(
        "_emscripten_notify_thread_queue",
        WORDS[2],
        Returns::Word,
        |_, _| Ok(1),
    )
    .partial(QUEUED),
    Function::library(
        "_emscripten_notify_proxying_queue",
        WORDS[4],
        Returns::Word,
        |_, _| Ok(1),
    )
    .partial(QUEUED),
    Function::library(
        "emscripten_unwind_to_js_event_loop",
        WORDS[0],
        Returns::Nothing,
        |_, _| Err(wasmtime::Error::new(ThreadEnd)),
    )
    .partial(
        "ends the thread, or the program with 0: there is no event loop that would call it again",
    ),
    nothing("emscripten_check_blocking_allowed", 0),
    Function::library(
        "_emscripten_default_pthread_stack_size",
        WORDS[0],
        Returns::Word,
        |caller, _| Ok(i64::from(caller.data().emscripten.thread_glue.stack_bytes)),
    ),
    Function::library(
        "emscripten_has_threading_support",
        WORDS[0],
        Returns::Word,
        |_, _| Ok(1),
    ),
    Function::library(
        "emscripten_num_logical_cores",
        WORDS[0],
        Returns::Word,
        |caller, _| Ok(i64::from(caller.data().task.process.kernel.config.cpus)),
    ),
    Function::library("pthread_kill", WORDS[2], Returns::Word, kill)
        .partial("0 and cancellation only: a program has no signals of its own yet"),
    Function::library(
        "emscripten_webgl_create_context",
        WORDS[2],
        Returns::Word,
        |_, _| Ok(0),
    )
    .refused("there is no screen"),
    Function::library(
        "emscripten_set_canvas_element_size",
        WORDS[3],
        Returns::Word,
        |_, _| Ok(NOT_SUPPORTED),
    )
    .refused("there is no screen"),
];

/// What is told of calls that a program queues for another of its threads.
const QUEUED: &str =
    "queued calls run when the thread that they are for waits or ends, not in between";

const fn nothing(name: &'static str, arguments: usize) -> Function {
    Function::library(name, WORDS[arguments], Returns::Nothing, |_, _| Ok(0))
}

/// Calls of JavaScript by number, of which the host has none.
pub(super) static FLOAT_CALLS: &[HostCall] = &[
    HostCall {
        name: "emscripten_receive_on_main_thread_js",
        signature: "(i32, i32, i32) -> f64",
        support: Support::Refused(NO_SCRIPT),
        define: |linker, module, name| {
            linker.func_wrap(module, name, |_: i32, _: i32, _: i32| no_script())?;
            Ok(())
        },
    },
    HostCall {
        name: "_emscripten_receive_on_main_thread_js",
        signature: "(i32, i32, i32, i32, i32) -> f64",
        support: Support::Refused(NO_SCRIPT),
        define: |linker, module, name| {
            linker.func_wrap(module, name, |_: i32, _: i32, _: i32, _: i32, _: i32| {
                no_script()
            })?;
            Ok(())
        },
    },
];

const NO_SCRIPT: &str =
    "ends the program: it runs JavaScript that another thread has queued, and there is none";

fn no_script() -> wasmtime::Result<f64> {
    Err(wasmtime::format_err!(
        "a thread queued JavaScript for another, and there is none here"
    ))
}

/// Leaves a thread's code for good.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the thread has ended")]
pub(super) struct ThreadEnd;

/// The threads of a process by the addresses of their `struct pthread`.
#[derive(Default)]
pub(super) struct Pthreads {
    inner: Mutex<Inner>,
    waiters: WaitQueue,
}

/// At most as many addresses as the container may have threads, and those of threads that
/// ended since one was started last.
#[derive(Default)]
struct Inner {
    /// Their code may still run on their stacks.
    running: BTreeSet<u32>,
    /// Running ones that nobody will join.
    detached: BTreeSet<u32>,
    /// Ended ones that nobody will join: the next thread that calls the host frees their stacks.
    garbage: Vec<u32>,
}

impl Pthreads {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, pthread: u32) {
        self.lock().running.insert(pthread);
    }

    /// Notes that a thread's code is gone.
    fn end(&self, pthread: u32) {
        {
            let mut inner = self.lock();
            inner.running.remove(&pthread);
            if inner.detached.remove(&pthread) {
                inner.garbage.push(pthread);
            }
        }
        self.waiters.wake_all();
    }

    /// Notes that nobody will join a thread. Of others than running ones, the first among them, nothing is to be freed.
    fn detach(&self, pthread: u32) {
        let mut inner = self.lock();
        if inner.running.contains(&pthread) {
            inner.detached.insert(pthread);
        }
    }

    fn is_running(&self, pthread: u32) -> bool {
        self.lock().running.contains(&pthread)
    }

    fn take_garbage(&self) -> Vec<u32> {
        std::mem::take(&mut self.lock().garbage)
    }
}

/// What `pthread_create` asks for.
struct NewThread {
    pthread: u32,
    start: i32,
    argument: i32,
}

/// Starts a thread: its `struct pthread`, attributes, function, argument. Returns 0 or an error number.
fn create(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        free_garbage(&mut caller).await?;
        let thread = NewThread {
            pthread: arguments.word(0),
            start: arguments.int(2),
            argument: arguments.int(3),
        };
        let pthread = thread.pthread;
        let pthreads = Arc::clone(&caller.data().emscripten.pthreads);
        pthreads.start(pthread);
        let spawning = threads::spawn(caller.data(), move |store, instance| {
            Box::pin(run(store, instance, thread))
        });
        let spawned = spawning.await;
        if spawned.is_err() {
            pthreads.end(pthread);
        }
        let number = |errno| i64::from(errno_number(errno));
        Ok(unless_ending(caller.data(), spawned)?.map_or_else(number, |_| 0))
    })
}

/// Runs a thread as the glue's worker would.
async fn run(
    store: &mut Store<Guest>,
    instance: &Instance,
    thread: NewThread,
) -> wasmtime::Result<()> {
    let pthreads = Arc::clone(&store.data().emscripten.pthreads);
    store.data_mut().emscripten.pthread = thread.pthread;
    let ended = match call_start(store, &thread).await {
        Err(error) if error.is::<ThreadEnd>() => Ok(()),
        Err(error) => Err(exceptions::explain_uncaught(error)),
        Ok(()) => Ok(()),
    };
    if let Err(error) = &ended
        && matches!(error.downcast_ref(), Some(Stop::Exit(_)))
    {
        flush_at_exit(store, instance).await?;
    }
    pthreads.end(thread.pthread);
    ended
}

/// Sets up the thread's own variables and stack, and calls its function.
async fn call_start(store: &mut Store<Guest>, thread: &NewThread) -> wasmtime::Result<()> {
    init(store, thread.pthread, Role::Other).await?;
    let function = table_function(store, thread.start)?;
    let start = function.typed::<i32, i32>(&*store)?;
    let result = start.call_async(&mut *store, thread.argument).await?;
    let exports = &store.data().emscripten.exports;
    let exit = exports
        .thread_exit
        .clone()
        .ok_or_else(|| missing("_emscripten_thread_exit"))?;
    exit.call_async(store, result).await
}

/// Which thread is initialised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Other,
}

/// Tells an instance whose thread it is, and gives it stack, thread-local variables and `errno`.
async fn init(
    store: &mut impl AsContextMut<Data = Guest>,
    pthread: u32,
    role: Role,
) -> wasmtime::Result<()> {
    let state = &store.as_context().data().emscripten;
    let (exports, glue) = (state.exports.clone(), state.thread_glue);
    let thread_init = exports
        .thread_init
        .ok_or_else(|| missing("_emscripten_thread_init"))?;
    let is_main = Val::I32(i32::from(role == Role::Main));
    let address = Val::I32(pthread.cast_signed());
    // Address, whether it is the browser's main thread, whether the program's, whether it may wait.
    let mut parameters = vec![address, is_main, is_main, Val::I32(1)];
    // Newer versions pass the default size of stacks before whether to profile.
    let count = thread_init.ty(&*store).params().len();
    if count > parameters.len() + 1 {
        parameters.push(Val::I32(glue.stack_bytes.cast_signed()));
    }
    parameters.resize(count, Val::I32(0));
    thread_init
        .call_async(&mut *store, &parameters, &mut [])
        .await?;
    if role == Role::Other {
        let (top, bytes) = stack_of(store, pthread)
            .map_err(|_| wasmtime::format_err!("a thread's stack is outside the memory"))?;
        if let Some(set_limits) = exports.stack_set_limits {
            set_limits
                .call_async(&mut *store, (top, top.wrapping_sub(bytes)))
                .await?;
        }
        let restore = exports
            .stack_restore
            .ok_or_else(|| missing("stackRestore"))?;
        restore.call_async(&mut *store, top).await?;
    }
    if let Some(init) = exports.tls_init {
        init.call_async(&mut *store, ()).await?;
    }
    if let Some(location) = exports.errno_location {
        let address = location.call_async(&mut *store, ()).await?;
        let mut context = store.as_context_mut();
        context.data_mut().emscripten.exports.errno_address = Some(GuestAddr::from(address));
    }
    Ok(())
}

/// Reads where a thread's stack ends above, and its size.
fn stack_of(store: &impl AsContext<Data = Guest>, pthread: u32) -> Result<(i32, i32)> {
    let context = store.as_context();
    let glue = context.data().emscripten.thread_glue;
    let memory = context.data().shared.clone().ok_or(Errno::EFAULT)?;
    let memory = crate::runtime::MemoryView::shared(memory.memory().clone());
    let field = |offset: u32| {
        let address = GuestAddr::from(pthread).offset(u64::from(offset));
        memory.read_u32(address).map(u32::cast_signed)
    };
    Ok((field(glue.stack_offset)?, field(glue.stack_size_offset)?))
}

/// Initialises the first thread, whose `struct pthread` stands at an address.
fn init_main(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        caller.data_mut().emscripten.pthread = arguments.word(0);
        init(&mut caller, arguments.word(0), Role::Main).await?;
        Ok(0)
    })
}

/// Frees what is left of a thread that was joined, or that ends and was detached.
fn cleanup(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let pthread = arguments.word(0);
        let pthreads = Arc::clone(&caller.data().emscripten.pthreads);
        if pthread == caller.data().emscripten.pthread {
            // It runs on the stack that is to be freed.
            pthreads.detach(pthread);
            return Ok(0);
        }
        // The thread has said that it ends, but its code may not have left its stack yet.
        let task = task_of(&caller);
        let ended = task.wait_for(Deadline::Never, |cx| {
            pthreads.waiters.register(cx.waker());
            (!pthreads.is_running(pthread)).then_some(Ok(()))
        });
        let ended = ended.await.unwrap_or(Ok(()));
        if unless_ending(caller.data(), ended)?.is_ok() {
            free(&mut caller, pthread).await?;
        }
        free_garbage(&mut caller).await?;
        Ok(0)
    })
}

async fn free_garbage(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<()> {
    for pthread in caller.data().emscripten.pthreads.take_garbage() {
        free(caller, pthread).await?;
    }
    Ok(())
}

async fn free(caller: &mut Caller<'_, Guest>, pthread: u32) -> wasmtime::Result<()> {
    let name = "_emscripten_thread_free_data";
    let pthread = pthread.cast_signed();
    exports::call(caller, name, |exports| &exports.thread_free_data, pthread).await
}

/// Thread, signal. Returns 0 or an error number.
fn kill(_: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let errno = match arguments.int(1) {
        // Cancellation has been noted where the thread looks when it waits.
        0 | SIGCANCEL => return Ok(0),
        1..=SIGNAL_MAX => Errno::ENOSYS,
        _ => Errno::EINVAL,
    };
    Ok(i64::from(errno_number(errno)))
}

fn missing(name: &str) -> wasmtime::Error {
    wasmtime::format_err!(
        "the program does not export `{name}`, which the host has to call for its threads\n\
         hint: link with `-pthread`, and with the `.js` of the same link beside it"
    )
}
