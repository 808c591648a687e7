//! Unpacking: a layer of ten thousand files made a disk, beside umoci's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Lab;
use super::builds::{COPIED_BYTES, COPIED_COUNT, write_files};
use super::images::scratch;
use super::report::{Reach, Row, Unit};
use super::usage::measure;
use crate::process::{find, run_quietly};

const ROUNDS: usize = 5;
const REACH: Reach = Reach::RatioAtMost(1.0);

/// `minke create` of an image whose packed layer nothing has used yet, against `umoci raw unpack` of the same archive.
pub fn layer(lab: &Lab) -> Result<Vec<Row>> {
    let directory = scratch("unpack")?;
    write_files(&directory.join("files"), COPIED_COUNT, COPIED_BYTES)?;
    fs::write(
        directory.join("Balenafile"),
        "FROM scratch\nCOPY files /files\nCMD [\"/none\"]\n",
    )?;
    lab.product
        .build("bench-unpack:1", &directory.to_string_lossy())?;
    let archive = directory.join("image.tar");
    let path = archive.to_string_lossy().into_owned();
    let packed = ["--format", "oci", "--compression", "gzip"];
    let save = ["save", "-q", "-o", &path];
    let words = [&save[..], &packed, &["bench-unpack:1"]].concat();
    run_quietly(&mut lab.product.command(&words))?;
    let umoci = Umoci::prepare(&directory, &archive);
    let mut ours = Vec::new();
    let mut theirs = umoci.as_ref().map(|_| Vec::new()).map_err(Clone::clone);
    for _ in 0..ROUNDS {
        run_quietly(&mut lab.product.command(&["system", "prune", "-a", "-f"]))?;
        run_quietly(&mut lab.product.command(&["load", "-q", "-i", &path]))?;
        let create = ["create", "--name", "bench-unpack", "bench-unpack:1"];
        ours.push(measure(&mut lab.product.command(&create))?.wall_ms);
        run_quietly(&mut lab.product.command(&["rm", "bench-unpack"]))?;
        if let (Ok(umoci), Ok(figures)) = (&umoci, &mut theirs) {
            match umoci.unpack() {
                Ok(wall_ms) => figures.push(wall_ms),
                Err(error) => theirs = Err(format!("{error:#}")),
            }
        }
    }
    run_quietly(&mut lab.product.command(&["system", "prune", "-a", "-f"]))?;
    fs::remove_dir_all(&directory)?;
    Ok(vec![Row::compare(
        format!("first use of a packed layer, {COPIED_COUNT} files, 200 MB"),
        Unit::Milliseconds,
        &ours,
        ("umoci raw unpack", &theirs),
        REACH,
    )])
}

/// The other side, with the archive as a layout.
struct Umoci {
    program: PathBuf,
    layout: PathBuf,
}

impl Umoci {
    fn prepare(directory: &Path, archive: &Path) -> Result<Umoci, String> {
        let program = find("umoci").ok_or("`umoci` is not installed")?;
        let layout = directory.join("layout");
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(archive).arg("-C").arg(&layout);
        fs::create_dir(&layout)
            .map_err(anyhow::Error::from)
            .and_then(|()| run_quietly(&mut tar))
            .map_err(|error| format!("{error:#}"))?;
        Ok(Umoci { program, layout })
    }

    /// `umoci unpack` itself refuses images that are not Linux's.
    fn unpack(&self) -> Result<f64> {
        let into = self.layout.with_file_name("unpacked");
        let mut command = Command::new(&self.program);
        command
            .args(["raw", "unpack", "--rootless", "--image"])
            .arg(format!("{}:1", self.layout.display()))
            .arg(&into);
        let usage = measure(&mut command)?;
        fs::remove_dir_all(into)?;
        Ok(usage.wall_ms)
    }
}
