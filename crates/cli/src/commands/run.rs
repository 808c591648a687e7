//! `minke run`: a container from an image, a module or a directory.

use std::cell::OnceCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressFinish};
use minke_engine::spec::NetworkModeSpec;
use minke_engine::supervise::{Progress, Stdin};
use minke_engine::syntax::{parse_bytes, parse_publish, parse_tmpfs, parse_volume};
use minke_engine::{Attachment, Engine, NewContainer, Program};

use super::build::build_directory;
use crate::commands::engine;
use crate::output::{print_line, size};
use crate::report::{Kind, Report};

/// How often the sign of a compilation under way moves.
const TICK: Duration = Duration::from_millis(100);

/// Run a container
///
/// IMAGE is the name or id of an image, the path of a module (`./program.wasm`), or a directory with a Balenafile
/// (`./directory`), which is built first. The exit code is that of the container's program: 128 + N after signal N,
/// 134 after a trap; 125 when minke failed, 126 when the program cannot be executed, 127 when it is not there.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,

    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,

    /// Give the container this command's standard input
    #[arg(short, long, conflicts_with = "detach")]
    interactive: bool,

    /// Name for the container [default: a random one]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Publish a port: `[HOST:][HOSTPORT:]GUESTPORT[/udp]`
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,

    /// Set a variable, `KEY=VALUE`; a `KEY` alone takes its value from the environment
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,

    /// Working directory in the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// User and group, names or numbers: `UID[:GID]`
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// Mount a directory or file of the host: `HOST:GUEST[:ro]`
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,

    /// Mount an empty directory in memory: `DIR[:size=64m]`
    #[arg(long, value_name = "DIR")]
    tmpfs: Vec<String>,

    /// Mount the root read-only
    #[arg(long)]
    read_only: bool,

    /// Program to enter instead of the image's entry point
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// Most memory for the container, such as `64m` [default: half of the host's]
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,

    /// Most processes and threads at a time [default: 4096]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,

    /// Network of the container
    #[arg(long, value_enum, default_value_t = NetworkMode::Private)]
    network: NetworkMode,

    /// Image, module or directory; then command and arguments instead of the image's
    // One list, because what follows its first value is the program's, also where it looks like an option of ours.
    #[arg(
        value_names = ["IMAGE", "ARG"],
        required = true,
        num_args = 1..,
        trailing_var_arg = true
    )]
    image_and_args: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NetworkMode {
    /// Its own loopback; published ports come in, other traffic goes out through the host
    Private,
    /// The host's
    Host,
    /// Its own loopback and nothing else
    None,
}

impl Run {
    fn image(&self) -> &str {
        &self.image_and_args[0]
    }

    pub(crate) fn run(&self) -> Result<u8, Report> {
        self.run_container().map_err(Report::of_run)
    }

    fn run_container(&self) -> Result<u8, Report> {
        // What is typed wrong is said before anything is built.
        let mut request = self.request()?;
        let engine = engine()?;
        request.program = self.program(&engine)?;
        let created = engine.create(&request)?;
        if self.detach {
            print_line(&created.start()?)?;
            return Ok(0);
        }
        let stdin = match self.interactive {
            true => Stdin::Open,
            false => Stdin::Closed,
        };
        let compiling = Compiling::default();
        let attachment = Attachment::Attached { stdin };
        let outcome = created.run(attachment, &|progress| compiling.show(progress))?;
        Ok(outcome.exit_code)
    }

    fn request(&self) -> Result<NewContainer, Report> {
        let here = std::env::current_dir()?;
        let volumes = self.volume.iter().map(|volume| parse_volume(volume, &here));
        let tmpfs = self.tmpfs.iter().map(|tmpfs| parse_tmpfs(tmpfs));
        Ok(NewContainer {
            program: Program::Image(self.image().to_owned()),
            args: self.image_and_args[1..].to_vec(),
            name: self.name.clone(),
            entrypoint: self.entrypoint.clone(),
            env: self
                .env
                .iter()
                .filter_map(|typed| variable(typed))
                .collect(),
            working_directory: self.workdir.clone(),
            user: self.user.clone(),
            mounts: volumes.chain(tmpfs).collect::<Result<_, _>>()?,
            is_root_read_only: self.read_only,
            memory_bytes_max: self.memory.as_deref().map(parse_bytes).transpose()?,
            pids_max: self.pids_max()?,
            network: match self.network {
                NetworkMode::Private => NetworkModeSpec::Private,
                NetworkMode::Host => NetworkModeSpec::Host,
                NetworkMode::None => NetworkModeSpec::None,
            },
            published: self
                .publish
                .iter()
                .map(|port| parse_publish(port))
                .collect::<Result<_, _>>()?,
            is_auto_removed: self.rm,
        })
    }

    /// Docker: 0 and negative numbers are no limit; ours stays at the default then.
    fn pids_max(&self) -> Result<Option<u32>, Report> {
        match self.pids_limit {
            None | Some(..=0) => Ok(None),
            Some(limit) => u32::try_from(limit).map(Some).map_err(|_| Report {
                kind: Kind::Usage,
                ..Report::new(
                    format!("invalid number of processes `{limit}`"),
                    "give a number up to 4294967295",
                )
            }),
        }
    }

    /// Decides what the first argument names. What begins like a path is one; a name that ends with `.wasm` is one when
    /// there is such a file; all others are images, so that no file in the working directory hides one.
    fn program(&self, engine: &Engine) -> Result<Program, Report> {
        let path = Path::new(self.image());
        let is_path = self.image().starts_with(['/', '.']);
        let is_module = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if !(is_path || is_module && path.is_file()) {
            return Ok(Program::Image(self.image().to_owned()));
        }
        if path.is_dir() {
            let built = build_directory(engine, path)?;
            return Ok(Program::Image(built.image.id.to_string()));
        }
        if !path.exists() {
            return Err(Report {
                kind: Kind::NotFound,
                ..Report::new(
                    format!("`{}`: no such file or directory", self.image()),
                    "give the path of a module, a directory with a Balenafile, or an image's name",
                )
            });
        }
        let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        Ok(Program::Module(absolute))
    }
}

/// Shows on a terminal that a program is compiled, which happens once.
#[derive(Default)]
struct Compiling {
    bar: OnceCell<ProgressBar>,
}

impl Compiling {
    fn show(&self, progress: Progress) {
        match progress {
            Progress::Compiling { bytes } if std::io::stderr().is_terminal() => {
                let bar = self.bar.get_or_init(|| {
                    ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear)
                });
                bar.set_message(format!("compiling {}, the first time only", size(bytes)));
                bar.enable_steady_tick(TICK);
            }
            Progress::Compiling { .. } => {}
            Progress::Compiled => {
                if let Some(bar) = self.bar.get() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// Docker: `-e KEY` takes the environment's value, and sets nothing when that has none.
fn variable(typed: &str) -> Option<String> {
    match typed.contains('=') {
        true => Some(typed.to_owned()),
        false => std::env::var(typed)
            .ok()
            .map(|value| format!("{typed}={value}")),
    }
}
