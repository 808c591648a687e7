//! Source packages of Debian, fetched and checked by apt.
//!
//! The lists are private to us: the machine's own are left as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};

use super::work_dir;
use crate::process::{read, run_quietly};

/// The release whose packages these are; it is newer than some machines that build.
const SUITE: &str = "trixie";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A source package.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    pub name: &'static str,
    /// The version of its authors, without Debian's.
    version: &'static str,
}

pub const MUSL: Package = Package {
    name: "musl",
    version: "1.2.5",
};
pub const DASH: Package = Package {
    name: "dash",
    version: "0.5.12",
};
pub const BUSYBOX: Package = Package {
    name: "busybox",
    version: "1.37.0",
};

pub const BASH: Package = Package {
    name: "bash",
    version: "5.2.37",
};
pub const TAR: Package = Package {
    name: "tar",
    version: "1.35",
};
pub const GZIP: Package = Package {
    name: "gzip",
    version: "1.13",
};
pub const XZ: Package = Package {
    name: "xz-utils",
    version: "5.8.1",
};

pub const LUA: Package = Package {
    name: "lua5.4",
    version: "5.4.7",
};
pub const ZLIB: Package = Package {
    name: "zlib",
    version: "1.3.dfsg+really1.3.1",
};

/// What tests compile with `minke cc`.
pub const COMPILED_BY_TESTS: &[Package] = &[LUA, ZLIB];

/// Which changes of Debian's are taken.
#[derive(Debug, Clone, Copy)]
pub enum Patches {
    None,
    Debian,
}

impl Package {
    /// A file of the authors' that each of these packages has.
    pub fn read_me(&self) -> PathBuf {
        work_dir().join("build").join(self.name).join("README")
    }

    /// Makes a new directory of the sources.
    pub fn unpack(&self, patches: Patches) -> Result<PathBuf> {
        self.unpack_as(self.name, patches)
    }

    /// As [`Package::unpack`], into a directory of another name.
    pub fn unpack_as(&self, name: &str, patches: Patches) -> Result<PathBuf> {
        let fetched = self.fetch(patches)?;
        let directory = work_dir().join("build").join(name);
        remove(&directory)?;
        fs::create_dir_all(directory.parent().expect("it is below ours"))?;
        match patches {
            Patches::Debian => run_quietly(
                Command::new("dpkg-source")
                    .args(["--no-check", "--extract"])
                    .arg(&fetched)
                    .arg(&directory),
            )?,
            Patches::None => {
                fs::create_dir(&directory)?;
                run_quietly(
                    Command::new("tar")
                        .args(["--strip-components=1", "-xf"])
                        .arg(&fetched)
                        .arg("-C")
                        .arg(&directory),
                )?;
            }
        }
        Ok(directory)
    }

    /// Fetches what is needed of the package unless it is there; returns the file to unpack:
    /// the description of the whole, or the tar of the authors' release.
    ///
    /// That tar alone lasts: Debian's patches are replaced at each of its revisions, and a mirror
    /// may have the list of the new ones before the files.
    fn fetch(&self, patches: Patches) -> Result<PathBuf> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME
            .lock()
            .expect("no fetch panics with the lock held");
        if let Some(path) = self.fetched(patches)? {
            return Ok(path);
        }
        apt_lists()?;
        let part = match patches {
            Patches::Debian => "--download-only",
            Patches::None => "--tar-only",
        };
        run_quietly(
            Command::new("apt-get")
                .args(apt_options())
                // Not the version that is installed here.
                .args([
                    "source",
                    "--only-source",
                    "--download-only",
                    part,
                    self.name,
                ])
                .current_dir(packages_dir()),
        )?;
        self.fetched(patches)?.with_context(|| {
            format!(
                "`{}` of `{SUITE}` is no longer version `{}`",
                self.name, self.version
            )
        })
    }

    /// The file to unpack, once it is here.
    fn fetched(&self, patches: Patches) -> Result<Option<PathBuf>> {
        let endings: &[&str] = match patches {
            Patches::Debian => &[".dsc"],
            Patches::None => &[".orig.tar.gz", ".orig.tar.bz2", ".orig.tar.xz"],
        };
        for ending in endings {
            if let Some(path) = self.file(ending)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The file of the package with this ending.
    fn file(&self, ending: &str) -> Result<Option<PathBuf>> {
        let beginning = format!("{}_{}", self.name, self.version);
        fs::create_dir_all(packages_dir())?;
        for entry in fs::read_dir(packages_dir())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|it| it.to_str());
            if name.is_some_and(|it| it.starts_with(&beginning) && it.ends_with(ending)) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

fn packages_dir() -> PathBuf {
    work_dir().join("packages")
}

fn apt_dir() -> PathBuf {
    work_dir().join("apt")
}

/// Fetches the list of source packages from where the machine has its packages from.
fn apt_lists() -> Result<()> {
    let directory = apt_dir();
    if directory.join("fetched").exists() {
        return Ok(());
    }
    fs::create_dir_all(directory.join("lists/partial"))?;
    fs::create_dir_all(directory.join("cache/archives/partial"))?;
    let line = format!(
        "deb-src [signed-by={KEYS}] {} {SUITE} main\n",
        debian_site()?
    );
    fs::write(directory.join("sources.list"), line)?;
    run_quietly(Command::new("apt-get").args(apt_options()).arg("update"))?;
    fs::write(directory.join("fetched"), "").context("cannot mark the lists as fetched")
}

fn debian_site() -> Result<String> {
    let sites = read(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(LABEL) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let site = sites.lines().find_map(|it| it.strip_prefix("Debian "));
    site.map(str::to_string).context(
        "this machine has no packages of Debian\nhint: Linux programs are built on Debian only",
    )
}

fn apt_options() -> Vec<String> {
    let directory = apt_dir();
    let option = |name: &str, path: &Path| format!("-o{name}={}", path.display());
    vec![
        option("Dir::Etc::SourceList", &directory.join("sources.list")),
        option("Dir::Etc::SourceParts", Path::new("/dev/null")),
        option("Dir::State::Lists", &directory.join("lists")),
        option("Dir::Cache", &directory.join("cache")),
        "-oAcquire::Retries=3".to_string(),
    ]
}

/// Removes a directory that may not be there.
pub fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}
