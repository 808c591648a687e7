//! How an import becomes a call: by its real name and its type.

use minke_abi::emscripten::errno_number;
use wasmtime::{Caller, ExternType, FuncType, ImportType, Linker, Val, ValType};

use crate::personality::emscripten::context::{ARGUMENTS_MAX, Arguments, Context};
use crate::personality::emscripten::invoke;
use crate::personality::emscripten::table::{self, Body, Function, Kind, MODULE, Returns};
use crate::personality::{Linked, signature_of};
use crate::runtime::Guest;

/// Prefix of the functions that run JavaScript from the source of a program.
const SCRIPT_PREFIXES: &[&str] = &["emscripten_asm_const_", "emscripten_run_script"];
/// Modules whose imports this personality looks at: its own, and WASI for split 64-bit numbers.
const MODULES: &[&str] = &[MODULE, "wasi_snapshot_preview1"];

/// Defines an import if it is one of Emscripten's, by the module and name that its toolchain gave it.
pub fn link_as(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    module: &str,
    name: &str,
) -> wasmtime::Result<Linked> {
    let ExternType::Func(ty) = import.ty() else {
        return Ok(Linked::NotMine);
    };
    if !MODULES.contains(&module) {
        return Ok(Linked::NotMine);
    }
    refuse_script(name)?;
    if name.starts_with(invoke::PREFIX) {
        invoke::define(linker, import, ty)?;
        return Ok(Linked::Yes);
    }
    if let Some(call) =
        table::float_calls().find(|call| call.name == name && call.signature == signature_of(&ty))
    {
        (call.define)(linker, import.module(), import.name())?;
        return Ok(Linked::Yes);
    }
    let fitting = table::functions()
        .filter(|function| function.name == name)
        .find_map(|function| Shape::fit(function, &ty).map(|shape| (function, shape)));
    match fitting {
        Some((function, shape)) => {
            define(linker, import, ty, function, shape)?;
            Ok(Linked::Yes)
        }
        None => Ok(Linked::NotMine),
    }
}

/// Fails for an import that would run JavaScript.
fn refuse_script(name: &str) -> wasmtime::Result<()> {
    if SCRIPT_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
    {
        return Err(wasmtime::format_err!(
            "`{name}` runs JavaScript that stands in the program's source (`EM_ASM` and its kin), and there is none here\n\
             hint: put the code behind `#ifdef` or write it in C"
        ));
    }
    Ok(())
}

/// How the parameters of an import make up a function's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Bit `n` says that argument `n` comes as two parameters.
    pairs: u8,
    has_longs: bool,
}

impl Shape {
    /// Fits a row of the table to an import's type; `None` when it is another function.
    ///
    /// Parameters after the last argument are dropped: socket calls carry unused ones.
    fn fit(function: &Function, ty: &FuncType) -> Option<Shape> {
        let mut params = ty.params();
        let mut shape = Shape {
            pairs: 0,
            has_longs: false,
        };
        for (index, kind) in function.arguments.iter().enumerate() {
            match (kind, params.next()?) {
                (Kind::Word, ValType::I32) => {}
                (Kind::Long, ValType::I64) => shape.has_longs = true,
                (Kind::Long | Kind::Split, ValType::I32) => {
                    params.next().filter(ValType::is_i32)?;
                    shape.pairs |= 1 << index;
                }
                _ => return None,
            }
        }
        let is_rest_unused = params.all(|param| param.is_i32());
        let is_result_known = ty.results().len() <= 1
            && ty
                .results()
                .all(|r| r.is_i32() || (r.is_i64() && function.returns == Returns::Long));
        (is_rest_unused && is_result_known).then_some(shape)
    }

    /// Puts parameters together.
    fn arguments(self, mut params: impl Iterator<Item = u64>) -> Arguments {
        let mut values = [0; ARGUMENTS_MAX];
        for (index, value) in values.iter_mut().enumerate() {
            let Some(low) = params.next() else { break };
            *value = low;
            if self.pairs & (1 << index) != 0 {
                *value = (low & 0xffff_ffff) | (params.next().unwrap_or(0) << 32);
            }
        }
        Arguments(values)
    }
}

/// Defines a row under an import's names.
fn define(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: FuncType,
    function: &'static Function,
    shape: Shape,
) -> wasmtime::Result<()> {
    let is_plain = shape.pairs == 0
        && !shape.has_longs
        && ty.params().len() <= ARGUMENTS_MAX
        && ty.results().len() == 1
        && function.returns != Returns::Long;
    match function.body {
        Body::Waiting(body) if is_plain => define_plain_waiting(linker, import, &ty, body),
        Body::Waiting(body) => define_waiting(linker, import, ty, body, shape),
        _ if is_plain => define_plain(linker, import, &ty, function),
        _ => define_any(linker, import, ty, function, shape),
    }
}

/// Runs a call that does not wait.
fn run(
    function: &'static Function,
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> wasmtime::Result<i64> {
    let result = match function.body {
        Body::Syscall(body) => {
            let result = body(&mut Context::of(caller), arguments);
            result.unwrap_or_else(|errno| -i64::from(errno_number(errno)))
        }
        Body::Library(body) => body(caller, arguments)?,
        Body::Waiting(_) => 0,
    };
    tracing::trace!(call = function.name, ?arguments, result);
    Ok(result)
}

/// Defines functions of `i32`s only by their number of parameters: the fast path of nearly all calls.
macro_rules! by_arity {
    ($define:ident, $linker:ident, $import:ident, $ty:ident, $call:expr) => {
        match $ty.params().len() {
            0 => $define!($linker, $import, $call,),
            1 => $define!($linker, $import, $call, a),
            2 => $define!($linker, $import, $call, a, b),
            3 => $define!($linker, $import, $call, a, b, c),
            4 => $define!($linker, $import, $call, a, b, c, d),
            5 => $define!($linker, $import, $call, a, b, c, d, e),
            6 => $define!($linker, $import, $call, a, b, c, d, e, f),
            7 => $define!($linker, $import, $call, a, b, c, d, e, f, g),
            _ => $define!($linker, $import, $call, a, b, c, d, e, f, g, h),
        }
    };
}

macro_rules! word {
    ($name:ident) => {
        i32
    };
}

fn define_plain(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: &FuncType,
    function: &'static Function,
) -> wasmtime::Result<()> {
    macro_rules! one {
        ($linker:ident, $import:ident, $call:expr, $($param:ident),*) => {{
            $linker.func_wrap(
                $import.module(),
                $import.name(),
                move |mut caller: Caller<'_, Guest>, $($param: i32),*| -> wasmtime::Result<i32> {
                    let arguments = plain(&[$($param),*]);
                    Ok(run($call, &mut caller, &arguments)? as i32)
                },
            )?;
        }};
    }
    by_arity!(one, linker, import, ty, function);
    Ok(())
}

fn define_plain_waiting(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: &FuncType,
    body: for<'a> fn(Caller<'a, Guest>, Arguments) -> table::Pending<'a>,
) -> wasmtime::Result<()> {
    macro_rules! one {
        ($linker:ident, $import:ident, $call:expr, $($param:ident),*) => {{
            $linker.func_wrap_async(
                $import.module(),
                $import.name(),
                move |caller: Caller<'_, Guest>, ($($param,)*): ($(word!($param),)*)| {
                    let arguments = plain(&[$($param),*]);
                    let pending = Box::into_pin($call(caller, arguments));
                    Box::new(async move { Ok(pending.await? as i32) })
                },
            )?;
        }};
    }
    by_arity!(one, linker, import, ty, body);
    Ok(())
}

/// Widens parameters that are all `i32`.
fn plain(params: &[i32]) -> Arguments {
    let mut values = [0; ARGUMENTS_MAX];
    for (value, param) in values.iter_mut().zip(params) {
        *value = u64::from(param.cast_unsigned());
    }
    Arguments(values)
}

fn define_any(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: FuncType,
    function: &'static Function,
    shape: Shape,
) -> wasmtime::Result<()> {
    let result_type = ty.results().next();
    linker.func_new(
        import.module(),
        import.name(),
        ty,
        move |mut caller, params, results| {
            let arguments = shape.arguments(params.iter().map(raw));
            let result = run(function, &mut caller, &arguments)?;
            if function.returns == Returns::Long {
                caller.data_mut().emscripten.upper_result = (result >> 32) as u32;
            }
            give(result, result_type.as_ref(), results);
            Ok(())
        },
    )?;
    Ok(())
}

fn define_waiting(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    ty: FuncType,
    body: for<'a> fn(Caller<'a, Guest>, Arguments) -> table::Pending<'a>,
    shape: Shape,
) -> wasmtime::Result<()> {
    let result_type = ty.results().next();
    linker.func_new_async(
        import.module(),
        import.name(),
        ty,
        move |caller, params, results| {
            let result_type = result_type.clone();
            Box::new(async move {
                let arguments = shape.arguments(params.iter().map(raw));
                let result = Box::into_pin(body(caller, arguments)).await?;
                give(result, result_type.as_ref(), results);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn raw(value: &Val) -> u64 {
    match value {
        Val::I32(word) => u64::from(word.cast_unsigned()),
        Val::I64(long) => long.cast_unsigned(),
        _ => 0,
    }
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
