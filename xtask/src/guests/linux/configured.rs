//! Programs whose sources are configured by GNU Autoconf: Debian's packages, built as a table says.
//!
//! Their authors' releases are taken without Debian's patches, which would need more tools.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::library::Threads;
use super::sources::{self, Package, Patches};
use super::{Casts, Returns, library, tools};
use crate::process::run_quietly;

/// One program of such a package.
#[derive(Debug)]
pub struct Configured {
    package: Package,
    /// What `configure` is told, also what it could find out only by running programs.
    options: &'static [&'static str],
    /// Beside [`FLAGS`], when `configure` has tried what there is.
    compiler_flags: &'static str,
    linker_flags: &'static str,
    /// Where the program lies when it is made.
    program: &'static str,
    pub returns: Returns,
    pub casts: Casts,
}

/// Debian's shell for scripts.
///
/// Some of its commands are defined without parameters and called with two.
pub const DASH: Configured = Configured {
    package: sources::DASH,
    options: &["--without-libedit", "--disable-fnmatch", "--disable-glob"],
    compiler_flags: "",
    linker_flags: "",
    program: "src/dash",
    returns: Returns::Twice,
    casts: Casts::OfFunctions,
};

/// GNU's shell, with job control and its own readline.
///
/// It calls functions through pointers of other types in too many places to patch them.
pub const BASH: Configured = Configured {
    package: sources::BASH,
    options: &[
        "--enable-readline",
        "--with-curses=no",
        "--without-bash-malloc",
        "--disable-nls",
        "--disable-rpath",
        "bash_cv_dev_fd=standard",
        "bash_cv_dev_stdin=present",
        "bash_cv_func_ctype_nonascii=no",
        "bash_cv_func_sigsetjmp=present",
        "bash_cv_func_snprintf=yes",
        "bash_cv_func_strcoll_broken=no",
        "bash_cv_func_vsnprintf=yes",
        "bash_cv_getcwd_malloc=yes",
        "bash_cv_getenv_redef=yes",
        "bash_cv_job_control_missing=present",
        "bash_cv_must_reinstall_sighandlers=no",
        "bash_cv_printf_a_format=yes",
        "bash_cv_sys_named_pipes=present",
        "bash_cv_sys_siglist=no",
        "bash_cv_ulimit_maxfds=yes",
        "bash_cv_under_sys_siglist=no",
        "bash_cv_unusable_rtsigs=no",
        "bash_cv_wcwidth_broken=no",
        "bash_cv_wexitstatus_offset=8",
    ],
    // Its termcap calls `write` without declaring it.
    compiler_flags: "-D_GNU_SOURCE -include unistd.h",
    // It has an `xmalloc` for itself and one for readline.
    linker_flags: "-Wl,--allow-multiple-definition",
    program: "bash",
    returns: Returns::Twice,
    casts: Casts::OfFunctions,
};

pub const TAR: Configured = Configured {
    package: sources::TAR,
    options: &[
        "--disable-nls",
        "--without-posix-acls",
        "--without-selinux",
        "FORCE_UNSAFE_CONFIGURE=1",
    ],
    compiler_flags: "",
    linker_flags: "",
    program: "src/tar",
    returns: Returns::Twice,
    casts: Casts::None,
};

pub const GZIP: Configured = Configured {
    package: sources::GZIP,
    options: &[],
    compiler_flags: "",
    linker_flags: "",
    program: "gzip",
    returns: Returns::Once,
    casts: Casts::None,
};

pub const XZ: Configured = Configured {
    package: sources::XZ,
    options: &[
        "--disable-doc",
        "--disable-lzma-links",
        "--disable-lzmadec",
        "--disable-lzmainfo",
        "--disable-nls",
        "--disable-scripts",
        "--disable-shared",
        "--disable-threads",
        "--enable-sandbox=no",
    ],
    // It has no `sigprocmask` of its own for wasm.
    compiler_flags: "-Dmythread_sigmask=sigprocmask",
    linker_flags: "",
    program: "src/xz/xz",
    returns: Returns::Once,
    casts: Casts::None,
};

const FLAGS: &str = "-O2 -w";
/// A file may be newer than what Automake has made of it; what it made is good enough, and it need not be there.
const NO_AUTOMAKE: &[&str] = &[
    "ACLOCAL=:",
    "AUTOCONF=:",
    "AUTOHEADER=:",
    "AUTOMAKE=:",
    "MAKEINFO=:",
];

impl Configured {
    /// Compiles and links; returns the module.
    pub fn link(&self) -> Result<PathBuf> {
        let directory = self.package.unpack(Patches::None)?;
        let compiler = [
            vec![tools::CLANG.to_string()],
            library::compiler_flags(Threads::One)?,
        ]
        .concat();
        run_quietly(
            Command::new("./configure")
                .args([
                    "--host=wasm32-unknown-linux-musl",
                    "--disable-dependency-tracking",
                ])
                .args(self.options)
                .arg(format!("CC={}", compiler.join(" ")))
                .arg(format!("CFLAGS={FLAGS}"))
                .arg(format!("LDFLAGS={}", self.linker_flags))
                .arg(format!("AR={}", tools::AR))
                .arg(format!("RANLIB={}", tools::RANLIB))
                .arg("CC_FOR_BUILD=cc")
                .current_dir(&directory),
        )?;
        run_quietly(
            Command::new("make")
                .args(["--silent", "-j2"])
                .args(NO_AUTOMAKE)
                .arg(format!("CFLAGS={FLAGS} {}", self.compiler_flags))
                .current_dir(&directory),
        )?;
        Ok(directory.join(self.program))
    }
}
