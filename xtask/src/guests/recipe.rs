//! How a guest program is made: by cargo, by a C compiler, for Linux with a C library of its own, or by fetching a published
//! package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::base::BaseImage;
use super::fetch;
use super::linux::sources::{Package, Patches};
use super::linux::{self, LinuxBuild, cplusplus, library, rust, sdk};
use crate::layout::{guests_dir, root};
use crate::process::{cargo, find, read, run_quietly};

/// Where Debian keeps the JavaScript libraries that its Emscripten needs. Debian's own Node.js looks
/// there by itself; others must be told.
const DEBIAN_NODE_PATH: &str = "/usr/share/nodejs";

/// One way to make programs.
#[derive(Debug)]
pub enum Recipe {
    Cargo(CargoBuild),
    C(CBuild),
    /// The C library of [`Recipe::Linux`].
    LinuxLibrary,
    /// The C++ library over it.
    LinuxCplusplus,
    /// Both, for others to compile with.
    LinuxSdk,
    /// Sources that tests compile, as their authors released them.
    LinuxSources(Package),
    Linux(LinuxBuild),
    /// BusyBox for the machine itself, and where it goes.
    NativeBusybox(PathBuf),
    /// The image that minke carries, of such programs.
    Base(BaseImage),
    Npm(NpmPackage),
}

/// Binaries of one cargo workspace.
#[derive(Debug)]
pub struct CargoBuild {
    /// The manifest, relative to the workspace.
    pub manifest: &'static str,
    pub profile: &'static str,
    pub target: Target,
    /// The name of each binary, and where it goes.
    pub binaries: Vec<(&'static str, PathBuf)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Wasip1,
    /// The same with threads.
    Wasip1Threads,
    /// The container's own Linux.
    Linux,
    /// The machine itself: what a test or a benchmark compares with.
    Native,
}

/// One program of a C or C++ source.
#[derive(Debug)]
pub struct CBuild {
    pub compiler: Compiler,
    pub source: PathBuf,
    pub flags: Vec<&'static str>,
    pub with: Library,
    /// A `.wasm` is standalone; a `.js` has its `.wasm` beside it.
    pub output: PathBuf,
}

/// Source of others that is compiled together with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    None,
    /// SQLite in one file, as the crate `libsqlite3-sys` of our own lock file carries it.
    Sqlite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    Emcc,
    Empp,
    Cc,
}

/// Files of a published package, which is checked against a digest that we keep.
#[derive(Debug)]
pub struct NpmPackage {
    pub name: &'static str,
    pub version: &'static str,
    /// Of the package's archive.
    pub sha256: &'static str,
    /// The path of each file in the archive, and where it goes.
    pub files: Vec<(&'static str, PathBuf)>,
}

/// Directories of a package of the Python index, which is checked against a digest that we keep.
#[derive(Debug)]
pub struct Wheel {
    pub name: &'static str,
    pub version: &'static str,
    pub platform: &'static str,
    /// Of the package's archive.
    pub sha256: &'static str,
    /// The path in the archive of what is kept.
    pub below: &'static str,
    pub directories: &'static [&'static str],
}

impl Recipe {
    pub fn make(&self) -> Result<()> {
        for output in self.outputs() {
            let directory = output.parent().expect("an output is in a directory");
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        match self {
            Recipe::Cargo(build) => build.make(),
            Recipe::C(build) => build.make(),
            Recipe::LinuxLibrary => library::make(),
            Recipe::LinuxCplusplus => cplusplus::make(),
            Recipe::LinuxSdk => sdk::make(),
            Recipe::LinuxSources(package) => package.unpack(Patches::None).map(drop),
            Recipe::Linux(build) => build.make(),
            Recipe::NativeBusybox(output) => linux::busybox::link_natively(output),
            Recipe::Base(image) => image.make(),
            Recipe::Npm(package) => fetch::npm(package),
        }
    }

    /// Every file that the recipe leaves.
    pub fn outputs(&self) -> Vec<PathBuf> {
        match self {
            Recipe::Cargo(build) => build
                .binaries
                .iter()
                .map(|(_, output)| output.clone())
                .collect(),
            Recipe::C(build) => build.outputs(),
            Recipe::LinuxLibrary => vec![library::output()],
            Recipe::LinuxCplusplus => vec![cplusplus::output()],
            Recipe::LinuxSdk => sdk::outputs(),
            Recipe::LinuxSources(package) => vec![package.read_me()],
            Recipe::Linux(build) => build.outputs(),
            Recipe::NativeBusybox(output) => vec![output.clone()],
            Recipe::Base(image) => image.outputs(),
            Recipe::Npm(package) => package
                .files
                .iter()
                .map(|(_, output)| output.clone())
                .collect(),
        }
    }

    /// Whether it is compiled as users' programs in Rust are.
    pub fn is_in_rust_for_linux(&self) -> bool {
        matches!(self, Recipe::Cargo(build) if build.target == Target::Linux)
    }

    /// What tells one compiler from another; empty for a fetched package.
    pub fn compiler_version(&self) -> Result<String> {
        match self {
            Recipe::Cargo(_) if self.is_in_rust_for_linux() => rust::version(),
            Recipe::Cargo(_) => rustc_version(),
            Recipe::C(build) => Ok(build.compiler.version()? + &build.with.version()?),
            Recipe::LinuxLibrary | Recipe::LinuxCplusplus | Recipe::LinuxSdk | Recipe::Linux(_) => {
                linux::version()
            }
            Recipe::NativeBusybox(_) => Compiler::Cc.version(),
            Recipe::Base(_) => packer_version(),
            Recipe::LinuxSources(_) | Recipe::Npm(_) => Ok(String::new()),
        }
    }
}

fn rustc_version() -> Result<String> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version.clone());
    }
    let version = read(Command::new("rustc").arg("-vV"))?;
    Ok(VERSION.get_or_init(|| version).clone())
}

impl CargoBuild {
    fn make(&self) -> Result<()> {
        let builds = guests_dir().join(".cargo");
        let mut command = match self.target {
            Target::Linux => rust::cargo()?,
            _ => cargo(),
        };
        command.args([
            "build",
            "--quiet",
            "--locked",
            "-j1",
            "--profile",
            self.profile,
        ]);
        command
            .arg("--manifest-path")
            .arg(root().join(self.manifest));
        command.arg("--target-dir").arg(&builds);
        for (binary, _) in &self.binaries {
            command.args(["--bin", binary]);
        }
        if let Some(triple) = self.target.triple() {
            command.args(["--target", triple]);
        }
        // What cargo tells us about our own build is not meant for the guests'.
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        run_quietly(&mut command)?;
        for (binary, output) in &self.binaries {
            replace(&self.built(&builds, binary), output)?;
        }
        Ok(())
    }

    fn built(&self, builds: &Path, binary: &str) -> PathBuf {
        match self.target.directory() {
            Some(directory) => builds
                .join(directory)
                .join(self.profile)
                .join(format!("{binary}.wasm")),
            None => builds.join(self.profile).join(binary),
        }
    }
}

impl Target {
    /// What rustc is told, unless it knows.
    fn triple(self) -> Option<&'static str> {
        match self {
            Target::Wasip1 => Some("wasm32-wasip1"),
            Target::Wasip1Threads => Some("wasm32-wasip1-threads"),
            Target::Linux | Target::Native => None,
        }
    }

    /// Where cargo puts what it builds, below its own directory.
    fn directory(self) -> Option<&'static str> {
        match self {
            Target::Linux => Some(minke_sdk::rust::TARGET),
            other => other.triple(),
        }
    }
}

/// Copies by way of a new file, so that whoever has the old one open keeps it whole.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    fs::copy(from, &partial).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&partial, to).with_context(|| format!("cannot write {}", to.display()))
}

impl CBuild {
    fn make(&self) -> Result<()> {
        let mut command = Command::new(self.compiler.program());
        command
            .args(&self.flags)
            .arg(root().join(&self.source))
            .arg("-o")
            .arg(&self.output);
        if self.with == Library::Sqlite {
            let directory = sqlite_source()?;
            command
                .arg("-I")
                .arg(&directory)
                .arg(directory.join("sqlite3.c"));
        }
        if self.compiler == Compiler::Cc {
            return run_quietly(&mut command);
        }
        let mut node_path = std::env::var_os("NODE_PATH").unwrap_or_default();
        if !node_path.is_empty() {
            node_path.push(":");
        }
        node_path.push(DEBIAN_NODE_PATH);
        run_quietly(command.env("NODE_PATH", node_path))
    }

    fn outputs(&self) -> Vec<PathBuf> {
        match self.output.extension() {
            Some(extension) if extension == "js" => {
                vec![self.output.clone(), self.output.with_extension("wasm")]
            }
            _ => vec![self.output.clone()],
        }
    }
}

impl Library {
    fn version(self) -> Result<String> {
        match self {
            Library::None => Ok(String::new()),
            Library::Sqlite => locked("libsqlite3-sys"),
        }
    }
}

/// What packs an image: equal programs give other bytes with another one.
fn packer_version() -> Result<String> {
    locked("zstd-sys")
}

/// What our lock file says of one crate: its other lines are none of a program's business.
fn locked(crate_name: &str) -> Result<String> {
    let locked = fs::read_to_string(root().join("Cargo.lock")).context("no `Cargo.lock`")?;
    let mut packages = locked.split("[[package]]");
    let package = packages.find(|it| it.contains(&format!("name = \"{crate_name}\"")));
    package
        .map(str::to_string)
        .with_context(|| format!("no `{crate_name}` in `Cargo.lock`"))
}

/// The directory of `sqlite3.c`, in cargo's copy of the crate that the workspace depends on.
fn sqlite_source() -> Result<PathBuf> {
    let mut command = cargo();
    command
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(root());
    let metadata: Value =
        serde_json::from_str(&read(&mut command)?).context("cargo's metadata is no JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let package = packages
        .iter()
        .find(|it| it["name"] == "libsqlite3-sys")
        .context("no SQLite in the workspace")?;
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    Ok(manifest.with_file_name("sqlite3"))
}

impl Compiler {
    fn program(self) -> &'static str {
        match self {
            Compiler::Emcc => "emcc",
            Compiler::Empp => "em++",
            Compiler::Cc => "cc",
        }
    }

    /// Where the program is and when it was installed: asking Emscripten itself takes half a second.
    fn version(self) -> Result<String> {
        let Some(path) = find(self.program()) else {
            bail!("`{}` is missing\nhint: `cargo xtask setup`", self.program());
        };
        let path = path.canonicalize()?;
        let modified = path.metadata()?.modified()?;
        Ok(format!("{} {modified:?}", path.display()))
    }
}
