//! Programs that emcc has made run as they do under node, or better: as on Linux.
//!
//! `cargo xtask guests c` makes the programs; their sources in `guests/c` pass when they are
//! compiled for Linux too.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use minke_abi::linux::{OpenFlags, Signal};
use minke_kernel::calls::At;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{Network, NetworkMode};
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::vfs::device::device_file_system;
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{MountOptions, MountTree, NewInode};
use minke_kernel::{
    Credentials, ExitStatus, Fd, FileDescription, Kernel, KernelConfig, Pid, Process, Task,
};
use minke_sandbox::executor::{Executor, ExecutorConfig, JoinHandle, Reactor};
use minke_sandbox::personality::ProgramContext;
use minke_sandbox::platform::stdio::LineEnd;
use minke_sandbox::platform::{
    HostClock, HostEntropy, HostInternet, LogSink, LogStream, PublishedSockets, Resolver,
};
use minke_sandbox::runtime::{Compiler, LoadError, ModuleBytes, Pool, Runtime, RuntimeConfig};
use minke_sandbox::spec::{PublishedPort, TransportSpec};

const MEMORY_BYTES: u64 = 256 << 20;

/// How a program ended, and what it printed.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: ExitStatus,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

/// Keeps what a guest writes.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    has_grown: Condvar,
}

impl LogSink for Lines {
    fn write_line(&self, line: &[u8], _end: LineEnd) {
        let line = String::from_utf8_lossy(line).into_owned();
        self.lines.lock().unwrap().push(line);
        self.has_grown.notify_all();
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    /// Waits for the first line.
    fn first(&self) -> String {
        let lines = self.lines.lock().unwrap();
        let lines = self.has_grown.wait_while(lines, |lines| lines.is_empty());
        lines.unwrap()[0].clone()
    }
}

/// Makes a kernel over an empty tmpfs with `/dev` and `/tmp`.
fn kernel(reactor: &Arc<Reactor>, published: PublishedSockets) -> Arc<Kernel> {
    let config = KernelConfig {
        hostname: "orca".to_owned(),
        pids_max: 16,
        fds_max: 256,
        resource_limits: minke_kernel::ResourceLimits::new(256),
        memory_bytes_max: MEMORY_BYTES,
        cpus: 1,
    };
    let clock = Arc::new(HostClock::new(Arc::clone(reactor)));
    let memory = MemoryBudget::new(MEMORY_BYTES);
    let options = || MemoryOptions::new(Arc::clone(&clock) as _, Arc::clone(&memory));
    let root = MemoryFileSystem::tmpfs(options()).unwrap();
    let devices = device_file_system(options()).unwrap();
    let host = HostInternet::new(Arc::clone(reactor), published, Resolver::new());
    let network = Network::new(NetworkMode::Private, Arc::new(host), Arc::clone(&memory));
    let mounts = MountTree::new(root, MountOptions::default());
    let entropy = Arc::new(HostEntropy);
    let kernel = Kernel::new(config, clock, entropy, network, mounts, memory);
    let init = task(&kernel, &[], &[]);
    for directory in ["/dev", "/tmp"] {
        init.make_node(At::Cwd, directory.as_bytes(), &NewInode::Directory, 0o777)
            .unwrap();
    }
    kernel
        .mounts
        .mount(b"/dev", devices, MountOptions::default())
        .unwrap();
    let create = OpenFlags::CREAT | OpenFlags::WRONLY;
    let greeting = init.open_description(At::Cwd, b"/tmp/greeting.txt", create, 0o644);
    greeting.unwrap().write(b"hello from a file").unwrap();
    init.process.exit(ExitStatus::Exited(0));
    kernel.reap(init.process.pid);
    kernel
}

fn task(kernel: &Arc<Kernel>, args: &[&str], env: &[&str]) -> Arc<Task> {
    let root = kernel.mounts.root();
    let fs = FsContext {
        root: Arc::clone(&root),
        cwd: root,
        umask: 0o022,
    };
    let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let image = ProcessImage {
        path: b"/bin/program.wasm".to_vec(),
        args: bytes(args),
        env: bytes(env),
        ..ProcessImage::default()
    };
    let process = kernel
        .spawn(Pid(0), image, Credentials::root(), fs)
        .unwrap();
    Arc::new(Task::main_of(process))
}

/// Returns where `cargo xtask guests c` leaves a program.
fn program(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("guests/c").join(name)
}

/// A program to run.
struct Run<'a> {
    wasm: Vec<u8>,
    glue: Option<String>,
    args: &'a [&'a str],
    env: &'a [&'a str],
}

impl<'a> Run<'a> {
    /// Takes a test program that emcc has made, with the glue beside it.
    fn of(name: &str, args: &'a [&'a str]) -> Run<'a> {
        Run::at(&program(name), args)
    }

    /// Takes a program of an example.
    fn of_example(name: &str, args: &'a [&'a str]) -> Run<'a> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        Run::at(&examples.join(name), args)
    }

    fn at(path: &Path, args: &'a [&'a str]) -> Run<'a> {
        let wasm = std::fs::read(path).unwrap_or_else(|error| {
            panic!("{}: {error}: run `cargo xtask guests`", path.display())
        });
        let glue = std::fs::read_to_string(path.with_extension("js")).ok();
        Run {
            wasm,
            glue,
            args,
            env: &[],
        }
    }

    /// Runs the program to its end in a container of its own.
    fn go(self) -> Result<Outcome, LoadError> {
        let executor = Executor::new(ExecutorConfig { workers: 2 }).unwrap();
        let published = PublishedSockets::bind(&[]).unwrap();
        let kernel = kernel(executor.reactor(), published);
        let started = self.start(&executor, &kernel)?;
        let status = executor.run(started.running).unwrap().unwrap();
        Ok(Outcome {
            status,
            stdout: started.stdout.take(),
            stderr: started.stderr.take(),
        })
    }

    /// Starts the program in a container.
    fn start(self, executor: &Executor, kernel: &Arc<Kernel>) -> Result<Started, LoadError> {
        let runtime = Runtime::new(&RuntimeConfig {
            cache: None,
            compiler: Compiler::InThisProcess,
            pool: Pool::Always { instances_max: 2 },
        });
        let context = ProgramContext {
            path: "/bin/program.wasm".to_owned(),
            glue: self.glue,
            ..ProgramContext::default()
        };
        let loaded = runtime.load(&ModuleBytes(&self.wasm), context, &|_| {})?;
        let mut args = vec!["program"];
        args.extend(self.args);
        let task = task(kernel, &args, self.env);
        let outputs = [Arc::<Lines>::default(), Arc::default()];
        for (number, lines) in outputs.iter().enumerate() {
            let stream = LogStream::new(Arc::clone(lines) as _);
            let description = FileDescription::new(stream, None, OpenFlags::WRONLY);
            let fd = Fd(number as u32 + 1);
            task.process.fds.replace(fd, description, false).unwrap();
        }
        let process = Arc::clone(&task.process);
        let spawner = executor.spawner();
        let running = executor.spawn(async move { loaded.run(task, &spawner).await });
        let [stdout, stderr] = outputs;
        Ok(Started {
            process,
            running,
            stdout,
            stderr,
        })
    }
}

/// A program that runs.
struct Started {
    process: Arc<Process>,
    running: JoinHandle<ExitStatus>,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
}

/// Runs every build of a program that checks itself.
#[track_caller]
fn check_builds(stem: &str, builds: &[&str], args: &[&str]) {
    for build in builds {
        let name = format!("{stem}.{build}.wasm");
        let outcome = Run::of(&name, args).go().unwrap();
        let is_passed = outcome.status == ExitStatus::Exited(0)
            && outcome
                .stdout
                .last()
                .is_some_and(|line| line.ends_with(" 0 failed"));
        assert!(is_passed, "{name}: {outcome:#?}");
    }
}

const GLUE_BUILDS: [&str; 3] = ["O0", "O2", "O3"];
const ALL_BUILDS: [&str; 4] = ["O0", "O2", "O3", "standalone"];

#[test]
fn files_behave_as_on_linux() {
    check_builds("files", &GLUE_BUILDS, &["/tmp"]);
}

#[test]
fn jumps_land() {
    check_builds("jumps", &ALL_BUILDS, &[]);
}

#[test]
fn exceptions_are_caught() {
    check_builds("exceptions", &GLUE_BUILDS, &[]);
}

#[test]
fn an_exception_that_nobody_catches_ends_the_program() {
    for build in GLUE_BUILDS {
        let run = Run::of(&format!("exceptions.{build}.wasm"), &["uncaught"]);
        let outcome = run.go().unwrap();
        assert_eq!(outcome.status.code(), 134, "{build}");
        assert!(
            outcome.stderr[0].ends_with("trapped: a C++ exception was not caught"),
            "{build}: {outcome:#?}"
        );
    }
}

#[test]
fn memory_grows() {
    for build in ALL_BUILDS {
        let outcome = Run::of(&format!("growth.{build}.wasm"), &[]).go().unwrap();
        assert_eq!(outcome.status, ExitStatus::Exited(0), "{build}");
        assert_eq!(outcome.stdout, ["100 of 100 MiB"], "{build}");
    }
}

#[test]
fn clocks_and_calendar_tell_the_time() {
    check_builds("times", &ALL_BUILDS, &[]);
}

#[test]
fn sockets_talk_to_each_other() {
    check_builds("sockets", &GLUE_BUILDS, &["self"]);
    check_builds("sockets", &GLUE_BUILDS, &["unix", "/tmp/socket"]);
}

#[test]
fn programs_get_their_arguments_and_environment() {
    for build in ALL_BUILDS {
        let name = format!("process.{build}.wasm");
        let outcome = Run::of(&name, &["args", "a b", ""]).go().unwrap();
        assert_eq!(outcome.stdout, ["args", "a b", ""], "{name}");
        let run = Run {
            env: &["A=1", "B=two"],
            ..Run::of(&name, &["env"])
        };
        assert_eq!(run.go().unwrap().stdout, ["A=1", "B=two"], "{name}");
    }
}

#[test]
fn programs_end_in_every_way() {
    for build in ALL_BUILDS {
        let name = format!("process.{build}.wasm");
        let status = |args: &[&str]| Run::of(&name, args).go().unwrap().status;
        assert_eq!(status(&["return", "7"]), ExitStatus::Exited(7), "{name}");
        assert_eq!(status(&["exit", "300"]), ExitStatus::Exited(44), "{name}");
        assert_eq!(status(&["trap"]).code(), 134, "{name}");
    }
}

#[test]
fn a_minified_module_without_its_glue_says_what_is_missing() {
    let mut run = Run::of("jumps.O3.wasm", &[]);
    run.glue = None;
    let error = run.go().unwrap_err().to_string();
    assert!(
        error.contains("there is no `/bin/program.js` beside it")
            && error.contains("hint: ship the `.js`"),
        "{error}"
    );
}

/// Runs an example's server, fetches paths from it over the host's loopback, and stops it.
#[track_caller]
fn check_server(server: Run<'_>, requests: &[(&str, &str)]) {
    let executor = Executor::new(ExecutorConfig { workers: 2 }).unwrap();
    let published = PublishedSockets::bind(&[PublishedPort {
        host_address: Some(Ipv4Addr::LOCALHOST.into()),
        host_port: 0,
        guest_port: 3000,
        transport: TransportSpec::Tcp,
    }]);
    let published = published.unwrap();
    let address = published.bound[0].1;
    let kernel = kernel(executor.reactor(), published);
    let started = server.start(&executor, &kernel).unwrap();
    assert!(started.stdout.first().starts_with("listening on port 3000"));
    for (path, expected) in requests {
        let reply = fetch(address, path);
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{path}: {reply}");
        assert!(reply.contains(expected), "{path}: {reply}");
    }
    started.process.kill(Signal::TERM);
    let status = executor.run(started.running).unwrap().unwrap();
    assert_eq!(status, ExitStatus::Signaled(Signal::TERM));
}

fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn the_blocking_server_answers() {
    let server = Run::of_example("hello-c/dist/server.wasm", &["3000"]);
    check_server(server, &[("/", "Hello from C"), ("/again", "Hello from C")]);
}

#[test]
fn the_selecting_server_answers_by_select_and_by_poll() {
    let server = || "hello-c/dist/server-select.wasm";
    check_server(
        Run::of_example(server(), &["3000"]),
        &[("/", "Hello from C"); 3],
    );
    let by_poll = Run::of_example(server(), &["3000", "poll"]);
    check_server(by_poll, &[("/", "Hello from C"); 3]);
}

#[test]
fn the_cpp_server_lists_and_sends_files() {
    let server = Run::of_example("hello-cpp/dist/server.wasm", &["3000", "/tmp"]);
    check_server(
        server,
        &[
            ("/", "greeting.txt"),
            ("/greeting.txt", "hello from a file"),
        ],
    );
}

/// The glue of a newer version: names of exports and imports, and the `struct stat` without holes.
const NEW_GLUE: &str = "var wasmImports;function assignWasmExports(wasmExports){_main=Module[\"_main\"]=wasmExports[\"x\"];\
    __emscripten_stack_alloc=wasmExports[\"y\"];memory=wasmMemory=wasmExports[\"v\"]}\
    writeStat(buf,stat){HEAP64[buf+88>>3]=BigInt(stat.ino)}wasmImports={f:___syscall_fstat64,z:_exit,g:__gmtime_js,q:_nobody_knows,\
    m:_emscripten_asm_const_int}";

impl Run<'_> {
    /// Takes a module given as text, minified as newer versions do.
    fn minified(imports: &str, main: &str) -> Run<'static> {
        let text = format!(
            "(module {imports} (memory (export \"v\") 1)
               (global $top (mut i32) (i32.const 65536))
               (func (export \"y\") (param i32) (result i32)
                 (global.set $top (i32.sub (global.get $top) (local.get 0))) (global.get $top))
               (func (export \"x\") (param $argc i32) (param $argv i32) (result i32) {main}))"
        );
        Run {
            wasm: wat::parse_str(text).unwrap(),
            glue: Some(NEW_GLUE.to_owned()),
            args: &["A"],
            env: &[],
        }
    }
}

#[test]
fn minified_names_of_newer_versions_are_restored() {
    let run = Run::minified(
        "(import \"a\" \"z\" (func $exit (param i32)))",
        "(call $exit (i32.load8_u (i32.load offset=4 (local.get $argv)))) unreachable",
    );
    assert_eq!(run.go().unwrap().status, ExitStatus::Exited(b'A'));
}

#[test]
fn newer_layouts_of_stat_are_filled() {
    let run = Run::minified(
        "(import \"a\" \"f\" (func $fstat (param i32 i32) (result i32)))",
        "(drop (call $fstat (i32.const 1) (i32.const 1024)))
         (i32.shr_u (i32.load offset=4 (i32.const 1024)) (i32.const 12))",
    );
    // `S_IFIFO` or `S_IFCHR`, whichever the standard stream says it is.
    let ExitStatus::Exited(kind) = run.go().unwrap().status else {
        panic!("the program did not exit");
    };
    assert!([1, 2].contains(&kind), "{kind}");
}

#[test]
fn numbers_of_64_bits_come_whole_or_split() {
    let year = "(i32.load offset=20 (i32.const 1024))";
    let whole = Run::minified(
        "(import \"a\" \"g\" (func $gmtime (param i64 i32)))",
        &format!("(call $gmtime (i64.const 4294967296) (i32.const 1024)) {year}"),
    );
    let split = Run::minified(
        "(import \"a\" \"g\" (func $gmtime (param i32 i32 i32)))",
        &format!("(call $gmtime (i32.const 0) (i32.const 1) (i32.const 1024)) {year}"),
    );
    for run in [whole, split] {
        // 2106: 206 years after 1900.
        assert_eq!(run.go().unwrap().status, ExitStatus::Exited(206));
    }
}

#[test]
fn a_missing_import_is_told_by_its_real_name() {
    let run = Run::minified("(import \"a\" \"q\" (func (param i64)))", "i32.const 0");
    assert_eq!(
        run.go().unwrap_err().to_string(),
        "`/bin/program.wasm` imports `a` `nobody_knows` (i64), which minke does not provide"
    );
}

#[test]
fn javascript_in_the_source_is_refused_by_name() {
    let import = "(import \"a\" \"m\" (func (param i32 i32 i32) (result i32)))";
    let error = Run::minified(import, "i32.const 0").go().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`emscripten_asm_const_int` runs JavaScript"),
        "{error}"
    );
}

#[test]
fn callbacks_that_never_end_overflow_a_stack() {
    let text = "(module (import \"env\" \"invoke_v\" (func $invoke (param i32)))
        (memory (export \"memory\") 1) (table (export \"__indirect_function_table\") 2 funcref)
        (func (export \"stackSave\") (result i32) i32.const 4096)
        (func (export \"stackRestore\") (param i32)) (func (export \"setThrew\") (param i32 i32))
        (func $again (call $invoke (i32.const 1))) (elem (i32.const 1) $again)
        (func (export \"_start\") (call $again)))";
    let run = Run {
        wasm: wat::parse_str(text).unwrap(),
        glue: None,
        args: &[],
        env: &[],
    };
    let status = run.go().unwrap().status;
    assert_eq!(status, ExitStatus::Trapped("stack overflow".to_owned()));
}
