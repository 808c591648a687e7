//! Personalities: the ABIs in which guests speak to the kernel.
//!
//! A personality is chosen by what a module imports, import by import, so a standalone
//! Emscripten module may use WASI beside `env`. Each keeps its calls in a table of [`HostCall`]s,
//! from which linking, the error for a missing import and `docs/compat/` come. No personality
//! knows another; what two of them decode alike stands below both, in `musl`.

use wasmtime::{ExternType, FuncType, ImportType, Instance, Linker, Store, ValType};

use crate::runtime::Guest;

pub mod emscripten;
pub mod linux;
mod musl;
pub mod wasi;

/// How much of a call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    Whole,
    /// With the difference from the ABI's own definition.
    Partial(&'static str),
    /// Always fails, with the reason.
    Refused(&'static str),
}

/// A function that guests import. Declared once, in its personality's table.
pub struct HostCall {
    pub name: &'static str,
    /// As [`signature_of`] writes it: `(i32, i64) -> i32`. Rows of one name differ in it, and the import's type chooses.
    pub signature: &'static str,
    pub support: Support,
    /// Defines the function under a module's and an import's name (which differ from the table's in minified modules).
    pub define: fn(&mut Linker<Guest>, module: &str, name: &str) -> wasmtime::Result<()>,
}

/// What a personality needs to know of the program beside its imports.
#[derive(Clone, Debug, Default)]
pub struct ProgramContext {
    /// Path in the container, for messages.
    pub path: String,
    /// The text of the JavaScript file beside the module, if there is one: it names what a minified module imports.
    pub glue: Option<String>,
    /// What `glue` says, read when it is first needed.
    pub glue_names: emscripten::GlueCell,
    /// Whether it speaks Linux, as its imports say.
    pub is_linux: bool,
    /// Whether its system calls need not look for signals: its loops do, or it has no handlers.
    pub needs_no_attention: bool,
}

/// What became of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    Yes,
    /// Another personality may know it.
    NotMine,
}

/// Defines one import by the first personality that knows it.
pub fn link_import(
    linker: &mut Linker<Guest>,
    program: &ProgramContext,
    import: &ImportType<'_>,
) -> wasmtime::Result<Linked> {
    if linux::link(linker, import, program.needs_no_attention)? == Linked::Yes
        || link_as(linker, import, import.module(), import.name())? == Linked::Yes
    {
        return Ok(Linked::Yes);
    }
    let Some(name) = emscripten::restored_name(program, import)? else {
        return Ok(Linked::NotMine);
    };
    // A minified module puts all its imports under one module name.
    for module in [wasi::MODULE, emscripten::MODULE] {
        if link_as(linker, import, module, &name)? == Linked::Yes {
            return Ok(Linked::Yes);
        }
    }
    Ok(Linked::NotMine)
}

/// Returns the name that an import had before it was minified, for messages.
pub fn import_name(program: &ProgramContext, import: &ImportType<'_>) -> String {
    match emscripten::restored_name(program, import) {
        Ok(Some(name)) => name,
        _ => import.name().to_owned(),
    }
}

/// Defines an import by the module and name that its toolchain gave it.
fn link_as(
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    module: &str,
    name: &str,
) -> wasmtime::Result<Linked> {
    // Emscripten comes before WASI: it knows the forms of WASI calls whose 64-bit numbers were split.
    if emscripten::link_as(linker, import, module, name)? == Linked::Yes {
        return Ok(Linked::Yes);
    }
    wasi::link_as(linker, import, module, name)
}

/// Prepares an instance before any code of the guest runs but its start function.
pub async fn prepare(
    store: &mut Store<Guest>,
    instance: &Instance,
    program: &ProgramContext,
) -> wasmtime::Result<()> {
    emscripten::prepare(store, instance, program).await
}

/// Where a program's code begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// At its entry point.
    Start,
    /// Where its parent was when it forked: the export `resume`.
    Resume,
}

/// Runs an instantiated program from where it begins to its return; how it ends otherwise is an error
/// ([`Stop`](crate::runtime::Stop) or a trap). The store's data knows the guest's memory already.
pub async fn enter(
    store: &mut Store<Guest>,
    instance: &Instance,
    program: &ProgramContext,
    entry: Entry,
) -> wasmtime::Result<()> {
    if program.is_linux {
        return linux::enter(store, instance, entry).await;
    }
    // What cannot wait for its children leaves them to the kernel.
    store.data().task.process.set_can_wait(false);
    prepare(store, instance, program).await?;
    match instance.get_typed_func::<(), ()>(&mut *store, "_start") {
        Ok(start) => {
            wasi::preopen_root(store.data_mut())?;
            start.call_async(store, ()).await
        }
        Err(_) => emscripten::enter(store, instance, program).await,
    }
}

/// Returns the call of a table that an import asks for: of that name and signature, or else the first
/// of that name, so that the type error that follows names what it should have been.
pub fn find<'t>(
    table: &'t [HostCall],
    import: &ImportType<'_>,
    name: &str,
) -> Option<&'t HostCall> {
    let ExternType::Func(function) = import.ty() else {
        return None;
    };
    let signature = signature_of(&function);
    let mut named = table.iter().filter(|call| call.name == name);
    let first = named.clone().next();
    named.find(|call| call.signature == signature).or(first)
}

/// Writes a function's type as the tables do: `(i32, i64) -> i32`, and `(i32)` for one without results.
pub fn signature_of(function: &FuncType) -> String {
    let join = |types: &mut dyn Iterator<Item = ValType>| {
        types
            .map(|ty| ty.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let params = join(&mut function.params());
    match function.results().len() {
        0 => format!("({params})"),
        _ => format!("({params}) -> {}", join(&mut function.results())),
    }
}
