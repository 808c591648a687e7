//! C++ exceptions of programs built with `-fexceptions`, which `emcc` leaves to the host.
//!
//! A thrown object stands in the guest's heap behind a header of [`HEADER_BYTES`]; a *catch
//! record* of two pointers (the object, and the object as its handler sees it) goes from
//! `__cxa_find_matching_catch` to `__cxa_begin_catch`. The host keeps which exception was thrown last
//! and which are being handled, as the C++ runtime would.
//!
//! Source: Emscripten 3.1.6 `src/library_exceptions.js`; Itanium C++ ABI, "Exception Handling".

use minke_abi::Result;
use wasmtime::Caller;

use crate::personality::Support;
use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::exports::{allocate, call};
use crate::personality::emscripten::invoke::{Unwind, table_function};
use crate::personality::emscripten::table::{Body, Function, Pending, Returns, WORDS};
use crate::runtime::{Guest, GuestAddr};

/// Bytes before a thrown object: references, type, destructor, caught, rethrown, padded.
const HEADER_BYTES: u32 = 16;
const TYPE: u32 = 4;
const DESTRUCTOR: u32 = 8;
const CAUGHT: u32 = 12;
const RETHROWN: u32 = 13;
/// Bytes of a catch record.
const RECORD_BYTES: usize = 8;
/// Where a catch record keeps the object as the handler sees it.
const ADJUSTED: u64 = 4;
/// Most exceptions that are being handled inside one another: bounds what a guest makes the host keep.
const HANDLED_MAX: usize = 65_536;

/// What the host knows of a guest's exceptions.
#[derive(Default)]
pub(super) struct Exceptions {
    /// Address of the exception that was thrown last; 0 once it was handled.
    last: u32,
    uncaught: i32,
    /// Catch records of the exceptions that are being handled, innermost last.
    handled: Vec<u32>,
}

pub(super) static FUNCTIONS: &[Function] = &[
    waiting(
        "__cxa_allocate_exception",
        1,
        Returns::Word,
        cxa_allocate_exception,
    ),
    waiting(
        "__cxa_free_exception",
        1,
        Returns::Nothing,
        cxa_free_exception,
    ),
    Function::library("__cxa_throw", WORDS[3], Returns::Nothing, cxa_throw),
    Function::library("__cxa_rethrow", WORDS[0], Returns::Nothing, cxa_rethrow),
    Function::library(
        "llvm_eh_typeid_for",
        WORDS[1],
        Returns::Word,
        |_, arguments| Ok(i64::from(arguments.int(0))),
    ),
    waiting("__cxa_begin_catch", 1, Returns::Word, cxa_begin_catch),
    waiting("__cxa_end_catch", 0, Returns::Nothing, cxa_end_catch),
    waiting(
        "__cxa_get_exception_ptr",
        1,
        Returns::Word,
        cxa_get_exception_ptr,
    ),
    Function::library(
        "__cxa_uncaught_exceptions",
        WORDS[0],
        Returns::Word,
        |caller, _| Ok(i64::from(caller.data().emscripten.exceptions.uncaught)),
    ),
    Function::library(
        "__cxa_call_unexpected",
        WORDS[1],
        Returns::Nothing,
        |_, arguments| Err(wasmtime::Error::new(Unwind::Exception(arguments.word(0)))),
    ),
    waiting("__resumeException", 1, Returns::Nothing, resume_exception),
    waiting(
        "__cxa_find_matching_catch_2",
        0,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_3",
        1,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_4",
        2,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_5",
        3,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_6",
        4,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_7",
        5,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_8",
        6,
        Returns::Word,
        find_matching_catch,
    ),
    waiting(
        "__cxa_find_matching_catch_9",
        7,
        Returns::Word,
        find_matching_catch,
    ),
    Function::library(
        "__cxa_current_primary_exception",
        WORDS[0],
        Returns::Word,
        current_primary,
    ),
    waiting(
        "__cxa_rethrow_primary_exception",
        1,
        Returns::Nothing,
        rethrow_primary,
    ),
    Function::library(
        "__cxa_increment_exception_refcount",
        WORDS[1],
        Returns::Nothing,
        increment,
    ),
    waiting(
        "__cxa_decrement_exception_refcount",
        1,
        Returns::Nothing,
        decrement,
    ),
    Function::library(
        "_emscripten_throw_longjmp",
        WORDS[0],
        Returns::Nothing,
        |_, _| Err(wasmtime::Error::new(Unwind::LongJump)),
    ),
];

const fn waiting(
    name: &'static str,
    arguments: usize,
    returns: Returns,
    body: for<'a> fn(Caller<'a, Guest>, Arguments) -> Pending<'a>,
) -> Function {
    Function {
        name,
        arguments: WORDS[arguments],
        returns,
        support: Support::Whole,
        body: Body::Waiting(body),
    }
}

/// Says what an exception that reaches the top of the program was; other errors stay as they are.
pub(super) fn explain_uncaught(error: wasmtime::Error) -> wasmtime::Error {
    match error.downcast_ref::<Unwind>() {
        Some(unwind @ Unwind::Exception(_)) => wasmtime::format_err!(
            "{unwind}\nhint: a program whose exceptions are to be caught is compiled and linked with `-fexceptions`"
        ),
        Some(Unwind::LongJump) | None => error,
    }
}

/// The header of a thrown object.
struct Header<'c, 'a> {
    context: &'c mut Context<'a>,
    object: u32,
}

impl Header<'_, '_> {
    fn at(&self, offset: u32) -> GuestAddr {
        GuestAddr::from(self.object.wrapping_sub(HEADER_BYTES).wrapping_add(offset))
    }

    fn word(&self, offset: u32) -> Result<u32> {
        self.context.memory.read_u32(self.at(offset))
    }

    fn set_word(&mut self, offset: u32, value: u32) -> Result<()> {
        let address = self.at(offset);
        self.context.memory.write_u32(address, value)
    }

    fn flag(&self, offset: u32) -> Result<bool> {
        let [byte] = self.context.memory.read_array(self.at(offset))?;
        Ok(byte != 0)
    }

    fn set_flag(&mut self, offset: u32, value: bool) -> Result<()> {
        let address = self.at(offset);
        self.context.memory.write(address, &[u8::from(value)])
    }

    /// Changes the number of references, which is the header's first word; returns the new one.
    fn count(&mut self, change: i32) -> Result<u32> {
        let count = self.word(0)?.wrapping_add_signed(change);
        self.set_word(0, count)?;
        Ok(count)
    }
}

/// Lets `action` see the header of an object; an object outside the memory stops the guest.
fn with_header<R>(
    caller: &mut Caller<'_, Guest>,
    object: u32,
    action: impl FnOnce(&mut Header<'_, '_>) -> Result<R>,
) -> wasmtime::Result<R> {
    let mut context = Context::of(caller);
    let mut header = Header {
        context: &mut context,
        object,
    };
    action(&mut header).map_err(|_| out_of_memory_bounds())
}

fn read_word(caller: &mut Caller<'_, Guest>, address: GuestAddr) -> wasmtime::Result<u32> {
    let context = Context::of(caller);
    context
        .memory
        .read_u32(address)
        .map_err(|_| out_of_memory_bounds())
}

fn out_of_memory_bounds() -> wasmtime::Error {
    wasmtime::Error::new(wasmtime::Trap::MemoryOutOfBounds)
}

fn cxa_allocate_exception(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let bytes = arguments.word(0) as usize + HEADER_BYTES as usize;
        let block = allocate(&mut caller, bytes).await?;
        let block = block.ok_or_else(|| {
            wasmtime::format_err!("no memory is left for a C++ exception of {bytes} bytes")
        })?;
        Ok(block.0 as i64 + i64::from(HEADER_BYTES))
    })
}

fn cxa_free_exception(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move { free_exception(&mut caller, arguments.word(0)).await })
}

async fn free_exception(caller: &mut Caller<'_, Guest>, object: u32) -> wasmtime::Result<i64> {
    let block = object.wrapping_sub(HEADER_BYTES).cast_signed();
    call(caller, "free", |e| &e.free, block).await?;
    Ok(0)
}

fn cxa_throw(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let object = arguments.word(0);
    with_header(caller, object, |header| {
        header.set_word(0, 0)?;
        header.set_word(TYPE, arguments.word(1))?;
        header.set_word(DESTRUCTOR, arguments.word(2))?;
        header.set_flag(CAUGHT, false)?;
        header.set_flag(RETHROWN, false)
    })?;
    let state = &mut caller.data_mut().emscripten.exceptions;
    state.last = object;
    state.uncaught += 1;
    Err(wasmtime::Error::new(Unwind::Exception(object)))
}

fn cxa_rethrow(caller: &mut Caller<'_, Guest>, _: &Arguments) -> wasmtime::Result<i64> {
    let record = caller.data().emscripten.exceptions.handled.last().copied();
    let record = record.ok_or_else(|| {
        wasmtime::format_err!("`throw;` outside a handler: there is no exception to throw again")
    })?;
    let object = read_word(caller, GuestAddr::from(record))?;
    let is_first = with_header(caller, object, |header| {
        let is_first = !header.flag(RETHROWN)?;
        header.set_flag(RETHROWN, true)?;
        header.set_flag(CAUGHT, false)?;
        Ok(is_first)
    })?;
    let state = &mut caller.data_mut().emscripten.exceptions;
    if is_first {
        state.uncaught += 1;
    } else {
        state.handled.pop();
    }
    state.last = object;
    Err(wasmtime::Error::new(Unwind::Exception(object)))
}

fn cxa_begin_catch(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let record = arguments.address(0);
        let object = read_word(&mut caller, record)?;
        let was_caught = with_header(&mut caller, object, |header| {
            let was_caught = header.flag(CAUGHT)?;
            header.set_flag(CAUGHT, true)?;
            header.set_flag(RETHROWN, false)?;
            header.count(1)?;
            Ok(was_caught)
        })?;
        let state = &mut caller.data_mut().emscripten.exceptions;
        if !was_caught {
            state.uncaught -= 1;
        }
        if state.handled.len() >= HANDLED_MAX {
            return Err(wasmtime::Error::new(wasmtime::Trap::StackOverflow));
        }
        state.handled.push(arguments.word(0));
        object_of_handler(&mut caller, record).await
    })
}

fn cxa_get_exception_ptr(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move { object_of_handler(&mut caller, arguments.address(0)).await })
}

/// Returns the object as a handler sees it: a thrown pointer itself, a base class adjusted.
async fn object_of_handler(
    caller: &mut Caller<'_, Guest>,
    record: GuestAddr,
) -> wasmtime::Result<i64> {
    let object = read_word(caller, record)?;
    let thrown_type = with_header(caller, object, |header| header.word(TYPE))?;
    let check = caller.data().emscripten.exports.is_pointer_type.clone();
    if let Some(check) = check {
        let is_pointer = check
            .call_async(&mut *caller, thrown_type.cast_signed())
            .await?;
        if is_pointer != 0 {
            return Ok(i64::from(read_word(caller, GuestAddr::from(object))?));
        }
    }
    let adjusted = read_word(caller, record.offset(ADJUSTED))?;
    Ok(i64::from(if adjusted == 0 { object } else { adjusted }))
}

fn cxa_end_catch(mut caller: Caller<'_, Guest>, _: Arguments) -> Pending<'_> {
    Box::new(async move {
        call(&mut caller, "setThrew", |e| &e.set_threw, (0, 0)).await?;
        let Some(record) = caller.data_mut().emscripten.exceptions.handled.pop() else {
            return Err(wasmtime::format_err!(
                "`__cxa_end_catch` without a handler that began"
            ));
        };
        let object = read_word(&mut caller, GuestAddr::from(record))?;
        release(&mut caller, object).await?;
        call(&mut caller, "free", |e| &e.free, record.cast_signed()).await?;
        caller.data_mut().emscripten.exceptions.last = 0;
        Ok(0)
    })
}

/// Gives a reference back; the last one destroys the object, unless it is on its way to another handler.
async fn release(caller: &mut Caller<'_, Guest>, object: u32) -> wasmtime::Result<()> {
    let (is_last, destructor) = with_header(caller, object, |header| {
        let is_last = header.count(-1)? == 0 && !header.flag(RETHROWN)?;
        Ok((is_last, header.word(DESTRUCTOR)?))
    })?;
    if !is_last {
        return Ok(());
    }
    if destructor != 0 {
        let function = table_function(caller, destructor.cast_signed())?;
        // Destructors return `this` on wasm.
        let function = function.typed::<i32, i32>(&*caller)?;
        function
            .call_async(&mut *caller, object.cast_signed())
            .await?;
    }
    free_exception(caller, object).await.map(drop)
}

/// Chooses the handler whose type matches; the parameters are the types that handlers wait for.
fn find_matching_catch(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let object = caller.data().emscripten.exceptions.last;
        if object == 0 {
            caller.data_mut().emscripten.upper_result = 0;
            return Ok(0);
        }
        let thrown = with_header(&mut caller, object, |header| header.word(TYPE))?;
        let record = allocate(&mut caller, RECORD_BYTES).await?;
        let record = record
            .ok_or_else(|| wasmtime::format_err!("no memory is left to catch a C++ exception"))?;
        let mut context = Context::of(&mut caller);
        let memory = &mut context.memory;
        let is_written = memory
            .write_u32(record, object)
            .and_then(|()| memory.write_u32(record.offset(ADJUSTED), object));
        is_written.map_err(|_| out_of_memory_bounds())?;
        let chosen = match_types(&mut caller, &arguments, thrown, record).await?;
        caller.data_mut().emscripten.upper_result = chosen;
        Ok(record.0 as i64)
    })
}

/// Returns the first wanted type that a thrown type can be caught as, or the thrown type itself.
async fn match_types(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    thrown: u32,
    record: GuestAddr,
) -> wasmtime::Result<u32> {
    if thrown == 0 {
        return Ok(0);
    }
    let adjusted = record.offset(ADJUSTED).0 as i32;
    for wanted in arguments.0.map(|argument| argument as u32) {
        if wanted == 0 || wanted == thrown {
            break;
        }
        let types = (wanted.cast_signed(), thrown.cast_signed(), adjusted);
        if call(caller, "__cxa_can_catch", |e| &e.can_catch, types).await? != 0 {
            return Ok(wanted);
        }
    }
    Ok(thrown)
}

/// Goes on with an exception that no handler here takes.
fn resume_exception(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let object = read_word(&mut caller, arguments.address(0))?;
        let state = &mut caller.data_mut().emscripten.exceptions;
        if state.last == 0 {
            state.last = object;
        }
        call(&mut caller, "free", |e| &e.free, arguments.int(0)).await?;
        Err(wasmtime::Error::new(Unwind::Exception(object)))
    })
}

fn current_primary(caller: &mut Caller<'_, Guest>, _: &Arguments) -> wasmtime::Result<i64> {
    let Some(record) = caller.data().emscripten.exceptions.handled.last().copied() else {
        return Ok(0);
    };
    let object = read_word(caller, GuestAddr::from(record))?;
    with_header(caller, object, |header| header.count(1))?;
    Ok(i64::from(object))
}

fn rethrow_primary(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let object = arguments.word(0);
        if object == 0 {
            return Ok(0);
        }
        with_header(&mut caller, object, |header| {
            header.set_flag(RETHROWN, true)?;
            header.set_flag(CAUGHT, false)
        })?;
        let state = &mut caller.data_mut().emscripten.exceptions;
        state.last = object;
        state.uncaught += 1;
        Err(wasmtime::Error::new(Unwind::Exception(object)))
    })
}

fn increment(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    if arguments.word(0) != 0 {
        with_header(caller, arguments.word(0), |header| header.count(1))?;
    }
    Ok(0)
}

fn decrement(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        if arguments.word(0) != 0 {
            release(&mut caller, arguments.word(0)).await?;
        }
        Ok(0)
    })
}
