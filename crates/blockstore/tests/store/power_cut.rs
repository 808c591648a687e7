//! Whatever is lost when the power is cut, a disk is as of its last confirmed commit, or of the one that was being written.

use std::sync::Arc;

use minke_blockstore::{Disk, DiskError, Limits, Snapshot};

use crate::simulated::Simulated;
use crate::{BLOCK, LIMITS, base_of, noise, seed};

/// The part of the disk that is written: across the border of two leaves of the map.
const HOT_START: u64 = 1010 * BLOCK;
const HOT_BYTES: usize = 24 * BLOCK as usize;
const DISK_BYTES: u64 = 2000 * BLOCK + 1000;

/// One disk through many cuts, and what it must hold.
struct Trial {
    random: fastrand::Rng,
    limits: Limits,
    below: Arc<Snapshot>,
    storage: Arc<Simulated>,
    /// As of the last commit that was confirmed, or that a reader has seen.
    confirmed: Vec<u8>,
    /// Commits that were begun since, and not confirmed.
    attempted: Vec<Vec<u8>>,
}

impl Trial {
    fn new(seed: u64, limits: Limits) -> Trial {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut base = vec![0; HOT_START as usize];
        base.extend(noise(&mut random, HOT_BYTES - 5000));
        let below = base_of(&base);
        let storage = Arc::new(Simulated::default());
        let uuid = random.u128(..).to_le_bytes();
        let disk = Disk::create(storage.clone(), below.clone(), uuid, DISK_BYTES, limits).unwrap();
        let mut confirmed = base.split_off(HOT_START as usize);
        confirmed.resize(HOT_BYTES, 0);
        // What was not committed once need not be there at all.
        disk.write_at(0, &[1]).unwrap();
        disk.commit().unwrap();
        Trial {
            random,
            limits,
            below,
            storage,
            confirmed,
            attempted: Vec::new(),
        }
    }

    /// Opens the disk, works on it until the power is cut, and cuts it.
    fn round(&mut self) {
        self.storage = Arc::new(Simulated::new(self.storage.after_cut(&mut self.random)));
        let cuts_opening = self.random.u8(..) < 40;
        if cuts_opening {
            self.storage.cut_after(self.random.usize(..3));
        }
        let opened = Disk::open(self.storage.clone(), self.below.clone(), self.limits);
        let disk = match opened {
            Err(DiskError::Io { .. }) if cuts_opening => return,
            opened => opened.unwrap(),
        };
        let found = hot(&disk);
        let is_known = found == self.confirmed || self.attempted.contains(&found);
        assert!(is_known, "a state that no commit made");
        self.confirmed = found;
        self.attempted.clear();
        self.storage.cut_after(self.random.usize(..40));
        let mut current = self.confirmed.clone();
        while self.step(&disk, &mut current).is_ok() {}
    }

    /// Does something; an error when the power is gone.
    fn step(&mut self, disk: &Disk, current: &mut Vec<u8>) -> Result<(), DiskError> {
        let start = self.random.usize(..HOT_BYTES);
        let length = self.random.usize(..(HOT_BYTES - start).min(20_000)) + 1;
        let offset = HOT_START + start as u64;
        match self.random.u8(..100) {
            0..50 => {
                let bytes = noise(&mut self.random, length);
                // What is staged may be in part.
                disk.write_at(offset, &bytes)?;
                current[start..start + length].copy_from_slice(&bytes);
            }
            50..60 => {
                disk.discard(offset, length as u64)?;
                current[start..start + length].fill(0);
            }
            60..63 => self.commit(current, || disk.checkpoint())?,
            63..95 => self.commit(current, || disk.commit())?,
            _ => assert_eq!(hot(disk), *current, "what is read while the power is on"),
        }
        Ok(())
    }

    fn commit(
        &mut self,
        current: &[u8],
        commit: impl FnOnce() -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        self.attempted.push(current.to_vec());
        commit()?;
        self.attempted.clear();
        self.confirmed = current.to_vec();
        Ok(())
    }
}

fn hot(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; HOT_BYTES];
    disk.read_at(HOT_START, &mut bytes).unwrap();
    bytes
}

fn check(seed: u64, limits: Limits, cuts_count: usize) {
    let mut trial = Trial::new(seed, limits);
    for round in 0..cuts_count {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial.round()));
        assert!(caught.is_ok(), "seed {seed}, cut {round}");
    }
}

#[test]
fn three_thousand_cuts_with_small_buffers_leave_whole_commits() {
    check(seed(), LIMITS, 3_000);
}

#[test]
fn three_thousand_cuts_with_large_buffers_leave_whole_commits() {
    check(seed() + 1, Limits::default(), 3_000);
}

#[test]
fn three_thousand_cuts_with_a_checkpoint_after_each_commit_leave_whole_commits() {
    let limits = Limits {
        log_segments_max: 1,
        ..LIMITS
    };
    check(seed() + 2, limits, 3_000);
}

#[test]
fn three_thousand_cuts_with_little_room_in_memory_leave_whole_commits() {
    let limits = Limits {
        buffered_blocks_max: 1,
        unreleased_slots_max: 5,
        ..LIMITS
    };
    check(seed() + 3, limits, 3_000);
}

#[test]
fn a_commit_that_was_given_up_after_a_cut_does_not_come_back() {
    let below = Arc::new(Snapshot::nothing());
    let storage = Arc::<Simulated>::default();
    let disk = Disk::create(storage.clone(), below.clone(), [7; 16], DISK_BYTES, LIMITS).unwrap();
    disk.write_at(0, &[1; BLOCK as usize]).unwrap();
    disk.commit().unwrap();
    // The next header is in slot 4, and the two blocks behind it.
    let slot = |offset: usize| offset / BLOCK as usize;
    let attempt = |content: Vec<u8>, value: u8, lost: &[usize]| {
        let storage = Arc::new(Simulated::new(content));
        let disk = Disk::open(storage.clone(), below.clone(), LIMITS).unwrap();
        let mut first = [0];
        disk.read_at(0, &mut first).unwrap();
        disk.write_at(0, &[value; BLOCK as usize]).unwrap();
        disk.write_at(BLOCK, &[9; BLOCK as usize]).unwrap();
        storage.fail_syncs(true);
        disk.commit().unwrap_err();
        (
            first,
            storage.after_losing(|offset| lost.contains(&slot(offset))),
        )
    };
    let (_, content) = attempt(storage.content(), 2, &[6]);
    let (first, content) = attempt(content, 3, &[4, 5]);
    assert_eq!(first, [1], "its second block was lost");
    let (first, _) = attempt(content, 4, &[]);
    assert_eq!(
        first,
        [1],
        "its second block is there now, but it was given up"
    );
}

#[test]
fn either_copy_of_the_superblock_is_enough() {
    let mut trial = Trial::new(seed(), LIMITS);
    for round in 0..300 {
        trial.round();
        let storage = trial.storage.clone();
        let mut content = storage.after_losing(|_| false);
        let copy = BLOCK as usize * trial.random.usize(..2);
        content[copy + trial.random.usize(..512)] ^= 1;
        let storage = Arc::new(Simulated::new(content));
        let disk = match Disk::open(storage, trial.below.clone(), trial.limits) {
            // A flip can make a newer version of it.
            Err(DiskError::NewerVersion { .. }) => continue,
            opened => opened.unwrap(),
        };
        let found = hot(&disk);
        let is_known = found == trial.confirmed || trial.attempted.contains(&found);
        assert!(is_known, "seed {}, cut {round}", seed());
    }
}
