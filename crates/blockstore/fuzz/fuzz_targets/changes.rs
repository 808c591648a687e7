//! Any bytes as a change file are refused or used, and what is then committed is there.
//!
//! `cargo +nightly fuzz run changes`, in `crates/blockstore`. The input changes numbers of a sample: a slot, a place in it, and a value of four
//! bytes. All checksums are made right after that, or no change would get past them.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use minke_blockstore::{BLOCK_BYTES, Disk, Limits, Snapshot};

#[path = "../../tests/store/hostile.rs"]
mod hostile;

const EDIT_BYTES: usize = 7;
const EDITS_MAX: usize = 64;

/// A change file with a map of two leaves, a leaf of zeros, and a log.
static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let file = hostile::Memory::new(Vec::new());
    let below = Arc::new(Snapshot::nothing());
    let block = BLOCK_BYTES as u64;
    let disk = Disk::create(
        file.clone(),
        below,
        [9; 16],
        3100 * block,
        Limits::default(),
    )
    .expect("memory does not fail");
    let write = |first: u64, value: u8| {
        disk.write_at(first * block, &[value; 3 * BLOCK_BYTES])
            .and_then(|()| disk.commit())
            .expect("memory does not fail");
    };
    disk.discard(2000 * block, 1100 * block)
        .expect("memory does not fail");
    (0..4).for_each(|round| write(1000 + round * 7, round as u8));
    disk.checkpoint().expect("memory does not fail");
    (0..4).for_each(|round| write(1003 + round * 8, 9 + round as u8));
    file.content()
});

fuzz_target!(|edits: &[u8]| {
    let mut content = SAMPLE.clone();
    let slots_count = content.len() / BLOCK_BYTES;
    for edit in edits.chunks_exact(EDIT_BYTES).take(EDITS_MAX) {
        let slot = usize::from(edit[0]) % slots_count;
        let place = usize::from(u16::from_le_bytes([edit[1], edit[2]])) % (BLOCK_BYTES - 3);
        let at = slot * BLOCK_BYTES + place;
        content[at..at + 4].copy_from_slice(&edit[3..]);
    }
    hostile::seal(&mut content);
    let _ = hostile::exercise(content);
});
