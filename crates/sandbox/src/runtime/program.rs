//! Programs: from a file's bytes to something that can be started.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, Module};

use super::cache::{Digest, FileIdentity, ModuleCache, Stamp};
use super::compiler::{Artefact, Compiler};
use super::engine::{Allocation, Engines, Pool, compatibility_hash};
use super::error::{LoadError, MODULE_BYTES_MAX, check_outline};
use super::instrument::{InstrumentError, MEMORY_EXPORT, POLL_EXPORT};
use super::lines::{self, SourceLine};
use super::link::Linked;
use super::module_server::{self, ModuleServer};
use super::{instrument, native, needs};
use crate::personality::{ProgramContext, linux};

/// Loads programs, each compiled and linked once.
pub struct Runtime {
    engines: Arc<Engines>,
    compiler: Compiler,
    cache: Option<ModuleCache>,
    /// Who loads modules once the jail is closed.
    server: OnceLock<ModuleServer>,
    /// Programs by digest and path: the path's directory may hold glue that changes the linking.
    programs: Mutex<HashMap<(Digest, String), Arc<Program>>>,
}

/// How a [`Runtime`] is made.
#[derive(Clone, Debug)]
pub struct RuntimeConfig<'a> {
    /// Where compiled modules are kept; without it they are compiled each time.
    pub cache: Option<&'a Path>,
    /// Where modules are compiled that are not kept.
    pub compiler: Compiler,
    /// Whether instances come from a pool.
    pub pool: Pool,
}

/// Programs that stay linked. Beyond it, all are forgotten and linked again when they are started next.
const PROGRAMS_MAX: usize = 256;

/// A program, ready to be started any number of times.
pub struct Program {
    pub(super) context: ProgramContext,
    pub(super) linked: Linked,
    /// The same for when the pool is exhausted, made when it is needed first.
    overflow: OnceLock<Linked>,
    engines: Arc<Engines>,
    /// For the debug information in it.
    source: Option<Box<dyn ModuleSource>>,
}

/// Where a program's bytes come from.
pub trait ModuleSource: Send + Sync {
    /// Returns what identifies the bytes without reading them, where something does.
    fn identity(&self) -> Option<FileIdentity>;

    /// Returns the bytes.
    fn read(&self) -> io::Result<Cow<'_, [u8]>>;

    /// Returns what the bytes can be read from again, for as long as the program is loaded.
    fn keep(&self) -> Option<Box<dyn ModuleSource>> {
        None
    }

    /// Whether the bytes are still what they were.
    fn is_unchanged(&self) -> bool {
        true
    }
}

/// A module in memory.
pub struct ModuleBytes<'a>(pub &'a [u8]);

impl ModuleSource for ModuleBytes<'_> {
    fn identity(&self) -> Option<FileIdentity> {
        None
    }

    fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.0))
    }
}

/// A module in a file of the host, or in a part of one.
pub struct ModuleFile {
    file: File,
    identity: FileIdentity,
    length: u64,
}

impl ModuleFile {
    /// Takes a whole file.
    pub fn whole(file: File) -> io::Result<Self> {
        let identity = FileIdentity::of(&file)?;
        let length = identity.size;
        Ok(Self {
            file,
            identity,
            length,
        })
    }

    /// Takes a part of a file, such as a member of an archive.
    pub fn part(file: File, offset: u64, length: u64) -> io::Result<Self> {
        let identity = FileIdentity {
            offset,
            ..FileIdentity::of(&file)?
        };
        Ok(Self {
            file,
            identity,
            length,
        })
    }
}

impl ModuleSource for ModuleFile {
    fn identity(&self) -> Option<FileIdentity> {
        Some(self.identity.clone())
    }

    fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        // By position, for others may read the same file. What is too large is found out by one byte more.
        let length = self.length.min(MODULE_BYTES_MAX + 1);
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, self.identity.offset)?;
        Ok(Cow::Owned(bytes))
    }

    fn keep(&self) -> Option<Box<dyn ModuleSource>> {
        Some(Box::new(ModuleFile {
            file: self.file.try_clone().ok()?,
            identity: self.identity.clone(),
            length: self.length,
        }))
    }

    fn is_unchanged(&self) -> bool {
        let now = FileIdentity::of(&self.file);
        now.is_ok_and(|now| {
            FileIdentity {
                offset: self.identity.offset,
                ..now
            } == self.identity
        })
    }
}

/// What loading is doing, for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// The module is not in the cache: it is compiled now, which takes seconds for megabytes.
    Compiling {
        /// Its size.
        bytes: u64,
    },
    /// Compiling is over.
    Compiled,
}

impl Runtime {
    /// Makes a runtime. A cache directory that cannot be trusted is left alone, with a warning.
    pub fn new(config: &RuntimeConfig<'_>) -> Self {
        let open = |directory| {
            ModuleCache::open(directory)
                .inspect_err(|error| tracing::warn!(%error, "compiled modules are not kept"))
                .ok()
        };
        Self {
            engines: Arc::new(Engines::new(config.pool)),
            compiler: config.compiler,
            cache: config.cache.and_then(open),
            server: OnceLock::new(),
            programs: Mutex::default(),
        }
    }

    /// Loads a program: finds it compiled, or compiles it, and links what it imports.
    pub fn load(
        &self,
        source: &dyn ModuleSource,
        mut context: ProgramContext,
        progress: &dyn Fn(Progress),
    ) -> Result<Arc<Program>, LoadError> {
        let loader = Loader {
            runtime: self,
            program: &context.path,
            progress,
        };
        let (stamp, module) = loader.module(source)?;
        let key = (stamp.digest, context.path.clone());
        if let Some(program) = self.programs().get(&key) {
            return Ok(Arc::clone(program));
        }
        context.is_linux = linux::is_spoken_by(&module);
        context.needs_no_attention = has_polls(&module) || !linux::has_handlers(&module);
        let program = Arc::new(Program {
            linked: Linked::new(module, &context)?,
            overflow: OnceLock::new(),
            engines: Arc::clone(&self.engines),
            source: source.keep(),
            context,
        });
        let mut programs = self.programs();
        if programs.len() >= PROGRAMS_MAX {
            programs.clear();
        }
        programs.insert(key, Arc::clone(&program));
        Ok(program)
    }

    /// Loads through a server from now on.
    pub fn load_through(&self, server: ModuleServer) {
        // A second one is not needed.
        let _ = self.server.set(server);
    }

    /// Whether modules are loaded through a server.
    pub(crate) fn has_server(&self) -> bool {
        self.server.get().is_some()
    }

    /// Returns the file with a module's compiled form: from the cache, or compiled now.
    pub(super) fn compiled_file(
        &self,
        wasm: &[u8],
        program: &str,
    ) -> Result<(Stamp, File), LoadError> {
        let loader = Loader {
            runtime: self,
            program,
            progress: &|_| {},
        };
        let stamp = loader.stamp_of(wasm)?;
        let engine = loader.engine(&stamp)?;
        let key = artefact_key(&stamp.digest, &engine);
        let _lock = self.cache.as_ref().map(|cache| cache.lock(&key));
        let cached = || self.cache.as_ref().and_then(|cache| cache.artefact(&key));
        if let Some(file) = cached() {
            return Ok((stamp, file));
        }
        let mut artefact = self.compiler.compile(wasm, program)?;
        if let Some(cache) = &self.cache {
            cache.store(&key, &mut artefact);
            cache.prune();
        }
        let file = match (cached(), artefact) {
            (Some(file), _) | (None, Artefact::InFile(file)) => Ok(file),
            (None, Artefact::InMemory(bytes)) => module_server::in_memory(&bytes),
        };
        let file = file.map_err(|source| LoadError::Read {
            program: program.to_owned(),
            source,
        })?;
        Ok((stamp, file))
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<(Digest, String), Arc<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a module's loops look for signals (`runtime::instrument`).
fn has_polls(module: &Module) -> bool {
    let exports = [POLL_EXPORT, MEMORY_EXPORT];
    exports
        .iter()
        .all(|name| module.get_export_index(name).is_some())
}

impl Program {
    /// Whether the program speaks Linux, and so may start others.
    pub fn is_linux(&self) -> bool {
        self.context.is_linux
    }

    /// Finds the source lines of positions in its compiled module; empty where nothing is known.
    pub(super) fn source_lines(&self, positions: &[Option<usize>]) -> Vec<Vec<SourceLine>> {
        let source = self.source.as_ref();
        let unchanged = source.filter(|source| source.is_unchanged());
        let bytes = unchanged.and_then(|source| source.read().ok());
        bytes
            .filter(|wasm| wasm.len() as u64 <= lines::MODULE_BYTES_MAX)
            .and_then(|wasm| lines::find(&wasm, positions))
            .unwrap_or_default()
    }

    /// Returns the program linked in the engine that needs no pool.
    pub(super) fn overflow(&self) -> wasmtime::Result<&Linked> {
        if let Some(linked) = self.overflow.get() {
            return Ok(linked);
        }
        let engine = self.engines.get(Allocation::OnDemand)?;
        let artefact = self.linked.module().serialize()?;
        let module = native::from_memory(&engine, &artefact)?;
        let linked =
            Linked::new(module, &self.context).map_err(|error| wasmtime::format_err!("{error}"))?;
        Ok(self.overflow.get_or_init(|| linked))
    }
}

/// One call of [`Runtime::load`].
struct Loader<'a> {
    runtime: &'a Runtime,
    program: &'a str,
    progress: &'a dyn Fn(Progress),
}

impl Loader<'_> {
    fn module(&self, source: &dyn ModuleSource) -> Result<(Stamp, Module), LoadError> {
        if let Some(server) = self.runtime.server.get() {
            return self.served(server, source);
        }
        let identity = source.identity();
        if let (Some(cache), Some(identity)) = (&self.runtime.cache, &identity)
            && let Some(stamp) = cache.stamp(identity)
            && let Some(module) = self.cached(&stamp)?
        {
            return Ok((stamp, module));
        }
        let bytes = self.read(source)?;
        let (stamp, module) = self.module_of(&bytes)?;
        if let (Some(cache), Some(identity)) = (&self.runtime.cache, &identity) {
            cache.store_stamp(identity, &stamp);
        }
        Ok((stamp, module))
    }

    fn read<'s>(&self, source: &'s dyn ModuleSource) -> Result<Cow<'s, [u8]>, LoadError> {
        source.read().map_err(|source| LoadError::Read {
            program: self.program.to_owned(),
            source,
        })
    }

    /// Has a module found or compiled outside of the jail.
    fn served(
        &self,
        server: &ModuleServer,
        source: &dyn ModuleSource,
    ) -> Result<(Stamp, Module), LoadError> {
        let bytes = self.read(source)?;
        check_outline(&bytes, self.program)?;
        let (stamp, file) = server.load(&bytes, self.program)?;
        let module = native::from_file(&self.engine(&stamp)?, file);
        Ok((stamp, module.map_err(|error| self.compile_error(&error))?))
    }

    fn stamp_of(&self, bytes: &[u8]) -> Result<Stamp, LoadError> {
        check_outline(bytes, self.program)?;
        let allocation = needs::allocation(bytes).map_err(|error| self.invalid(&error.into()))?;
        Ok(Stamp {
            digest: Sha256::digest(bytes).into(),
            allocation,
        })
    }

    fn module_of(&self, bytes: &[u8]) -> Result<(Stamp, Module), LoadError> {
        let stamp = self.stamp_of(bytes)?;
        let module = match self.cached(&stamp)? {
            Some(module) => module,
            None => self.compile(bytes, &stamp)?,
        };
        Ok((stamp, module))
    }

    fn engine(&self, stamp: &Stamp) -> Result<Engine, LoadError> {
        let engine = self.runtime.engines.get(stamp.allocation);
        engine.map_err(|error| LoadError::Engine(error.to_string()))
    }

    /// Returns the module compiled earlier.
    fn cached(&self, stamp: &Stamp) -> Result<Option<Module>, LoadError> {
        let Some(cache) = &self.runtime.cache else {
            return Ok(None);
        };
        let engine = self.engine(stamp)?;
        let Some(file) = cache.artefact(&artefact_key(&stamp.digest, &engine)) else {
            return Ok(None);
        };
        match native::from_file(&engine, file) {
            Ok(module) => Ok(Some(module)),
            Err(error) => {
                tracing::warn!(%error, "a compiled module cannot be mapped; compiling it again");
                Ok(None)
            }
        }
    }

    fn compile(&self, bytes: &[u8], stamp: &Stamp) -> Result<Module, LoadError> {
        let engine = self.engine(stamp)?;
        let key = artefact_key(&stamp.digest, &engine);
        let _lock = self.runtime.cache.as_ref().map(|cache| cache.lock(&key));
        // Another process may have compiled it while this one waited for the lock.
        if let Some(module) = self.cached(stamp)? {
            return Ok(module);
        }
        (self.progress)(Progress::Compiling {
            bytes: bytes.len() as u64,
        });
        let mut artefact = self.runtime.compiler.compile(bytes, self.program)?;
        (self.progress)(Progress::Compiled);
        if let Some(cache) = &self.runtime.cache {
            cache.store(&key, &mut artefact);
            // Mapped, it costs no memory of our own, and stays.
            let module = self.cached(stamp)?;
            cache.prune();
            if let Some(module) = module {
                return Ok(module);
            }
        }
        let module = match artefact {
            Artefact::InMemory(bytes) => native::from_memory(&engine, &bytes),
            Artefact::InFile(file) => native::from_file(&engine, file),
        };
        module.map_err(|error| self.compile_error(&error))
    }

    fn invalid(&self, error: &InstrumentError) -> LoadError {
        LoadError::Invalid {
            program: self.program.to_owned(),
            reason: LoadError::reason_of(error),
        }
    }

    fn compile_error(&self, error: &wasmtime::Error) -> LoadError {
        LoadError::Compile {
            program: self.program.to_owned(),
            reason: format!("{error:#}"),
        }
    }
}

/// Returns the name of a compiled module: a hash of all that it depends on.
fn artefact_key(module: &Digest, engine: &Engine) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(module);
    hasher.update(instrument::VERSION.to_le_bytes());
    hasher.update(compatibility_hash(engine));
    hasher.finalize().into()
}
