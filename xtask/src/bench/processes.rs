//! Processes of a container, and programs that run as such, against the machine's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Lab;
use super::memory::settled_pss_mib;
use super::peers::{Bundle, native};
use super::product::Product;
use super::report::{Reach, Row, Unit};
use super::usage::measure;
use crate::layout::{guests_dir, target_dir};
use crate::process::{read, run_quietly};

const ROUNDS: usize = 5;
/// Runs of `exec`; the first ones fill caches.
const EXEC_ROUNDS: usize = 21;
const WARM_UP: usize = 2;

/// The container that all measures run in.
const CONTAINER: &str = "bench-processes";
/// Where it has the program that measures, and what scripts work on.
const PROGRAM: &str = "/usr/bin/processes";
const DATA: &str = "/data";

/// Ways of using `guests/linux/bench/processes.c` that print the time of one round.
const CALLS: &[(&str, &str, &str, Reach)] = &[
    (
        "`posix_spawn` and wait of a 50 KB program",
        "spawn",
        "500",
        Reach::RatioAtMost(0.2),
    ),
    (
        "fork and wait of a process of 2 MiB",
        "fork",
        "500",
        Reach::RatioAtMost(1.0),
    ),
    (
        "a system call with nothing to do",
        "call",
        "1000000",
        Reach::RatioAtMost(1.0),
    ),
    (
        "4 KiB of a cached file by `pread`",
        "read",
        "300000",
        Reach::RatioAtMost(1.0),
    ),
    (
        "primes below 65,536, by a program that has handlers",
        "primes",
        "1000",
        Reach::RatioAtMost(1.5),
    ),
    (
        "one byte there and back between two processes",
        "ping-pong",
        "20000",
        Reach::RatioAtMost(1.0),
    ),
];

/// Scripts, each run by bash. `$D` is where the files are.
const SCRIPTS: &[(&str, &str, Reach)] = &[
    (
        "1,000 times `/bin/true` in bash",
        "for i in $(seq 1000); do /bin/true; done",
        Reach::RatioAtMost(0.5),
    ),
    (
        "`cat | wc -c` of 100 MB",
        "cat $D/big | wc -c >/dev/null",
        Reach::RatioAtMost(1.0),
    ),
    (
        "`tar c` of 10,000 files",
        "tar cf $D/made.tar -C $D many",
        Reach::RatioAtMost(2.0),
    ),
    (
        "`tar x` of 10,000 files",
        "rm -rf $D/out; mkdir $D/out; tar xf $D/made.tar -C $D/out",
        Reach::RatioAtMost(2.0),
    ),
    (
        "`grep -r` in 100 MB",
        "grep -r needle $D/big $D/many >/dev/null; true",
        Reach::RatioAtMost(2.0),
    ),
    (
        "`find` over 10,000 files",
        "find $D/many -name '*7' >/dev/null",
        Reach::RatioAtMost(1.5),
    ),
    (
        "`sort` of a million lines",
        "sort $D/lines >/dev/null",
        Reach::RatioAtMost(2.0),
    ),
    ("`bash -c true`", "bash -c true", Reach::RatioAtMost(5.0)),
];

/// Makes the files that scripts work on.
const PREPARE: &str = "set -e; mkdir -p $D/many; cd $D/many; \
    for d in $(seq 100); do mkdir d$d; for f in $(seq 100); do echo $d $f > d$d/f$f; done; done; \
    seq 1000000 | sed 's/.*/&7919 &/' | sort -k2 > $D/lines; \
    i=0; while [ $i -lt 8 ]; do cat $D/lines; i=$((i+1)); done | head -c 100000000 > $D/big";

/// Idle processes beside the first, and what each may take.
const IDLE_COUNT: usize = 100;
const IDLE_MIB_MAX: f64 = 64.0 / 1024.0;

/// `posix_spawn`, `fork` and pipes from C, and scripts in bash.
pub fn run(lab: &Lab) -> Result<Vec<Row>> {
    build_image(&lab.product)?;
    let container = lab.product.start(CONTAINER, &["bench-processes"])?;
    let directory = Directory::make()?;
    prepare(lab, &directory)?;
    let mut rows = Vec::new();
    for (shown, way, count, reach) in CALLS {
        rows.push(compare(lab, &directory, shown, &[way, count], *reach)?);
    }
    for (shown, script, reach) in SCRIPTS {
        let words = ["time", "bash", "-c", script];
        rows.push(compare(lab, &directory, shown, &words, *reach)?);
    }
    drop(container);
    rows.push(idle(&lab.product)?);
    rows.push(exec(lab)?);
    Ok(rows)
}

/// The base image with the program that measures.
fn build_image(product: &Product) -> Result<()> {
    let context = native("processes-image");
    fs::create_dir_all(&context)?;
    let program = guests_dir().join("linux/processes.wasm");
    fs::copy(&program, context.join("processes"))
        .with_context(|| format!("{} is missing", program.display()))?;
    fs::write(
        context.join("Balenafile"),
        format!(
            "FROM minke/base\nCOPY --chmod=755 processes {PROGRAM}\nCMD [\"{PROGRAM}\", \"hold\"]\n"
        ),
    )?;
    product.build("bench-processes", &context.to_string_lossy())
}

/// Where the machine's own programs have their files, on the disk, as the container has; and those programs: the same as in the
/// container, compiled for the machine.
struct Directory(PathBuf);

/// Programs of the machine that are those of the container.
const SAME: &[(&str, &str)] = &[("bash", "/bin/bash"), ("tar", "/bin/tar")];

impl Directory {
    fn make() -> Result<Directory> {
        let path = target_dir().join("bench").join("processes");
        let _ = fs::remove_dir_all(&path);
        let made = Directory(path);
        fs::create_dir_all(made.programs())?;
        let mut install = Command::new(native("busybox"));
        run_quietly(install.args(["--install", "-s"]).arg(made.programs()))?;
        for (name, program) in SAME {
            let link = made.programs().join(name);
            let _ = fs::remove_file(&link);
            symlink(program, link)?;
        }
        Ok(made)
    }

    fn programs(&self) -> PathBuf {
        self.0.join("bin")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn prepare(lab: &Lab, directory: &Directory) -> Result<()> {
    run_quietly(&mut inside(lab, &["bash", "-c", PREPARE]))?;
    let bash = directory.programs().join("bash");
    run_quietly(&mut outside(directory, &bash, &["-c", PREPARE]))
}

fn inside(lab: &Lab, words: &[&str]) -> Command {
    let variable = format!("D={DATA}");
    let exec = ["exec", "-e", &variable, CONTAINER];
    lab.product.command(&[&exec, words].concat())
}

fn outside(directory: &Directory, program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(words)
        .env("D", &directory.0)
        .env("PATH", directory.programs());
    command
}

fn compare(
    lab: &Lab,
    directory: &Directory,
    shown: &str,
    words: &[&str],
    reach: Reach,
) -> Result<Row> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let our = printed(&mut inside(lab, &[&[PROGRAM], words].concat()))?;
        let other = printed(&mut outside(directory, &native("processes"), words))?;
        // The first round fills caches.
        if round > 0 {
            ours.push(our);
            theirs.push(other);
        }
    }
    Ok(Row::compare(
        shown,
        Unit::Microseconds,
        &ours,
        ("native", &Ok(theirs)),
        reach,
    ))
}

/// The microseconds that a program prints as nanoseconds.
fn printed(command: &mut Command) -> Result<f64> {
    let text = read(command)?;
    let nanoseconds: f64 = text.trim().parse().context("no figure was printed")?;
    Ok(nanoseconds / 1e3)
}

/// Memory of an idle process, its linear memory included.
fn idle(product: &Product) -> Result<Row> {
    let count = IDLE_COUNT.to_string();
    let with = |count: &str| -> Result<f64> {
        let container = product.start(CONTAINER, &["bench-processes", PROGRAM, "idle", count])?;
        settled_pss_mib(container.pid()?)
    };
    let each = (with(&count)? - with("0")?) / IDLE_COUNT as f64;
    Ok(Row::alone(
        "memory of an idle process, with its linear memory",
        Unit::Mebibytes,
        each,
        Reach::AtMost(IDLE_MIB_MAX),
    ))
}

/// `minke exec` against `crun exec` of a program that does nothing.
fn exec(lab: &Lab) -> Result<Row> {
    let _container = lab.product.start(CONTAINER, &["bench-processes"])?;
    let crun = Bundle::hold("crun");
    let (mut ours, mut theirs) = (Vec::new(), Ok(Vec::new()));
    for round in 0..WARM_UP + EXEC_ROUNDS {
        let mut command = lab
            .product
            .command(&["exec", CONTAINER, PROGRAM, "nothing"]);
        let our = measure(&mut command)?.wall_ms;
        let other = match &crun {
            Ok(held) => held.exec().map_err(|error| format!("{error:#}")),
            Err(reason) => Err(reason.clone()),
        };
        if round < WARM_UP {
            continue;
        }
        ours.push(our);
        match (other, &mut theirs) {
            (Ok(usage), Ok(figures)) => figures.push(usage.wall_ms),
            (Err(reason), theirs) => *theirs = Err(reason),
            _ => {}
        }
    }
    Ok(Row::compare(
        "`minke exec` of a program that does nothing",
        Unit::Milliseconds,
        &ours,
        ("crun exec", &theirs),
        Reach::RatioAtMost(1.0),
    ))
}
