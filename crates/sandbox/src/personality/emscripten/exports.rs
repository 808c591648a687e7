//! Functions of the guest that the host calls, found once by their real names.

use minke_glue::GlueNames;
use wasmtime::{Caller, Func, Instance, Store, Table, TypedFunc, WasmParams, WasmResults};

use crate::runtime::{Guest, GuestAddr};

/// What of the guest's exports the host uses; which are there depends on the program.
#[derive(Clone, Default)]
pub(super) struct Exports {
    pub(super) table: Option<Table>,
    pub(super) stack_save: Option<TypedFunc<(), i32>>,
    pub(super) stack_restore: Option<TypedFunc<i32, ()>>,
    pub(super) stack_alloc: Option<TypedFunc<i32, i32>>,
    pub(super) set_threw: Option<TypedFunc<(i32, i32), ()>>,
    pub(super) set_temp_ret0: Option<TypedFunc<i32, ()>>,
    pub(super) malloc: Option<TypedFunc<i32, i32>>,
    pub(super) free: Option<TypedFunc<i32, ()>>,
    pub(super) aligned_alloc: Option<TypedFunc<(i32, i32), i32>>,
    pub(super) can_catch: Option<TypedFunc<(i32, i32, i32), i32>>,
    pub(super) is_pointer_type: Option<TypedFunc<i32, i32>>,
    /// What threads need; the parameters of the first differ between versions.
    pub(super) thread_init: Option<Func>,
    pub(super) thread_exit: Option<TypedFunc<i32, ()>>,
    pub(super) thread_free_data: Option<TypedFunc<i32, ()>>,
    pub(super) tls_init: Option<TypedFunc<(), i32>>,
    pub(super) stack_set_limits: Option<TypedFunc<(i32, i32), ()>>,
    pub(super) errno_location: Option<TypedFunc<(), i32>>,
    /// Where the guest keeps `errno`, of each thread its own.
    pub(super) errno_address: Option<GuestAddr>,
}

impl Exports {
    /// Finds what an instance exports.
    pub(super) fn find(
        store: &mut Store<Guest>,
        instance: &Instance,
        names: &GlueNames,
    ) -> Exports {
        let mut finder = Finder {
            store,
            instance,
            names,
        };
        let table = names.export("__indirect_function_table");
        Exports {
            table: instance.get_table(&mut *finder.store, table),
            stack_save: finder.function(&["stackSave", "emscripten_stack_get_current"]),
            stack_restore: finder.function(&["stackRestore", "_emscripten_stack_restore"]),
            stack_alloc: finder.function(&["stackAlloc", "_emscripten_stack_alloc"]),
            set_threw: finder.function(&["setThrew"]),
            set_temp_ret0: finder.function(&["setTempRet0", "_emscripten_tempret_set"]),
            malloc: finder.function(&["malloc"]),
            free: finder.function(&["free"]),
            aligned_alloc: finder.function(&["emscripten_builtin_memalign", "memalign"]),
            can_catch: finder.function(&["__cxa_can_catch"]),
            is_pointer_type: finder.function(&["__cxa_is_pointer_type"]),
            thread_init: {
                let name = names.export("_emscripten_thread_init");
                instance.get_func(&mut *finder.store, name)
            },
            thread_exit: finder.function(&["_emscripten_thread_exit"]),
            thread_free_data: finder.function(&["_emscripten_thread_free_data"]),
            tls_init: finder.function(&["_emscripten_tls_init", "emscripten_tls_init"]),
            stack_set_limits: finder.function(&["emscripten_stack_set_limits"]),
            errno_location: finder.function(&["__errno_location"]),
            errno_address: None,
        }
    }
}

/// Looks exports up by their real names.
pub(super) struct Finder<'a> {
    pub(super) store: &'a mut Store<Guest>,
    pub(super) instance: &'a Instance,
    pub(super) names: &'a GlueNames,
}

impl Finder<'_> {
    /// Returns the first function that is exported under one of the names with the wanted type.
    pub(super) fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        candidates: &[&str],
    ) -> Option<TypedFunc<P, R>> {
        candidates.iter().find_map(|name| {
            let name = self.names.export(name);
            self.instance
                .get_typed_func::<P, R>(&mut *self.store, name)
                .ok()
        })
    }
}

/// Calls an exported function, or tells which one the program lacks.
pub(super) async fn call<P, R>(
    caller: &mut Caller<'_, Guest>,
    name: &str,
    choose: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
    params: P,
) -> wasmtime::Result<R>
where
    P: WasmParams + Send + Sync,
    R: WasmResults + Send + Sync,
{
    let function = choose(&caller.data().emscripten.exports).clone();
    let Some(function) = function else {
        return Err(wasmtime::format_err!(
            "the program does not export `{name}`, which the host has to call\n\
             hint: link with `-sEXPORTED_FUNCTIONS=_main,_{name}`"
        ));
    };
    function.call_async(caller, params).await
}

/// Takes memory from the guest's heap; `None` when it has no more.
pub(super) async fn allocate(
    caller: &mut Caller<'_, Guest>,
    bytes: usize,
) -> wasmtime::Result<Option<GuestAddr>> {
    let Ok(bytes) = i32::try_from(bytes) else {
        return Ok(None);
    };
    let address = call(caller, "malloc", |exports| &exports.malloc, bytes).await?;
    Ok((address != 0).then(|| GuestAddr::from(address)))
}
