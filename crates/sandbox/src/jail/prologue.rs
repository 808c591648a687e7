//! The first part of the seccomp program: lets through, by ranges of numbers, the calls that are allowed whatever their arguments.
//!
//! Linux translates the program to machine code at each start of a container. `seccompiler` spends five instructions on
//! each call; three for each range of numbers make a quarter of that, and the rest keeps the calls with conditions.
//!
//! Linux: Documentation/userspace-api/seccomp_filter.rst, `struct seccomp_data`.

use seccompiler::{BpfProgram, TargetArch, sock_filter};

/// Offsets in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

/// `SECCOMP_RET_ALLOW`.
const ALLOW: u32 = 0x7fff_0000;

/// `AUDIT_ARCH_*`: the ELF machine, 64 bits, little endian.
fn architecture_code(architecture: TargetArch) -> u32 {
    let machine = match architecture {
        TargetArch::x86_64 => 62,
        TargetArch::aarch64 => 183,
        TargetArch::riscv64 => 243,
    };
    machine | 0xc000_0000
}

/// Puts the calls in front of `rest`, which decides on all others, and on other architectures.
pub(super) fn prepend(
    calls: impl IntoIterator<Item = i64>,
    architecture: TargetArch,
    rest: BpfProgram,
) -> BpfProgram {
    let allowed: Vec<_> = ranges(calls).into_iter().flat_map(allow).collect();
    let to_rest = allowed.len() as u32 + 1;
    let mut program = vec![
        load(ARCHITECTURE_OFFSET),
        jump(libc::BPF_JEQ, architecture_code(architecture), 1, 0),
        jump(libc::BPF_JA, to_rest, 0, 0),
        load(NUMBER_OFFSET),
    ];
    program.extend(allowed);
    program.extend(rest);
    program
}

/// Joins numbers that follow each other; both ends of a range belong to it.
fn ranges(calls: impl IntoIterator<Item = i64>) -> Vec<(u32, u32)> {
    let mut numbers: Vec<u32> = calls
        .into_iter()
        .map(|call| u32::try_from(call).expect("system calls are numbered from 0"))
        .collect();
    numbers.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if number <= *last + 1 => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

/// Allows the numbers of a range, and goes on after itself with others.
fn allow((first, last): (u32, u32)) -> [sock_filter; 3] {
    [
        jump(libc::BPF_JGE, first, 0, 2),
        jump(libc::BPF_JGT, last, 1, 0),
        instruction(libc::BPF_RET | libc::BPF_K, ALLOW, 0, 0),
    ]
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// Compares with `value` and skips as many instructions; `BPF_JA` skips `value` of them.
fn jump(operation: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(
        libc::BPF_JMP | operation | libc::BPF_K,
        value,
        if_true,
        if_false,
    )
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on a call as Linux does; `None` when it reaches `rest`.
    fn verdict(calls: &[i64], architecture: u32, number: u32) -> Option<u32> {
        let program = prepend(calls.iter().copied(), TargetArch::x86_64, Vec::new());
        let mut accumulator = 0;
        let mut at = 0;
        while let Some(step) = program.get(at) {
            at += 1;
            let test = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                0x20 if step.k == NUMBER_OFFSET => accumulator = number,
                0x20 => accumulator = architecture,
                0x05 => at += step.k as usize,
                0x15 => at += test(accumulator == step.k),
                0x25 => at += test(accumulator > step.k),
                0x35 => at += test(accumulator >= step.k),
                0x06 => return Some(step.k),
                other => panic!("{other:#x} is not an instruction of ours"),
            }
        }
        assert_eq!(at, program.len(), "it ends where the rest begins");
        None
    }

    #[test]
    fn exactly_the_calls_given_are_allowed() {
        const NATIVE: u32 = 0xc000_003e;
        let calls = [7, 3, 4, 5, 300, 301, 0, 9];
        for number in 0..1000 {
            let expected = calls.contains(&i64::from(number)).then_some(ALLOW);
            assert_eq!(verdict(&calls, NATIVE, number), expected, "{number}");
        }
        // x32 has numbers of its own.
        assert_eq!(verdict(&calls, NATIVE, 0x4000_0003), None);
    }

    #[test]
    fn calls_of_other_architectures_are_left_to_the_rest() {
        const I386: u32 = 0x4000_0003;
        assert_eq!(verdict(&[3], I386, 3), None);
    }
}
