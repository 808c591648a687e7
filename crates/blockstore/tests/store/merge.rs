//! Merging a change file into its base, whatever happens meanwhile.

use std::sync::Arc;

use minke_blockstore::{ChangeFile, Disk, DiskError, Limits, Snapshot, State, Storage, merge};

use crate::simulated::{Power, Simulated};
use crate::{BLOCK, LIMITS, base_of, identity_of, noise, seed};

const BASE_BYTES: usize = 20 * BLOCK as usize + 100;
const DISK_BYTES: usize = 30 * BLOCK as usize + 700;

/// A base, a change file over it, and what both together hold.
struct Volume {
    base: Vec<u8>,
    file: Vec<u8>,
    expected: Vec<u8>,
}

impl Volume {
    fn new(random: &mut fastrand::Rng) -> Volume {
        let base = noise(random, BASE_BYTES);
        let below = base_of(&base);
        let storage = Arc::<Simulated>::default();
        let uuid = random.u128(..).to_le_bytes();
        let disk = Disk::create(storage.clone(), below, uuid, DISK_BYTES as u64, LIMITS).unwrap();
        let mut expected = base.clone();
        expected.resize(DISK_BYTES, 0);
        for _ in 0..random.usize(1..10) {
            let start = random.usize(..DISK_BYTES);
            let length = random.usize(..(DISK_BYTES - start).min(30_000)) + 1;
            if random.bool() {
                let bytes = noise(random, length);
                disk.write_at(start as u64, &bytes).unwrap();
                expected[start..start + length].copy_from_slice(&bytes);
            } else {
                disk.discard(start as u64, length as u64).unwrap();
                expected[start..start + length].fill(0);
            }
        }
        disk.commit().unwrap();
        // Not committed: not merged.
        disk.write_at(0, &[0xaa; 50_000]).unwrap();
        Volume {
            base,
            file: storage.content(),
            expected,
        }
    }

    /// Merges until the power is cut; returns whether all was done.
    fn merge_and_cut(&mut self, random: &mut fastrand::Rng, cut_after: usize) -> bool {
        let power = Arc::<Power>::default();
        let file = Simulated::with_power(self.file.clone(), power.clone());
        let base = Simulated::with_power(self.base.clone(), power.clone());
        let file = Arc::new(file);
        power.cut_after(cut_after);
        let identity = identity_of(&self.base);
        let result = merge(file.clone(), &base, identity, &LIMITS);
        self.file = file.after_cut(random);
        self.base = base.after_cut(random);
        match result {
            Ok(()) => true,
            Err(DiskError::Io { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn state(&self) -> State {
        let file = Simulated::new(self.file.clone());
        ChangeFile::inspect(&file).unwrap().state
    }

    /// Before the merge has begun the disk is as before; after it the base is all of it.
    fn check(&self) {
        match self.state() {
            State::Active => {
                let file = Arc::new(Simulated::new(self.file.clone()));
                let disk = Disk::open(file, base_of(&self.base), LIMITS).unwrap();
                let mut bytes = vec![0; DISK_BYTES];
                disk.read_at(0, &mut bytes).unwrap();
                assert!(bytes == self.expected);
            }
            State::Merged => assert!(self.base == self.expected),
            State::Merging => {}
            State::Frozen => panic!("nothing was frozen"),
        }
    }
}

#[test]
fn a_merge_that_is_cut_at_any_moment_is_finished_by_the_next_one() {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut cuts_count = 0;
    for volume_number in 0.. {
        let mut volume = Volume::new(&mut random);
        let mut is_done = false;
        while !is_done {
            let cut_after = random.usize(..30);
            is_done = volume.merge_and_cut(&mut random, cut_after);
            volume.check();
            cuts_count += 1;
            assert!(
                !is_done || volume.state() == State::Merged,
                "seed {}, volume {volume_number}",
                seed()
            );
        }
        if cuts_count > 3_000 {
            return;
        }
    }
}

fn merged(volume: &Volume, base: &Simulated) -> Result<(), DiskError> {
    let file = Arc::new(Simulated::new(volume.file.clone()));
    merge(file, base, identity_of(&volume.base), &LIMITS)
}

#[test]
fn a_merged_file_is_left_alone_and_cannot_be_opened() {
    let volume = Volume::new(&mut fastrand::Rng::with_seed(1));
    let file = Arc::new(Simulated::new(volume.file.clone()));
    let base = Simulated::new(volume.base.clone());
    merge(file.clone(), &base, identity_of(&volume.base), &LIMITS).unwrap();
    assert!(base.content() == volume.expected);
    base.write_at(0, &[1; 100]).unwrap();
    let changed = base.content();
    merge(file.clone(), &base, identity_of(&changed), &LIMITS).unwrap();
    assert!(base.content() == changed);
    let result = Disk::open(file, base_of(&changed), LIMITS);
    let state = State::Merged;
    assert!(matches!(result, Err(DiskError::ReadOnly { state: it }) if it == state));
}

#[test]
fn a_base_that_was_changed_is_not_merged_into() {
    let volume = Volume::new(&mut fastrand::Rng::with_seed(2));
    let base = Simulated::new(volume.base.clone());
    base.write_at(0, &[1; 100]).unwrap();
    let changed = base.content();
    let file = Arc::new(Simulated::new(volume.file));
    let result = merge(file.clone(), &base, identity_of(&changed), &LIMITS);
    assert!(matches!(result, Err(DiskError::WrongBase { .. })));
    assert!(base.content() == changed);
    assert_eq!(ChangeFile::inspect(&*file).unwrap().state, State::Active);
}

#[test]
fn a_full_host_stops_a_merge_and_the_next_one_finishes_it() {
    let mut volume = Volume::new(&mut fastrand::Rng::with_seed(3));
    let file = Arc::new(Simulated::new(volume.file.clone()));
    let base = Simulated::new(volume.base.clone());
    base.limit_space(Some(1000));
    let identity = identity_of(&volume.base);
    let result = merge(file.clone(), &base, identity, &LIMITS);
    assert!(
        matches!(result, Err(DiskError::NoSpace { .. })),
        "{result:?}"
    );
    volume.file = file.content();
    assert_eq!(volume.state(), State::Merging);
    let state = State::Merging;
    let result = Disk::open(file, base_of(&volume.base), LIMITS);
    assert!(matches!(result, Err(DiskError::ReadOnly { state: it }) if it == state));
    base.limit_space(None);
    merged(&volume, &base).unwrap();
    assert!(base.content() == volume.expected);
}

#[test]
fn a_half_merged_file_refuses_a_base_of_another_size() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut volume = Volume::new(&mut random);
    while volume.state() != State::Merging {
        volume.merge_and_cut(&mut random, 9);
    }
    let result = merged(&volume, &Simulated::new(vec![0; 77]));
    assert!(matches!(result, Err(DiskError::WrongBase { .. })));
}

#[test]
fn snapshots_are_not_merged() {
    let below = Arc::new(Snapshot::nothing());
    let (first, second) = (Arc::<Simulated>::default(), Arc::<Simulated>::default());
    let limits = Limits::default();
    let disk = Disk::create(first.clone(), below, [1; 16], BLOCK, limits).unwrap();
    disk.snapshot(second.clone(), [2; 16]).unwrap();
    let base = Simulated::default();
    let identity = identity_of(&[]);
    let result = merge(first, &base, identity, &LIMITS);
    assert!(matches!(result, Err(DiskError::ReadOnly { .. })));
    let result = merge(second, &base, identity, &LIMITS);
    assert!(matches!(result, Err(DiskError::WrongBase { .. })));
}
