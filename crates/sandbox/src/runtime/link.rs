//! Links a module: every import is found before anything runs.

use std::sync::Arc;

use wasmtime::{
    ExportType, ExternType, ImportType, Instance, InstancePre, Linker, Memory, MemoryType, Module,
    ModuleExport, Ref, RefType, Store, Table, TableType,
};

use super::code::ProgramCode;
use super::error::LoadError;
use super::guest::Guest;
use super::instrument::{MEMORY_EXPORT, SHARED_EXPORT, START_EXPORT, TABLE_EXPORT};
use crate::personality::{self, ProgramContext, signature_of};

/// A module with its imports found.
pub(super) struct Linked {
    pub(super) code: Arc<ProgramCode>,
    kind: Kind,
    pub(super) exports: KnownExports,
}

/// Where a module's exports are that the runtime uses: looking names up for each instance takes longer.
pub(super) struct KnownExports {
    /// The memory that checks load from, where there are any.
    pub(super) hidden_memory: Option<ModuleExport>,
    /// The memory that the guest's pointers mean: the one it exports, under whatever name.
    pub(super) own_memory: Option<ModuleExport>,
    /// The shared memory.
    pub(super) shared_memory: Option<ModuleExport>,
    /// The table that the host fills with what a shared memory needs.
    pub(super) host_table: Option<ModuleExport>,
    /// The start function.
    pub(super) start: Option<ModuleExport>,
}

enum Kind {
    /// Functions only: the same for every instance.
    Shared(InstancePre<Guest>),
    /// Memories or tables too, made anew for each instance.
    PerInstance(Linker<Guest>, Vec<OwnImport>),
}

/// An import that each instance has its own of.
struct OwnImport {
    module: String,
    name: String,
    ty: OwnType,
}

enum OwnType {
    Memory(MemoryType),
    /// One for all threads of a process.
    SharedMemory(MemoryType),
    Table(TableType),
}

impl Linked {
    /// Finds the imports of a module.
    pub(super) fn new(module: Module, context: &ProgramContext) -> Result<Self, LoadError> {
        let mut linker = Linker::new(module.engine());
        // A module may import one function under one name more than once.
        linker.allow_shadowing(true);
        let mut own = Vec::new();
        for import in module.imports() {
            let linked = personality::link_import(&mut linker, context, &import)
                .map_err(|error| link_error(context, &error))?;
            if linked == personality::Linked::NotMine {
                own.push(own_import(&import).ok_or_else(|| missing(context, &import))?);
            }
        }
        let kind = if own.is_empty() {
            let pre = linker.instantiate_pre(&module);
            Kind::Shared(pre.map_err(|error| link_error(context, &error))?)
        } else {
            Kind::PerInstance(linker, own)
        };
        let exports = KnownExports::of(&module);
        let code = ProgramCode::new(module).ok_or_else(|| LoadError::TooManyPrograms {
            program: context.path.clone(),
        })?;
        Ok(Self {
            code: Arc::new(code),
            kind,
            exports,
        })
    }

    pub(super) fn module(&self) -> &Module {
        self.code.module()
    }

    /// Returns the type of the shared memory that the module imports.
    pub(super) fn shared_memory_import(&self) -> Option<MemoryType> {
        let Kind::PerInstance(_, own) = &self.kind else {
            return None;
        };
        own.iter().find_map(|import| match &import.ty {
            OwnType::SharedMemory(ty) => Some(ty.clone()),
            _ => None,
        })
    }

    /// Makes an instance. No code of the guest runs yet, for its start function was made an export.
    ///
    /// Nothing waits: wasmtime wants the asynchronous form where a module imports functions that may.
    pub(super) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
        match &self.kind {
            Kind::Shared(pre) => pre.instantiate_async(store).await,
            Kind::PerInstance(linker, own) => {
                let mut linker = linker.clone();
                for import in own {
                    import.define(&mut linker, store)?;
                }
                linker.instantiate_async(store, self.module()).await
            }
        }
    }
}

impl KnownExports {
    fn of(module: &Module) -> Self {
        let is_own_memory = |export: &ExportType<'_>| {
            matches!(export.ty(), ExternType::Memory(_))
                && ![MEMORY_EXPORT, SHARED_EXPORT].contains(&export.name())
        };
        let mut memories = module.exports().filter(is_own_memory);
        let first = memories.next().map(|export| export.name().to_owned());
        let named = module.get_export_index("memory");
        Self {
            hidden_memory: module.get_export_index(MEMORY_EXPORT),
            own_memory: named.or_else(|| module.get_export_index(&first?)),
            shared_memory: module.get_export_index(SHARED_EXPORT),
            host_table: module.get_export_index(TABLE_EXPORT),
            start: module.get_export_index(START_EXPORT),
        }
    }
}

impl OwnImport {
    /// Makes what is imported, as large as the import demands at least.
    fn define(&self, linker: &mut Linker<Guest>, store: &mut Store<Guest>) -> wasmtime::Result<()> {
        match &self.ty {
            OwnType::Memory(ty) => {
                let memory = Memory::new(&mut *store, ty.clone())?;
                linker.define(&mut *store, &self.module, &self.name, memory)?;
                store.data_mut().memory = Some(memory.into());
            }
            OwnType::SharedMemory(_) => {
                let memory = store.data().shared.as_ref();
                let memory = memory.ok_or_else(|| wasmtime::format_err!("no shared memory"))?;
                let memory = memory.memory().clone();
                linker.define(&mut *store, &self.module, &self.name, memory.clone())?;
                store.data_mut().memory = Some(memory.into());
            }
            OwnType::Table(ty) => {
                let table = Table::new(&mut *store, ty.clone(), Ref::Func(None))?;
                linker.define(&mut *store, &self.module, &self.name, table)?;
            }
        }
        Ok(())
    }
}

/// Returns an import that the runtime can make: a memory or a table of functions.
fn own_import(import: &ImportType<'_>) -> Option<OwnImport> {
    let ty = match import.ty() {
        ExternType::Memory(ty) if ty.is_shared() => OwnType::SharedMemory(ty),
        ExternType::Memory(ty) => OwnType::Memory(ty),
        ExternType::Table(ty) if RefType::eq(ty.element(), &RefType::FUNCREF) => OwnType::Table(ty),
        _ => return None,
    };
    Some(OwnImport {
        module: import.module().to_owned(),
        name: import.name().to_owned(),
        ty,
    })
}

fn link_error(context: &ProgramContext, error: &wasmtime::Error) -> LoadError {
    LoadError::Link {
        program: context.path.clone(),
        reason: format!("{error:#}"),
    }
}

fn missing(context: &ProgramContext, import: &ImportType<'_>) -> LoadError {
    let signature = match import.ty() {
        ExternType::Func(function) => signature_of(&function),
        ExternType::Global(global) => format!("(global {})", global.content()),
        ExternType::Table(table) => format!("(table {})", table.element()),
        ExternType::Memory(_) => "(memory)".to_owned(),
        ExternType::Tag(_) => "(tag)".to_owned(),
    };
    LoadError::MissingImport {
        program: context.path.clone(),
        module: import.module().to_owned(),
        name: personality::import_name(context, import),
        signature,
    }
}
