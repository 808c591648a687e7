//! Damaged and hostile change files: an error, or a commit as a whole.

use std::sync::Arc;

use minke_blockstore::{Disk, Limits, Snapshot};

use crate::hostile::{Memory, exercise, seal};
use crate::simulated::Simulated;
use crate::{BLOCK, noise, seed};

const DISK_BYTES: u64 = 3100 * BLOCK;
/// The part that is compared: across the border of two leaves of the map.
const HOT_START: u64 = 1000 * BLOCK;
const HOT_BYTES: usize = 100 * BLOCK as usize;

/// A file with a map of two leaves, a leaf of zeros, and a log, and what the hot part held at the checkpoint and after each commit.
struct Sample {
    content: Vec<u8>,
    states: Vec<Vec<u8>>,
}

impl Sample {
    fn new() -> Sample {
        let random = &mut fastrand::Rng::with_seed(5);
        let storage = Arc::<Simulated>::default();
        let below = Arc::new(Snapshot::nothing());
        let limits = Limits::default();
        let disk = Disk::create(storage.clone(), below, [9; 16], DISK_BYTES, limits).unwrap();
        disk.discard(2000 * BLOCK, 1100 * BLOCK).unwrap();
        let mut current = vec![0; HOT_BYTES];
        let mut states = Vec::new();
        for round in 0..8 {
            for _ in 0..3 {
                let start = random.u64(..90) * BLOCK;
                let bytes = noise(random, 2 * BLOCK as usize);
                disk.write_at(HOT_START + start, &bytes).unwrap();
                current[start as usize..][..bytes.len()].copy_from_slice(&bytes);
            }
            disk.discard(round * 7 * BLOCK, 30 * BLOCK).unwrap();
            disk.commit().unwrap();
            match round {
                0..4 => disk.checkpoint().unwrap(),
                _ => states.push(current.clone()),
            }
            if round == 3 {
                states.push(current.clone());
            }
        }
        let content = storage.content();
        Sample { content, states }
    }

    /// Opens a damaged file, and compares what it then holds with what any commit held.
    fn check(&self, content: Vec<u8>) -> Outcome {
        let below = Arc::new(Snapshot::nothing());
        let Ok(disk) = Disk::open(Memory::new(content), below, Limits::default()) else {
            return Outcome::Refused;
        };
        let mut found = vec![0; HOT_BYTES];
        if disk.read_at(HOT_START, &mut found).is_err() {
            return Outcome::Refused;
        }
        if self.states.contains(&found) {
            return Outcome::ACommit;
        }
        let is_one = |state: &Vec<u8>| {
            let pairs = state.iter().zip(&found);
            pairs.filter(|(a, b)| a != b).count() == 1
        };
        match self.states.iter().any(is_one) {
            true => Outcome::OneByteOfABlock,
            false => Outcome::AMix,
        }
    }

    /// Returns whether a slot has a block, which is not compared with a checksum unless it is of the last commit.
    fn has_block(&self, slot: usize) -> bool {
        let bytes = &self.content[slot * BLOCK as usize..][..BLOCK as usize];
        self.states.iter().any(|state| {
            let mut blocks = state.chunks(BLOCK as usize);
            blocks.any(|block| block == bytes)
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    ACommit,
    OneByteOfABlock,
    AMix,
}

#[test]
fn a_byte_that_has_changed_is_refused_or_costs_commits_but_never_mixes_them() {
    let sample = Sample::new();
    let random = &mut fastrand::Rng::with_seed(seed());
    let slots_count = sample.content.len() / BLOCK as usize;
    for slot in 0..slots_count {
        for _ in 0..10 {
            let at = slot * BLOCK as usize + random.usize(..BLOCK as usize);
            let mut content = sample.content.clone();
            content[at] ^= 1 << random.u8(..8);
            let outcome = sample.check(content);
            let is_block = sample.has_block(slot);
            let is_right = match outcome {
                Outcome::Refused | Outcome::ACommit => true,
                Outcome::OneByteOfABlock => is_block,
                Outcome::AMix => false,
            };
            assert!(is_right, "seed {}, byte {at}: {outcome:?}", seed());
        }
    }
}

#[test]
fn a_file_that_was_cut_off_is_refused_or_costs_commits_but_never_mixes_them() {
    let sample = Sample::new();
    for length in (0..sample.content.len()).step_by(700) {
        let outcome = sample.check(sample.content[..length].to_vec());
        let is_right = matches!(outcome, Outcome::Refused | Outcome::ACommit);
        assert!(is_right, "{length} bytes: {outcome:?}");
    }
}

#[test]
fn a_file_that_was_not_damaged_is_the_last_commit() {
    let sample = Sample::new();
    let last = Sample {
        states: vec![sample.states[4].clone()],
        ..sample
    };
    assert_eq!(last.check(last.content.clone()), Outcome::ACommit);
    let mut sealed = last.content.clone();
    seal(&mut sealed);
    assert!(
        sealed == last.content,
        "the format is as its description says"
    );
    exercise(sealed).unwrap();
}

/// Numbers that mean something, or nearly.
const NUMBERS: [u32; 8] = [0, 1, 2, 3, 1024, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff];

#[test]
fn contents_that_make_no_sense_under_right_checksums_are_refused_or_used() {
    let sample = Sample::new();
    let random = &mut fastrand::Rng::with_seed(seed());
    // Superblocks, and slots that begin as headers and pages do.
    let is_mapping = |slot: &usize| sample.content[slot * BLOCK as usize..].starts_with(b"minke");
    let slots_count = sample.content.len() / BLOCK as usize;
    let slots: Vec<_> = (0..slots_count)
        .filter(|slot| is_mapping(slot) || !sample.has_block(*slot))
        .collect();
    let mut refused_count = 0;
    for round in 0..2000 {
        let mut content = sample.content.clone();
        for _ in 0..random.usize(1..4) {
            let field = random.usize(..256 / 4) * 4;
            let at = slots[random.usize(..slots.len())] * BLOCK as usize + field;
            let number = match random.bool() {
                true => NUMBERS[random.usize(..NUMBERS.len())],
                false => random.u32(..slots_count as u32 + 2),
            };
            content[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        seal(&mut content);
        let caught = std::panic::catch_unwind(|| exercise(content));
        assert!(caught.is_ok(), "seed {}, round {round}", seed());
        refused_count += usize::from(caught.is_ok_and(|result| result.is_err()));
    }
    assert!(refused_count > 200, "{refused_count} refused");
}
