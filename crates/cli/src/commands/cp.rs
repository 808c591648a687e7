//! `minke cp`: files between a container and the host.

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;
use minke_engine::files::{CopyOptions, Links, Owners};

use crate::commands::engine;
use crate::output::size;
use crate::report::Report;

/// Copy files between a container and the host
///
/// The rules are those of `cp -R`: into a directory that is there, else to that name. `SRC/.` is what the directory holds. With `-` a tar
/// is written to standard output, or read from standard input. Paths of a container begin at its `/`. The container need not run; while it does not,
/// only what is kept can be written to.
#[derive(Debug, Args)]
#[command(
    override_usage = "minke cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       minke cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    after_help = "Examples:\n  minke cp web:/etc/app.toml .\n  minke cp ./site/. web:/srv\n  minke cp web:/var/log - | tar -t"
)]
pub(crate) struct Cp {
    /// Keep owners: those of the archive's files, where that is allowed. Else copies belong to root in a container, to you on the host
    #[arg(short, long)]
    archive: bool,

    /// Copy what `SRC_PATH` leads to if it is a symbolic link
    #[arg(short = 'L', long)]
    follow_link: bool,

    /// Do not say how much was copied
    #[arg(short, long)]
    quiet: bool,

    /// `CONTAINER:PATH`, a path of the host, or `-`
    #[arg(value_name = "SRC_PATH")]
    source: String,

    /// `CONTAINER:PATH`, a path of the host, or `-`
    #[arg(value_name = "DEST_PATH")]
    destination: String,
}

/// One end of a copy, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End<'a> {
    Standard,
    Host(&'a str),
    Container(&'a str, &'a str),
}

impl End<'_> {
    /// Reads an end. Docker: `cli/command/container/cp.go`: what begins with `/` or `.` is a path of the host, whatever colons are in it.
    fn of(text: &str) -> End<'_> {
        if text == "-" {
            return End::Standard;
        }
        match text.split_once(':') {
            Some((container, path)) if !text.starts_with(['/', '.']) => {
                End::Container(container, path)
            }
            _ => End::Host(text),
        }
    }
}

impl Cp {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match (End::of(&self.source), End::of(&self.destination)) {
            (End::Container(..), End::Container(..)) => Err(Report::usage(
                "copying between containers is not supported",
                "copy to the host first, or `minke cp A:SRC - | minke cp - B:DEST`",
            )),
            (End::Container(container, path), target) => self.copy_out(container, path, target),
            (source, End::Container(container, path)) => self.copy_in(source, container, path),
            _ => Err(Report::usage(
                "must specify at least one container source",
                "write one of the paths as `CONTAINER:PATH`",
            )),
        }
    }

    fn options(&self) -> CopyOptions {
        CopyOptions {
            links: match self.follow_link {
                true => Links::Followed,
                false => Links::Kept,
            },
            owners: match self.archive {
                true => Owners::Kept,
                false => Owners::Root,
            },
        }
    }

    fn copy_out(&self, container: &str, path: &str, target: End<'_>) -> Result<u8, Report> {
        check_path(path)?;
        let engine = engine()?;
        let (path, options) = (Path::new(path), self.options());
        let End::Host(target) = target else {
            if io::stdout().is_terminal() {
                return Err(Report::new(
                    "cowardly refusing to write an archive to a terminal",
                    "redirect it, or pipe it into `tar`",
                ));
            }
            let container = engine.container(container)?;
            let mut sink = io::stdout().lock();
            engine.copy_to_archive(&container, path, options.links, &mut sink)?;
            return Ok(0);
        };
        let container = engine.container(container)?;
        let copied = engine.copy_out(&container, path, Path::new(target), options)?;
        self.tell(copied, target);
        Ok(0)
    }

    fn copy_in(&self, source: End<'_>, container: &str, path: &str) -> Result<u8, Report> {
        check_path(path)?;
        let engine = engine()?;
        let container = engine.container(container)?;
        let End::Host(source) = source else {
            engine.copy_from_archive(&container, &mut io::stdin().lock(), Path::new(path))?;
            return Ok(0);
        };
        let copied = engine.copy_in(
            &container,
            Path::new(source),
            Path::new(path),
            self.options(),
        )?;
        self.tell(copied, &self.destination);
        Ok(0)
    }

    /// Docker: the size is that of the archive which carries the files.
    fn tell(&self, copied_bytes: u64, target: &str) {
        if !self.quiet {
            // Where nothing can be said, nobody listens.
            let text = format!("Successfully copied {} to {target}\n", size(copied_bytes));
            let _ = io::Write::write_all(&mut io::stderr().lock(), text.as_bytes());
        }
    }
}

fn check_path(path: &str) -> Result<(), Report> {
    match path.is_empty() {
        true => Err(Report::usage(
            "the container's path is empty",
            "write `CONTAINER:PATH`, such as `web:/etc`",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_colons_are_told_from_containers() {
        for (text, expected) in [
            ("-", End::Standard),
            ("web:/etc", End::Container("web", "/etc")),
            ("web:etc", End::Container("web", "etc")),
            ("/a:b", End::Host("/a:b")),
            ("./web:x", End::Host("./web:x")),
            ("plain", End::Host("plain")),
        ] {
            assert_eq!(End::of(text), expected, "{text}");
        }
    }
}
