//! Imports by the types of their parameters: a call of one of these gets its numbers as they are, not as a list of values.

use wasmtime::{Caller, FuncType, Linker, ValType};

use super::context::Arguments;
use super::link::{serve, serve_now};
use super::table::Syscall;
use crate::runtime::Guest;

/// How wide a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Word,
    Long,
}

/// Returns the widths of a function's parameters if its result is an `i64`, as that of all calls of our C library.
fn widths(ty: &FuncType) -> Option<Vec<Width>> {
    let has_long_result = ty.results().len() == 1 && ty.result(0)?.is_i64();
    let width = |param: ValType| match param {
        ValType::I32 => Some(Width::Word),
        ValType::I64 => Some(Width::Long),
        _ => None,
    };
    has_long_result.then(|| ty.params().map(width).collect())?
}

macro_rules! number {
    (Word) => {
        u32
    };
    (Long) => {
        u64
    };
}

macro_rules! define_by_widths {
    ($([$($name:ident $width:ident),*])*) => {
        /// Defines a call if its parameters are of widths that are known here. One that `is_immediate` does not look for
        /// signals.
        pub(super) fn define(
            linker: &mut Linker<Guest>,
            (module, name): (&str, &str),
            ty: &FuncType,
            call: &'static Syscall,
            is_immediate: bool,
        ) -> wasmtime::Result<bool> {
            match widths(ty).as_deref() {
                $(Some([$(Width::$width),*]) if is_immediate => {
                    linker.func_wrap(
                        module,
                        name,
                        move |mut caller: Caller<'_, Guest>, $($name: number!($width)),*| {
                            serve_now(call, &mut caller, Arguments::of_numbers(&[$(u64::from($name)),*]))
                        },
                    )?;
                })*
                $(Some([$(Width::$width),*]) => {
                    linker.func_wrap_async(
                        module,
                        name,
                        move |mut caller: Caller<'_, Guest>, ($($name,)*): ($(number!($width),)*)| {
                            let arguments = Arguments::of_numbers(&[$(u64::from($name)),*]);
                            Box::new(async move { serve(call, &mut caller, arguments).await })
                        },
                    )?;
                })*
                _ => return Ok(false),
            }
            Ok(true)
        }
    };
}

// What the imports of our C library have (`guests/linux/musl/arch/wasm32/syscall_table.h`).
define_by_widths! {
    []
    [a Word]
    [a Word, b Word]
    [a Word, b Word, c Word]
    [a Word, b Word, c Word, d Word]
    [a Word, b Word, c Word, d Word, e Word]
    [a Word, b Word, c Word, d Word, e Word, f Word]
    [a Word, b Word, c Word, d Long]
    [a Word, b Long]
    [a Word, b Long, c Word]
    [a Long]
    [a Long, b Long]
    [a Long, b Long, c Long]
    [a Long, b Long, c Long, d Long]
    [a Long, b Long, c Long, d Long, e Long]
    [a Long, b Long, c Long, d Long, e Long, f Long]
}
