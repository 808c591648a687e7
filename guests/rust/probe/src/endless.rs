//! Actions that never end by themselves: each takes one resource for as long as it is let.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};

use crate::{Args, arg};

/// Computes without end and without a system call, in one of the shapes that compiled code takes.
pub fn spin(args: Args) -> io::Result<()> {
    println!("spinning");
    match arg(args, 0) {
        "registers" => spin_registers(),
        "arithmetic" => spin_arithmetic(),
        "memory" => spin_memory(),
        "recursion" => spin_recursion(),
        "indirect" => spin_indirect(),
        "bulk" => spin_bulk(),
        other => panic!("unknown way to spin `{other}`"),
    }
}

#[allow(clippy::empty_loop)]
fn spin_registers() -> ! {
    loop {}
}

/// A loop that touches no memory, with an end that is never reached: odd times odd is odd.
fn spin_arithmetic() -> ! {
    let mut value = black_box(3_u64);
    while value != 0 {
        value = value.wrapping_mul(6_364_136_223_846_793_005);
    }
    unreachable!("an odd number became zero")
}

fn spin_memory() -> ! {
    let mut cells = [0_u64; 64];
    let mut place = 0;
    loop {
        cells[place % 64] = black_box(cells[place % 64] + 1);
        place += 1;
    }
}

fn spin_recursion() -> ! {
    loop {
        black_box(fibonacci(black_box(40)));
    }
}

fn fibonacci(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        fibonacci(n - 1) + fibonacci(n - 2)
    }
}

fn spin_indirect() -> ! {
    let step: fn(u64) -> u64 = black_box(|it| it.wrapping_add(1));
    let mut value = 0;
    loop {
        value = step(value);
    }
}

/// Long single instructions: `memory.fill` and `memory.copy` of tens of mebibytes.
fn spin_bulk() -> ! {
    let mut bytes = vec![0_u8; 64 << 20];
    let half = bytes.len() / 2;
    loop {
        bytes.fill(black_box(1));
        bytes.copy_within(..half, half);
    }
}

/// Allocates and touches memory until the allocator gives up and aborts.
pub fn alloc(_: Args) -> io::Result<()> {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Allocates until it is refused, and says how much it was given.
pub fn alloc_try(_: Args) -> io::Result<()> {
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(1 << 16);
    loop {
        let mut block = Vec::new();
        if kept.len() == kept.capacity() || block.try_reserve_exact(1 << 20).is_err() {
            println!("refused after {} MiB", kept.len());
            return Ok(());
        }
        block.resize(1 << 20, 1);
        kept.push(black_box(block));
    }
}

/// Calls itself without end, with everything in registers: the call stack overflows.
pub fn recurse(_: Args) -> io::Result<()> {
    println!("{}", deeper(black_box(1), black_box(u64::MAX)));
    Ok(())
}

#[inline(never)]
fn deeper(depth: u64, limit: u64) -> u64 {
    if depth == limit {
        depth
    } else {
        deeper(depth + 1, limit).rotate_left(3) ^ depth
    }
}

/// Calls itself without end, with locals in linear memory: the program's own stack overflows.
pub fn recurse_memory(_: Args) -> io::Result<()> {
    println!("{}", deeper_in_memory(black_box(1), black_box(u64::MAX)));
    Ok(())
}

#[inline(never)]
fn deeper_in_memory(depth: u64, limit: u64) -> u64 {
    let cells = black_box([depth; 64]);
    if depth == limit {
        depth
    } else {
        deeper_in_memory(depth + 1, limit) + cells[depth as usize % 64]
    }
}

/// Opens FILE until it is refused, says how often it could, and shows that one more works after a close.
pub fn open_many(args: Args) -> io::Result<()> {
    let mut open = Vec::new();
    let error = loop {
        match File::open(arg(args, 0)) {
            Ok(file) => open.push(file),
            Err(error) => break error,
        }
    };
    println!(
        "refused after {} with {}",
        open.len(),
        crate::errno_name(error.raw_os_error().unwrap_or(-1))
    );
    open.pop();
    File::open(arg(args, 0)).map(drop)
}

/// Writes lines without end.
pub fn logs(_: Args) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout());
    for line in 0_u64.. {
        writeln!(
            out,
            "line {line} of a log that never ends, with some text to make it longer"
        )?;
    }
    Ok(())
}
