//! The C library: musl's sources, our port of them, and clang's own library beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};

use super::{sources, tools, work_dir};
use crate::layout::root;
use crate::process::run_quietly;

/// Our part: files that stand in for musl's or beside them, and patches of its others.
pub const PORT: &str = "guests/linux/musl";
/// The flags of whoever compiles with the library: a directory of files that clang reads.
pub const CONFIGURATION: &str = "guests/linux/clang";

/// What musl's own `configure` would find out about a machine that it knows.
const MAKE_CONFIGURATION: &str = "ARCH = wasm32
CFLAGS_AUTO = -O2 -fno-strict-aliasing -fno-builtin -w
";

/// How musl compiles its own sources.
const MUSL_FLAGS: &[&str] = &[
    "-std=c99",
    "-nostdinc",
    "-ffreestanding",
    "-D_XOPEN_SOURCE=700",
    "-Iarch/wasm32",
    "-Iarch/generic",
    "-Iobj/src/internal",
    "-Isrc/include",
    "-Isrc/internal",
    "-Iobj/include",
    "-Iinclude",
    "-O2",
    "-w",
];

/// What code needs for a memory that is shared.
const THREADS_FLAGS: &[&str] = &["-matomics", "-mbulk-memory"];

/// Libraries whose contents musl has in its only one.
const EMPTY_LIBRARIES: &[&str] = &[
    "crypt", "dl", "m", "pthread", "resolv", "rt", "unwind", "util",
];
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

/// The library of the last step, which stands for all.
pub fn output() -> PathBuf {
    directory().join("lib/libc.a")
}

/// Whether a program has threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    One,
    Many,
}

/// The flags with which clang compiles and links. They say where the library is by where they are.
pub fn compiler_flags(threads: Threads) -> Result<Vec<String>> {
    install_configuration(&directory())?;
    let configuration = directory().join(match threads {
        Threads::One => "clang.cfg",
        Threads::Many => "threads.cfg",
    });
    Ok(vec![format!("--config={}", configuration.display())])
}

/// Puts what clang reads beside the library. Other programs are being compiled meanwhile, so no file is ever seen unfinished.
pub fn install_configuration(to: &Path) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .expect("no copy panics with the lock held");
    let ours = root().join(CONFIGURATION);
    for entry in fs::read_dir(&ours)? {
        let path = entry?.path();
        let there = to.join(path.file_name().context("an entry has a name")?);
        let text = fs::read(&path)?;
        if fs::read(&there).is_ok_and(|found| found == text) {
            continue;
        }
        let unfinished = there.with_extension("unfinished");
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &there))
            .with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

/// Where the library lies, with `include`, `lib` and `share`.
pub fn directory() -> PathBuf {
    work_dir().join("system")
}

/// Compiles the library.
pub fn make() -> Result<()> {
    let sources = sources::MUSL.unpack(sources::Patches::Debian)?;
    port(&sources)?;
    sources::remove(&directory())?;
    make_part(&sources, "", &["lib/libc.a", "lib/crt1.o"])?;
    make_part(&sources, "", &["install-headers"])?;
    install(&sources.join("lib"))?;
    install_licence(&sources)?;
    make_plain(&sources)?;
    make_threads(&sources)
}

/// Makes targets of musl's own makefile.
fn make_part(sources: &Path, flags: &str, targets: &[&str]) -> Result<()> {
    run_quietly(
        Command::new("make")
            .args(["--silent", "-j2"])
            .args(targets)
            .arg(format!(
                "CC={} --target={} {flags}",
                tools::CLANG,
                tools::TARGET
            ))
            .arg(format!("AR={}", tools::AR))
            .arg(format!("RANLIB={}", tools::RANLIB))
            .arg(format!("prefix={}", directory().display()))
            .current_dir(sources),
    )
}

/// Makes the library of programs with threads: the same sources, for a memory that is shared. Their frames cannot be restored.
fn make_threads(sources: &Path) -> Result<()> {
    for made in ["obj/src", "obj/crt", "lib"] {
        sources::remove(&sources.join(made))?;
    }
    make_part(
        sources,
        &THREADS_FLAGS.join(" "),
        &["lib/libc.a", "lib/crt1.o"],
    )?;
    let libraries = directory().join("lib/threads");
    fs::create_dir_all(&libraries)?;
    for name in ["crt1.o", "libc.a"] {
        fs::copy(sources.join("lib").join(name), libraries.join(name))?;
    }
    let archive = libraries.join("libc.a");
    run_quietly(
        Command::new(tools::AR)
            .arg("d")
            .arg(&archive)
            .arg("frames.o"),
    )?;
    archive_plain(sources, THREADS_FLAGS, &archive)
}

/// Puts our port into musl's sources. Numbers of calls are x86_64's.
fn port(sources: &Path) -> Result<()> {
    let ours = root().join(PORT);
    for part in ["arch", "crt", "src"] {
        run_quietly(
            Command::new("cp")
                .arg("-R")
                .arg(ours.join(part))
                .arg(sources),
        )?;
    }
    fs::copy(
        sources.join("arch/x86_64/bits/syscall.h.in"),
        sources.join("arch/wasm32/bits/syscall.h.in"),
    )
    .context("musl has no numbers of calls")?;
    let mut patches: Vec<_> = fs::read_dir(ours.join("patches"))?
        .map(|it| it.map(|it| it.path()))
        .collect::<Result<_, _>>()?;
    patches.sort();
    for patch in patches {
        run_quietly(
            Command::new("patch")
                .args(["--strip=1", "--input"])
                .arg(patch)
                .current_dir(sources),
        )?;
    }
    fs::write(sources.join("config.mak"), MAKE_CONFIGURATION).context("cannot configure musl")
}

/// Makes the library of programs whose frames cannot be restored: linked before the other, it stands for its `fork`.
fn make_plain(sources: &Path) -> Result<()> {
    archive_plain(sources, &[], &directory().join("lib/libplain.a"))
}

/// Compiles the `fork` of such programs, and puts it into an archive.
fn archive_plain(sources: &Path, flags: &[&str], archive: &Path) -> Result<()> {
    let object = sources.join("obj/plain-fork.o");
    run_quietly(
        Command::new(tools::CLANG)
            .arg(format!("--target={}", tools::TARGET))
            .args(MUSL_FLAGS)
            .args(flags)
            .arg("-c")
            .arg(root().join(PORT).join("plain/fork.c"))
            .arg("-o")
            .arg(&object)
            .current_dir(sources),
    )?;
    run_quietly(Command::new(tools::AR).arg("rcs").arg(archive).arg(&object))
}

fn install_licence(sources: &Path) -> Result<()> {
    let directory = directory().join("share");
    fs::create_dir_all(&directory)?;
    fs::copy(sources.join("COPYRIGHT"), directory.join("musl.COPYRIGHT"))
        .context("musl has no licence")?;
    Ok(())
}

fn install(built: &Path) -> Result<()> {
    let directory = directory();
    let libraries = directory.join("lib");
    fs::create_dir_all(&libraries)?;
    fs::copy(
        tools::RUNTIME,
        libraries.join("libclang_rt.builtins-wasm32.a"),
    )
    .with_context(|| format!("`{}` is missing\nhint: `cargo xtask setup`", tools::RUNTIME))?;
    for name in EMPTY_LIBRARIES {
        fs::write(libraries.join(format!("lib{name}.a")), EMPTY_ARCHIVE)?;
    }
    for name in ["crt1.o", "libc.a"] {
        fs::copy(built.join(name), libraries.join(name))?;
    }
    Ok(())
}
