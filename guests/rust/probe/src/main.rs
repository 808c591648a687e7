//! A program that does one thing to its kernel, chosen by its first argument, and says what it saw.
//!
//! `probe ACTION [ARG...]`; `probe help` lists the actions. A call that fails prints
//! `ACTION: error NAME (NUMBER)` to stderr, and the exit code is 1.

mod endless;
mod files;
mod process;
mod traps;

use std::io;

/// What an action is given: the arguments after its name.
type Args<'a> = &'a [String];

/// One row per action; dispatch and help are made from it.
struct Action {
    name: &'static str,
    usage: &'static str,
    run: fn(Args) -> io::Result<()>,
}

const fn action(
    name: &'static str,
    usage: &'static str,
    run: fn(Args) -> io::Result<()>,
) -> Action {
    Action { name, usage, run }
}

const ACTIONS: &[Action] = &[
    // Itself.
    action("exit", "CODE", process::exit),
    action("args", "[ARG...]", process::args),
    action("env", "[NAME]", process::env),
    action("cwd", "", process::cwd),
    action("print", "TEXT", process::print),
    action("stderr", "TEXT", process::print_stderr),
    action("lines", "COUNT [BYTES]", process::lines),
    action("sleep", "MS", process::sleep),
    action("ticks", "COUNT MS", process::ticks),
    action("wait", "", process::wait),
    action("poll-stdin", "MS", process::poll_stdin),
    action("clock", "", process::clock),
    action("random", "BYTES", process::random),
    action("isatty", "", process::isatty),
    // Files.
    action("cat", "[FILE...]", files::cat),
    action("write", "FILE TEXT", files::write),
    action("append", "FILE TEXT", files::append),
    action("create-new", "FILE", files::create_new),
    action("copy", "FROM TO", files::copy),
    action("durable-ticks", "FILE COUNT", files::durable_ticks),
    action("fill", "FILE MIB", files::fill),
    action("ls", "DIRECTORY", files::list),
    action("walk", "DIRECTORY", files::walk),
    action("stat", "PATH", files::stat),
    action("lstat", "PATH", files::lstat),
    action("rename", "FROM TO", files::rename),
    action("link", "FROM TO", files::link),
    action("symlink", "TARGET LINK", files::symlink),
    action("readlink", "LINK", files::readlink),
    action("unlink", "FILE", files::unlink),
    action("mkdir", "DIRECTORY", files::mkdir),
    action("rmdir", "DIRECTORY", files::rmdir),
    action("seek", "FILE OFFSET", files::seek),
    action("truncate", "FILE SIZE", files::truncate),
    action("utimes", "FILE SECONDS", files::utimes),
    action("cat-loop", "FILE COUNT", files::cat_loop),
    // Without end.
    action(
        "spin",
        "registers|arithmetic|memory|recursion|indirect|bulk",
        endless::spin,
    ),
    action("alloc", "", endless::alloc),
    action("alloc-try", "", endless::alloc_try),
    action("recurse", "", endless::recurse),
    action("recurse-memory", "", endless::recurse_memory),
    action("open-many", "FILE", endless::open_many),
    action("logs", "", endless::logs),
    // Ends that are no exit.
    action(
        "trap",
        "unreachable|memory|divide|table|signature|abort|panic",
        traps::trap,
    ),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let name = args.get(1).map_or("help", String::as_str);
    let Some(action) = ACTIONS.iter().find(|it| it.name == name) else {
        help();
        std::process::exit(if name == "help" { 0 } else { 2 });
    };
    if let Err(error) = (action.run)(&args[2..]) {
        let number = error.raw_os_error().unwrap_or(-1);
        eprintln!("{name}: error {} ({number})", errno_name(number));
        std::process::exit(1);
    }
}

fn help() {
    for action in ACTIONS {
        println!("probe {} {}", action.name, action.usage);
    }
}

/// Argument `place`, or a complaint and exit code 2.
fn arg<'a>(args: Args<'a>, place: usize) -> &'a str {
    args.get(place).map(String::as_str).unwrap_or_else(|| {
        eprintln!("argument {} is missing", place + 1);
        std::process::exit(2);
    })
}

fn number(args: Args, place: usize) -> u64 {
    let text = arg(args, place);
    text.parse().unwrap_or_else(|_| {
        eprintln!("expected a number, found `{text}`");
        std::process::exit(2);
    })
}

/// The name of an error, for the ones that the tests look for.
fn errno_name(number: i32) -> &'static str {
    match number {
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EFBIG => "EFBIG",
        libc::EINTR => "EINTR",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::EMLINK => "EMLINK",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENFILE => "ENFILE",
        libc::ENOENT => "ENOENT",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::ENOTSUP => "ENOTSUP",
        libc::EPERM => "EPERM",
        libc::EPIPE => "EPIPE",
        libc::EROFS => "EROFS",
        libc::ESPIPE => "ESPIPE",
        libc::EXDEV => "EXDEV",
        76 => "ENOTCAPABLE",
        _ => "OTHER",
    }
}
