//! Actions on the process itself: arguments, environment, time, standard streams.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant, SystemTime};

use crate::{Args, arg, number};

pub fn exit(args: Args) -> io::Result<()> {
    let code = arg(args, 0).parse().expect("an exit code");
    std::process::exit(code)
}

pub fn args(args: Args) -> io::Result<()> {
    println!("{:?}", std::env::args().next().unwrap_or_default());
    args.iter().for_each(|it| println!("{it:?}"));
    Ok(())
}

/// Prints one variable, or all of them in the order that they were given.
pub fn env(args: Args) -> io::Result<()> {
    if let Some(name) = args.first() {
        match std::env::var(name) {
            Ok(value) => println!("{value}"),
            Err(_) => std::process::exit(1),
        }
        return Ok(());
    }
    std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
    Ok(())
}

pub fn cwd(_: Args) -> io::Result<()> {
    println!("{}", std::env::current_dir()?.display());
    Ok(())
}

pub fn print(args: Args) -> io::Result<()> {
    writeln!(io::stdout(), "{}", arg(args, 0))
}

pub fn print_stderr(args: Args) -> io::Result<()> {
    writeln!(io::stderr(), "{}", arg(args, 0))
}

/// Prints COUNT numbered lines of BYTES bytes each, without their end.
pub fn lines(args: Args) -> io::Result<()> {
    let width = args.get(1).map_or(1, |_| number(args, 1) as usize);
    let mut out = io::BufWriter::new(io::stdout());
    for line in 1..=number(args, 0) {
        writeln!(out, "{line:>width$}")?;
    }
    out.flush()
}

pub fn sleep(args: Args) -> io::Result<()> {
    let wanted = Duration::from_millis(number(args, 0));
    let start = Instant::now();
    std::thread::sleep(wanted);
    println!(
        "slept {}",
        if start.elapsed() >= wanted {
            "enough"
        } else {
            "too little"
        }
    );
    Ok(())
}

/// Prints a line every MS milliseconds.
pub fn ticks(args: Args) -> io::Result<()> {
    for tick in 1..=number(args, 0) {
        println!("tick {tick}");
        std::thread::sleep(Duration::from_millis(number(args, 1)));
    }
    Ok(())
}

/// Says that it is there, then sleeps until it is stopped.
pub fn wait(_: Args) -> io::Result<()> {
    println!("waiting");
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Waits at most MS milliseconds for something to read.
pub fn poll_stdin(args: Args) -> io::Result<()> {
    let timeout_ms = number(args, 0) as i32;
    let mut wait = libc::pollfd {
        fd: 0,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor, as the count says.
    let count = unsafe { libc::poll(&mut wait, 1, timeout_ms) };
    match count {
        0 => println!("timeout"),
        1 => {
            let mut bytes = [0; 64];
            let size = io::stdin().read(&mut bytes)?;
            println!("readable: {size} bytes");
        }
        _ => return Err(io::Error::last_os_error()),
    }
    Ok(())
}

/// Checks that the monotonic clock does not go back, and prints the year of the other.
pub fn clock(_: Args) -> io::Result<()> {
    let mut last = Instant::now();
    for _ in 0..1000 {
        let now = Instant::now();
        assert!(now >= last, "the monotonic clock went back");
        last = now;
    }
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    println!("monotonic");
    println!("{}", since.as_secs());
    Ok(())
}

/// Prints random bytes of the kernel in hexadecimal.
pub fn random(args: Args) -> io::Result<()> {
    let mut bytes = vec![0_u8; number(args, 0) as usize];
    // SAFETY: the buffer has the size that is given.
    let result = unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    bytes.iter().for_each(|byte| print!("{byte:02x}"));
    println!();
    Ok(())
}

pub fn isatty(_: Args) -> io::Result<()> {
    let (input, output) = (io::stdin().is_terminal(), io::stdout().is_terminal());
    println!("{input} {output} {}", io::stderr().is_terminal());
    Ok(())
}
