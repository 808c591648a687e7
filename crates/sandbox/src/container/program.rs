//! Which file a command's first word means, and loading it.

use std::fs::File as HostFile;
use std::io;
use std::path::Path;
use std::sync::Arc;

use minke_abi::Errno;
use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::vfs::MountTree;

use super::error::{StartError, StartErrorKind};
use super::mounts::read_file;
use crate::disks::Disks;
use crate::personality::ProgramContext;
use crate::platform::root::file_part;
use crate::processes::ContainerFile;
use crate::runtime::{FileIdentity, ModuleFile, ModuleSource, Program, Progress, Runtime};
use crate::spec::SandboxSpec;

/// Bounds the JavaScript beside a module, which the image brings.
const GLUE_BYTES_MAX: usize = 16 << 20;

/// A program that is compiled, mapped and linked.
pub(super) struct Loaded {
    pub(super) program: Arc<Program>,
    /// In the container.
    pub(super) path: String,
}

/// Finds and loads the program of the first process.
pub(super) fn load(
    runtime: &Runtime,
    (mounts, disks): (&Arc<MountTree>, &Disks),
    spec: &SandboxSpec,
    progress: &dyn Fn(Progress),
) -> Result<Loaded, StartError> {
    match &spec.root.program {
        Some(module) => load_bare(runtime, module, progress),
        None => load_from_root(runtime, (mounts, disks), spec, progress),
    }
}

fn load_bare(
    runtime: &Runtime,
    module: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Loaded, StartError> {
    let name = module.file_name().unwrap_or(module.as_os_str());
    let path = format!("/{}", name.to_string_lossy());
    let unreadable = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => StartErrorKind::NotFound,
            _ => StartErrorKind::NotExecutable,
        };
        let message = format!("cannot open `{}`: {error}", module.display());
        StartError::new(kind, message, "check the path and its permissions")
    };
    let file = HostFile::open(module).map_err(unreadable)?;
    let source = ModuleFile::whole(file).map_err(unreadable)?;
    // The whole text or nothing: half a glue file would name half of the imports.
    let glue = std::fs::read_to_string(module.with_extension("js"))
        .ok()
        .filter(|text| text.len() <= GLUE_BYTES_MAX);
    // Messages name what was typed, not where the container sees it.
    let context = ProgramContext {
        path: module.display().to_string(),
        glue,
        ..ProgramContext::default()
    };
    let program = runtime.load(&source, context, progress)?;
    Ok(Loaded { program, path })
}

fn load_from_root(
    runtime: &Runtime,
    (mounts, disks): (&Arc<MountTree>, &Disks),
    spec: &SandboxSpec,
    progress: &dyn Fn(Progress),
) -> Result<Loaded, StartError> {
    let process = &spec.process;
    let word = process.args.first().map_or("", String::as_str);
    let path = find(mounts, &process.program_paths, word)?;
    let glue = Path::new(&path).with_extension("js");
    let glue = read_file(mounts, &glue.to_string_lossy(), GLUE_BYTES_MAX)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let context = ProgramContext {
        path: path.clone(),
        glue,
        ..ProgramContext::default()
    };
    // Found compiled by where it lies, it is neither copied nor hashed.
    let source = source(mounts, disks, &path)?;
    let program = runtime.load(&*source, context, progress)?;
    Ok(Loaded { program, path })
}

/// Finds a module's bytes, and what identifies them without reading them.
fn source(
    mounts: &Arc<MountTree>,
    disks: &Disks,
    path: &str,
) -> Result<Box<dyn ModuleSource>, StartError> {
    let unreadable = |errno: Errno| {
        StartError::new(
            StartErrorKind::NotExecutable,
            format!("cannot read `{path}`: {errno}"),
            "check the file in the image",
        )
    };
    let location = mounts.find(path.as_bytes()).map_err(unreadable)?;
    if location.inode.file_type() != FileType::Regular {
        return Err(unreadable(Errno::EACCES));
    }
    let file = Arc::clone(&location.inode).open(OpenFlags::RDONLY);
    let file = file.map_err(unreadable)?;
    if let Some(part) = file_part(&*file)
        && let Ok(module) = ModuleFile::part(part.file, part.offset, part.length)
    {
        return Ok(Box::new(module));
    }
    let metadata = file.metadata().map_err(unreadable)?;
    let is_of_root = location.mount.mount_point.is_none();
    let content = is_of_root.then(|| disks.image_content(&metadata)).flatten();
    let identity = content.map(|content| FileIdentity::of_disk(metadata.size, content));
    Ok(Box::new(ContainerFile::new(file, metadata, identity)))
}

/// Finds the first of the paths that `word` may mean that is a file. It need not be marked executable: modules seldom are.
pub(super) fn find(
    mounts: &Arc<MountTree>,
    paths: &[String],
    word: &str,
) -> Result<String, StartError> {
    let mut directory = None;
    for path in paths {
        match mounts.find(path.as_bytes()) {
            Ok(location) if location.inode.file_type() == FileType::Directory => {
                directory.get_or_insert(path);
            }
            Ok(_) => return Ok(path.clone()),
            Err(_) => {}
        }
    }
    Err(match directory {
        Some(path) => StartError::new(
            StartErrorKind::NotExecutable,
            format!("`{path}` is a directory"),
            "name the module in it",
        ),
        None if word.contains('/') => StartError::new(
            StartErrorKind::NotFound,
            format!("`{word}`: no such file in the container"),
            "check the path in the Balenafile's `COPY`, `WORKDIR` and `CMD`",
        ),
        // Docker: `exec: "…": executable file not found in $PATH`.
        None => StartError::new(
            StartErrorKind::NotFound,
            format!("`{word}`: executable file not found in `$PATH`"),
            "give its path, or set `ENV PATH` in the Balenafile",
        ),
    })
}
