//! Ends that are no exit: each trap that compiled code can run into.

use std::hint::black_box;
use std::io;

use crate::{Args, arg};

pub fn trap(args: Args) -> io::Result<()> {
    match arg(args, 0) {
        "unreachable" => trap_unreachable(),
        "memory" => trap_memory(),
        "divide" => println!("{}", trap_divide(black_box(1), black_box(0))),
        "table" => trap_table(),
        "signature" => trap_signature(),
        "abort" => std::process::abort(),
        "panic" => panic!("as asked"),
        other => panic!("unknown trap `{other}`"),
    }
    Ok(())
}

#[inline(never)]
fn trap_unreachable() {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    std::process::abort();
}

#[inline(never)]
fn trap_memory() {
    let address = black_box(0xffff_fff0_usize) as *const u32;
    // SAFETY: none: the address is beyond any memory, which is what is to be seen.
    println!("{}", unsafe { address.read_volatile() });
}

#[inline(never)]
fn trap_divide(dividend: i32, divisor: i32) -> i32 {
    // SAFETY: none: the assertion only takes Rust's own check away, so that the instruction traps.
    unsafe { std::hint::assert_unchecked(divisor != 0) };
    dividend / divisor
}

#[inline(never)]
fn trap_table() {
    let place = black_box(0x00ff_ffff_usize);
    // SAFETY: none: there is no function at this place of the table.
    let function: extern "C" fn() = unsafe { std::mem::transmute(place) };
    function();
}

#[inline(never)]
fn trap_signature() {
    extern "C" fn one_number(number: i32) -> i32 {
        number + 1
    }
    let function: extern "C" fn(i32) -> i32 = black_box(one_number);
    // SAFETY: none: the function has another signature, so the call traps.
    let function: extern "C" fn(f64, f64) -> f64 = unsafe { std::mem::transmute(function) };
    println!("{}", function(1.0, 2.0));
}
