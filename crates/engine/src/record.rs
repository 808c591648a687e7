//! What is known of one container, as files in its directory.
//!
//! | file | is |
//! |---|---|
//! | `config.json` | what the container was made from; replaced as a whole by `rename` and `update` |
//! | `state.json` | how it is; replaced as a whole; missing while `run` has not started it yet |
//! | `lock` | locked (`flock(2)`) for as long as the process lives that runs the container, or keeps it running |
//! | `stopped` | there from `stop` or `kill` to the next start: it is not to be restarted |
//! | `log`, … | what its programs printed |
//! | `root.changes` | what they changed of the image's disk |
//! | `root.changes.snapshots`, `root.changes.N` | snapshots of that, and files of changes over them |
//!
//! The lock belongs to an open file, so it passes from a command to the sandbox that it starts without a moment of being
//! free. Beside it the directory itself is locked by whoever changes the record or asks whether the other lock is free
//! ([`Record::edit`]): held for moments only, so that nobody who looks is taken for somebody who runs it.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use minke_image::HealthCheck;
use minke_sandbox::jail::FilesConfined;
use minke_sandbox::logs;
use minke_sandbox::spec::{MountSpec, PublishedPort, SandboxSpec};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::groups;
use crate::names::ignore_missing;
use crate::restart::RestartPolicy;

/// Bounds what is read of a record's file; ours are a few kilobytes, environment and arguments included.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Most records' files are shorter.
const FILE_BYTES_USUAL: usize = 8 << 10;

/// What the end of a container adds to its state: times, and a reason that may quote a trap.
const STATE_GROWTH_BYTES_MAX: usize = 4096;

const CONFIG: &str = "config.json";
const STATE: &str = "state.json";
const LOCK: &str = "lock";
const STOPPED: &str = "stopped";
const ROOT_CHANGES: &str = "root.changes";

/// Exit code of a sandbox that was killed. Docker: 128 + `SIGKILL`.
pub const KILLED_CODE: u8 = 137;

/// What a container was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerConfig {
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
    /// As typed: a name, an id, or the path of a module.
    pub image: String,
    /// `sha256:…`; `None` for a bare module.
    pub image_id: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// `port/protocol`.
    pub exposed_ports: Vec<String>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// Whether it is removed once it has ended.
    pub is_auto_removed: bool,
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Seconds from the stop signal to `SIGKILL`; negative waits for ever. Docker: 10.
    #[serde(default)]
    pub stop_timeout_s: Option<i64>,
    /// Docker: `--init`. Process 1 of every container reaps and takes default actions, so it changes nothing.
    #[serde(default)]
    pub has_init: bool,
    /// The image's; it is kept and not run yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    pub spec: SandboxSpec,
}

impl ContainerConfig {
    /// Returns the names of its volumes.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        let mounts = self.spec.mounts.iter();
        mounts.filter_map(|mount| match mount {
            MountSpec::Volume { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Returns the names of its volumes that nobody named when it was made.
    pub fn anonymous_volumes(&self) -> impl Iterator<Item = &str> {
        let mounts = self.spec.mounts.iter();
        mounts.filter_map(|mount| match mount {
            MountSpec::Volume {
                name,
                is_anonymous: true,
                ..
            } => Some(name.as_str()),
            _ => None,
        })
    }

    /// A container that says nothing but its name and what its sandbox is to do.
    pub(crate) fn new(name: String, spec: SandboxSpec) -> ContainerConfig {
        ContainerConfig {
            name,
            created_at: String::new(),
            image: String::new(),
            image_id: None,
            labels: BTreeMap::new(),
            exposed_ports: Vec::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            is_auto_removed: false,
            restart: RestartPolicy::No,
            stop_timeout_s: None,
            has_init: false,
            health_check: None,
            spec,
        }
    }
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not started, or on the way.
    Created,
    Running,
    /// Its processes stand still.
    Paused,
    /// Ended, and waiting to be started again.
    Restarting,
    Exited,
    /// Its record is damaged: it can be removed, and nothing else.
    Dead,
}

impl Status {
    /// All states, as Docker lists them.
    pub const ALL: [Status; 6] = [
        Status::Created,
        Status::Running,
        Status::Paused,
        Status::Restarting,
        Status::Exited,
        Status::Dead,
    ];

    /// Returns Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
            Status::Dead => "dead",
        }
    }
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    pub status: Status,
    /// Of the sandbox, on the host; 0 when there is none.
    pub pid: u32,
    pub exit_code: u8,
    /// Whether it ended for want of memory.
    #[serde(default)]
    pub is_out_of_memory: bool,
    /// Why it ended: a trap's reason, a signal's name; empty for a plain exit.
    pub reason: String,
    /// RFC 3339.
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Published ports as they were bound: none is 0.
    pub published: Vec<PublishedPort>,
    /// How far the host's kernel confines the sandbox's files; `None` before the start.
    #[serde(default)]
    pub files_confined: Option<FilesConfined>,
    /// Its control group on the host, if one could be made; only while it runs.
    #[serde(default)]
    pub control_group: Option<PathBuf>,
    /// Why the last start failed; empty otherwise.
    #[serde(default)]
    pub error: String,
    /// Restarts by the policy since somebody started it.
    #[serde(default)]
    pub restart_count: u32,
    /// Whether a command or supervisor is about to start it.
    #[serde(default)]
    pub is_starting: bool,
    /// Of the host when it was started. Linux: `/proc/sys/kernel/random/boot_id`.
    #[serde(default)]
    pub boot_id: String,
}

impl ContainerState {
    /// The state of a container that was not started yet.
    pub fn created() -> ContainerState {
        ContainerState {
            status: Status::Created,
            pid: 0,
            exit_code: 0,
            reason: String::new(),
            is_out_of_memory: false,
            started_at: None,
            finished_at: None,
            published: Vec::new(),
            files_confined: None,
            control_group: None,
            error: String::new(),
            restart_count: 0,
            is_starting: false,
            boot_id: String::new(),
        }
    }

    /// Returns how it is after its programs have ended.
    pub(crate) fn ended(self, exit_code: u8, reason: String) -> ContainerState {
        ContainerState {
            status: Status::Exited,
            pid: 0,
            exit_code,
            reason,
            finished_at: Some(logs::now()),
            control_group: None,
            is_starting: false,
            ..self
        }
    }

    /// Returns how it is after its sandbox died without a word.
    pub(crate) fn killed(self) -> ContainerState {
        let is_out_of_memory = match &self.control_group {
            Some(group) => groups::was_out_of_memory(group),
            None => false,
        };
        let is_same_boot = self.boot_id.is_empty() || self.boot_id == boot_id();
        let reason = match (is_out_of_memory, is_same_boot) {
            (true, _) => "out of memory: the host killed the sandbox process",
            (false, true) => "the sandbox process was killed",
            (false, false) => "the host was restarted",
        };
        ContainerState {
            is_out_of_memory,
            ..self.ended(KILLED_CODE, reason.to_owned())
        }
    }

    /// Whether it has processes, which may stand still: somebody answers on its control socket.
    pub fn has_processes(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }

    /// Whether people take it for running: Docker's `Running`, which covers pauses and restarting.
    pub fn is_up(&self) -> bool {
        self.has_processes() || self.status == Status::Restarting
    }

    /// Whether it runs or is to run: some process should hold its lock.
    pub fn is_alive(&self) -> bool {
        self.is_starting || self.is_up()
    }
}

/// A container as commands see it.
#[derive(Clone, Debug)]
pub struct Container {
    pub config: ContainerConfig,
    pub state: ContainerState,
}

impl Container {
    /// Returns the id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.config.spec.id
    }

    /// Returns the first 12 digits of the id, as people see it.
    pub fn short_id(&self) -> &str {
        self.id().get(..12).unwrap_or(self.id())
    }
}

/// The directory of one container.
#[derive(Clone, Debug)]
pub struct Record {
    pub directory: PathBuf,
}

/// Proof that nobody else changes the record now.
#[derive(Debug)]
pub struct Edit(#[expect(dead_code, reason = "held for its lock")] File);

/// Proof that no sandbox runs the container, or that this process is to run it.
#[derive(Debug)]
pub struct Lock(pub(crate) File);

impl Record {
    /// Names a directory; it need not exist.
    pub fn new(directory: PathBuf) -> Record {
        Record { directory }
    }

    /// Returns the file that takes what the container changes of its root.
    pub fn root_changes(&self) -> PathBuf {
        self.directory.join(ROOT_CHANGES)
    }

    /// Waits for the others who change the record, or look whether the container lives.
    pub fn edit(&self) -> io::Result<Edit> {
        let directory = File::open(&self.directory)?;
        directory.lock()?;
        Ok(Edit(directory))
    }

    /// Reads what the container was made from.
    pub fn config(&self) -> io::Result<ContainerConfig> {
        read(&self.directory.join(CONFIG))
    }

    /// Whether it is a container's: one that is being made or removed has no such file.
    pub fn exists(&self) -> bool {
        self.directory.join(CONFIG).exists()
    }

    /// Writes what the container was made from: from now on it can be seen.
    pub fn write_config(&self, config: &ContainerConfig) -> io::Result<()> {
        write(&self.directory, CONFIG, config)
    }

    /// Reads how the container is. While `run` has not started it yet, it is created and starting.
    pub fn state(&self) -> io::Result<ContainerState> {
        match read(&self.directory.join(STATE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ContainerState {
                is_starting: true,
                ..ContainerState::created()
            }),
            result => result,
        }
    }

    /// Whether it was made by a `run` that has not started it yet: it goes if that fails.
    pub fn is_draft(&self) -> bool {
        !self.directory.join(STATE).exists()
    }

    /// Says that the container is to stay ended once it ends.
    pub fn mark_stopped(&self) -> io::Result<()> {
        File::create(self.directory.join(STOPPED)).map(drop)
    }

    /// Whether somebody stopped the container.
    pub fn is_stopped(&self) -> bool {
        self.directory.join(STOPPED).exists()
    }

    /// Forgets that somebody stopped the container.
    pub fn clear_stopped(&self) -> io::Result<()> {
        ignore_missing(fs::remove_file(self.directory.join(STOPPED)))
    }

    /// Removes what makes it a container: from now on it is not seen, and what is left of it is swept.
    pub fn forget(&self) -> io::Result<()> {
        ignore_missing(fs::remove_file(self.directory.join(CONFIG)))
    }

    /// Replaces how the container is.
    pub fn write_state(&self, state: &ContainerState) -> io::Result<()> {
        write(&self.directory, STATE, state)
    }

    /// Keeps room on the disk for the next [`write_state`](Record::write_state), which is then not lost when the disk is
    /// full. A state may have grown by [`STATE_GROWTH_BYTES_MAX`] until then.
    pub fn reserve_state(&self, state: &ContainerState) -> io::Result<()> {
        let bytes = serde_json::to_vec(state)?.len() + STATE_GROWTH_BYTES_MAX;
        let file = open_new(&self.directory, STATE)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => (&file).write_all(&vec![b' '; bytes]),
            allocated => Ok(allocated?),
        }
    }

    /// Makes the lock file of a new record, locked.
    pub fn make_lock(&self) -> io::Result<Lock> {
        let file = File::create_new(self.directory.join(LOCK))?;
        file.lock()?;
        Ok(Lock(file))
    }

    /// Takes the lock if it is free; `None` while the sandbox lives. Whoever only looks holds [`Record::edit`] meanwhile.
    pub fn try_lock(&self) -> io::Result<Option<Lock>> {
        let file = File::open(self.directory.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for whoever has the lock of a container that has ended: a sandbox about to let go of it, or a command that works
    /// on its files, for as long as that takes. Nothing that others need to look or change is held meanwhile.
    pub fn wait_until_unlocked(&self) -> io::Result<()> {
        match self.lock() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for the sandbox to end, and takes the lock.
    pub fn lock(&self) -> io::Result<Lock> {
        let file = File::open(self.directory.join(LOCK))?;
        file.lock()?;
        Ok(Lock(file))
    }
}

/// Returns what tells this boot of the host from others; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    use std::io::Read;
    // Room for all of an ordinary file: it is read in one call, and another one finds its end.
    let mut bytes = Vec::with_capacity(FILE_BYTES_USUAL);
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    // A power cut can leave a file empty or cut short; `InvalidData` tells that from a failing disk.
    serde_json::from_slice(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Replaces a file: readers see the old or the new one, never a part.
fn write(directory: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    let result = write_new(directory, name, &json);
    if result.is_err() {
        // What a full disk took of the new file is of no use; the old one stays.
        let _ = fs::remove_file(new_path(directory, name));
    }
    result
}

fn write_new(directory: &Path, name: &str, json: &[u8]) -> io::Result<()> {
    let mut file = open_new(directory, name)?;
    file.write_all(json)?;
    file.set_len(json.len() as u64)?;
    fs::rename(new_path(directory, name), directory.join(name))
}

/// Opens the file that is to replace another, with the room that was reserved for it.
fn open_new(directory: &Path, name: &str) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.open(new_path(directory, name))
}

fn new_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.new"))
}
