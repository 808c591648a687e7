//! Where state lives: the home of all containers and images of one user.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directories that everything is kept in.
///
/// ```text
/// DATA/images/            content store of minke-image
/// DATA/modules/           compiled modules
/// DATA/build/             directories of `RUN --mount=type=cache`
/// DATA/containers/ID/     config.json, state.json, lock, log…
/// DATA/events/            what happened
/// DATA/names/NAME/ID      which container has a name
/// DATA/volumes/NAME/      volume.json, data…
/// RUN/ID/control.sock     how commands reach a running container
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    pub data: PathBuf,
    pub run: PathBuf,
}

/// There is no place for state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("neither `MINKE_HOME` nor `HOME` says where containers are kept")]
pub struct NoHome;

impl Home {
    /// Chooses the directories from the environment, which `variable` looks up.
    ///
    /// `MINKE_HOME` before all; else `/var/lib/minke` and `/run/minke` for root, and for others the directories of the
    /// XDG Base Directory Specification (`XDG_DATA_HOME`, `XDG_RUNTIME_DIR`; the latter may be missing,
    /// then `run` is inside the data directory).
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        is_root: bool,
    ) -> Result<Home, NoHome> {
        let directory = |name| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(home) = directory("MINKE_HOME") {
            return Ok(Home::at(&absolute(home)));
        }
        if is_root {
            return Ok(Home {
                data: "/var/lib/minke".into(),
                run: "/run/minke".into(),
            });
        }
        // Spec: XDG Base Directory: relative paths are to be ignored.
        let data = directory("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| directory("HOME").map(|home| home.join(".local/share")))
            .ok_or(NoHome)?
            .join("minke");
        let run = directory("XDG_RUNTIME_DIR")
            .filter(|path| path.is_absolute())
            .map_or_else(|| data.join("run"), |run| run.join("minke"));
        Ok(Home { data, run })
    }

    /// Keeps everything in one directory.
    pub fn at(home: &Path) -> Home {
        Home {
            data: home.to_path_buf(),
            run: home.join("run"),
        }
    }

    /// The content store.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Compiled modules.
    pub fn modules(&self) -> PathBuf {
        self.data.join("modules")
    }

    /// What builds keep for later ones: `RUN --mount=type=cache`.
    pub fn build_caches(&self) -> PathBuf {
        self.data.join("build")
    }

    /// One directory per container.
    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    /// What happened to containers and images.
    pub fn events(&self) -> PathBuf {
        self.data.join("events")
    }

    /// One directory per name in use.
    pub fn names(&self) -> PathBuf {
        self.data.join("names")
    }

    /// One directory per volume.
    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// Makes the directories that are missing; they are the owner's alone.
    pub fn prepare(&self) -> io::Result<()> {
        if self.names().is_dir() && self.run.is_dir() {
            return Ok(());
        }
        // The last one made is the first one looked for, so a half-made home is completed.
        let all = [
            self.modules(),
            self.containers(),
            self.run.clone(),
            self.names(),
        ];
        all.iter().try_for_each(|path| make_private(path))
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Makes a directory with mode 0700, and those above it.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], is_root: bool, data: &str, run: &str) {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let expected = Home {
            data: data.into(),
            run: run.into(),
        };
        assert_eq!(Home::from_environment(variable, is_root), Ok(expected));
    }

    #[test]
    fn minke_home_comes_before_everything() {
        check(
            &[("MINKE_HOME", "/m"), ("HOME", "/h")],
            true,
            "/m",
            "/m/run",
        );
    }

    #[test]
    fn root_has_the_system_directories() {
        check(
            &[("HOME", "/root"), ("MINKE_HOME", "")],
            true,
            "/var/lib/minke",
            "/run/minke",
        );
    }

    #[test]
    fn users_have_the_xdg_directories() {
        let xdg = [
            ("XDG_DATA_HOME", "/d"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("HOME", "/h"),
        ];
        check(&xdg, false, "/d/minke", "/r/minke");
        let relative = [("XDG_DATA_HOME", "d"), ("HOME", "/h")];
        check(
            &relative,
            false,
            "/h/.local/share/minke",
            "/h/.local/share/minke/run",
        );
    }

    #[test]
    fn nothing_known_is_an_error() {
        assert_eq!(Home::from_environment(|_| None, false), Err(NoHome));
    }
}
