//! Pieces of pure computation: `kernels [NAME...]` prints `NAME SECONDS CHECKSUM` for each.
//!
//! The checksum depends on all of the work, and is the same on every machine.

use std::hint::black_box;
use std::time::Instant;

/// Does its work and returns a checksum of it.
type Kernel = fn() -> u64;

const KERNELS: &[(&str, Kernel)] = &[
    ("sha256", sha256),
    ("matmul", matmul),
    ("sort", sort),
    ("recursion", recursion),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, run) in KERNELS {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == name) {
            continue;
        }
        let start = Instant::now();
        let checksum = run();
        println!(
            "{name} {:.6} {checksum:016x}",
            start.elapsed().as_secs_f64()
        );
    }
}

/// Hashes 32 MiB, 64 bytes at a time. Spec: FIPS 180-4, 6.2.
fn sha256() -> u64 {
    let constants = sha256_constants();
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut block = [0_u32; 16];
    for round in 0..(32 << 20) / 64_u32 {
        block[0] = black_box(round);
        sha256_block(&mut state, &block, &constants);
    }
    u64::from(state[0]) << 32 | u64::from(state[7])
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
fn sha256_constants() -> [u32; 64] {
    let primes = (2_u32..).filter(|n| (2..*n).all(|d| n % d != 0));
    let mut constants = [0; 64];
    for (slot, prime) in constants.iter_mut().zip(primes) {
        let mut root = 0_u128;
        for bit in (0..36).rev() {
            let next = root | 1 << bit;
            if next * next * next <= u128::from(prime) << 96 {
                root = next;
            }
        }
        *slot = root as u32;
    }
    constants
}

#[inline(never)]
fn sha256_block(state: &mut [u32; 8], block: &[u32; 16], constants: &[u32; 64]) {
    let mut words = [0_u32; 64];
    words[..16].copy_from_slice(block);
    for i in 16..64 {
        let a = words[i - 15];
        let b = words[i - 2];
        let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
        let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
        words[i] = words[i - 16]
            .wrapping_add(s0)
            .wrapping_add(words[i - 7])
            .wrapping_add(s1);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for i in 0..64 {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let t1 = h
            .wrapping_add(s1)
            .wrapping_add(choice)
            .wrapping_add(constants[i])
            .wrapping_add(words[i]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        h = g;
        g = f;
        f = e;
        e = d.wrapping_add(t1);
        d = c;
        c = b;
        b = a;
        a = t1.wrapping_add(s0).wrapping_add(majority);
    }
    for (slot, value) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *slot = slot.wrapping_add(value);
    }
}

/// Multiplies two matrices of 512 × 512 doubles.
fn matmul() -> u64 {
    const SIZE: usize = 512;
    let fill = |seed: usize| -> Vec<f64> {
        (0..SIZE * SIZE)
            .map(|i| ((i * seed) % 1000) as f64)
            .collect()
    };
    let (left, right) = (black_box(fill(7)), black_box(fill(13)));
    let mut product = vec![0.0; SIZE * SIZE];
    for i in 0..SIZE {
        for k in 0..SIZE {
            let factor = left[i * SIZE + k];
            let from = &right[k * SIZE..(k + 1) * SIZE];
            let to = &mut product[i * SIZE..(i + 1) * SIZE];
            for (cell, value) in to.iter_mut().zip(from) {
                *cell += factor * value;
            }
        }
    }
    product
        .iter()
        .fold(0, |sum, it| sum ^ it.to_bits().rotate_left(7))
}

/// Sorts two million numbers, stably and not.
fn sort() -> u64 {
    let mut seed = black_box(0x9e37_79b9_7f4a_7c15_u64);
    let mut numbers: Vec<u64> = (0..2_000_000)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        })
        .collect();
    let mut copy = numbers.clone();
    numbers.sort_unstable();
    copy.sort_by_key(|it| it.rotate_left(32));
    numbers[1_000_000] ^ copy[1_000_000]
}

/// Calls itself some two hundred million times.
fn recursion() -> u64 {
    fn fibonacci(n: u64) -> u64 {
        if n < 2 {
            n
        } else {
            fibonacci(n - 1) + fibonacci(n - 2)
        }
    }
    fibonacci(black_box(39))
}
