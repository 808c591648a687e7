//! Processes of a container: starting programs that guests ask for.
//!
//! A personality decodes what a guest asks for; the kernel makes the process; the [`Launcher`] finds the program in the files
//! that the process sees ([`Launcher::open`]) and runs it as a future of its own ([`Launcher::start`]). Each program is loaded
//! once and shared by all its processes.
//!
//! | module | is |
//! |---|---|
//! | `file` | modules in files of the container |
//! | `script` | the first line of scripts |

mod file;
mod script;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::Access;
use minke_kernel::calls::{At, Follow};
use minke_kernel::process::ProcessImage;
use minke_kernel::vfs::Location;
use minke_kernel::{ExitStatus, Fd, File, Process, Task};

use crate::executor::{JoinHandle, Spawner};
use crate::personality::ProgramContext;
use crate::runtime::fork::EndsProcess;
use crate::runtime::module_server::ModuleServer;
use crate::runtime::pagemap::PageMap;
use crate::runtime::{Program, Runtime};

pub(crate) use file::ContainerFile;

/// Interpreters of interpreters that are followed. Linux: fs/exec.c `exec_binprm()`.
const SCRIPT_DEPTH_MAX: usize = 4;

/// How much of a file is looked at to tell what it is. Linux: `BINPRM_BUF_SIZE`.
const HEAD_BYTES: usize = 256;

/// Programs that stay loaded for the processes to come. Beyond it, all are forgotten and loaded again when they are started next.
const PROGRAMS_MAX: usize = 256;

/// Bounds the JavaScript beside a module, which the image brings.
const GLUE_BYTES_MAX: u64 = 16 << 20;

/// How the text of every WebAssembly module begins.
const WASM_MAGIC: &[u8] = b"\0asm";

/// Starts programs of a container.
pub struct Launcher {
    runtime: Runtime,
    spawner: Spawner,
    /// Opened before the jail is closed.
    pages: Option<PageMap>,
    programs: Mutex<HashMap<FileKey, Arc<Program>>>,
}

/// A program that a process is to become.
pub struct Image {
    pub program: Arc<Program>,
    pub image: ProcessImage,
}

/// Which files have to be marked executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marks {
    Needed,
    NeededOfScripts,
}

/// Tells one state of one file from all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FileKey {
    /// Address of the mount, which stays while the container runs.
    mount: usize,
    inode: u64,
    size: u64,
    /// Time of the last change, which no guest can set.
    changed: (i64, u32),
}

impl Launcher {
    /// Makes a launcher that loads programs by `runtime` and runs them on `spawner`. Without `pages`, to fork takes longer.
    pub(crate) fn new(runtime: Runtime, spawner: Spawner, pages: Option<PageMap>) -> Arc<Launcher> {
        Arc::new(Launcher {
            runtime,
            spawner,
            pages,
            programs: Mutex::default(),
        })
    }

    /// Whether programs can be loaded once the jail is closed.
    pub(crate) fn can_load(&self) -> bool {
        self.runtime.has_server()
    }

    /// Loads through a server from now on.
    pub(crate) fn load_through(&self, server: ModuleServer) {
        self.runtime.load_through(server);
    }

    /// Returns what runs the processes.
    pub fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Finds and loads the program of a path as a process sees it. Scripts lead to their interpreters.
    ///
    /// `ENOEXEC` for what is neither a module nor a script; `EIO` for a module that cannot be loaded, and the process's
    /// standard error is told why. Linux: fs/exec.c `do_execveat_common()`.
    pub fn open(
        &self,
        task: &Task,
        path: &[u8],
        args: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
    ) -> Result<Image> {
        self.open_marked(
            task,
            ProcessImage {
                path: path.to_vec(),
                args,
                env,
                ..ProcessImage::default()
            },
            Marks::Needed,
        )
    }

    /// As [`Launcher::open`], for a program that somebody outside of the container asks for: a module need not be marked
    /// executable, as that of process 1 need not.
    pub fn open_from_outside(&self, task: &Task, image: ProcessImage) -> Result<Image> {
        self.open_marked(task, image, Marks::NeededOfScripts)
    }

    fn open_marked(&self, task: &Task, image: ProcessImage, marks: Marks) -> Result<Image> {
        let ProcessImage {
            mut path,
            mut args,
            env,
            ..
        } = image;
        let asked_for = path.clone();
        for _ in 0..=SCRIPT_DEPTH_MAX {
            let (location, file) = regular(task, &path)?;
            let mut head = [0; HEAD_BYTES];
            let count = file.read_at(&mut head, 0)?;
            let head = &head[..count];
            let is_module = head.starts_with(WASM_MAGIC);
            if !(is_module && marks == Marks::NeededOfScripts) {
                task.effective_access(At::Cwd, &path, Access::EXECUTE, Follow::Yes)?;
            }
            if is_module {
                let program = self.load(task, &location, file, &path)?;
                let path = location.path_below(&task.process.standpoint().fs.root)?;
                let image = ProcessImage {
                    path,
                    asked_for,
                    args,
                    env,
                };
                return Ok(Image { program, image });
            }
            let script = script::parse(head).ok_or(Errno::ENOEXEC)?;
            // Linux: fs/binfmt_script.c: the interpreter, its argument, the script, and what followed its name.
            let rest = args.into_iter().skip(1);
            let first = [script.interpreter.to_vec()];
            let argument = script.argument.map(<[u8]>::to_vec);
            args = first
                .into_iter()
                .chain(argument)
                .chain([path])
                .chain(rest)
                .collect();
            path = script.interpreter.to_vec();
        }
        Err(Errno::ELOOP)
    }

    /// Makes a process that has run nothing become a program, and runs it.
    pub fn start(self: &Arc<Self>, process: Arc<Process>, image: Image) -> JoinHandle<ExitStatus> {
        process.begin_image(image.image);
        let launcher = Arc::clone(self);
        let task = Arc::new(Task::main_of(Arc::clone(&process)));
        self.spawner.spawn(async move {
            let _ends = EndsProcess(process);
            image.program.run_among_others(task, &launcher).await
        })
    }

    /// Returns what tells which pages of a memory were written, where the kernel does.
    pub(crate) fn pages(&self) -> Option<&PageMap> {
        self.pages.as_ref()
    }

    fn load(
        &self,
        task: &Task,
        location: &Arc<Location>,
        file: Arc<dyn File>,
        path: &[u8],
    ) -> Result<Arc<Program>> {
        let metadata = file.metadata()?;
        let key = FileKey {
            mount: Arc::as_ptr(&location.mount).addr(),
            inode: metadata.inode,
            size: metadata.size,
            changed: (metadata.changed.seconds, metadata.changed.nanoseconds),
        };
        if let Some(program) = self.programs().get(&key) {
            return Ok(Arc::clone(program));
        }
        let context = ProgramContext {
            path: String::from_utf8_lossy(path).into_owned(),
            glue: glue(task, path),
            ..ProgramContext::default()
        };
        let source = ContainerFile::new(file, metadata, None);
        let program = self
            .runtime
            .load(&source, context, &|_| {})
            .map_err(|error| {
                tell(task, &format!("minke: {error}\n"));
                Errno::EIO
            })?;
        let mut programs = self.programs();
        if programs.len() >= PROGRAMS_MAX {
            programs.clear();
        }
        programs.insert(key, Arc::clone(&program));
        Ok(program)
    }

    fn programs(&self) -> MutexGuard<'_, HashMap<FileKey, Arc<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file, whoever may read it. What it is to be executed for is checked by the caller.
fn regular(task: &Task, path: &[u8]) -> Result<(Arc<Location>, Arc<dyn File>)> {
    let location = task.resolve(At::Cwd, path, Follow::Yes)?;
    if location.inode.file_type() != FileType::Regular {
        return Err(Errno::EACCES);
    }
    let file = Arc::clone(&location.inode).open(OpenFlags::RDONLY)?;
    Ok((location, file))
}

/// Reads the JavaScript beside a module of Emscripten, if there is any.
fn glue(task: &Task, path: &[u8]) -> Option<String> {
    let path = Path::new(std::str::from_utf8(path).ok()?).with_extension("js");
    let path = path.to_str()?.as_bytes();
    let description = task
        .open_description(At::Cwd, path, OpenFlags::RDONLY, 0)
        .ok()?;
    let size = description.file.metadata().ok()?.size;
    if size > GLUE_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; size as usize];
    let count = description.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(count);
    String::from_utf8(bytes).ok()
}

/// Writes to a process's standard error what fits there now.
fn tell(task: &Task, text: &str) {
    const STDERR: Fd = Fd(2);
    if let Ok(stderr) = task.process.fds.get(STDERR) {
        // It may be full or closed: the process learns that it failed all the same.
        let _ = stderr.write(text.as_bytes());
    }
}
