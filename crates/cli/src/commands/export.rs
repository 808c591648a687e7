//! `minke export`: a container's root as a tar.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use minke_engine::{Container, Engine};

use crate::commands::engine;
use crate::report::Report;

/// Write a container's files to a tar
///
/// What is mounted in the container (volumes, binds, tmpfs) is left out. A container that runs is not stopped meanwhile: each file is as it is
/// when it is read.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke export web > rootfs.tar\n  minke export -o rootfs.tar web"
)]
pub(crate) struct Export {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl Export {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        if self.output.is_none() && io::stdout().is_terminal() {
            // Docker: `cli/command/container/export.go`.
            return Err(Report::new(
                "cowardly refusing to save to a terminal",
                "use the `-o` flag or redirect",
            ));
        }
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        match &self.output {
            Some(path) => export_to(&engine, &container, path)?,
            None => engine.export(&container, &mut io::stdout().lock())?,
        }
        Ok(0)
    }
}

/// Writes a file, which takes its place when it is whole.
fn export_to(engine: &Engine, container: &Container, path: &Path) -> Result<(), Report> {
    let failed = |error: &io::Error| {
        Report::new(
            format!("cannot write `{}`: {error}", path.display()),
            "check the path and its permissions",
        )
    };
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut file = fs::File::create(path).map_err(|error| failed(&error))?;
        return Ok(engine.export(container, &mut file)?);
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    let exported = fs::File::create_new(&partial)
        .map_err(|error| failed(&error))
        .and_then(|mut file| {
            engine.export(container, &mut file)?;
            file.flush()
                .and_then(|()| fs::rename(&partial, path))
                .map_err(|error| failed(&error))
        });
    if exported.is_err() {
        // It is of no use to anybody.
        let _ = fs::remove_file(&partial);
    }
    exported
}
