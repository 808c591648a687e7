//! `minke cc`: programs for Linux, compiled unchanged, and run in containers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::home::{Ended, Home, fetch, guest};

/// `minke cc` with the rewriter that `cargo xtask guests` fetched.
fn compiler(home: &Home, words: &[&str]) -> Command {
    compiler_called("cc", home, words)
}

fn compiler_called(name: &str, home: &Home, words: &[&str]) -> Command {
    let mut command = home.command(&[&[name], words].concat());
    command.env("MINKE_WASM_OPT", guest(".linux/binaryen/wasm-opt"));
    command
}

fn cc(home: &Home, words: &[&str]) -> Ended {
    Ended::of(&compiler(home, words).output().expect("minke starts"))
}

fn cplusplus(home: &Home, words: &[&str]) -> Ended {
    let mut command = compiler_called("c++", home, words);
    Ended::of(&command.output().expect("minke starts"))
}

#[track_caller]
fn compile(home: &Home, words: &[&str]) {
    assert_compiled(&cc(home, words), words);
}

#[track_caller]
fn compile_cplusplus(home: &Home, words: &[&str]) {
    assert_compiled(&cplusplus(home, words), words);
}

#[track_caller]
fn assert_compiled(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr, "", "{words:?}");
}

/// A program of ours, below `guests/`.
fn source(name: &str) -> String {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
    guests.join(name).display().to_string()
}

/// The C files of a package's directory, or one below it, without those of these names.
fn sources(directory: &str, without: &[&str]) -> Vec<String> {
    let (package, below) = directory.split_once('/').unwrap_or((directory, ""));
    let read_me = PathBuf::from(guest(&format!(".linux/build/{package}/README")));
    let directory = read_me.with_file_name(below);
    let entries = std::fs::read_dir(directory).expect("sources");
    let paths = entries.map(|it| it.expect("a file").path());
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.ends_with(".c") && !without.contains(&name)
    };
    let mut paths: Vec<_> = paths
        .filter(is_wanted)
        .map(|it| it.display().to_string())
        .collect();
    paths.sort();
    paths
}

fn words<'w>(options: &[&'w str], files: &'w [String]) -> Vec<&'w str> {
    let files = files.iter().map(String::as_str);
    options.iter().copied().chain(files).collect()
}

const HELLO: &str =
    "#include <stdio.h>\nint main(int c, char **v) { printf(\"%s %d\\n\", v[1], c); return 3; }\n";

#[test]
fn a_program_is_compiled_by_the_sdk_that_lies_in_the_command() {
    let home = Home::new();
    home.write("hello.c", HELLO);
    compile(&home, &["hello.c", "-o", "hello.wasm"]);
    let ended = home.run(&["run", "--rm", "./hello.wasm", "hi"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (3, "hi 2\n"),
        "{}",
        ended.stderr
    );
    // It is unpacked where everything of ours lies, and found there again.
    let path = home.ok(&["sdk", "path"]);
    assert!(Path::new(&path).starts_with(home.path()), "{path}");
    assert!(Path::new(&path).join("include/stdio.h").is_file());
    let variables = home.ok(&[
        "sdk",
        "env",
        "--format",
        "{{.CC}} {{.CMAKE_TOOLCHAIN_FILE}}",
    ]);
    assert!(
        variables.ends_with(&format!(" cc {path}/minke.cmake")),
        "{variables}"
    );
}

#[test]
fn objects_archives_and_sources_from_a_pipe_are_linked() {
    let home = Home::new();
    home.write("one.c", "int one(void) { return 1; }");
    home.write(
        "two.c",
        "int one(void); int two(void) { return 2 * one(); }",
    );
    home.write("main.c", "int two(void); int main(void) { return two(); }");
    compile(&home, &["-c", "one.c", "two.c"]);
    compile(&home, &["-r", "one.o", "two.o", "-o", "both.o"]);
    let piped = |stage: &[&str]| {
        let words = [&["-x", "c", "-", "-x", "none"], stage].concat();
        let main = std::fs::File::open(home.files().join("main.c")).expect("a file");
        let output = compiler(&home, &words)
            .stdin(main)
            .output()
            .expect("minke starts");
        assert_eq!(Ended::of(&output).stderr, "");
    };
    piped(&["-c", "-o", "main.o"]);
    piped(&[
        "both.o",
        "-Wl,--start-group",
        "-pthread",
        "-o",
        "piped.wasm",
    ]);
    compile(&home, &["main.o", "two.o", "one.o", "-o", "linked.wasm"]);
    for program in ["./piped.wasm", "./linked.wasm"] {
        assert_eq!(home.run(&["run", "--rm", program]).code, 2, "{program}");
    }
}

#[test]
fn what_a_program_was_made_from_is_written_beside_it() {
    let home = Home::new();
    home.write("answer.h", "#define ANSWER 0");
    home.write(
        "main.c",
        "#include \"answer.h\"\nint main(void) { return ANSWER; }",
    );
    let dependencies = |name: &str| std::fs::read_to_string(home.files().join(name));
    compile(&home, &["-MMD", "-s", "main.c", "-o", "main.wasm"]);
    let found = dependencies("main.d").expect("a file");
    assert_eq!(found, "main.wasm: main.c answer.h\n");
    compile(&home, &["-MD", "-MP", "-MF", "deps", "-c", "main.c"]);
    let found = dependencies("deps").expect("a file");
    assert_eq!(found, "main.o: main.c answer.h\nanswer.h:\n");
}

#[test]
fn what_cannot_be_compiled_is_said_and_leaves_no_program() {
    let home = Home::new();
    home.write("wrong.c", "int main(void) { return x; }");
    home.write("unlinked.c", "int x(void); int main(void) { return x(); }");
    let ended = cc(&home, &["wrong.c", "-o", "out.wasm"]);
    ended.assert_fails(1, &["wrong.c:1:25: error:"]);
    let ended = cc(&home, &["unlinked.c", "-o", "out.wasm"]);
    ended.assert_fails(1, &["undefined symbol: x"]);
    let ended = cc(&home, &["-shared", "wrong.c", "-o", "out.wasm"]);
    ended.assert_fails(
        1,
        &[
            "error: `-shared` is not supported:",
            "\nhint: link statically",
        ],
    );
    let mut nothing = compiler(&home, &["wrong.c"]);
    let ended = Ended::of(&nothing.env("PATH", "").output().expect("minke starts"));
    ended.assert_fails(1, &["error: there is no `clang` here\nhint: install clang"]);
    let mut elsewhere = compiler(&home, &["wrong.c"]);
    let ended = Ended::of(
        &elsewhere
            .env("MINKE_SDK", home.files())
            .output()
            .expect("minke starts"),
    );
    ended.assert_fails(
        1,
        &["is no directory of the SDK", "\nhint: set `MINKE_SDK`"],
    );
    assert!(!home.files().join("out.wasm").exists());
}

/// What the program of jumps prints natively, without its last line.
const JUMPS: &str =
    "inner: 1 after 3 rounds\nouter: 2\nhandler: 1, blocked 0\nhandler: 1, blocked 1\n";

#[test]
fn jumps_are_exceptions_where_nothing_forks() {
    let home = Home::new();
    let jumping = source("linux/tests/jumping.c");
    compile(&home, &["-O1", "-c", &jumping, "-o", "jumping.o"]);
    compile(&home, &["jumping.o", "-o", "jumping.wasm"]);
    let ended = home.run(&["run", "--rm", "./jumping.wasm"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (7, JUMPS),
        "{}",
        ended.stderr
    );
}

#[test]
fn programs_with_threads_have_them_and_jump() {
    let home = Home::new();
    let threads = source("linux/tests/threads.c");
    compile(&home, &["-O2", "-w", "-pthread", &threads, "-o", "threads"]);
    let ended = home.run(&["run", "--rm", "./threads", "none", "exit"]);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    let jumping = source("linux/tests/jumping.c");
    compile(&home, &["-pthread", "-c", &jumping, "-o", "jumping.o"]);
    compile(&home, &["-pthread", "jumping.o", "-o", "jumping"]);
    let ended = home.run(&["run", "--rm", "./jumping"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (7, JUMPS));
}

#[test]
fn a_program_that_forks_is_linked_for_that_unless_it_is_told_not_to() {
    let home = Home::new();
    let jumping = source("linux/tests/jumping.c");
    compile(
        &home,
        &["-O1", "-DFORKS", "-c", &jumping, "-o", "jumping.o"],
    );
    let outcomes = [
        ("forks", "child: 41\n"),
        ("stays", "no child: Function not implemented\n"),
    ];
    compile(&home, &["jumping.o", "-o", "forks"]);
    compile(&home, &["--minke-libc=plain", "jumping.o", "-o", "stays"]);
    for (program, last) in outcomes {
        let ended = home.run(&["run", "--rm", &format!("./{program}")]);
        let expected = format!("{JUMPS}{last}");
        assert_eq!(
            (ended.code, ended.stdout),
            (7, expected),
            "{program}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_web_server_forks_for_each_connection() {
    let home = Home::new();
    compile(
        &home,
        &[
            "-O1",
            "-w",
            &source("linux/tests/server.c"),
            "-o",
            "server.wasm",
        ],
    );
    home.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "127.0.0.1::8080",
        "./server.wasm",
        "8080",
    ]);
    let address = home.published("web", "8080/tcp");
    assert!(fetch(address, "/a").ends_with("connection 1: /a\n"));
    assert!(fetch(address, "/b").ends_with("connection 2: /b\n"));
    assert!(fetch(address, "/end").ends_with("connection 3: /end\n"));
    assert_eq!(home.ok(&["wait", "web"]), "0");
}

/// The program of C++, compiled with options that choose its parts, by `minke c++` and by the machine's own compiler, prints
/// the same.
#[track_caller]
fn check_cplusplus(options: &[&str]) {
    let home = Home::new();
    let source = source("linux/tests/cplusplus.cpp");
    let words = [&["-std=c++20", "-w", &source], options].concat();
    let native = Command::new("c++")
        .args(&words)
        .args(["-o", "native"])
        .current_dir(home.files())
        .status();
    assert!(native.expect("a compiler starts").success());
    compile_cplusplus(&home, &[&words[..], &["-o", "program.wasm"]].concat());
    let native = Command::new(home.files().join("native"))
        .arg(home.files().join("made"))
        .output()
        .expect("it starts");
    let ended = home.run(&["run", "--rm", "./program.wasm", "/made"]);
    let expected = String::from_utf8_lossy(&native.stdout);
    assert_eq!(ended.stdout, expected, "{options:?}: {}", ended.stderr);
    assert_eq!((ended.code, native.status.code()), (5, Some(5)));
}

#[test]
fn cplusplus_has_exceptions_types_statics_and_its_library() {
    check_cplusplus(&["-O1", "-DJUMPS"]);
}

#[test]
fn cplusplus_has_threads() {
    check_cplusplus(&["-pthread", "-DTHREADS"]);
}

const FORKING: &str =
    "#include <cerrno>\n#include <cstdio>\n#include <sys/wait.h>\n#include <unistd.h>
static int made;
static struct Early { Early() { printf(\"made \"); made++; } } early;
static int child(int code) {
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) { try { throw code; } catch (int caught) { _exit(caught + made - 1); } }
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}
struct Late { ~Late() { printf(\"%d \", child(9) + ENOSYS); } };
int main() {
    printf(\"%d \", child(7));
    try { Late late; throw 1; } catch (int) { printf(\"%d\\n\", child(8) + ENOSYS); }
}";

#[test]
fn cplusplus_forks_but_not_where_an_exception_is_under_way() {
    let home = Home::new();
    home.write("forks.cpp", FORKING);
    compile_cplusplus(&home, &["-Os", "forks.cpp", "-o", "forks.wasm"]);
    let ended = home.run(&["run", "--rm", "./forks.wasm"]);
    assert_eq!(ended.stdout, "made 7 0 0\n", "{}", ended.stderr);
    // What is compiled for itself is told in advance.
    compile_cplusplus(&home, &["-c", "forks.cpp"]);
    let ended = cplusplus(&home, &["forks.o", "-o", "linked.wasm"]);
    ended.assert_fails(1, &["error: the program calls `fork`", "\nhint: compile"]);
    assert!(!home.files().join("linked.wasm").exists());
    compile_cplusplus(
        &home,
        &["--minke-libc=plain", "forks.o", "-o", "plain.wasm"],
    );
    let ended = home.run(&["run", "--rm", "./plain.wasm"]);
    assert_eq!(ended.stdout, "made -38 0 0\n", "{}", ended.stderr);
}

const PROJECT: &str = "cmake_minimum_required(VERSION 3.20)
project(greeting C CXX)
include(CheckFunctionExists)
check_function_exists(epoll_wait HAS_EPOLL)
check_function_exists(no_such_function HAS_NONE)
find_package(Threads REQUIRED)
add_library(words words.c)
add_executable(greeting greeting.c shout.cpp)
target_compile_features(greeting PRIVATE cxx_std_20)
target_compile_definitions(greeting PRIVATE FOUND=\"${HAS_EPOLL},${HAS_NONE},${CMAKE_SIZEOF_VOID_P}\")
target_link_libraries(greeting words Threads::Threads m)
";

#[test]
fn cmake_builds_a_project_of_a_library_and_a_program() {
    let home = Home::new();
    home.write("CMakeLists.txt", PROJECT);
    home.write("words.c", "const char *word(void) { return \"hello\"; }");
    home.write(
        "greeting.c",
        "#include <stdio.h>\n#include <math.h>\nconst char *word(void);\nint shout(const char *);
        int main(int c, char **v) { printf(\"%s %s %g\\n\", word(), FOUND, floor(c + 0.5)); return shout(word()); }",
    );
    home.write(
        "shout.cpp",
        "#include <iostream>\n#include <string>
        extern \"C\" int shout(const char *word) {
            try { throw std::string(word); } catch (const std::string &it) { std::cerr << it << '!'; return it.size(); }
        }",
    );
    let variables = home.ok(&["sdk", "env"]);
    home.write("sdk.sh", &variables);
    let script = ". ./sdk.sh && cmake -S . -B build >log 2>&1 && cmake --build build >>log 2>&1";
    let built = Command::new("sh")
        .args(["-c", script])
        .current_dir(home.files())
        .env("MINKE_HOME", home.path())
        .status()
        .expect("a shell starts");
    let log = || std::fs::read_to_string(home.files().join("log")).unwrap_or_default();
    assert!(built.success(), "{}", log());
    let ended = home.run(&["run", "--rm", "build/greeting.wasm", "one"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (5, "hello 1,,4 2\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr, "hello!");
}

#[test]
fn lua_runs_a_script() {
    let home = Home::shared();
    let files = sources("lua5.4/src", &["luac.c"]);
    let options = ["-O1", "-w", "-DLUA_USE_POSIX", "-lm", "-o", "lua.wasm"];
    compile(&home, &words(&options, &files));
    let script = "
        assert(select('#', pcall(error)) == 2 and not pcall(error, 'x'))
        local steps = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end error('end') end)
        assert(steps() + steps() + steps() == 6 and not pcall(steps))
        assert(string.format('%5.2f|%q', math.pi, 1 / 3) == ' 3.14|0x1.5555555555555p-2')
        assert(('one two'):gsub('%w+', string.upper) == 'ONE TWO' and 2^53 == 2^53 + 1)
        local path = '/written'
        local file <close> = assert(io.open(path, 'w+'))
        file:write('a\\n', 12, '\\n0x1p4'); file:seek('set')
        local line, integer, float = file:read('l', 'n', 'n')
        assert(line == 'a' and integer == 12 and float == 16.0)
        assert(os.remove(path) and os.time { year = 2000, month = 1, day = 1, hour = 0 } == 946684800)
        local list = {} for i = 1, 1000 do list[i] = (i * 7919) % 1009 end table.sort(list)
        for i = 2, #list do assert(list[i - 1] <= list[i]) end
        print(_VERSION, #list)";
    let ended = home.run(&["run", "--rm", "./lua.wasm", "-e", script]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "Lua 5.4\t1000\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn zlib_passes_its_own_example_and_minigzip_gives_back_what_it_took() {
    let home = Home::shared();
    let mut files = sources("zlib", &[]);
    let zlib = PathBuf::from(guest(".linux/build/zlib/README"))
        .display()
        .to_string();
    let zlib = zlib.trim_end_matches("/README").to_owned();
    let include = format!("-I{zlib}");
    let options = [
        "-O1",
        "-w",
        "-D_LARGEFILE64_SOURCE",
        "-DHAVE_UNISTD_H",
        &include,
    ];
    for (program, output) in [("example", "example.wasm"), ("minigzip", "minigzip.wasm")] {
        files.push(format!("{zlib}/test/{program}.c"));
        compile(
            &home,
            &words(&[&options[..], &["-o", output]].concat(), &files),
        );
        files.pop();
    }
    let ended = home.run(&["run", "--rm", "./example.wasm", "/written.gz"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("inflate with dictionary: hello"),
        "{}",
        ended.stdout
    );
    let text = "to be or not to be\n".repeat(1000);
    let pipe = |arguments: &[&str], input: &[u8]| {
        let mut child = home
            .command(&[&["run", "--rm", "-i", "./minigzip.wasm"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("minke starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input).expect("read");
        child.wait_with_output().expect("it ends").stdout
    };
    let packed = pipe(&[], text.as_bytes());
    assert!(
        packed.starts_with(b"\x1f\x8b") && packed.len() < 300,
        "{}",
        packed.len()
    );
    assert_eq!(pipe(&["-d"], &packed), text.as_bytes());
}
