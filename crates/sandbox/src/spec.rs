//! What the engine tells a sandbox to run. Written to disk as JSON, so fields only grow.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container, ready to start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// 64 hexadecimal digits.
    pub id: String,
    pub hostname: String,
    pub root: RootSpec,
    pub mounts: Vec<MountSpec>,
    pub process: ProcessSpec,
    pub network: NetworkSpec,
    pub limits: LimitsSpec,
    /// Where compiled modules are kept.
    pub module_cache: PathBuf,
}

/// The root file system.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RootSpec {
    /// Without one, changes are in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<RootDiskSpec>,
    pub is_read_only: bool,
    /// A module on the host that runs without an image; it appears in the root under its own file name.
    pub program: Option<PathBuf>,
}

/// A root that is an ext4 disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDiskSpec {
    /// Frozen change files, lowest first.
    pub snapshots: Vec<PathBuf>,
    /// Takes what is changed of them; it is made when the container first starts.
    pub changes: PathBuf,
    /// Whether the changes end with the container, and need not outlive a power cut.
    pub is_temporary: bool,
}

/// A mount beside the root.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountSpec {
    Bind {
        source: PathBuf,
        target: String,
        is_read_only: bool,
    },
    /// A volume of the home, kept in a directory of the host or on a disk.
    Volume {
        /// Empty, like the source, in what is asked for: the engine finds both.
        name: String,
        /// Whether the source is a file with a file system, which one container writes at a time.
        #[serde(default)]
        is_disk: bool,
        source: PathBuf,
        target: String,
        is_read_only: bool,
        /// Whether nobody named it: it goes with its container.
        is_anonymous: bool,
        /// Whether it gets what the image has at the target, if it is new.
        is_filled: bool,
    },
    /// A file with an ext2, ext3 or ext4 file system.
    Disk {
        source: PathBuf,
        target: String,
        is_read_only: bool,
        /// Whether every change is durable before the call that makes it returns. Linux: the mount option `sync`.
        is_synchronous: bool,
        /// Whether reading leaves times of access as they are. Linux: the mount option `noatime`.
        keeps_access_times: bool,
    },
    Tmpfs {
        target: String,
        size_bytes: Option<u64>,
    },
    /// What layers make, or a part of it; changes are not kept. For steps of a build.
    Layers {
        /// Uncompressed layer tars, lowest first.
        layers: Vec<PathBuf>,
        /// Path of the part; empty for all.
        subpath: String,
        target: String,
        is_read_only: bool,
    },
    /// One file that is on no disk. For secrets of a build.
    File {
        target: String,
        content: Vec<u8>,
        mode: u32,
        uid: u32,
        gid: u32,
    },
}

impl MountSpec {
    /// Asks for a volume that nobody names.
    pub fn anonymous_volume(target: &str) -> MountSpec {
        MountSpec::Volume {
            name: String::new(),
            is_disk: false,
            source: PathBuf::new(),
            target: target.to_owned(),
            is_read_only: false,
            is_anonymous: true,
            is_filled: true,
        }
    }

    /// Whether it is a volume.
    pub fn is_volume(&self) -> bool {
        matches!(self, MountSpec::Volume { .. })
    }

    /// Returns where in the container it is.
    pub fn target(&self) -> &str {
        match self {
            MountSpec::Bind { target, .. }
            | MountSpec::Volume { target, .. }
            | MountSpec::Disk { target, .. }
            | MountSpec::Tmpfs { target, .. }
            | MountSpec::Layers { target, .. }
            | MountSpec::File { target, .. } => target,
        }
    }
}

/// The first process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Program and arguments, as typed.
    pub args: Vec<String>,
    /// Absolute paths in the container at which the program may be, best first; the first that is a file is run.
    pub program_paths: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    /// As typed: `name`, `uid`, `uid:gid`, `name:group`; empty is root.
    pub user: String,
    /// What `stop` sends.
    pub stop_signal: String,
    /// Whether somebody waits for its orphans: Docker's `--init`.
    #[serde(default)]
    pub has_init: bool,
    /// Whether its standard streams are a terminal of the container's kernel: Docker's `-t`.
    #[serde(default)]
    pub has_terminal: bool,
    /// Whether the standard input stays open, also without a caller: Docker's `-i`.
    #[serde(default)]
    pub is_stdin_open: bool,
    /// Whether it ends with that of a command that is attached: Docker's `StdinOnce`, of what was not made for the background.
    #[serde(default)]
    pub is_stdin_once: bool,
}

/// The network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub mode: NetworkModeSpec,
    pub published: Vec<PublishedPort>,
    /// Names that the container knows without asking anybody: Docker's `--add-host`.
    #[serde(default)]
    pub hosts: Vec<(String, IpAddr)>,
}

/// Which network the container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkModeSpec {
    #[default]
    Private,
    Host,
    None,
}

/// A guest's port that the host forwards to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// `None` is every address, IPv4 and IPv6.
    pub host_address: Option<IpAddr>,
    /// 0 lets the host choose.
    pub host_port: u16,
    pub guest_port: u16,
    pub transport: TransportSpec,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportSpec {
    Tcp,
    Udp,
}

/// What the container may have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LimitsSpec {
    pub memory_bytes_max: u64,
    pub pids_max: u32,
    /// Whether somebody asked for these: then control groups hold them too, where there are any.
    #[serde(default)]
    pub is_memory_asked: bool,
    #[serde(default)]
    pub is_pids_asked: bool,
    pub fds_max: u32,
    /// CPU time per time: 0.5 is half of a CPU. `None` is no limit.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// Weight among the host's processes; 1024 is ordinary. Docker: `--cpu-shares`.
    #[serde(default)]
    pub cpu_shares: Option<u64>,
    /// Bytes that the root takes beside the image's layers; `None` leaves it to `memory_bytes_max`.
    #[serde(default)]
    pub root_bytes_max: Option<u64>,
    /// Limits of each process's resources. Docker: `--ulimit`.
    #[serde(default)]
    pub resources: Vec<ResourceSpec>,
}

/// A limit of a process's resource. Linux: `setrlimit(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSpec {
    /// `nofile`, for example: a name of `minke_abi::resource`.
    pub name: String,
    /// `u64::MAX` is no limit.
    pub soft: u64,
    pub hard: u64,
}

/// Returns the names of all resources that can be limited.
pub fn resource_names() -> impl Iterator<Item = &'static str> {
    minke_abi::resource::RESOURCES.iter().map(|it| it.name)
}
