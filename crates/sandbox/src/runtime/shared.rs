//! Bytes of a shared memory, which guest threads and host calls of other threads change at any time.
//!
//! Nothing here makes a reference to them: they are copied, by relaxed atomic accesses. So a host call that races
//! with a guest sees old or new bytes, in any mixture, as a system call of Linux would, and writes only what it was given.
#![expect(
    unsafe_code,
    reason = "a memory that others write is reached through raw pointers only"
)]

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use wasmtime::SharedMemory;

/// Bytes that are moved by one access where both sides allow it.
const WORD_BYTES: usize = 8;

/// Bytes of the buffer that a move within a memory goes through.
const MOVE_BYTES: usize = 4096;

/// Copies out of a memory from `start`; the caller has checked that the end is inside.
pub(super) fn read(memory: &SharedMemory, start: usize, target: &mut [u8]) {
    let cells = &memory.data()[start..start + target.len()];
    let (head, words) = split(cells);
    let (target_head, target_words) = target.split_at_mut(head.len());
    for (byte, cell) in target_head.iter_mut().zip(head) {
        *byte = byte_of(cell).load(Ordering::Relaxed);
    }
    let mut chunks = target_words.chunks_exact_mut(WORD_BYTES);
    let mut word_cells = words.chunks_exact(WORD_BYTES);
    for (chunk, cells) in chunks.by_ref().zip(word_cells.by_ref()) {
        chunk.copy_from_slice(&word_of(cells).load(Ordering::Relaxed).to_ne_bytes());
    }
    for (byte, cell) in chunks
        .into_remainder()
        .iter_mut()
        .zip(word_cells.remainder())
    {
        *byte = byte_of(cell).load(Ordering::Relaxed);
    }
}

/// Copies into a memory from `start`; the caller has checked that the end is inside.
pub(super) fn write(memory: &SharedMemory, start: usize, source: &[u8]) {
    let cells = &memory.data()[start..start + source.len()];
    let (head, words) = split(cells);
    let (source_head, source_words) = source.split_at(head.len());
    for (byte, cell) in source_head.iter().zip(head) {
        byte_of(cell).store(*byte, Ordering::Relaxed);
    }
    let chunks = source_words.chunks_exact(WORD_BYTES);
    let word_cells = words.chunks_exact(WORD_BYTES);
    for (byte, cell) in chunks.remainder().iter().zip(word_cells.remainder()) {
        byte_of(cell).store(*byte, Ordering::Relaxed);
    }
    for (chunk, cells) in chunks.zip(word_cells) {
        let word = u64::from_ne_bytes(chunk.try_into().expect("chunks have that many bytes"));
        word_of(cells).store(word, Ordering::Relaxed);
    }
}

/// Copies from one place of a memory to another, which may overlap; the caller has checked that both ends are inside.
pub(super) fn move_within(memory: &SharedMemory, from: Range<usize>, to: usize) {
    let length = from.len();
    let is_downwards = to > from.start;
    let mut buffer = [0; MOVE_BYTES];
    let mut done = 0;
    while done < length {
        let step = (length - done).min(MOVE_BYTES);
        // Towards a higher address the end goes first, or it would be overwritten before it is read.
        let at = if is_downwards {
            length - done - step
        } else {
            done
        };
        read(memory, from.start + at, &mut buffer[..step]);
        write(memory, to + at, &buffer[..step]);
        done += step;
    }
}

/// Loads a 32-bit number; the caller has checked that `start` is aligned and the end is inside.
pub(super) fn load_u32(memory: &SharedMemory, start: usize) -> u32 {
    let cells = &memory.data()[start..start + 4];
    // SAFETY: the four cells are inside the memory, which lives as long as the borrow of `memory`; `start` is a multiple of
    // 4 and the memory's base of a page. Other threads access the number atomically or through the guest's own code,
    // which Rust's rules do not cover: the hardware never tears an aligned number.
    let number = unsafe { AtomicU32::from_ptr(cells.as_ptr().cast_mut().cast()) };
    number.load(Ordering::SeqCst)
}

/// Loads a 64-bit number; the caller has checked that `start` is aligned and the end is inside.
pub(super) fn load_u64(memory: &SharedMemory, start: usize) -> u64 {
    word_of(&memory.data()[start..start + WORD_BYTES]).load(Ordering::SeqCst)
}

/// Splits cells where the first aligned word begins.
fn split(cells: &[UnsafeCell<u8>]) -> (&[UnsafeCell<u8>], &[UnsafeCell<u8>]) {
    let head = cells.as_ptr().align_offset(WORD_BYTES).min(cells.len());
    cells.split_at(head)
}

fn byte_of(cell: &UnsafeCell<u8>) -> &AtomicU8 {
    // SAFETY: the cell lives as long as the reference, a byte is always aligned, and whoever else reaches it meanwhile
    // does so atomically (host calls, here) or by guest code, whose accesses are the hardware's.
    unsafe { AtomicU8::from_ptr(cell.get()) }
}

/// Takes eight cells that begin at a multiple of eight as one word.
fn word_of(cells: &[UnsafeCell<u8>]) -> &AtomicU64 {
    let first = cells.as_ptr();
    assert!(
        cells.len() == WORD_BYTES && first.align_offset(WORD_BYTES) == 0,
        "a word is eight aligned bytes"
    );
    // SAFETY: length and alignment were checked, and the cells live as long as the reference. Others may reach the same bytes
    // meanwhile by other sizes: only where guests race, and then each access is one of the hardware's, which mixes whole bytes.
    unsafe { AtomicU64::from_ptr(first.cast_mut().cast()) }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine, MemoryType};

    use super::*;

    fn memory() -> SharedMemory {
        let mut config = Config::new();
        config.wasm_threads(true).shared_memory(true);
        let engine = Engine::new(&config).unwrap();
        SharedMemory::new(&engine, MemoryType::shared(1, 1)).unwrap()
    }

    #[test]
    fn every_start_and_length_is_copied_and_nothing_beside_it() {
        let memory = memory();
        for start in 0..20 {
            for length in 0..40_u8 {
                write(&memory, 0, &[0xff; 80]);
                let source: Vec<u8> = (0..length).collect();
                write(&memory, start, &source);
                let mut back = vec![0xff; usize::from(length)];
                read(&memory, start, &mut back);
                assert_eq!(back, source);
                let mut all = [0; 80];
                read(&memory, 0, &mut all);
                let changed = all.iter().filter(|byte| **byte != 0xff).count();
                assert_eq!(changed, usize::from(length), "from {start}");
            }
        }
    }

    #[test]
    fn overlapping_moves_are_whole_in_both_directions() {
        let memory = memory();
        let numbers: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        for (from, to) in [(100, 107), (107, 100), (0, 30_000), (5, 5)] {
            write(&memory, from, &numbers);
            move_within(&memory, from..from + numbers.len(), to);
            let mut back = vec![0; numbers.len()];
            read(&memory, to, &mut back);
            assert!(back == numbers, "{from} to {to}");
        }
    }

    #[test]
    fn numbers_are_little_endian() {
        let memory = memory();
        write(&memory, 8, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(load_u32(&memory, 8), 0x0403_0201);
        assert_eq!(load_u64(&memory, 8), 0x0807_0605_0403_0201);
    }
}
