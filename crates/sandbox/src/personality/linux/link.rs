//! How an import becomes a call: by its name; its type only tells how wide the numbers are.

use minke_abi::{Errno, Result};
use wasmtime::{Caller, ExternType, FuncType, ImportType, Linker, Val, ValType};

use super::context::{Arguments, Context};
use super::table::{self, Body, Interrupted, PREFIX, Syscall};
use super::{signals, spawn, typed};
use crate::personality::Linked;
use crate::runtime::Guest;

/// Defines an import if it is one of Linux's. A system call that is not in the table answers `ENOSYS`.
///
/// Of a program that `needs_no_attention`, calls that never wait are plain functions of the host: signals are found by its next poll, or its
/// next call that may wait.
pub fn link(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    needs_no_attention: bool,
) -> wasmtime::Result<Linked> {
    let ExternType::Func(ty) = import.ty() else {
        return Ok(Linked::NotMine);
    };
    match import.module() {
        spawn::MODULE => spawn::link(linker, import.name()),
        table::MODULE if import.name().starts_with(PREFIX) => {
            match table::find(import.name()) {
                Some(call) => define(linker, import, ty, call, needs_no_attention)?,
                None => define_unknown(linker, import, ty)?,
            }
            Ok(Linked::Yes)
        }
        _ => Ok(Linked::NotMine),
    }
}

fn define(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: FuncType,
    call: &'static Syscall,
    needs_no_attention: bool,
) -> wasmtime::Result<()> {
    let name = (import.module(), import.name());
    let is_immediate = needs_no_attention && !call.is_attentive;
    if typed::define(linker, name, &ty, call, is_immediate)? {
        return Ok(());
    }
    let result_type = ty.results().next();
    linker.func_new_async(
        import.module(),
        import.name(),
        ty,
        move |mut caller, params, results| {
            let arguments = Arguments::of(params);
            let result_type = result_type.clone();
            Box::new(async move {
                let result = serve(call, &mut caller, arguments).await?;
                give(result, result_type.as_ref(), results);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn define_unknown(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: FuncType,
) -> wasmtime::Result<()> {
    let result_type = ty.results().next();
    linker.func_new(import.module(), import.name(), ty, move |_, _, results| {
        give(raw(Err(Errno::ENOSYS)), result_type.as_ref(), results);
        Ok(())
    })?;
    Ok(())
}

/// Makes a call that never waits, and leaves signals to others.
pub(super) fn serve_now(
    call: &'static Syscall,
    caller: &mut Caller<'_, Guest>,
    arguments: Arguments,
) -> wasmtime::Result<i64> {
    let Body::Now(body) = call.body else {
        unreachable!("calls that may wait are attentive");
    };
    let result = body(&mut Context::of(caller), &arguments);
    tracing::trace!(call = call.name, ?arguments, ?result);
    match caller.data_mut().linux.stop.take() {
        Some(stop) => Err(stop.leaving(caller.engine())),
        None => Ok(raw(result)),
    }
}

/// Makes a call, and attends to signals on the way out.
pub(super) async fn serve(
    call: &'static Syscall,
    caller: &mut Caller<'_, Guest>,
    arguments: Arguments,
) -> wasmtime::Result<i64> {
    loop {
        let result = match call.body {
            Body::Now(body) => body(&mut Context::of(caller), &arguments),
            Body::Waiting(body) => body(caller, arguments).await,
        };
        tracing::trace!(call = call.name, ?arguments, ?result);
        let guest = caller.data_mut();
        if let Some(stop) = guest.linux.stop.take() {
            return Err(stop.leaving(caller.engine()));
        }
        if !guest.task.signals().needs_attention() && guest.linux.mask_after.is_none() {
            return Ok(raw(result));
        }
        let after = signals::attend(caller).await?;
        let is_again = result == Err(Errno::EINTR)
            && call.interrupted == Interrupted::Restarts
            && after == Interrupted::Restarts;
        if !is_again {
            return Ok(raw(result));
        }
    }
}

/// Writes a result as Linux does: an error is a negative number.
pub(super) fn raw(result: Result<i64>) -> i64 {
    result.unwrap_or_else(|errno| -i64::from(errno.raw()))
}

/// Hands a result over in the form that the import's type asks for.
fn give(result: i64, ty: Option<&ValType>, results: &mut [Val]) {
    if let (Some(slot), Some(ty)) = (results.first_mut(), ty) {
        *slot = if ty.is_i64() {
            Val::I64(result)
        } else {
            Val::I32(result as i32)
        };
    }
}
