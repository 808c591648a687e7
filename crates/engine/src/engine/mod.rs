//! The operations on containers and images of one home.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use minke_image::{BUILD_CACHE_BYTES_MAX, Image, Provided, Store};
use minke_sandbox::attach::Connection;
use minke_sandbox::control::AttachRequest;
use minke_sandbox::logs;
use minke_sandbox::spec::{MountSpec, RootDiskSpec};

use crate::events::{Event, EventLog};
use crate::home::{Home, make_private};
use crate::names::{self, NameError, ignore_missing};
use crate::plan::{self, HealthChecks, NewContainer, Program};
use crate::record::{Container, ContainerConfig, ContainerState, Lock, Record, Status};
use crate::supervise::{self, Attachment, Outcome, Progress, Starter};
use crate::volumes::Volumes;

mod attach;
mod change;
mod error;
mod exec;
mod files;
mod find;
pub mod images;
mod pause;
mod prune;
mod snapshots;
mod start;
mod stop;
mod usage;
mod volumes;

pub use usage::Usage;

pub use change::{CpusChange, Update};
pub use error::EngineError;
pub use exec::{Exec, ExecStreams, NewExec};
pub(crate) use find::hold_off_makers;
pub use snapshots::{SnapshotError, snapshot_bytes};
pub use stop::Stopping;
pub use volumes::{AnonymousVolumes, PrunedVolumes, VolumeUsers};

/// How often a made-up name is made up again before the attempt is given up.
const NAME_ATTEMPTS_MAX: u32 = 16;

/// Containers and images of one home. Several processes may have it open.
pub struct Engine {
    home: Home,
    /// Opened when an image is needed first: a bare module runs without.
    store: OnceLock<Store>,
    /// Bounds results of build steps that no image has, in bytes, and caches of `RUN` by themselves. Those of a running build
    /// stay.
    pub build_cache_bytes_max: u64,
    /// An image that is found although nobody put it into the store.
    pub provided: Option<Provided>,
}

impl Engine {
    /// Opens a home, making its directories if they are missing.
    pub fn open(home: Home) -> Result<Engine, EngineError> {
        home.prepare()
            .map_err(EngineError::io("make the directories of", &home.data))?;
        Ok(Engine {
            home,
            store: OnceLock::new(),
            build_cache_bytes_max: BUILD_CACHE_BYTES_MAX,
            provided: None,
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
        let mut store = Store::open(self.home.images())?;
        store.build_cache_bytes_max = self.build_cache_bytes_max;
        store.provided = self.provided;
        Ok(self.store.get_or_init(|| store))
    }

    /// Makes a container's record. It is removed again unless the container is started or kept.
    pub fn create(&self, request: &NewContainer) -> Result<Created<'_>, EngineError> {
        if let Some(name) = &request.name {
            names::check(name)?;
        }
        // From here to the record that names them, nobody removes the image or the volumes.
        let has_volumes =
            request.mounts.iter().any(MountSpec::is_volume) || !request.mounts_from.is_empty();
        let (_keeping, image) = match &request.program {
            Program::Image(wanted) => {
                let keeping = find::hold_off_sweeps(&self.home)?;
                (Some(keeping), Some(self.store()?.image(wanted)?))
            }
            Program::Module(_) if has_volumes => (Some(find::hold_off_sweeps(&self.home)?), None),
            Program::Module(_) => (None, None),
        };
        let id = random_id()?;
        let inherited = self.mounts_of(&request.mounts_from)?;
        let modules = self.home.modules();
        let mut spec = plan::specification(&id, request, image.as_ref(), &inherited, &modules)?;
        self.name_volumes(&mut spec.mounts)?;
        let mut draft = self.draft(&id)?;
        let name = self.claim_name(request.name.as_deref(), &id)?;
        draft.name = Some(name.clone());
        let layers = match &image {
            Some(image) => self.store()?.root_layers(image)?,
            None => Vec::new(),
        };
        if image.is_some() {
            spec.root.disk = Some(RootDiskSpec {
                snapshots: self.store()?.root_snapshots(&layers)?,
                changes: draft.record.root_changes(),
                is_temporary: request.is_auto_removed,
            });
        }
        let config = describe(request, image.as_ref(), name, spec);
        let writing = EngineError::io(
            "write the record of a container in",
            &draft.record.directory,
        );
        draft.record.write_config(&config).map_err(writing)?;
        // After the record: whoever removes that, after a kill in between, removes them.
        draft.volumes = config.anonymous_volumes().map(str::to_owned).collect();
        let snapshots = config.spec.root.disk.as_ref();
        let snapshots = snapshots.map_or(&[][..], |disk| &disk.snapshots);
        self.volume_store()
            .provide(&config.spec.mounts, &layers, snapshots)?;
        self.events()
            .record(&Event::of_container("create", &config));
        Ok(Created {
            engine: self,
            draft,
            config,
        })
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
            volumes: Vec::new(),
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
        let is_known = |id: &str| self.is_known(id);
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
    let mut labels = config.labels.clone();
    labels.extend(request.labels.clone());
    ContainerConfig {
        created_at: logs::now(),
        image: match &request.program {
            Program::Image(wanted) => wanted.clone(),
            Program::Module(path) => path.display().to_string(),
        },
        image_id: image.map(|image| image.id.to_string()),
        labels,
        exposed_ports: plan::exposed_ports(request, &config),
        entrypoint: match request.entrypoint.as_deref() {
            Some("") => Vec::new(),
            Some(entrypoint) => vec![entrypoint.to_owned()],
            None => config.entrypoint,
        },
        command: match request.args.is_empty() {
            // Another entry point drops the image's command.
            true if request.entrypoint.is_none() => config.cmd,
            _ => request.args.clone(),
        },
        is_auto_removed: request.is_auto_removed,
        restart: request.restart,
        stop_timeout_s: request.stop_timeout_s,
        has_init: request.has_init,
        health_check: match request.health_checks {
            HealthChecks::OfImage => config.health_check,
            HealthChecks::Off => None,
        },
        ..ContainerConfig::new(name, spec)
    }
}

/// A container that is recorded and not started. Dropped, it leaves nothing behind.
pub struct Created<'a> {
    engine: &'a Engine,
    draft: Draft<'a>,
    config: ContainerConfig,
}

impl Created<'_> {
    /// Returns what it was made from.
    pub fn config(&self) -> &ContainerConfig {
        &self.config
    }

    /// Keeps it as it is, to be started later; returns its id.
    pub fn keep(mut self) -> Result<String, EngineError> {
        let record = &self.draft.record;
        let failed = EngineError::io("write the record of a container in", &record.directory);
        record
            .write_state(&ContainerState::created())
            .map_err(failed)?;
        drop(self.draft.keep());
        Ok(self.config.spec.id.clone())
    }

    /// Runs it in this process, to its end; `progress` is told of a first compilation.
    pub fn run(
        mut self,
        attachment: Attachment,
        progress: &dyn Fn(Progress),
    ) -> Result<Outcome, EngineError> {
        let home = self.engine.home();
        self.engine.check_disks(&self.config)?;
        let lock = self.draft.keep();
        Ok(supervise::run(
            home,
            &self.config,
            lock,
            Starter::Here(attachment),
            progress,
        )?)
    }

    /// Starts it in a process of its own, attached to it before its guest runs; what it is then and the connection are returned.
    pub fn start_attached(
        mut self,
        request: AttachRequest,
        progress: &dyn Fn(Progress),
    ) -> Result<(Container, Connection), EngineError> {
        self.engine.check_disks(&self.config)?;
        let lock = self.draft.keep();
        let connection = self
            .engine
            .start_connected(&self.config, &lock, request, progress);
        if connection.is_err() {
            // What is left of it goes.
            self.draft.lock = Some(lock);
        }
        let state = ContainerState {
            status: Status::Running,
            ..ContainerState::created()
        };
        let config = self.config.clone();
        Ok((Container { config, state }, connection?))
    }

    /// Starts it in a process of its own; returns its id once its guest is about to run.
    pub fn start(mut self) -> Result<String, EngineError> {
        self.engine.check_disks(&self.config)?;
        if let Some(lock) = &self.draft.lock {
            self.engine.start_detached(&self.config, lock)?;
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
    /// Those that nobody named.
    volumes: Vec<String>,
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

impl Draft<'_> {
    fn remove(&self) -> io::Result<()> {
        self.record.forget()?;
        let volumes = Volumes {
            directory: self.home.volumes(),
        };
        volumes.remove_anonymous(self.volumes.iter().map(String::as_str));
        if let Some(name) = &self.name {
            names::release(&self.home.names(), name, &self.id)?;
        }
        supervise::remove_run_directory(&self.run_directory)?;
        ignore_missing(fs::remove_dir_all(&self.record.directory))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.lock.is_none() && self.name.is_some() {
            return;
        }
        // What cannot be removed now is swept by the next command.
        let _ = self.remove();
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
