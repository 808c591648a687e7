//! Files that are no programs.

use crate::home::{Home, guest};

/// Runs a module made of these bytes and checks what is said.
#[track_caller]
fn check_module(bytes: &[u8], message: &str) {
    let home = Home::new();
    home.write("m.wasm", bytes);
    home.fails(&["run", "--rm", "./m.wasm"], 126, message);
    home.fails(&["run", "-d", "./m.wasm"], 126, message);
    home.assert_nothing_left();
}

#[test]
fn what_is_not_wasm_is_not_executable() {
    check_module(
        b"",
        "error: `FILES/m.wasm` is not a WebAssembly module: it is empty\n\
         hint: give a file that a compiler for WebAssembly made",
    );
    check_module(
        b"not wasm\n",
        "error: `FILES/m.wasm` is not a WebAssembly module: it is a file that starts with [6e, 6f, 74, 20]\n\
         hint: give a file that a compiler for WebAssembly made",
    );
    check_module(
        b"#!/bin/sh\n",
        "error: `FILES/m.wasm` is not a WebAssembly module: it is a script\n\
         hint: give the interpreter as the program and the script as its argument",
    );
    check_module(
        b"\x7fELF\x02\x01\x01",
        "error: `FILES/m.wasm` is not a WebAssembly module: it is a native program (ELF)\n\
         hint: compile it for WebAssembly, for example for `wasm32-wasip1` or with Emscripten",
    );
}

#[test]
fn a_truncated_module_says_where_it_ends() {
    let home = Home::new();
    let whole = std::fs::read(guest("hello.wasm")).expect("the guest is readable");
    home.write("cut.wasm", &whole[..1000]);
    let ended = home.run(&["run", "--rm", "./cut.wasm"]);
    ended.assert_fails(126, &["is truncated", "byte 1000"]);
    home.assert_nothing_left();
}

#[test]
fn a_component_is_named_as_one() {
    let home = Home::new();
    home.write("component.wasm", b"\0asm\x0d\0\x01\0");
    let ended = home.run(&["run", "--rm", "./component.wasm"]);
    ended.assert_fails(126, &["component", "hint: "]);
    home.assert_nothing_left();
}

#[test]
fn a_missing_import_is_named_before_anything_runs() {
    let home = Home::new();
    let module = wat::parse_str(
        r#"(module
            (import "env" "frobnicate" (func (param i32 i64) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (drop (call 0 (i32.const 1) (i64.const 2)))))"#,
    )
    .expect("the text is a module");
    home.write("wants.wasm", module);
    let ended = home.run(&["run", "--rm", "./wants.wasm"]);
    ended.assert_fails(126, &["env", "frobnicate", "i64", "wants.wasm"]);
    home.assert_nothing_left();
}

#[test]
fn an_invalid_module_says_what_is_wrong() {
    let home = Home::new();
    // A function of type `() -> i32` that leaves nothing on the stack.
    home.write(
        "invalid.wasm",
        b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b",
    );
    let ended = home.run(&["run", "--rm", "./invalid.wasm"]);
    ended.assert_fails(
        126,
        &[
            "invalid.wasm",
            "is not a valid",
            "type mismatch",
            "hint: build it again",
        ],
    );
    home.assert_nothing_left();
}

/// Names the size of a section in the way of the binary format. Spec: WebAssembly core, 5.2.2 Integers.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Adds a custom section of `size` bytes to a module.
fn with_custom_section(module: &[u8], size: usize) -> Vec<u8> {
    let name = b"\x07padding";
    let section = [&[0], leb128(name.len() + size).as_slice(), name].concat();
    let mut padded = [module, &section].concat();
    padded.resize(padded.len() + size, 0);
    padded
}

/// Bounds what a module of 200 MB may cost in memory, in KiB: itself, and as much again.
const BIG_MODULE_KIB_MAX: u64 = 400 << 10;

#[test]
fn a_module_of_two_hundred_megabytes_runs_in_bounded_memory() {
    let home = Home::new();
    let probe = std::fs::read(guest("probe.wasm")).expect("the guest is readable");
    home.write("big.wasm", with_custom_section(&probe, 200_000_000));
    home.ok(&["run", "-d", "--name", "big", "./big.wasm", "wait"]);
    let pid = home.inspect("big")["State"]["Pid"].to_string();
    assert!(memory_peak_kib(&pid) < BIG_MODULE_KIB_MAX);
    home.ok(&["rm", "-f", "big"]);
    home.assert_nothing_left();
}

/// The most memory that a process ever had. Linux: `fs/proc/task_mmu.c` `task_mem()`.
fn memory_peak_kib(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|kib| kib.parse().ok()).expect("a size")
}
