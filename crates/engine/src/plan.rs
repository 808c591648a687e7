//! From what was asked for, and what the image says, to what a sandbox runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use minke_image::{Image, ImageConfig, program};
use minke_sandbox::spec::{
    LimitsSpec, MountSpec, NetworkModeSpec, NetworkSpec, ProcessSpec, PublishedPort, ResourceSpec,
    RootSpec, SandboxSpec,
};

use crate::restart::RestartPolicy;
use crate::syntax::{guest_port_name, parse_publish};

/// Processes and threads of a container that asks for no limit. Docker has none; a guest is hostile.
pub const PIDS_MAX_DEFAULT: u32 = 4096;

/// Descriptors of a process. Linux: the usual soft `RLIMIT_NOFILE`.
const FDS_MAX_DEFAULT: u32 = 1024;

/// The most descriptors of a process, whatever is asked for. Linux: `fs.nr_open`.
const FDS_MAX: u32 = 1 << 20;

/// A container that asks for no limit may use this share of the host's memory: one part in so many.
const MEMORY_SHARE_DEFAULT: u64 = 2;

/// What a container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// An image, by name or id.
    Image(String),
    /// A module on the host.
    Module(PathBuf),
}

/// A container as asked for; what is `None` or empty comes from the image or a default.
#[derive(Clone, Debug)]
pub struct NewContainer {
    pub program: Program,
    /// Replace the image's command.
    pub args: Vec<String>,
    pub name: Option<String>,
    /// Replaces the image's entry point, and drops its command.
    pub entrypoint: Option<String>,
    /// `KEY=value`; later ones win.
    pub env: Vec<String>,
    pub working_directory: Option<String>,
    pub user: Option<String>,
    pub mounts: Vec<MountSpec>,
    /// Mounts that other containers have; its own win, then the later ones.
    pub mounts_from: Vec<MountsFrom>,
    pub is_root_read_only: bool,
    pub memory_bytes_max: Option<u64>,
    pub pids_max: Option<u32>,
    pub limits: FurtherLimits,
    pub network: NetworkModeSpec,
    pub published: Vec<PublishedPort>,
    /// Publishes what is exposed too, on ports that the host chooses.
    pub publishes_exposed: bool,
    /// `port/protocol`, beside the image's.
    pub exposed: Vec<String>,
    pub is_auto_removed: bool,
    /// Beside the image's; these win.
    pub labels: BTreeMap<String, String>,
    pub hostname: Option<String>,
    pub hosts: Vec<(String, IpAddr)>,
    pub restart: RestartPolicy,
    pub stop_signal: Option<String>,
    /// Negative waits for ever.
    pub stop_timeout_s: Option<i64>,
    pub has_init: bool,
    pub health_checks: HealthChecks,
    pub has_terminal: bool,
    pub is_stdin_open: bool,
    /// Whether it ends with that of the command that is attached.
    pub is_stdin_once: bool,
}

impl NewContainer {
    /// Asks for a container of a program, and for nothing else.
    pub fn new(program: Program) -> NewContainer {
        NewContainer {
            program,
            args: Vec::new(),
            name: None,
            entrypoint: None,
            env: Vec::new(),
            working_directory: None,
            user: None,
            mounts: Vec::new(),
            mounts_from: Vec::new(),
            is_root_read_only: false,
            memory_bytes_max: None,
            pids_max: None,
            limits: FurtherLimits::default(),
            network: NetworkModeSpec::Private,
            published: Vec::new(),
            publishes_exposed: false,
            exposed: Vec::new(),
            is_auto_removed: false,
            labels: BTreeMap::new(),
            hostname: None,
            hosts: Vec::new(),
            restart: RestartPolicy::No,
            stop_signal: None,
            stop_timeout_s: None,
            has_init: false,
            health_checks: HealthChecks::OfImage,
            has_terminal: false,
            is_stdin_open: false,
            is_stdin_once: false,
        }
    }
}

/// Whether a container has its image's health check. None is run yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthChecks {
    OfImage,
    Off,
}

/// A container whose volumes and binds another one gets too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountsFrom {
    /// A name or the beginning of an id.
    pub container: String,
    pub is_read_only: bool,
}

/// Limits beside memory and processes. What is `None` or empty has no limit of its own.
#[derive(Clone, Debug, Default)]
pub struct FurtherLimits {
    /// CPU time per time.
    pub cpus: Option<f64>,
    /// Weight among the host's processes; 1024 is ordinary.
    pub cpu_shares: Option<u64>,
    /// Bytes that the root takes beside the image's layers.
    pub root_bytes_max: Option<u64>,
    /// Later ones of a name win.
    pub resources: Vec<ResourceSpec>,
}

/// A request that cannot be met, whatever the state of the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("no command specified: the image has neither `CMD` nor `ENTRYPOINT`")]
    NoCommand,
    #[error("the working directory `{0}` is invalid, it needs to be an absolute path")]
    RelativeDirectory(String),
    #[error("a bare module has no other program to enter: `--entrypoint {0}`")]
    EntrypointOfModule(String),
    #[error("ports cannot be published on the network mode `{0}`")]
    PublishedWithoutNetwork(&'static str),
    #[error("the environment variable `{0}` has no name")]
    NamelessVariable(String),
    #[error("invalid signal: `{0}`")]
    NoSuchSignal(String),
    #[error("conflicting options: cannot specify both `--restart` and `--rm`")]
    RestartOfRemoved,
}

impl PlanError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            PlanError::NoCommand => "give a command after the image's name",
            PlanError::RelativeDirectory(_) => "begin it with `/`",
            PlanError::EntrypointOfModule(_) => "give the other module instead",
            PlanError::PublishedWithoutNetwork("host") => {
                "leave `-p` out: on the host's network the guest's ports are the host's"
            }
            PlanError::PublishedWithoutNetwork(_) => "leave out `-p` or `--network`",
            PlanError::NamelessVariable(_) => "write `KEY=VALUE`",
            PlanError::NoSuchSignal(_) => {
                "use a name or a number, such as `TERM`, `SIGKILL` or `9`"
            }
            PlanError::RestartOfRemoved => "leave out one of them",
        }
    }
}

/// Makes the specification of a container's sandbox. `image` goes with [`Program::Image`], `inherited` are the mounts that
/// the request wants from other containers, in its order.
pub fn specification(
    id: &str,
    request: &NewContainer,
    image: Option<&Image>,
    inherited: &[MountSpec],
    modules: &Path,
) -> Result<SandboxSpec, PlanError> {
    let config = image.map(|image| image.config.clone()).unwrap_or_default();
    let published = published(request, &config);
    check_network(request.network, &published)?;
    if request.restart != RestartPolicy::No && request.is_auto_removed {
        return Err(PlanError::RestartOfRemoved);
    }
    Ok(SandboxSpec {
        id: id.to_owned(),
        hostname: hostname(id, request),
        root: RootSpec {
            disk: None,
            is_read_only: request.is_root_read_only,
            program: match &request.program {
                Program::Image(_) => None,
                Program::Module(path) => Some(path.clone()),
            },
        },
        mounts: mounts(request, inherited, &config),
        process: process(request, &config)?,
        network: NetworkSpec {
            mode: request.network,
            published,
            hosts: request.hosts.clone(),
        },
        limits: limits(request),
        module_cache: modules.to_path_buf(),
    })
}

/// What was asked for, what other containers have elsewhere, and a volume for each path that the image wants one at; what is mounted within another mount comes after it.
/// Docker: `daemon/volumes.go`, `registerMountPoints()`; `sortMounts()`.
fn mounts(request: &NewContainer, inherited: &[MountSpec], config: &ImageConfig) -> Vec<MountSpec> {
    let mut mounts = request.mounts.clone();
    for mount in inherited.iter().rev() {
        let path = parts(mount.target());
        if !mounts.iter().any(|own| parts(own.target()) == path) {
            mounts.push(mount.clone());
        }
    }
    for volume in &config.volumes {
        let path = parts(volume);
        let is_mounted = mounts.iter().any(|mount| parts(mount.target()) == path);
        // What an image calls a volume and is no path within it was let through when it was built elsewhere.
        if is_mounted || path.is_empty() || path.contains(&"..") {
            continue;
        }
        mounts.push(MountSpec::anonymous_volume(&format!("/{}", path.join("/"))));
    }
    mounts.sort_by_key(|mount| parts(mount.target()).len());
    mounts
}

fn parts(path: &str) -> Vec<&str> {
    let parts = path.split('/');
    parts
        .filter(|part| !part.is_empty() && *part != ".")
        .collect()
}

fn limits(request: &NewContainer) -> LimitsSpec {
    let further = &request.limits;
    let asked = |name: &str| {
        let mut named = further.resources.iter().rev();
        named.find(|resource| resource.name == name)
    };
    let soft = |name: &str| asked(name).and_then(|it| u32::try_from(it.soft).ok());
    // Docker has two names for one thing here: a container has few users.
    let pids_max = request.pids_max.unwrap_or(PIDS_MAX_DEFAULT);
    LimitsSpec {
        memory_bytes_max: request.memory_bytes_max.unwrap_or_else(memory_default),
        pids_max: soft("nproc").map_or(pids_max, |limit| limit.clamp(1, pids_max)),
        is_memory_asked: request.memory_bytes_max.is_some(),
        is_pids_asked: request.pids_max.is_some(),
        fds_max: soft("nofile").map_or(FDS_MAX_DEFAULT, |limit| limit.min(FDS_MAX)),
        cpus: further.cpus,
        cpu_shares: further.cpu_shares,
        root_bytes_max: further.root_bytes_max,
        resources: further.resources.clone(),
    }
}

fn process(request: &NewContainer, config: &ImageConfig) -> Result<ProcessSpec, PlanError> {
    let cwd = match (&request.working_directory, config.working_dir.as_str()) {
        (Some(typed), _) => typed.clone(),
        (None, "") => "/".to_owned(),
        (None, directory) => directory.to_owned(),
    };
    if !cwd.starts_with('/') {
        return Err(PlanError::RelativeDirectory(cwd));
    }
    let user = request.user.clone().or_else(|| config.user.clone());
    let args = arguments(request, config)?;
    let env = environment(request, config)?;
    let search = env
        .iter()
        .find_map(|variable| variable.strip_prefix("PATH="));
    let program_paths = match args.first() {
        Some(word) => program::candidates(word, search, &cwd),
        None => Vec::new(),
    };
    Ok(ProcessSpec {
        args,
        program_paths,
        env,
        cwd,
        user: user.unwrap_or_default(),
        stop_signal: stop_signal(request, config)?,
        has_init: request.has_init,
        has_terminal: request.has_terminal,
        is_stdin_open: request.is_stdin_open,
        is_stdin_once: request.is_stdin_once,
    })
}

fn stop_signal(request: &NewContainer, config: &ImageConfig) -> Result<String, PlanError> {
    let asked = request.stop_signal.as_ref().or(config.stop_signal.as_ref());
    let signal = asked.map_or("TERM", String::as_str);
    match minke_sandbox::control::parse_signal(signal) {
        Some(_) => Ok(signal.to_owned()),
        None => Err(PlanError::NoSuchSignal(signal.to_owned())),
    }
}

/// Returns the ports that the image or the request exposes, each once.
pub(crate) fn exposed_ports(request: &NewContainer, config: &ImageConfig) -> Vec<String> {
    let mut exposed = config.exposed_ports.clone();
    for port in &request.exposed {
        if !exposed.contains(port) {
            exposed.push(port.clone());
        }
    }
    exposed
}

/// Docker: `-P` publishes each exposed port that `-p` does not.
fn published(request: &NewContainer, config: &ImageConfig) -> Vec<PublishedPort> {
    let mut published = request.published.clone();
    if !request.publishes_exposed {
        return published;
    }
    for exposed in exposed_ports(request, config) {
        let is_published = published
            .iter()
            .any(|port| guest_port_name(port) == exposed);
        // What an image exposes and is no port was let through when it was built elsewhere.
        if let (false, Ok(ports)) = (is_published, parse_publish(&exposed)) {
            published.extend(ports);
        }
    }
    published
}

/// Docker: `daemon/create.go`, `merge()`, and `docs/reference/run.md`, "ENTRYPOINT".
fn arguments(request: &NewContainer, config: &ImageConfig) -> Result<Vec<String>, PlanError> {
    if let Program::Module(path) = &request.program {
        if let Some(entrypoint) = &request.entrypoint {
            return Err(PlanError::EntrypointOfModule(entrypoint.clone()));
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        let mut args = vec![name.to_string_lossy().into_owned()];
        args.extend_from_slice(&request.args);
        return Ok(args);
    }
    let (mut args, command) = match request.entrypoint.as_deref() {
        // `--entrypoint ""` resets the image's.
        Some("") => (Vec::new(), &request.args),
        Some(entrypoint) => (vec![entrypoint.to_owned()], &request.args),
        None if request.args.is_empty() => (config.entrypoint.clone(), &config.cmd),
        None => (config.entrypoint.clone(), &request.args),
    };
    args.extend_from_slice(command);
    if args.is_empty() {
        return Err(PlanError::NoCommand);
    }
    Ok(args)
}

/// `PATH`, then the image's variables, then those asked for; each name once, the last value wins.
fn environment(request: &NewContainer, config: &ImageConfig) -> Result<Vec<String>, PlanError> {
    let path = format!("PATH={}", program::PATH_DEFAULT);
    // Docker: `container/env.go`; nothing else is known of the terminal.
    let terminal = request.has_terminal.then(|| "TERM=xterm".to_owned());
    let mut merged: Vec<String> = Vec::new();
    for variable in std::iter::once(&path)
        .chain(&terminal)
        .chain(&config.env)
        .chain(&request.env)
    {
        let name = variable.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(PlanError::NamelessVariable(variable.clone()));
        }
        match merged
            .iter_mut()
            .find(|v| v.split('=').next() == Some(name))
        {
            Some(existing) => existing.clone_from(variable),
            None => merged.push(variable.clone()),
        }
    }
    Ok(merged)
}

fn check_network(mode: NetworkModeSpec, published: &[PublishedPort]) -> Result<(), PlanError> {
    match mode {
        _ if published.is_empty() => Ok(()),
        NetworkModeSpec::None => Err(PlanError::PublishedWithoutNetwork("none")),
        NetworkModeSpec::Host => Err(PlanError::PublishedWithoutNetwork("host")),
        NetworkModeSpec::Private => Ok(()),
    }
}

fn hostname(id: &str, request: &NewContainer) -> String {
    match (&request.hostname, request.network) {
        (Some(asked), _) => asked.clone(),
        (None, NetworkModeSpec::Host) => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        (None, _) => id.chars().take(12).collect(),
    }
}

/// Returns the limits of a container that asks for none.
pub(crate) fn limits_default() -> LimitsSpec {
    LimitsSpec {
        memory_bytes_max: memory_default(),
        pids_max: PIDS_MAX_DEFAULT,
        fds_max: FDS_MAX_DEFAULT,
        ..LimitsSpec::default()
    }
}

/// Returns the most memory of a container that asks for none: half of the host's.
pub fn memory_default() -> u64 {
    let host = rustix::system::sysinfo();
    let bytes = (host.totalram as u64).saturating_mul(u64::from(host.mem_unit.max(1)));
    bytes / MEMORY_SHARE_DEFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> NewContainer {
        NewContainer::new(Program::Image("hello".into()))
    }

    fn config(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        ImageConfig {
            entrypoint: owned(entrypoint),
            cmd: owned(cmd),
            env: vec!["A=image".into(), "PATH=/app".into()],
            ..ImageConfig::default()
        }
    }

    #[track_caller]
    fn check(request: &NewContainer, config: &ImageConfig, expected: &[&str]) {
        assert_eq!(arguments(request, config).expect("a command"), expected);
    }

    #[test]
    fn arguments_replace_the_command_and_follow_the_entry_point() {
        let args = |words: &[&str]| NewContainer {
            args: words.iter().map(|w| (*w).to_owned()).collect(),
            ..request()
        };
        check(&request(), &config(&["e"], &["c"]), &["e", "c"]);
        check(&args(&["x"]), &config(&["e"], &["c"]), &["e", "x"]);
        check(&args(&["x"]), &config(&[], &["c"]), &["x"]);
        let entered = NewContainer {
            entrypoint: Some("n".into()),
            ..request()
        };
        check(&entered, &config(&["e"], &["c"]), &["n"]);
        assert_eq!(
            arguments(&request(), &config(&[], &[])),
            Err(PlanError::NoCommand)
        );
    }

    #[test]
    fn a_module_is_called_by_its_file_name() {
        let module = NewContainer {
            program: Program::Module("/home/me/hello.wasm".into()),
            args: vec!["x".into()],
            ..request()
        };
        check(&module, &ImageConfig::default(), &["hello.wasm", "x"]);
    }

    #[test]
    fn variables_of_the_command_win_over_those_of_the_image() {
        let request = NewContainer {
            env: vec!["A=typed".into(), "B=".into()],
            ..request()
        };
        let env = environment(&request, &config(&[], &[])).expect("valid");
        assert_eq!(env, ["PATH=/app", "A=typed", "B="]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let published = NewContainer {
            network: NetworkModeSpec::None,
            published: parse_publish("80:80").expect("valid"),
            ..request()
        };
        assert!(specification("id", &published, None, &[], Path::new("/m")).is_err());
        let relative = NewContainer {
            working_directory: Some("app".into()),
            ..request()
        };
        assert!(process(&relative, &config(&[], &["c"])).is_err());
    }
}
