//! What a container is made with: the options that `run` and `create` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use minke_build::HeldImage;
use minke_engine::image::HealthCheck;
use minke_engine::spec::{MountSpec, NetworkModeSpec};
use minke_engine::syntax::{
    PortRange, SyntaxError, check_hostname, parse_host, parse_label, parse_memory, parse_mount,
    parse_mounts_from, parse_publish, parse_tmpfs, parse_volume, read_labels,
};
use minke_engine::{Created, Engine, HealthChecks, NewContainer, Program, RestartPolicy};

use super::build::{build_directory, check_platform};
use super::limits::Limits;
use super::variables::Variables;
use crate::output::print_warning;
use crate::report::{Kind, Report};

/// A container to be made.
#[derive(Debug, Args)]
pub(crate) struct ContainerOptions {
    /// Remove the container when it has ended
    #[arg(long)]
    pub(super) rm: bool,

    /// Give the container a standard input: this command's, or in the background one that stays open
    #[arg(short, long)]
    pub(super) interactive: bool,

    /// Let the container see the terminal of this command as its own
    #[arg(short, long)]
    pub(super) tty: bool,

    /// Name for the container [default: a random one]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Publish a port or a range: `[HOST:][HOSTPORT:]GUESTPORT[/udp]`
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,

    /// Publish all exposed ports, on ports that the host chooses
    #[arg(short = 'P', long)]
    publish_all: bool,

    /// Expose a port or a range: `PORT[/udp]`
    #[arg(long, value_name = "PORT")]
    expose: Vec<String>,

    #[command(flatten)]
    variables: Variables,

    /// Set a label, `KEY=VALUE`
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Set the labels of a file, one on each line; those of `--label` win
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,

    /// Working directory in the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// User and group, names or numbers: `UID[:GID]`
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// Mount a directory or file of the host, `HOST:GUEST[:ro]`, or a volume: `NAME:GUEST[:ro]`, or `GUEST` alone for a new one
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,

    /// Mount in the long form: `type=bind,source=DIR,target=DIR[,readonly]`, `type=volume,source=NAME,target=DIR[,readonly]` or
    /// `type=tmpfs,target=DIR[,tmpfs-size=64m]`
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,

    /// Mount the volumes and binds of another container: `CONTAINER[:ro]`
    #[arg(long, value_name = "CONTAINER")]
    volumes_from: Vec<String>,

    /// Mount an empty directory in memory: `DIR[:size=64m]`
    #[arg(long, value_name = "DIR")]
    tmpfs: Vec<String>,

    /// Mount the root read-only
    #[arg(long)]
    read_only: bool,

    /// Program to enter instead of the image's entry point; empty for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// Most memory for the container, such as `64m`; 0 is the default [default: half of the host's]
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,

    /// Most processes and threads at a time [default: 4096]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,

    #[command(flatten)]
    limits: Limits,

    /// Network of the container
    #[arg(long, value_enum, default_value_t = NetworkMode::Private)]
    network: NetworkMode,

    /// Name that the container has for itself [default: the beginning of its id]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Add a host name that the container knows: `NAME:ADDRESS`
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,

    /// Start the container again when it has ended: `no`, `on-failure[:N]`, `always` or `unless-stopped`
    #[arg(long, value_name = "POLICY", default_value = "no", value_parser = RestartPolicy::parse)]
    pub(super) restart: RestartPolicy,

    /// Signal that stops the container [default: the image's, or `TERM`]
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,

    /// Seconds between that signal and `KILL`; -1 waits for ever [default: 10]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    stop_timeout: Option<i64>,

    /// Have the kernel wait for processes whose parents have ended, as an init would; signals reach the program in any case
    #[arg(long)]
    init: bool,

    /// Do not check the container's health; nothing does yet
    #[arg(long)]
    no_healthcheck: bool,

    /// Check the container's health with a command; refused, there are no health checks yet
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_healthcheck")]
    health_cmd: Option<String>,

    /// Write the container's id to a file that is not there yet
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,

    /// Platform of the image, `wasi/wasm`: there is no other
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,

    /// When to pull the image; there are no registries yet
    #[arg(long, value_enum, default_value_t = Pull::Missing)]
    pull: Pull,

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
    #[value(aliases = ["bridge", "default"])]
    Private,
    /// The host's
    Host,
    /// Its own loopback and nothing else
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pull {
    /// Each time
    Always,
    /// When it is not there
    Missing,
    /// Not at all
    Never,
}

impl ContainerOptions {
    fn image(&self) -> &str {
        &self.image_and_args[0]
    }

    /// Makes the container of a request of [`ContainerOptions::request`].
    pub(super) fn create<'a>(
        &self,
        engine: &'a Engine,
        mut request: NewContainer,
    ) -> Result<Created<'a>, Report> {
        // An image that was built for this container is held until the container's record names it.
        let (program, _held) = self.program(engine)?;
        request.program = program;
        let created = engine.create(&request)?;
        let check = created.config().health_check.as_ref();
        if check.is_some_and(HealthCheck::is_on) {
            print_warning(
                "the image's `HEALTHCHECK` is not run: containers are not checked yet",
                "watch the container from outside, or leave the check out with `--no-healthcheck`",
            );
        }
        self.write_id(&created.config().spec.id)?;
        Ok(created)
    }

    fn check_id_file(&self) -> Result<(), Report> {
        match &self.cidfile {
            Some(path) if path.symlink_metadata().is_ok() => Err(id_file_exists(path)),
            _ => Ok(()),
        }
    }

    fn write_id(&self, id: &str) -> Result<(), Report> {
        use std::io::Write;
        let Some(path) = &self.cidfile else {
            return Ok(());
        };
        let written =
            std::fs::File::create_new(path).and_then(|mut file| file.write_all(id.as_bytes()));
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => id_file_exists(path),
            _ => Report::new(
                format!(
                    "cannot write the container's id to `{}`: {error}",
                    path.display()
                ),
                "give the path of a new file in a directory that is there",
            ),
        })
    }

    /// Removes the file with the id of a container that did not come to be.
    pub(super) fn forget_id(&self) {
        if let Some(path) = &self.cidfile {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Reads the options: what is typed wrong is said before anything is opened or built.
    pub(super) fn request(&self) -> Result<NewContainer, Report> {
        self.check_id_file()?;
        check_platform(self.platform.as_deref())?;
        if let Some(command) = &self.health_cmd {
            return Err(Report::usage(
                format!("cannot check health with `{command}`: no health checks yet"),
                "leave out `--health-cmd`",
            ));
        }
        if self.pull == Pull::Always {
            return Err(Report::new(
                format!(
                    "cannot pull `{}`: there are no registries yet",
                    self.image()
                ),
                "build or load the image, and leave out `--pull always`",
            ));
        }
        let program = Program::Image(self.image().to_owned());
        let hosts = self.add_host.iter().map(|host| parse_host(host));
        if let Some(hostname) = &self.hostname {
            check_hostname(hostname)?;
        }
        Ok(NewContainer {
            args: self.image_and_args[1..].to_vec(),
            name: self.name.clone(),
            entrypoint: self.entrypoint.clone(),
            env: self.variables.read()?,
            working_directory: self.workdir.clone(),
            user: self.user.clone(),
            mounts: self.mounts()?,
            mounts_from: flat(
                self.volumes_from
                    .iter()
                    .map(|from| Ok(vec![parse_mounts_from(from)?])),
            )?,
            is_root_read_only: self.read_only,
            memory_bytes_max: memory_bytes_max(self.memory.as_deref())?.flatten(),
            pids_max: pids_max(self.pids_limit)?,
            limits: self.limits.asked()?,
            network: self.network.spec(),
            published: flat(self.publish.iter().map(|port| parse_publish(port)))?,
            publishes_exposed: self.publish_all,
            exposed: flat(
                self.expose
                    .iter()
                    .map(|port| Ok(PortRange::parse(port)?.names())),
            )?,
            is_auto_removed: self.rm,
            labels: self.labels()?,
            hostname: self.hostname.clone(),
            hosts: hosts.collect::<Result<_, _>>()?,
            restart: self.restart,
            stop_signal: self.stop_signal.clone(),
            stop_timeout_s: self.stop_timeout,
            has_init: self.init,
            health_checks: match self.no_healthcheck {
                true => HealthChecks::Off,
                false => HealthChecks::OfImage,
            },
            has_terminal: self.tty,
            is_stdin_open: self.interactive,
            is_stdin_once: self.interactive,
            ..NewContainer::new(program)
        })
    }

    fn mounts(&self) -> Result<Vec<MountSpec>, Report> {
        let here = std::env::current_dir()?;
        let volumes = self.volume.iter().map(|volume| parse_volume(volume, &here));
        let mounts = self.mount.iter().map(|mount| parse_mount(mount, &here));
        let tmpfs = self.tmpfs.iter().map(|tmpfs| parse_tmpfs(tmpfs));
        let all: Result<_, SyntaxError> = volumes.chain(mounts).chain(tmpfs).collect();
        Ok(all?)
    }

    fn labels(&self) -> Result<BTreeMap<String, String>, Report> {
        let mut labels = flat(self.label_file.iter().map(|path| read_labels(path)))?;
        for label in &self.label {
            labels.push(parse_label(label)?);
        }
        Ok(labels.into_iter().collect())
    }

    /// Decides what the first argument names. What begins like a path is one; a name that ends with `.wasm` is one when
    /// there is such a file; all others are images, so that no file in the working directory hides one.
    fn program<'a>(&self, engine: &'a Engine) -> Result<(Program, Option<HeldImage<'a>>), Report> {
        let path = Path::new(self.image());
        let is_path = self.image().starts_with(['/', '.']);
        let is_module = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if !(is_path || is_module && path.is_file()) {
            return Ok((Program::Image(self.image().to_owned()), None));
        }
        if path.is_dir() {
            let held = build_directory(engine, path)?;
            let image = held.built.image.as_ref();
            let image =
                image.expect("a build without another output puts its image into the store");
            return Ok((Program::Image(image.id.to_string()), Some(held)));
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
        Ok((Program::Module(absolute), None))
    }
}

impl NetworkMode {
    fn spec(self) -> NetworkModeSpec {
        match self {
            NetworkMode::Private => NetworkModeSpec::Private,
            NetworkMode::Host => NetworkModeSpec::Host,
            NetworkMode::None => NetworkModeSpec::None,
        }
    }
}

/// Reads `--memory`: `None` where it is not given, `Some(None)` for 0. Docker: that is no limit; ours stays at the default then.
pub(super) fn memory_bytes_max(typed: Option<&str>) -> Result<Option<Option<u64>>, SyntaxError> {
    typed.map(parse_memory).transpose()
}

/// Docker: 0 and negative numbers are no limit; ours stays at the default then.
pub(super) fn pids_max(limit: Option<i64>) -> Result<Option<u32>, Report> {
    match limit {
        None | Some(..=0) => Ok(None),
        Some(limit) => u32::try_from(limit).map(Some).map_err(|_| {
            Report::usage(
                format!("invalid number of processes `{limit}`"),
                "give a number up to 4294967295",
            )
        }),
    }
}

/// Docker: `cli/command/container/create.go`, `newCIDFile()`.
fn id_file_exists(path: &Path) -> Report {
    Report::new(
        format!("container ID file found: `{}`", path.display()),
        "make sure that the other container is not running, and remove the file",
    )
}

fn flat<T, I: IntoIterator<Item = T>>(
    parts: impl Iterator<Item = Result<I, SyntaxError>>,
) -> Result<Vec<T>, SyntaxError> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}
