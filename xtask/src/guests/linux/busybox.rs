//! BusyBox: Debian's sources, with the programs of its own choice that a container has a use for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{library, sources, tools, work_dir};
use crate::layout::root;
use crate::process::run_quietly;

/// The list that its build makes of the paths of its programs.
pub const LINKS: &str = "busybox.links";
/// The names of what is left out.
pub const LEFT_OUT: &str = "guests/linux/busybox.left-out";

/// Where Debian's `linux-libc-dev` has the kernel's headers, which a C library of the machine needs too.
const KERNEL_HEADERS: &[(&str, &str)] = &[
    ("asm", "/usr/include/x86_64-linux-gnu/asm"),
    ("asm-generic", "/usr/include/asm-generic"),
    ("linux", "/usr/include/linux"),
    ("mtd", "/usr/include/mtd"),
];

/// The last step. Its own one tries options that wasm's linker does not have.
const LINK: &str = "cmd_busybox__=$(CC) -Wl,--gc-sections -o $@ $(core-y) $(libs-y)";

/// Compiles and links; returns the module.
pub fn link() -> Result<PathBuf> {
    let directory = sources::BUSYBOX.unpack(sources::Patches::Debian)?;
    configure(&directory)?;
    let headers = kernel_headers()?;
    let compiler = [
        vec![tools::CLANG.to_string()],
        library::compiler_flags(library::Threads::One)?,
    ]
    .concat();
    run_quietly(
        make(&directory)
            .args(["-j2", "busybox_unstripped", LINKS, LINK])
            .arg(format!("AR={}", tools::AR))
            .arg(format!("CC={} -w", compiler.join(" ")))
            .arg(format!("LD={} --target={}", tools::CLANG, tools::TARGET))
            .arg(format!(
                "EXTRA_CFLAGS=-Wno-incompatible-pointer-types -isystem {}",
                headers.display()
            )),
    )?;
    Ok(directory.join("busybox_unstripped"))
}

/// Compiles the same programs for the machine itself, with its own C library.
pub fn link_natively(output: &Path) -> Result<()> {
    let directory = sources::BUSYBOX.unpack_as("busybox-native", sources::Patches::Debian)?;
    configure(&directory)?;
    run_quietly(make(&directory).args(["-j2", "busybox_unstripped", "CC=cc -w"]))?;
    fs::copy(directory.join("busybox_unstripped"), output)
        .with_context(|| format!("cannot copy BusyBox to {}", output.display()))?;
    Ok(())
}

/// Takes BusyBox's own choice without what is left out.
fn configure(directory: &Path) -> Result<()> {
    run_quietly(make(directory).arg("defconfig"))?;
    let path = directory.join(".config");
    let chosen = fs::read_to_string(&path).context("BusyBox has no configuration")?;
    let names = fs::read_to_string(root().join(LEFT_OUT))
        .with_context(|| format!("cannot read {LEFT_OUT}"))?;
    fs::write(&path, without(&chosen, &names)).context("cannot configure BusyBox")?;
    run_quietly(make(directory).arg("oldconfig"))
}

/// A configuration without the options of a list.
fn without(chosen: &str, names: &str) -> String {
    let left_out: BTreeSet<_> = names.lines().map(|it| format!("CONFIG_{it}=y")).collect();
    let kept = chosen.lines().map(|line| match left_out.contains(line) {
        true => format!("# {} is not set\n", line.trim_end_matches("=y")),
        false => format!("{line}\n"),
    });
    kept.collect()
}

/// A directory of the kernel's headers only: the machine's others are for another C library.
fn kernel_headers() -> Result<PathBuf> {
    let directory = work_dir().join("kernel-headers");
    sources::remove(&directory)?;
    fs::create_dir_all(&directory)?;
    for (name, path) in KERNEL_HEADERS {
        symlink(path, directory.join(name))
            .with_context(|| format!("cannot link {path} to {}", directory.display()))?;
    }
    Ok(directory)
}

fn make(directory: &Path) -> Command {
    let mut command = Command::new("make");
    command.arg("--silent").current_dir(directory);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_list_are_not_set_and_others_stay() {
        let chosen = "CONFIG_TAR=y\nCONFIG_IP=y\nCONFIG_IPCALC=y\n# CONFIG_IPX is not set\n";
        let names = "# No devices.\nIP\nIPX\n";
        assert_eq!(
            without(chosen, names),
            "CONFIG_TAR=y\n# CONFIG_IP is not set\nCONFIG_IPCALC=y\n# CONFIG_IPX is not set\n"
        );
    }
}
