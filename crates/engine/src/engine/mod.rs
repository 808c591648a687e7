//! The operations on containers and images of one home.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use minke_image::{Image, Store, StoreError};
use minke_sandbox::container::StartError;
use minke_sandbox::logs;

use crate::events::{Event, EventLog};
use crate::home::{Home, make_private};
use crate::names::{self, NameError};
use crate::plan::{self, NewContainer, PlanError, Program};
use crate::record::{ContainerConfig, Lock, Record};
use crate::supervise::{self, Attachment, Outcome, Progress};

mod find;
mod images;
mod stop;

/// How often a made-up name is made up again before the attempt is given up.
const NAME_ATTEMPTS_MAX: u32 = 16;

/// Containers and images of one home. Several processes may have it open.
pub struct Engine {
    home: Home,
    /// Opened when an image is needed first: a bare module runs without.
    store: OnceLock<Store>,
}

/// What an operation can fail with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Image(#[from] StoreError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("no such container: `{wanted}`")]
    NoSuchContainer {
        wanted: String,
        nearest: Option<String>,
    },
    #[error("`{wanted}` is the beginning of {count} container ids")]
    Ambiguous { wanted: String, count: usize },
    #[error("cannot {action} container `{name}`: it is not running")]
    NotRunning { action: &'static str, name: String },
    #[error("cannot remove container `{name}`: it is running")]
    Running { name: String },
    #[error("container `{name}` does not answer")]
    Unreachable { name: String, source: io::Error },
    #[error("container `{name}` refused: {message}")]
    Refused { name: String, message: String },
    #[error("`{0}` is not a signal")]
    NoSuchSignal(String),
    #[error("image `{image}` is used by container `{container}`")]
    ImageInUse { image: String, container: String },
}

impl EngineError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Io { source, .. } => io_hint(source),
            EngineError::Image(error) => error.hint(),
            EngineError::Name(NameError::Taken { name, .. }) => Some(format!(
                "remove that container with `minke rm -f {name}`, or choose another name"
            )),
            EngineError::Name(NameError::Io { source, .. }) => io_hint(source),
            EngineError::Name(NameError::Invalid(_)) => {
                Some("use letters, digits, `_`, `.` and `-`, such as `web-1`".to_owned())
            }
            EngineError::Plan(error) => plan_hint(error),
            EngineError::Start(error) => error.hint.clone(),
            EngineError::NoSuchContainer {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`?")),
            EngineError::NoSuchContainer { nearest: None, .. } => {
                Some("`minke ps -a` lists the containers".to_owned())
            }
            EngineError::Ambiguous { .. } => Some("give more digits of the id".to_owned()),
            EngineError::NotRunning { .. } => Some("`minke ps` lists what runs".to_owned()),
            EngineError::Running { name } => Some(format!(
                "stop it with `minke stop {name}`, or remove it with `minke rm -f {name}`"
            )),
            EngineError::Unreachable { name, .. } | EngineError::Refused { name, .. } => {
                Some(format!("end it with `minke rm -f {name}`"))
            }
            EngineError::NoSuchSignal(_) => {
                Some("use a name or a number, such as `TERM`, `SIGKILL` or `9`".to_owned())
            }
            EngineError::ImageInUse { container, .. } => Some(format!(
                "remove the container with `minke rm {container}`, or the image with `minke rmi -f`"
            )),
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EngineError + use<> {
        let path = path.to_path_buf();
        move |source| EngineError::Io {
            action,
            path,
            source,
        }
    }
}

fn io_hint(error: &io::Error) -> Option<String> {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            Some("free space on that file system, or set `MINKE_HOME` to another".to_owned())
        }
        PermissionDenied | ReadOnlyFilesystem => {
            Some("set `MINKE_HOME` to a directory that you may write".to_owned())
        }
        _ => None,
    }
}

fn plan_hint(error: &PlanError) -> Option<String> {
    let text = match error {
        PlanError::NoCommand => "give a command after the image's name",
        PlanError::RelativeDirectory(_) => "begin it with `/`",
        PlanError::EntrypointOfModule(_) => "give the other module instead",
        PlanError::PublishedWithoutNetwork("host") => {
            "leave `-p` out: on the host's network the guest's ports are the host's"
        }
        PlanError::PublishedWithoutNetwork(_) => "leave out `-p` or `--network`",
        PlanError::NamelessVariable(_) => "write `KEY=VALUE`",
    };
    Some(text.to_owned())
}

impl Engine {
    /// Opens a home, making its directories if they are missing.
    pub fn open(home: Home) -> Result<Engine, EngineError> {
        home.prepare()
            .map_err(EngineError::io("make the directories of", &home.data))?;
        Ok(Engine {
            home,
            store: OnceLock::new(),
        })
    }

    /// Returns where everything is kept.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Returns the log of what happened.
    pub fn events(&self) -> EventLog {
        EventLog::of(&self.home)
    }

    /// Returns the content store.
    pub fn store(&self) -> Result<&Store, EngineError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(self.home.images())?;
        Ok(self.store.get_or_init(|| store))
    }

    /// Makes a container's record. It is removed again unless the container is started.
    pub fn create(&self, request: &NewContainer) -> Result<Created<'_>, EngineError> {
        if let Some(name) = &request.name {
            names::check(name)?;
        }
        let image = match &request.program {
            Program::Image(wanted) => Some(self.store()?.image(wanted)?),
            Program::Module(_) => None,
        };
        let id = random_id()?;
        let mut spec = plan::specification(&id, request, image.as_ref(), &self.home.modules())?;
        let mut draft = self.draft(&id)?;
        let name = self.claim_name(request.name.as_deref(), &id)?;
        draft.name = Some(name.clone());
        if let Some(image) = &image {
            let layers = self.store()?.root_layers(image)?;
            spec.root.layers = layers.into_iter().map(|layer| layer.path).collect();
        }
        let config = describe(request, image.as_ref(), name, spec);
        let writing = EngineError::io(
            "write the record of a container in",
            &draft.record.directory,
        );
        draft.record.write_config(&config).map_err(writing)?;
        self.events()
            .record(&Event::of_container("create", &config));
        Ok(Created { draft, config })
    }

    /// Makes a container's directories, locked.
    fn draft(&self, id: &str) -> Result<Draft<'_>, EngineError> {
        let record = Record::new(self.home.containers().join(id));
        let run_directory = self.home.run.join(id);
        let failed = EngineError::io("make the directory", &record.directory);
        // A sweep that saw the directory before it is locked would take it for a dead one.
        let _sweeping = find::hold_off_sweeps(&self.home)?;
        let mut draft = Draft {
            home: &self.home,
            id: id.to_owned(),
            record,
            run_directory,
            name: None,
            lock: None,
        };
        make_private(&draft.record.directory)
            .and_then(|()| make_private(&draft.run_directory))
            .and_then(|()| draft.record.make_lock())
            .map(|lock| draft.lock = Some(lock))
            .map_err(failed)?;
        Ok(draft)
    }

    fn claim_name(&self, asked: Option<&str>, id: &str) -> Result<String, EngineError> {
        let names = self.home.names();
        let is_known = |id: &str| self.home.containers().join(id).exists();
        if let Some(name) = asked {
            names::claim(&names, name, id, is_known)?;
            return Ok(name.to_owned());
        }
        let mut attempt = 0;
        loop {
            let name = names::random(attempt, random_bytes()?);
            match names::claim(&names, &name, id, is_known) {
                Ok(()) => return Ok(name),
                Err(NameError::Taken { .. }) if attempt < NAME_ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn describe(
    request: &NewContainer,
    image: Option<&Image>,
    name: String,
    spec: crate::spec::SandboxSpec,
) -> ContainerConfig {
    let config = image.map(|image| image.config.clone()).unwrap_or_default();
    ContainerConfig {
        name,
        created_at: logs::now(),
        image: match &request.program {
            Program::Image(wanted) => wanted.clone(),
            Program::Module(path) => path.display().to_string(),
        },
        image_id: image.map(|image| image.id.to_string()),
        labels: config.labels,
        exposed_ports: config.exposed_ports,
        entrypoint: match &request.entrypoint {
            Some(entrypoint) => vec![entrypoint.clone()],
            None => config.entrypoint,
        },
        command: if request.args.is_empty() {
            config.cmd
        } else {
            request.args.clone()
        },
        is_auto_removed: request.is_auto_removed,
        spec,
    }
}

/// A container that is recorded and not started. Dropped, it leaves nothing behind.
pub struct Created<'a> {
    draft: Draft<'a>,
    config: ContainerConfig,
}

impl Created<'_> {
    /// Returns what it was made from.
    pub fn config(&self) -> &ContainerConfig {
        &self.config
    }

    /// Runs it in this process, to its end; `progress` is told of a first compilation.
    pub fn run(
        mut self,
        attachment: Attachment,
        progress: &dyn Fn(Progress),
    ) -> Result<Outcome, EngineError> {
        let home = self.draft.home;
        let lock = self.draft.keep();
        Ok(supervise::run(
            home,
            &self.config,
            lock,
            attachment,
            None,
            progress,
        )?)
    }

    /// Runs it in a process of its own; returns its id once its guest is about to run.
    pub fn start(mut self) -> Result<String, EngineError> {
        let home = self.draft.home;
        if let Some(lock) = &self.draft.lock {
            supervise::start_detached(home, &self.config, lock)?;
        }
        // From here on the sandbox alone holds the lock and keeps the record.
        drop(self.draft.keep());
        Ok(self.config.spec.id.clone())
    }
}

/// The files of a container that is being made; removes them unless it is told to keep them.
struct Draft<'a> {
    home: &'a Home,
    id: String,
    record: Record,
    run_directory: PathBuf,
    name: Option<String>,
    /// `None` once others look after the files.
    lock: Option<Lock>,
}

impl Draft<'_> {
    /// Hands the files over to whom the lock is given.
    fn keep(&mut self) -> Lock {
        self.lock
            .take()
            .expect("a draft is handed over once: its container is consumed")
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.lock.is_none() && self.name.is_some() {
            return;
        }
        let name = self.name.as_deref().unwrap_or("-");
        let names = self.home.names();
        // What cannot be removed now is swept by the next command.
        let _ =
            supervise::remove_files(&self.record, &self.run_directory, (&names, name, &self.id));
    }
}

/// Bytes of an id. Docker: `pkg/stringid`.
const ID_BYTES: usize = 32;

fn random_id() -> Result<String, EngineError> {
    use std::fmt::Write;
    let bytes: [u8; ID_BYTES] = random_bytes()?;
    Ok(bytes.iter().fold(String::new(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes all");
        id
    }))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], EngineError> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(io::Error::from)
        .map_err(EngineError::io(
            "read random numbers from",
            Path::new("getrandom(2)"),
        ))?;
    Ok(bytes)
}
