//! `cargo xtask fuzz`: random bytes for every parser of foreign ones, from seeds that are made here.
//!
//! Needs `cargo-fuzz`, and a nightly compiler or ours told to take the flags of one. What a run finds stays in the target's `artifacts/`, and what it
//! learnt in `corpus/`; neither is kept in the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::layout::{guests_dir, root};
use crate::process::{find, read, run, run_quietly, shown};

/// One target of `cargo fuzz`.
struct Target {
    name: &'static str,
    /// The crate whose `fuzz/` it is in.
    directory: &'static str,
    /// Writes the inputs to begin with.
    seeds: fn(&Path) -> Result<()>,
}

const TARGETS: &[Target] = &[
    Target {
        name: "parse",
        directory: "crates/balenafile",
        seeds: balenafiles,
    },
    Target {
        name: "words",
        directory: "crates/balenafile",
        seeds: |corpus| {
            Ok(fs::write(
                corpus.join("seed"),
                "a/b\n${A:-x}${A##*/}\"$A\"",
            )?)
        },
    },
    Target {
        name: "ignore",
        directory: "crates/balenafile",
        seeds: |corpus| Ok(fs::write(corpus.join("seed"), "a/b.c\n*\n!a/**/b*\n# x\n")?),
    },
    Target {
        name: "changes",
        directory: "crates/blockstore",
        seeds: edits,
    },
    Target {
        name: "tree",
        directory: "crates/archive",
        seeds: tars,
    },
    Target {
        name: "disk",
        directory: "crates/ext4",
        seeds: disks,
    },
    Target {
        name: "check",
        directory: "crates/ext4",
        seeds: disks,
    },
    Target {
        name: "names",
        directory: "crates/glue",
        seeds: glue_texts,
    },
    Target {
        name: "documents",
        directory: "crates/image",
        seeds: documents,
    },
    Target {
        name: "layer",
        directory: "crates/image",
        seeds: |corpus| formats_of_tar(corpus, |tar| tar),
    },
    Target {
        name: "archive",
        directory: "crates/image",
        seeds: |corpus| formats_of_tar(corpus, |tar| tar),
    },
    Target {
        name: "control",
        directory: "crates/sandbox",
        seeds: requests,
    },
];

/// Seconds that each target runs unless another number is given.
const SECONDS_DEFAULT: &str = "60";

/// `fuzz [NAME] [SECONDS]`.
pub fn command(args: &[String]) -> Result<()> {
    let (names, seconds): (Vec<&String>, Vec<&String>) =
        args.iter().partition(|arg| arg.parse::<u32>().is_err());
    let seconds = seconds.first().map_or(SECONDS_DEFAULT, |text| text);
    if find("cargo-fuzz").is_none() {
        bail!("`cargo-fuzz` is missing\nhint: `cargo install cargo-fuzz --locked`");
    }
    for name in &names {
        if !TARGETS.iter().any(|target| target.name == name.as_str()) {
            let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            bail!(
                "unknown target `{name}`\nhint: there are {}",
                known.join(", ")
            );
        }
    }
    let is_chosen =
        |target: &&Target| names.is_empty() || names.iter().any(|it| *it == target.name);
    TARGETS
        .iter()
        .filter(is_chosen)
        .try_for_each(|target| target.fuzz(seconds))
}

impl Target {
    fn fuzz(&self, seconds: &str) -> Result<()> {
        let directory = root().join(self.directory);
        let corpus = directory.join("fuzz/corpus").join(self.name);
        fs::create_dir_all(&corpus)?;
        (self.seeds)(&corpus)
            .with_context(|| format!("cannot make the seeds of `{}`", self.name))?;
        let mut command = fuzzing_cargo();
        // One for all: each would compile the fuzzer itself anew, which takes longer than many a run.
        command.args(["fuzz", "run", "--target-dir"]);
        command.arg(root().join("target/fuzz"));
        command.args([self.name, "--"]);
        command.args([
            format!("-max_total_time={seconds}"),
            "-timeout=10".to_string(),
        ]);
        println!("== {} in {}", shown(&command), self.directory);
        run(command.current_dir(directory))
    }
}

/// Returns `cargo` with a compiler that takes sanitizers: a nightly one, or else ours, which has them behind a variable.
fn fuzzing_cargo() -> Command {
    let mut command = Command::new("cargo");
    // The compiler that runs us is not the one that fuzzes.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    let toolchains = read(Command::new("rustup").args(["toolchain", "list"]));
    match toolchains.is_ok_and(|text| text.contains("nightly")) {
        true => command.arg("+nightly"),
        false => command.env("RUSTC_BOOTSTRAP", "1"),
    };
    command
}

/// The examples' own.
fn balenafiles(corpus: &Path) -> Result<()> {
    for example in crate::guests::EXAMPLES {
        let path = root().join("examples").join(example).join("Balenafile");
        fs::copy(path, corpus.join(example))?;
    }
    Ok(())
}

/// Changes of numbers in a sample: slot, place in it, new value.
fn edits(corpus: &Path) -> Result<()> {
    let edit = |slot: u8, place: u16, value: u32| {
        [&[slot][..], &place.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    for (index, edit) in [edit(0, 104, 9), edit(2, 128, 7), edit(30, 8, 2)]
        .iter()
        .enumerate()
    {
        fs::write(corpus.join(index.to_string()), edit)?;
    }
    Ok(())
}

/// Half of the bytes are the first layer.
fn tars(corpus: &Path) -> Result<()> {
    formats_of_tar(corpus, |tar| {
        let half = u16::try_from(tar.len() / 1024 * 512).unwrap_or(u16::MAX);
        [&half.to_le_bytes(), &tar[..]].concat()
    })
}

/// A tree of each kind of file in the formats that `tar` writes, changed into what a target takes.
fn formats_of_tar(corpus: &Path, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<()> {
    let tree = corpus.with_extension("seed");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(tree.join("d").join("e".repeat(120)))?;
    fs::write(tree.join("d").join("f".repeat(150)), "text")?;
    fs::write(tree.join("d/.wh.gone"), "")?;
    fs::write(tree.join("d/.wh..wh..opq"), "")?;
    fs::hard_link(tree.join("d/.wh.gone"), tree.join("hard"))?;
    std::os::unix::fs::symlink("d", tree.join("link"))?;
    for format in ["ustar", "gnu", "pax", "v7"] {
        let tar = tree.join(format);
        let mut command = Command::new("tar");
        command
            .arg(format!("--format={format}"))
            .arg("-cf")
            .arg(&tar);
        // Names that a format cannot hold are left out, with a failure.
        let _ = run_quietly(command.args(["-C"]).arg(&tree).args(["d", "hard", "link"]));
        fs::write(corpus.join(format), change(fs::read(&tar)?))?;
    }
    Ok(fs::remove_dir_all(tree)?)
}

/// Small file systems of each kind with a few files, without checksums.
fn disks(corpus: &Path) -> Result<()> {
    let tree = corpus.with_extension("seed");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(tree.join("d"))?;
    fs::write(tree.join("file"), "text".repeat(3000))?;
    for index in 0..40 {
        fs::write(tree.join(format!("d/{}{index}", "n".repeat(30))), "")?;
    }
    std::os::unix::fs::symlink("t".repeat(100), tree.join("link"))?;
    for (kind, features) in [
        ("ext2", "none,filetype"),
        ("ext3", "^resize_inode"),
        ("ext4", "^resize_inode,^metadata_csum,^64bit,^has_journal"),
    ] {
        let image = corpus.join(kind);
        let _ = fs::remove_file(&image);
        let size = if kind == "ext3" { "2100K" } else { "192K" };
        let mut command = Command::new("mke2fs");
        // It is where only root's path leads.
        command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
        command.args([
            "-q", "-F", "-b", "1024", "-N", "128", "-t", kind, "-O", features, "-d",
        ]);
        run(command.arg(&tree).arg(&image).arg(size))?;
    }
    Ok(fs::remove_dir_all(tree)?)
}

/// A manifest and a configuration, parted by a zero byte.
fn documents(corpus: &Path) -> Result<()> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": digest, "size": 9}],
    });
    let config = json!({
        "architecture": "wasm", "os": "wasi", "created": "2026-01-01T00:00:00Z",
        "config": {"Env": ["A=b"], "Cmd": ["x"], "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["NONE"]}},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
        "history": [{"created_by": "COPY x /", "empty_layer": false}],
    });
    Ok(fs::write(
        corpus.join("seed"),
        format!("{manifest}\0{config}"),
    )?)
}

/// Messages as commands send them: a length and JSON.
fn requests(corpus: &Path) -> Result<()> {
    let requests = [
        json!({"request": "wait"}),
        json!({"request": "kill", "signal": 15}),
        json!({"request": "stop", "signal": 15, "timeout_ms": 10}),
        json!({"request": "limit", "memory_bytes_max": 1, "pids_max": 2}),
        json!({"request": "snapshot", "name": "one"}),
        json!({"request": "files", "files": "status", "path": [47], "links": "kept"}),
        json!({"request": "exec", "id": "0", "args": ["ls"], "program_paths": ["/bin/ls"], "env": ["A=b"], "cwd": "/", "user": "",
            "has_input": true, "has_outputs": true, "has_modules": false}),
        json!({"request": "files", "files": "extract", "path": [47], "owners": "root"}),
    ];
    for (index, request) in requests.iter().enumerate() {
        let json = request.to_string();
        let length = u32::try_from(json.len())?.to_le_bytes();
        let message = [&length[..], json.as_bytes()].concat();
        fs::write(corpus.join(index.to_string()), message)?;
    }
    Ok(())
}

/// What Emscripten wrote beside the guest programs, cut to where its names are.
fn glue_texts(corpus: &Path) -> Result<()> {
    const SEED_BYTES_MAX: usize = 8192;
    for path in glue_paths().context("`cargo xtask guests` makes the glue")? {
        let text = fs::read(&path)?;
        let name = path.file_name().context("a file has a name")?;
        let at = |word: &[u8]| text.windows(word.len()).position(|part| part == word);
        let start = at(b"wasmImports=")
            .or_else(|| at(b"asmLibraryArg"))
            .unwrap_or(0);
        let end = text.len().min(start + SEED_BYTES_MAX);
        fs::write(corpus.join(name), &text[start..end])?;
    }
    Ok(())
}

fn glue_paths() -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(guests_dir().join("c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            paths.push(path);
        }
    }
    Ok(paths)
}
