//! Memory: growth, large copies, and the second half of split results.

use wasmtime::Caller;

use crate::personality::Support;
use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::table::{Body, Function, Pending, Returns, WORDS};
use crate::runtime::{Guest, GuestMemory};

/// wasm's page.
const PAGE_BYTES: u64 = 65_536;
/// The most that a 32-bit memory can have, one page below 4 GiB so that its size fits a `size_t`.
const HEAP_BYTES_MAX: u64 = (1 << 32) - PAGE_BYTES;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function {
        name: "emscripten_resize_heap",
        arguments: WORDS[1],
        returns: Returns::Word,
        support: Support::Whole,
        body: Body::Waiting(resize_heap),
    },
    Function::library(
        "emscripten_get_heap_max",
        WORDS[0],
        Returns::Word,
        get_heap_max,
    ),
    Function::library(
        "emscripten_notify_memory_growth",
        WORDS[1],
        Returns::Nothing,
        |_, _| Ok(0),
    ),
    Function::library("emscripten_memcpy_big", WORDS[3], Returns::Word, memcpy),
    Function::library("emscripten_memcpy_js", WORDS[3], Returns::Nothing, memcpy),
    Function::library("_emscripten_memcpy_js", WORDS[3], Returns::Nothing, memcpy),
    Function::library(
        "setTempRet0",
        WORDS[1],
        Returns::Nothing,
        |caller, arguments| {
            caller.data_mut().emscripten.upper_result = arguments.word(0);
            Ok(0)
        },
    ),
    Function::library("getTempRet0", WORDS[0], Returns::Word, |caller, _| {
        Ok(i64::from(caller.data().emscripten.upper_result))
    }),
];

/// Grows the memory to at least as many bytes as asked; 1 when it did, 0 when it cannot.
fn resize_heap(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let wanted = u64::from(arguments.word(0));
        let memory = match caller.data().memory.clone() {
            Some(GuestMemory::Local(memory)) => memory,
            Some(GuestMemory::Shared(memory)) => {
                let missing = wanted.div_ceil(PAGE_BYTES).saturating_sub(memory.size());
                // Another thread may grow it meanwhile: then it is larger than asked for.
                return Ok(i64::from(caller.data_mut().grow_shared(missing).is_some()));
            }
            None => return Ok(0),
        };
        let pages = memory.size(&caller);
        let wanted_pages = wanted.div_ceil(PAGE_BYTES);
        if wanted_pages <= pages {
            return Ok(1);
        }
        let grown = memory.grow_async(&mut caller, wanted_pages - pages).await;
        Ok(i64::from(grown.is_ok()))
    })
}

fn get_heap_max(caller: &mut Caller<'_, Guest>, _: &Arguments) -> wasmtime::Result<i64> {
    let pages = match &caller.data().memory {
        Some(GuestMemory::Local(memory)) => memory.ty(&*caller).maximum(),
        Some(GuestMemory::Shared(memory)) => memory.ty().maximum(),
        None => return Ok(0),
    };
    let bytes = pages.map_or(HEAP_BYTES_MAX, |pages| pages.saturating_mul(PAGE_BYTES));
    Ok(bytes.min(HEAP_BYTES_MAX) as i64)
}

/// `memcpy` of many bytes: destination, source, count. The regions may overlap.
fn memcpy(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let (target, source) = (arguments.address(0), arguments.address(1));
    context
        .memory
        .copy_within(source, target, u64::from(arguments.word(2)))
        .map_err(|_| wasmtime::Error::new(wasmtime::Trap::MemoryOutOfBounds))?;
    Ok(i64::from(arguments.int(0)))
}
