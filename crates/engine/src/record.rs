//! What is known of one container, as files in its directory.
//!
//! `config.json` never changes after creation; `state.json` is replaced as a whole; `lock` is locked (`flock(2)`)
//! for as long as the process lives that is to run the container. The lock belongs to an open file, so it passes
//! from a command to the sandbox that it starts without a moment of being free.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use minke_sandbox::jail::FilesConfined;
use minke_sandbox::spec::{PublishedPort, SandboxSpec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bounds what is read of a record's file; ours are a few kilobytes, environment and arguments included.
const FILE_BYTES_MAX: u64 = 16 << 20;

const CONFIG: &str = "config.json";
const STATE: &str = "state.json";
const LOCK: &str = "lock";

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
    pub spec: SandboxSpec,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not started, or on the way.
    Created,
    Running,
    Exited,
}

impl Status {
    /// Returns Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Exited => "exited",
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
}

impl ContainerState {
    /// The state of a container that was not started yet.
    pub fn created() -> ContainerState {
        ContainerState {
            status: Status::Created,
            pid: 0,
            exit_code: 0,
            reason: String::new(),
            started_at: None,
            finished_at: None,
            published: Vec::new(),
            files_confined: None,
        }
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

/// Proof that no sandbox runs the container, or that this process is to run it.
#[derive(Debug)]
pub struct Lock(pub(crate) File);

impl Record {
    /// Names a directory; it need not exist.
    pub fn new(directory: PathBuf) -> Record {
        Record { directory }
    }

    /// Reads what the container was made from.
    pub fn config(&self) -> io::Result<ContainerConfig> {
        read(&self.directory.join(CONFIG))
    }

    /// Writes what the container was made from: from now on it can be seen.
    pub fn write_config(&self, config: &ContainerConfig) -> io::Result<()> {
        write(&self.directory, CONFIG, config)
    }

    /// Reads how the container is. Until its sandbox first says something, it is only created.
    pub fn state(&self) -> io::Result<ContainerState> {
        match read(&self.directory.join(STATE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ContainerState::created()),
            result => result,
        }
    }

    /// Replaces how the container is.
    pub fn write_state(&self, state: &ContainerState) -> io::Result<()> {
        write(&self.directory, STATE, state)
    }

    /// Makes the lock file of a new record, locked.
    pub fn make_lock(&self) -> io::Result<Lock> {
        let file = File::create_new(self.directory.join(LOCK))?;
        file.lock()?;
        Ok(Lock(file))
    }

    /// Takes the lock if it is free; `None` while the sandbox lives.
    pub fn try_lock(&self) -> io::Result<Option<Lock>> {
        let file = File::open(self.directory.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the sandbox to end, and takes the lock.
    pub fn lock(&self) -> io::Result<Lock> {
        let file = File::open(self.directory.join(LOCK))?;
        file.lock()?;
        Ok(Lock(file))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Replaces a file: readers see the old or the new one, never a part.
fn write(directory: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    let json = serde_json::to_vec(value)?;
    let result = fs::write(&new, json).and_then(|()| fs::rename(&new, directory.join(name)));
    if result.is_err() {
        // What a full disk took of the new file is of no use; the old one stays.
        let _ = fs::remove_file(&new);
    }
    result
}
