//! Disks on a simulated host: power cuts, a model to compare with, hostile files, and failures of the host.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

mod faults;
mod hostile;
mod merge;
mod model;
mod mutation;
mod power_cut;
mod readers;
mod simulated;

use std::sync::Arc;

use minke_blockstore::{Identity, Limits, Snapshot, Storage};
use simulated::Simulated;

/// Small, so that a short test meets every bound.
const LIMITS: Limits = Limits {
    buffered_blocks_max: 6,
    map_bytes_max: 1 << 20,
    log_segments_max: 7,
    unreleased_slots_max: 40,
};

const BLOCK: u64 = minke_blockstore::BLOCK_BYTES as u64;

/// Returns the seed of a random test: a fixed one, or what `MINKE_SEED` says. Failures print it.
fn seed() -> u64 {
    std::env::var("MINKE_SEED").map_or(1, |text| text.parse().unwrap())
}

/// Returns what a base of these bytes calls itself.
fn identity_of(bytes: &[u8]) -> Identity {
    Identity {
        size_bytes: bytes.len() as u64,
        digest: blake3::hash(bytes).into(),
    }
}

/// Returns a base that holds `bytes`.
fn base_of(bytes: &[u8]) -> Arc<Snapshot> {
    let storage: Arc<dyn Storage> = Arc::new(Simulated::new(bytes.to_vec()));
    Arc::new(Snapshot::of_base(storage, identity_of(bytes)).unwrap())
}

/// Returns that many random bytes.
fn noise(random: &mut fastrand::Rng, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}
