//! Starting and ending a module as its JavaScript glue does: constructors, `argv`, `main`, and what
//! `stdio` still holds.
//!
//! Source: Emscripten `src/postamble.js` `callMain()`, `src/preamble.js` `exitRuntime()`.

use std::sync::Arc;

use minke_glue::GlueNames;
use wasmtime::{Instance, Store};

use crate::personality::ProgramContext;
use crate::personality::emscripten::exceptions;
use crate::personality::emscripten::exports::{Exports, Finder};
use crate::personality::emscripten::glue::names_of;
use crate::personality::emscripten::invoke::Unwind;
use crate::personality::emscripten::threads::ThreadEnd;
use crate::runtime::{Guest, GuestAddr, GuestMemory, MemoryView, Stop};

/// Most bytes of arguments that are put on a guest's stack, which has 64 KiB in new versions. Linux: `MAX_ARG_STRLEN`.
const ARGUMENT_BYTES_MAX: usize = 32 << 10;
/// Alignment of the guest's stack pointer.
const STACK_ALIGNMENT: usize = 16;

/// Finds what the host calls in a guest, before any of its code runs.
pub async fn prepare(
    store: &mut Store<Guest>,
    instance: &Instance,
    program: &ProgramContext,
) -> wasmtime::Result<()> {
    let names = names_of(program);
    if !is_emscripten(store, instance, &names) {
        return Ok(());
    }
    let mut exports = Exports::find(store, instance, &names);
    // Where threads are possible, `errno` has no place until the thread is initialised.
    if let (Some(location), None) = (&exports.errno_location, &exports.thread_init) {
        let address = location.call_async(&mut *store, ()).await?;
        exports.errno_address = Some(GuestAddr::from(address));
    }
    let state = &mut store.data_mut().emscripten;
    state.exports = exports;
    state.layout = names.stat_layout.unwrap_or_default();
    state.thread_glue = names.threads;
    state.names = names;
    Ok(())
}

/// Whether a module exports what emcc's output does. Others are not looked through: that costs a start a microsecond.
fn is_emscripten(store: &mut Store<Guest>, instance: &Instance, names: &GlueNames) -> bool {
    const MARKS: [&str; 4] = [
        "__indirect_function_table",
        "__errno_location",
        "stackAlloc",
        "_emscripten_stack_alloc",
    ];
    MARKS.iter().any(|mark| {
        instance
            .get_export(&mut *store, names.export(mark))
            .is_some()
    })
}

/// Runs a module that has no `_start`: what its JavaScript glue would have done.
pub async fn enter(
    store: &mut Store<Guest>,
    instance: &Instance,
    program: &ProgramContext,
) -> wasmtime::Result<()> {
    let names = names_of(program);
    let ended = match run(store, instance, program, &names).await {
        Ok(code) => wasmtime::Error::new(Stop::Exit(code)),
        Err(error) if error.is::<ThreadEnd>() => wasmtime::Error::new(Stop::Exit(0)),
        Err(error) => exceptions::explain_uncaught(error),
    };
    if matches!(ended.downcast_ref(), Some(Stop::Exit(_))) {
        flush(store, instance, &names).await?;
    }
    Err(ended)
}

/// Runs constructors and `main`, and returns its result.
async fn run(
    store: &mut Store<Guest>,
    instance: &Instance,
    program: &ProgramContext,
    names: &Arc<GlueNames>,
) -> wasmtime::Result<i32> {
    let mut finder = Finder {
        store,
        instance,
        names,
    };
    let init_stack = finder.function::<(), ()>(&["emscripten_stack_init"]);
    let construct = finder.function::<(), ()>(&["__wasm_call_ctors", "_initialize"]);
    let main = finder.function::<(i32, i32), i32>(&["main", "__main_argc_argv"]);
    let main_void = finder.function::<(), i32>(&["main", "__main_void", "__original_main"]);
    if main.is_none() && main_void.is_none() {
        return Err(no_entry(program));
    }
    for function in [init_stack, construct].into_iter().flatten() {
        function.call_async(&mut *store, ()).await?;
    }
    match (main, main_void) {
        (Some(main), _) => {
            let (count, vector) = push_arguments(store, &program.path).await?;
            main.call_async(store, (count, vector)).await
        }
        (None, Some(main)) => main.call_async(store, ()).await,
        (None, None) => Err(no_entry(program)),
    }
}

fn no_entry(program: &ProgramContext) -> wasmtime::Error {
    wasmtime::format_err!(
        "`{}` has no entry point: neither `_start` nor `main` is exported\n\
         hint: a program needs a `main`; one that emcc has minified needs its `.js` beside it",
        program.path
    )
}

/// Puts `argv` on the guest's stack; returns `argc` and where `argv` is.
async fn push_arguments(store: &mut Store<Guest>, path: &str) -> wasmtime::Result<(i32, i32)> {
    let Some(allocate) = store.data().emscripten.exports.stack_alloc.clone() else {
        // emcc drops it where `main` does not look at its arguments.
        return Ok((0, 0));
    };
    let args = store.data().task.process.image().args.clone();
    let strings: usize = args.iter().map(|arg| arg.len() + 1).sum();
    let vector = (args.len() + 1) * 4;
    if strings + vector > ARGUMENT_BYTES_MAX {
        return Err(wasmtime::format_err!(
            "the arguments of `{path}` have {strings} bytes, and its stack takes {ARGUMENT_BYTES_MAX}"
        ));
    }
    let bytes = (strings + vector).next_multiple_of(STACK_ALIGNMENT);
    let base = allocate.call_async(&mut *store, bytes as i32).await?;
    write_arguments(store, GuestAddr::from(base), &args)
        .map_err(|_| wasmtime::format_err!("`{path}` put its stack outside its memory"))?;
    Ok((args.len() as i32, base))
}

/// Writes the vector of pointers, and the strings after it.
fn write_arguments(
    store: &mut Store<Guest>,
    base: GuestAddr,
    args: &[Vec<u8>],
) -> minke_abi::Result<()> {
    let mut memory = memory_of(store);
    let mut slot = base;
    let mut text = base.offset((args.len() as u64 + 1) * 4);
    for arg in args {
        memory.write_u32(slot, text.0 as u32)?;
        memory.write(text, arg)?;
        memory.write(text.offset(arg.len() as u64), &[0])?;
        slot = slot.offset(4);
        text = text.offset(arg.len() as u64 + 1);
    }
    memory.write_u32(slot, 0)
}

/// Looks at the memory of a guest that is not running.
fn memory_of(store: &mut Store<Guest>) -> MemoryView<'_> {
    match store.data().memory.clone() {
        Some(GuestMemory::Local(memory)) => MemoryView::local(memory.data_mut(store)),
        Some(GuestMemory::Shared(memory)) => MemoryView::shared(memory),
        None => MemoryView::local(&mut []),
    }
}

/// Does for a thread that exits the program what is done when `main` returns.
pub(super) async fn flush_at_exit(
    store: &mut Store<Guest>,
    instance: &Instance,
) -> wasmtime::Result<()> {
    let names = Arc::clone(&store.data().emscripten.names);
    flush(store, instance, &names).await
}

/// Lets the guest write out what its `stdio` still holds, as far as the program kept the means for it.
///
/// `emcc` leaves them out unless it was told `-sEXIT_RUNTIME`; then it flushes at each line instead.
async fn flush(
    store: &mut Store<Guest>,
    instance: &Instance,
    names: &GlueNames,
) -> wasmtime::Result<()> {
    let mut finder = Finder {
        store,
        instance,
        names,
    };
    let handlers = finder.function::<(), ()>(&["__funcs_on_exit"]);
    let flush_all = finder.function::<i32, i32>(&["fflush"]);
    let stdio_exit = finder.function::<(), ()>(&["__stdio_exit"]);
    if let Some(handlers) = handlers {
        ignore_exit(handlers.call_async(&mut *store, ()).await)?;
    }
    match (flush_all, stdio_exit) {
        (Some(flush), _) => ignore_exit(flush.call_async(store, 0).await.map(drop)),
        (None, Some(exit)) => ignore_exit(exit.call_async(store, ()).await),
        (None, None) => Ok(()),
    }
}

/// The first exit counts: one inside an exit handler changes nothing.
fn ignore_exit(result: wasmtime::Result<()>) -> wasmtime::Result<()> {
    match result {
        Err(error) if matches!(error.downcast_ref(), Some(Stop::Exit(_))) => Ok(()),
        Err(error) if error.is::<Unwind>() => Ok(()),
        other => other,
    }
}
