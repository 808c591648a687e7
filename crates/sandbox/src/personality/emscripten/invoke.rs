//! `invoke_*`: calls that `longjmp` and C++ exceptions may leave early.
//!
//! Without wasm's own exceptions, `emcc` sends each call that may be left early through an import
//! named by its signature. The host calls the function of the guest's table; when that ends with an
//! [`Unwind`], the host restores the stack pointer and tells the guest by `setThrew`.
//!
//! Source: Emscripten `emscripten.py` `create_invoke_wrappers()`.

use wasmtime::{AsContextMut, Caller, Func, FuncType, ImportType, Linker, Val, ValType};

use crate::personality::emscripten::exports;
use crate::runtime::Guest;
use crate::runtime::engine::CALLBACK_STACKS_MAX;

/// How the names of these imports start.
pub(super) const PREFIX: &str = "invoke_";

/// A host error that leaves guest code until the next `invoke_*` catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwind {
    #[error("`longjmp` to a place that has returned already")]
    LongJump,
    /// With the address of the thrown object.
    #[error("a C++ exception was not caught")]
    Exception(u32),
}

/// Defines an `invoke_*` import by its type.
pub(super) fn define(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: FuncType,
) -> wasmtime::Result<()> {
    let result_types: Vec<ValType> = ty.results().collect();
    linker.func_new_async(
        import.module(),
        import.name(),
        ty,
        move |mut caller, params, results| {
            let result_types = result_types.clone();
            Box::new(async move {
                let zeros = result_types.iter().map(Val::default_for_ty);
                for (slot, zero) in results.iter_mut().zip(zeros) {
                    *slot = zero.unwrap_or(Val::I32(0));
                }
                invoke(&mut caller, params, results).await
            })
        },
    )?;
    Ok(())
}

/// Calls a function of the guest's table and catches what leaves it early; `results` holds zeros.
async fn invoke(
    caller: &mut Caller<'_, Guest>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let depth = caller.data().emscripten.invoke_depth;
    if depth >= CALLBACK_STACKS_MAX {
        return Err(wasmtime::Error::new(wasmtime::Trap::StackOverflow));
    }
    let (index, arguments) = params.split_first().ok_or_else(no_function)?;
    let function = table_function(caller, index.i32().ok_or_else(no_function)?)?;
    let save = |exports: &exports::Exports| exports.stack_save.clone();
    let stack = match save(&caller.data().emscripten.exports) {
        Some(save) => Some(save.call_async(&mut *caller, ()).await?),
        None => None,
    };
    caller.data_mut().emscripten.invoke_depth = depth + 1;
    let outcome = call_split(caller, &function, arguments, results).await;
    caller.data_mut().emscripten.invoke_depth = depth;
    match outcome {
        Err(error) if error.is::<Unwind>() => catch(caller, stack).await,
        other => other,
    }
}

/// Puts the guest back where it stood before a call that was left early.
async fn catch(caller: &mut Caller<'_, Guest>, stack: Option<i32>) -> wasmtime::Result<()> {
    if let Some(stack) = stack {
        exports::call(caller, "stackRestore", |e| &e.stack_restore, stack).await?;
    }
    exports::call(caller, "setThrew", |e| &e.set_threw, (1, 0)).await
}

/// Returns the function of an index of the guest's table.
pub(super) fn table_function(
    store: &mut impl AsContextMut<Data = Guest>,
    index: i32,
) -> wasmtime::Result<Func> {
    let table = store.as_context().data().emscripten.exports.table;
    let table = table.ok_or_else(no_function)?;
    let index = u64::from(index.cast_unsigned());
    match table.get(&mut *store, index) {
        Some(wasmtime::Ref::Func(Some(function))) => Ok(function),
        _ => Err(wasmtime::Error::new(wasmtime::Trap::IndirectCallToNull)),
    }
}

fn no_function() -> wasmtime::Error {
    wasmtime::format_err!("the program calls back without exporting its function table")
}

/// Calls a function whose 64-bit numbers may have been split at the module's border.
async fn call_split(
    caller: &mut Caller<'_, Guest>,
    function: &Func,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let ty = function.ty(&*caller);
    let joined =
        join(&ty, arguments).ok_or_else(|| wasmtime::Error::new(wasmtime::Trap::BadSignature))?;
    let mut whole: Vec<Val> = ty
        .results()
        .map(|result| Val::default_for_ty(&result).unwrap_or(Val::I32(0)))
        .collect();
    function
        .call_async(&mut *caller, &joined, &mut whole)
        .await?;
    let (Some(slot), Some(value)) = (results.first_mut(), whole.first()) else {
        return Ok(());
    };
    *slot = match (&*slot, value) {
        (Val::I32(_), Val::I64(long)) => {
            keep_upper(caller, (*long >> 32) as u32).await?;
            Val::I32(*long as i32)
        }
        _ => *value,
    };
    Ok(())
}

/// Keeps the upper half of a result where `getTempRet0` looks: in the guest if it has it, else in the host.
async fn keep_upper(caller: &mut Caller<'_, Guest>, upper: u32) -> wasmtime::Result<()> {
    caller.data_mut().emscripten.upper_result = upper;
    let set = caller.data().emscripten.exports.set_temp_ret0.clone();
    match set {
        Some(set) => set.call_async(caller, upper.cast_signed()).await,
        None => Ok(()),
    }
}

/// Fits arguments to a function's parameters, joining pairs of `i32`; `None` when they do not fit.
fn join(ty: &FuncType, arguments: &[Val]) -> Option<Vec<Val>> {
    let mut rest = arguments.iter();
    let mut joined = Vec::with_capacity(ty.params().len());
    for param in ty.params() {
        joined.push(match (&param, rest.next()?) {
            (ValType::I64, Val::I32(low)) => {
                let high = rest.next()?.i32()?;
                Val::I64((i64::from(high) << 32) | i64::from(low.cast_unsigned()))
            }
            (ValType::I32, Val::I32(_))
            | (ValType::I64, Val::I64(_))
            | (ValType::F32, Val::F32(_))
            | (ValType::F64, Val::F64(_)) => *arguments.get(arguments.len() - rest.len() - 1)?,
            _ => return None,
        });
    }
    rest.next().is_none().then_some(joined)
}
