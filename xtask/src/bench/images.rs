//! Images: listing a thousand, and carrying one of half a gigabyte in and out, beside skopeo.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Lab;
use super::report::{Reach, Row, Unit};
use super::usage::measure;
use crate::layout::target_dir;
use crate::process::{find, run_quietly};

/// What `images` lists, and how fast it should.
const IMAGES_COUNT: usize = 1000;
const IMAGES_REACH: Reach = Reach::AtMost(20.0);
const IMAGES_ROUNDS: usize = 21;

/// The archive's one large layer, and how it compares.
const LAYER_BYTES: usize = 500 << 20;
const CARRY_REACH: Reach = Reach::RatioAtMost(1.0);
const CARRY_ROUNDS: usize = 5;

/// `minke images` with a thousand images, made by loading one archive of them.
pub fn list(lab: &Lab) -> Result<Vec<Row>> {
    let context = scratch("images-1000")?;
    fs::write(
        context.join("Balenafile"),
        "FROM scratch\nARG N\nLABEL n=$N\n",
    )?;
    for number in 0..IMAGES_COUNT {
        let argument = format!("N={number}");
        let tag = format!("bench-many:{number}");
        let context = context.to_string_lossy();
        let words = [
            "build",
            "-q",
            "-t",
            &tag,
            "--build-arg",
            &argument,
            &context,
        ];
        run_quietly(&mut lab.product.command(&words))?;
    }
    let mut figures = Vec::with_capacity(IMAGES_ROUNDS);
    for _ in 0..IMAGES_ROUNDS {
        figures.push(measure(&mut lab.product.command(&["images"]))?.wall_ms);
    }
    figures.sort_by(f64::total_cmp);
    let removed = lab.product.command(&["image", "prune", "-a", "-f"]);
    run_quietly(&mut { removed })?;
    let measure = format!("minke images, {IMAGES_COUNT} images");
    Ok(vec![Row::alone(
        measure,
        Unit::Milliseconds,
        figures[IMAGES_ROUNDS / 2],
        IMAGES_REACH,
    )])
}

/// `minke save` and `minke load` against `skopeo copy` between an archive and a layout.
pub fn carry(lab: &Lab) -> Result<Vec<Row>> {
    let directory = scratch("save-load")?;
    noise(&directory.join("noise"))?;
    fs::write(directory.join("Balenafile"), "FROM scratch\nCOPY noise /\n")?;
    lab.product
        .build("bench-large:1", &directory.to_string_lossy())?;
    let archive = directory.join("ours.tar");
    let path = archive.to_string_lossy().into_owned();
    let save = ["save", "-q", "-o", &path, "bench-large:1"];
    let load = ["load", "-q", "-i", &path];
    run_quietly(&mut lab.product.command(&save))?;
    let skopeo = Skopeo::prepare(&directory, &archive);
    let mut sides = [Sides::default(), Sides::default()];
    for _ in 0..CARRY_ROUNDS {
        fs::remove_file(&archive)?;
        sides[0]
            .ours
            .push(measure(&mut lab.product.command(&save))?.wall_ms);
        run_quietly(&mut lab.product.command(&["system", "prune", "-a", "-f"]))?;
        sides[1]
            .ours
            .push(measure(&mut lab.product.command(&load))?.wall_ms);
        if let Ok(skopeo) = &skopeo {
            sides[0].theirs.push(skopeo.save()?);
            sides[1].theirs.push(skopeo.load(&archive)?);
        }
    }
    run_quietly(&mut lab.product.command(&["system", "prune", "-a", "-f"]))?;
    let names = ["minke save, 500 MB", "minke load, 500 MB"];
    let rows = names.iter().zip(sides).map(|(name, side)| {
        let theirs = match &skopeo {
            Ok(_) => Ok(side.theirs),
            Err(reason) => Err(reason.clone()),
        };
        Row::compare(
            *name,
            Unit::Milliseconds,
            &side.ours,
            ("skopeo copy", &theirs),
            CARRY_REACH,
        )
    });
    let rows = rows.collect();
    fs::remove_dir_all(&directory).context("cannot remove the benchmark's files")?;
    Ok(rows)
}

/// Times of one direction.
#[derive(Default)]
struct Sides {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// The other side, with a layout of the same image.
struct Skopeo {
    program: PathBuf,
    directory: PathBuf,
}

impl Skopeo {
    fn prepare(directory: &Path, archive: &Path) -> Result<Skopeo, String> {
        let program = find("skopeo").ok_or("`skopeo` is not installed")?;
        let skopeo = Skopeo {
            program,
            directory: directory.to_owned(),
        };
        let layout = format!("oci:{}:1", directory.join("layout").display());
        let source = format!("oci-archive:{}", archive.display());
        run_quietly(&mut skopeo.command(&source, &layout)).map_err(|error| format!("{error:#}"))?;
        Ok(skopeo)
    }

    fn command(&self, source: &str, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["copy", "-q", source, target]);
        command
    }

    fn save(&self) -> Result<f64> {
        let target = self.directory.join("theirs.tar");
        let layout = format!("oci:{}:1", self.directory.join("layout").display());
        let usage =
            measure(&mut self.command(&layout, &format!("oci-archive:{}:1", target.display())))?;
        fs::remove_file(target)?;
        Ok(usage.wall_ms)
    }

    fn load(&self, archive: &Path) -> Result<f64> {
        let target = self.directory.join("loaded");
        let source = format!("oci-archive:{}", archive.display());
        let usage = measure(&mut self.command(&source, &format!("oci:{}:1", target.display())))?;
        fs::remove_dir_all(target)?;
        Ok(usage.wall_ms)
    }
}

/// A directory for a measure's files, empty.
pub(super) fn scratch(name: &str) -> Result<PathBuf> {
    let directory = target_dir().join("bench").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// Writes a file that half of can be packed, as programs can. Source of the noise: Marsaglia, "Xorshift RNGs".
fn noise(path: &Path) -> Result<()> {
    const BLOCK_BYTES: usize = 1 << 20;
    let mut file = File::create(path)?;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..LAYER_BYTES / BLOCK_BYTES {
        let mut block = vec![b'x'; BLOCK_BYTES];
        for word in block[..BLOCK_BYTES / 2].chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    Ok(())
}
