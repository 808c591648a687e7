//! A disk against a plain vector, through reopening and snapshots.

use std::sync::Arc;

use minke_blockstore::{Disk, Identity, Limits, Snapshot, Storage};

use crate::simulated::Simulated;
use crate::{BLOCK, LIMITS, base_of, noise, seed};

const DISK_BYTES: usize = 60 * BLOCK as usize + 700;
/// More are taken away with all that came after: that is `restore`.
const SNAPSHOTS_MAX: usize = 6;

struct Trial {
    random: fastrand::Rng,
    limits: Limits,
    base: Arc<Snapshot>,
    /// Frozen files from the lowest up, what the disk held when each was frozen, and what it was then called.
    frozen: Vec<(Arc<Simulated>, Vec<u8>, Identity)>,
    top: Arc<Simulated>,
    disk: Disk,
    committed: Vec<u8>,
    current: Vec<u8>,
}

impl Trial {
    fn new(seed: u64, limits: Limits) -> Trial {
        let mut random = fastrand::Rng::with_seed(seed);
        let base_bytes = noise(&mut random, 40 * BLOCK as usize + 300);
        let base = base_of(&base_bytes);
        let mut current = base_bytes;
        current.resize(DISK_BYTES, 0);
        let (top, disk) = create(&mut random, base.clone(), limits);
        disk.commit().unwrap();
        Trial {
            random,
            limits,
            base,
            frozen: Vec::new(),
            top,
            disk,
            committed: current.clone(),
            current,
        }
    }

    fn step(&mut self) {
        let start = self.random.usize(..DISK_BYTES);
        let length = self.random.usize(..(DISK_BYTES - start).min(40_000)) + 1;
        match self.random.u8(..100) {
            0..40 => self.write(start, length),
            40..42 => self.check_written(),
            42..50 => {
                self.disk.discard(start as u64, length as u64).unwrap();
                self.current[start..start + length].fill(0);
            }
            50..80 => self.read(start, length),
            80..90 => {
                self.disk.commit().unwrap();
                self.committed.clone_from(&self.current);
            }
            90..93 => {
                self.disk.checkpoint().unwrap();
                self.committed.clone_from(&self.current);
            }
            93..97 => self.reopen(),
            97..99 => self.snapshot(),
            _ => self.restore(),
        }
    }

    fn write(&mut self, start: usize, length: usize) {
        let mut bytes = noise(&mut self.random, length);
        if self.random.u8(..5) == 0 {
            bytes.fill(0);
        }
        self.disk.write_at(start as u64, &bytes).unwrap();
        self.current[start..start + length].copy_from_slice(&bytes);
    }

    fn read(&mut self, start: usize, length: usize) {
        let mut bytes = vec![1; length];
        self.disk.read_at(start as u64, &mut bytes).unwrap();
        assert!(bytes == self.current[start..start + length]);
    }

    /// Loses what is not committed.
    fn reopen(&mut self) {
        self.disk = Disk::open(self.top.clone(), self.chain(), self.limits).unwrap();
        self.current.clone_from(&self.committed);
    }

    fn chain(&self) -> Arc<Snapshot> {
        let mut chain = Snapshot::clone(&self.base);
        for (file, _, identity) in &self.frozen {
            chain = chain.with(file.clone(), &self.limits).unwrap();
            assert_eq!(chain.identity(), *identity);
        }
        Arc::new(chain)
    }

    fn snapshot(&mut self) {
        if self.frozen.len() == SNAPSHOTS_MAX {
            return;
        }
        let next = Arc::new(Simulated::default());
        let uuid = self.random.u128(..).to_le_bytes();
        let identity = self.disk.snapshot(next.clone(), uuid).unwrap();
        let frozen = std::mem::replace(&mut self.top, next);
        self.frozen.push((frozen, self.current.clone(), identity));
        self.committed.clone_from(&self.current);
    }

    /// Goes back to a snapshot.
    fn restore(&mut self) {
        if self.frozen.is_empty() {
            return;
        }
        self.frozen
            .truncate(self.random.usize(..self.frozen.len()) + 1);
        let chain = self.chain();
        self.check_snapshot(&chain);
        (self.top, self.disk) = create(&mut self.random, chain, self.limits);
        self.disk.commit().unwrap();
        self.current = self.frozen.last().unwrap().1.clone();
        self.committed.clone_from(&self.current);
    }

    /// What is not told as written since one of the snapshots, or the base, is as it was then.
    fn check_written(&mut self) {
        let count = self.random.usize(..=self.frozen.len());
        let mut then = Snapshot::clone(&self.base);
        for (file, ..) in &self.frozen[..count] {
            then = then.with(file.clone(), &self.limits).unwrap();
        }
        let mut before = vec![0; DISK_BYTES];
        let length = then.size() as usize;
        then.read_at(0, &mut before[..length]).unwrap();
        let (start, end) = (self.random.usize(..DISK_BYTES), DISK_BYTES);
        let range = start as u64..end as u64;
        let mut at = start;
        for written in self.disk.written_since(&then, range).unwrap() {
            let begin = (written.start as usize).clamp(at, end);
            assert!(before[at..begin] == self.current[at..begin]);
            at = (written.end as usize).clamp(at, end);
        }
        assert!(before[at..] == self.current[at..]);
    }

    fn check_snapshot(&self, chain: &Snapshot) {
        let mut bytes = vec![1; DISK_BYTES];
        chain.read_at(0, &mut bytes).unwrap();
        assert!(bytes == self.frozen.last().unwrap().1);
    }
}

fn create(
    random: &mut fastrand::Rng,
    below: Arc<Snapshot>,
    limits: Limits,
) -> (Arc<Simulated>, Disk) {
    let top = Arc::new(Simulated::default());
    let uuid = random.u128(..).to_le_bytes();
    let disk = Disk::create(top.clone(), below, uuid, DISK_BYTES as u64, limits).unwrap();
    (top, disk)
}

fn check(seed: u64, limits: Limits, steps_count: usize) {
    let mut trial = Trial::new(seed, limits);
    for step in 0..steps_count {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial.step()));
        assert!(caught.is_ok(), "seed {seed}, step {step}");
    }
    trial.read(0, DISK_BYTES);
    let length = trial.top.length().unwrap();
    // The disk itself, garbage up to the limit of unreleased slots, and what the file grows by.
    assert!(length < 24 << 20, "{length} bytes");
}

#[test]
fn a_disk_tells_what_was_written_since_each_snapshot_and_no_more() {
    let mut trial = Trial::new(seed(), Limits::default());
    let written = |trial: &Trial, then: &Snapshot| {
        let found = trial.disk.written_since(then, 0..DISK_BYTES as u64);
        found.unwrap()
    };
    let base = trial.base.clone();
    assert_eq!(written(&trial, &base), []);
    trial.write(BLOCK as usize, 10);
    let first = BLOCK..2 * BLOCK;
    assert_eq!(written(&trial, &base), std::slice::from_ref(&first));
    trial.snapshot();
    let then = trial.chain();
    assert_eq!(written(&trial, &then), []);
    trial.disk.discard(2 * BLOCK, BLOCK).unwrap();
    trial.disk.commit().unwrap();
    trial.write(7 * BLOCK as usize, 1);
    let second = [2 * BLOCK..3 * BLOCK, 7 * BLOCK..8 * BLOCK];
    assert_eq!(written(&trial, &then), second);
    assert_eq!(
        written(&trial, &base),
        [BLOCK..3 * BLOCK, 7 * BLOCK..8 * BLOCK]
    );
    let other = Trial::new(seed() + 7, Limits::default());
    let foreign = other.disk.written_since(&then, 0..BLOCK);
    assert!(foreign.is_err());
}

#[test]
fn blocks_have_the_identity_of_the_lowest_snapshot_that_has_them_as_they_are() {
    let mut trial = Trial::new(seed(), Limits::default());
    trial.write(BLOCK as usize, 10);
    trial.snapshot();
    let first = trial.chain();
    trial.write(7 * BLOCK as usize, 10);
    trial.snapshot();
    let second = trial.chain();
    trial.write(3 * BLOCK as usize, 10);
    trial.snapshot();
    let top = trial.chain();
    let block = |number: u64| number * BLOCK..(number + 1) * BLOCK;
    let origin = |disk: &Snapshot, blocks: &[u64]| {
        let ranges = blocks.iter().map(|number| block(*number));
        disk.origin_of(ranges).unwrap()
    };
    assert_eq!(origin(&top, &[1]), first.identity());
    assert_eq!(origin(&top, &[1, 7]), second.identity());
    assert_eq!(origin(&second, &[7]), second.identity());
    assert_eq!(origin(&top, &[3, 1]), top.identity());
    // What nobody wrote was there before all of them.
    assert_eq!(origin(&top, &[5]), first.identity());
    assert_eq!(origin(&top, &[]), first.identity());
    assert!(top.origin_of([block(DISK_BYTES as u64)]).is_err());
}

#[test]
fn a_disk_with_small_buffers_holds_what_a_vector_holds() {
    check(seed(), LIMITS, 20_000);
}

#[test]
fn a_disk_with_the_usual_buffers_holds_what_a_vector_holds() {
    check(seed() + 1, Limits::default(), 20_000);
}
