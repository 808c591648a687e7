//! Builds: nothing changed, one file of a thousand changed, ten thousand files to copy, ten programs in a row, ten stages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Lab;
use super::images::scratch;
use super::report::{Reach, Row, Unit, median};
use super::usage::measure;
use crate::layout::guests_dir;
use crate::process::{find, run_quietly};

/// Builders of the same file, best first, with the words of a quiet build. They may be missing.
const PEERS: [(&str, &[&str]); 2] = [
    ("buildah", &["bud", "--layers", "-q"]),
    ("podman", &["build", "--layers", "-q"]),
];

const FILES_COUNT: usize = 1000;
const FILE_BYTES: usize = 1000;
const ROUNDS: usize = 11;
const NOOP_MS_MAX: f64 = 50.0;
const NOOP_REACH: Reach = Reach::RatioAtMost(0.1);
const CHANGED_REACH: Reach = Reach::RatioAtMost(0.2);

pub(super) const COPIED_COUNT: usize = 10_000;
pub(super) const COPIED_BYTES: usize = 20_000;
const COPY_ROUNDS: usize = 3;
const COPY_REACH: Reach = Reach::RatioAtMost(1.0);

const PROGRAMS_COUNT: usize = 10;
const PROGRAMS_BASE: &str = "bench-programs";
const PROGRAMS_ROUNDS: usize = 11;
const PROGRAMS_MS_MAX: f64 = 300.0;
const PROGRAM_MS_MAX: f64 = 25.0;

const STAGES_COUNT: usize = 10;
const STAGES_ROUNDS: usize = 3;
const STAGES_REACH: Reach = Reach::RatioAtMost(0.6);

/// A build of a thousand files that are as they were.
pub fn noop(lab: &Lab) -> Result<Vec<Row>> {
    let (ours, theirs) = rebuilt(lab, "build-noop", |_, _| Ok(()))?;
    let measure = format!("minke build, nothing of {FILES_COUNT} files changed");
    let beside = Row::compare(
        measure.as_str(),
        Unit::Milliseconds,
        &ours,
        (theirs.name, &theirs.figures),
        NOOP_REACH,
    );
    let alone = Row::alone(
        measure,
        Unit::Milliseconds,
        median(&ours),
        Reach::AtMost(NOOP_MS_MAX),
    );
    Ok(vec![alone, beside])
}

/// A build of a thousand files, one of which has changed.
pub fn one_changed(lab: &Lab) -> Result<Vec<Row>> {
    let (ours, theirs) = rebuilt(lab, "build-one-changed", |context, turn| {
        fs::write(context.join("files/0"), format!("changed {turn}"))
            .context("cannot change a file")
    })?;
    Ok(vec![Row::compare(
        format!("minke build, 1 of {FILES_COUNT} files changed"),
        Unit::Milliseconds,
        &ours,
        (theirs.name, &theirs.figures),
        CHANGED_REACH,
    )])
}

/// What a peer took.
struct Theirs {
    name: &'static str,
    figures: Result<Vec<f64>, String>,
}

/// Builds again and again; `change` is told the context and the turn before each build of either side.
fn rebuilt(
    lab: &Lab,
    name: &str,
    change: impl Fn(&Path, usize) -> Result<()>,
) -> Result<(Vec<f64>, Theirs)> {
    let context = scratch(name)?;
    write_files(&context.join("files"), FILES_COUNT, FILE_BYTES)?;
    fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY files /files\nENV A=1\n",
    )?;
    let path = context.to_string_lossy().into_owned();
    let build = ["build", "-q", "-t", "bench-files", &path];
    let peer = Peer::find(&context);
    let mut theirs = Theirs {
        name: peer.as_ref().map_or("buildah", |peer| peer.name),
        figures: peer.as_ref().map(|_| Vec::new()).map_err(Clone::clone),
    };
    run_quietly(&mut lab.product.command(&build))?;
    let mut ours = Vec::new();
    for turn in 0..ROUNDS {
        change(&context, turn)?;
        ours.push(measure(&mut lab.product.command(&build))?.wall_ms);
        if let (Ok(peer), Ok(figures)) = (&peer, &mut theirs.figures) {
            match measure(&mut peer.command()) {
                Ok(usage) => figures.push(usage.wall_ms),
                Err(error) => theirs.figures = Err(format!("{error:#}")),
            }
        }
    }
    fs::remove_dir_all(&context)?;
    Ok((ours, theirs))
}

/// A builder beside us, which has built the context once.
struct Peer {
    name: &'static str,
    program: PathBuf,
    words: &'static [&'static str],
    context: PathBuf,
}

impl Peer {
    fn find(context: &Path) -> Result<Peer, String> {
        let found = PEERS
            .iter()
            .find_map(|(name, words)| Some((*name, find(name)?, *words)));
        let (name, program, words) = found.ok_or("peer not installed: buildah or podman")?;
        let peer = Peer {
            name,
            program,
            words,
            context: context.to_owned(),
        };
        run_quietly(&mut peer.command()).map_err(|error| format!("{error:#}"))?;
        Ok(peer)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.words)
            .args(["-t", "bench-files"])
            .arg(&self.context);
        command
    }
}

/// `COPY` of ten thousand files against copying and packing them.
pub fn copy(lab: &Lab) -> Result<Vec<Row>> {
    let context = scratch("copy-10k")?;
    write_files(&context.join("files"), COPIED_COUNT, COPIED_BYTES)?;
    fs::write(
        context.join("Balenafile"),
        "FROM scratch\nCOPY files /files\n",
    )?;
    let path = context.to_string_lossy().into_owned();
    let build = ["build", "-q", "--no-cache", "-t", "bench-copy", &path];
    let (mut ours, mut theirs) = (Vec::new(), Ok(Vec::new()));
    for _ in 0..COPY_ROUNDS {
        run_quietly(&mut lab.product.command(&["system", "prune", "-a", "-f"]))?;
        ours.push(measure(&mut lab.product.command(&build))?.wall_ms);
        if let Ok(figures) = &mut theirs {
            match copied_and_packed(&context) {
                Ok(wall_ms) => figures.push(wall_ms),
                Err(error) => theirs = Err(format!("{error:#}")),
            }
        }
    }
    run_quietly(&mut lab.product.command(&["system", "prune", "-a", "-f"]))?;
    fs::remove_dir_all(&context)?;
    Ok(vec![Row::compare(
        format!("COPY of {COPIED_COUNT} files, 200 MB"),
        Unit::Milliseconds,
        &ours,
        ("cp -r, then tar --zstd", &theirs),
        COPY_REACH,
    )])
}

fn copied_and_packed(context: &Path) -> Result<f64> {
    let (copy, packed) = (context.join("copy"), context.join("packed.tar.zst"));
    let mut cp = Command::new("cp");
    let mut tar = Command::new("tar");
    cp.arg("-r").arg(context.join("files")).arg(&copy);
    tar.args(["--zstd", "-cf"])
        .arg(&packed)
        .arg("-C")
        .arg(&copy)
        .arg(".");
    let wall_ms = measure(&mut cp)?.wall_ms + measure(&mut tar)?.wall_ms;
    fs::remove_dir_all(&copy)?;
    fs::remove_file(&packed)?;
    Ok(wall_ms)
}

/// Ten stages that do not need each other in one build, against ten builds of one of them.
pub fn stages(lab: &Lab) -> Result<Vec<Row>> {
    let context = scratch("stages")?;
    fs::copy(
        guests_dir().join("kernels.wasm"),
        context.join("kernels.wasm"),
    )
    .context("cannot copy a guest")?;
    fs::write(context.join("Balenafile"), ten_stages())?;
    let path = context.to_string_lossy().into_owned();
    let build = |target: &str| {
        let words = ["build", "-q", "--no-cache", "--target", target, &path];
        Ok::<f64, anyhow::Error>(measure(&mut lab.product.command(&words))?.wall_ms)
    };
    // The first finds the program to be compiled.
    build("s0")?;
    let (mut together, mut apart) = (Vec::new(), Vec::new());
    for _ in 0..STAGES_ROUNDS {
        together.push(build("all")?);
        let mut sum_ms = 0.0;
        for number in 0..STAGES_COUNT {
            sum_ms += build(&format!("s{number}"))?;
        }
        apart.push(sum_ms);
    }
    fs::remove_dir_all(&context)?;
    Ok(vec![Row::compare(
        format!("{STAGES_COUNT} independent stages, 2 processors"),
        Unit::Milliseconds,
        &together,
        ("one at a time", &Ok(apart)),
        STAGES_REACH,
    )])
}

/// Ten programs of an image that each write a small file, one after the other in one build, and one more of them.
pub fn run_steps(lab: &Lab) -> Result<Vec<Row>> {
    let context = scratch("run-steps")?;
    fs::copy(guests_dir().join("probe.wasm"), context.join("probe.wasm"))
        .context("cannot copy a guest")?;
    fs::write(
        context.join("Base"),
        "FROM scratch\nCOPY probe.wasm /bin/\n",
    )?;
    fs::write(context.join("Balenafile"), programs_in_a_row())?;
    let path = context.to_string_lossy().into_owned();
    let build = |target: &str| {
        let words = ["build", "-q", "--no-cache", "--target", target, &path];
        Ok::<f64, anyhow::Error>(measure(&mut lab.product.command(&words))?.wall_ms)
    };
    // The first finds the program to be compiled.
    run_quietly(&mut lab.product.command(&[
        "build",
        "-q",
        "-f",
        &format!("{path}/Base"),
        "-t",
        PROGRAMS_BASE,
        &path,
    ]))?;
    build("one")?;
    let (mut all, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..PROGRAMS_ROUNDS {
        let (ten, one) = (build("ten")?, build("one")?);
        all.push(ten);
        steps.push((ten - one) / (PROGRAMS_COUNT - 1) as f64);
    }
    run_quietly(&mut lab.product.command(&["rmi", PROGRAMS_BASE]))?;
    fs::remove_dir_all(&context)?;
    let row = |measure: String, figures: &[f64], max: f64| {
        Row::alone(
            measure,
            Unit::Milliseconds,
            median(figures),
            Reach::AtMost(max),
        )
    };
    Ok(vec![
        row(
            format!("a build of {PROGRAMS_COUNT} programs in a row"),
            &all,
            PROGRAMS_MS_MAX,
        ),
        row(
            "one program more in a build".to_owned(),
            &steps,
            PROGRAM_MS_MAX,
        ),
    ])
}

/// Two stages: after one program, and after all.
fn programs_in_a_row() -> String {
    let program = |number| format!("RUN [\"probe\", \"write\", \"/{number}\", \"content\"]\n");
    let rest: String = (1..PROGRAMS_COUNT).map(program).collect();
    let first = program(0);
    format!("FROM {PROGRAMS_BASE} AS one\n{first}FROM one AS ten\n{rest}")
}

/// Each stage runs a program for about a second, and one of them all waits for the rest.
fn ten_stages() -> String {
    let stage = |number| {
        format!(
            "FROM scratch AS s{number}\nCOPY kernels.wasm /bin/kernels\nENV N={number}\nRUN [\"kernels\"]\n"
        )
    };
    let stages: String = (0..STAGES_COUNT).map(stage).collect();
    let copy = |number| format!("COPY --from=s{number} /bin /s{number}\n");
    let copies: String = (0..STAGES_COUNT).map(copy).collect();
    format!("{stages}FROM scratch AS all\n{copies}")
}

/// Writes files of words, a hundred to a directory. They pack to a third, as sources do.
pub(super) fn write_files(directory: &Path, count: usize, size_bytes: usize) -> Result<()> {
    const FILES_PER_DIRECTORY: usize = 100;
    let mut words = Words::new();
    for number in 0..count {
        let parent = match count > FILES_COUNT {
            true => directory.join((number / FILES_PER_DIRECTORY).to_string()),
            false => directory.to_owned(),
        };
        fs::create_dir_all(&parent)?;
        let text = words.text(size_bytes);
        fs::write(parent.join(number.to_string()), text).context("cannot write the context")?;
    }
    Ok(())
}

/// Words of a made-up language, the frequent ones short. Source of the numbers: Marsaglia, "Xorshift RNGs".
struct Words {
    state: u64,
    words: Vec<String>,
}

impl Words {
    const COUNT: usize = 4096;

    fn new() -> Words {
        let mut words = Words {
            state: 0x2545_f491_4f6c_dd1d,
            words: Vec::new(),
        };
        for _ in 0..Words::COUNT {
            let word = format!("{:x}", words.next() >> 36);
            words.words.push(word);
        }
        words
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn text(&mut self, size_bytes: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(size_bytes);
        while text.len() < size_bytes {
            // The product of two favours small numbers, as languages favour some words.
            let bits = self.next();
            let (one, other) = (bits as usize % 64, (bits >> 32) as usize % 64);
            text.extend_from_slice(self.words[one * other].as_bytes());
            text.push(b' ');
        }
        text.truncate(size_bytes);
        text
    }
}
