//! A full host, wrong bases, newer versions, failures of the host's disk.

use std::sync::Arc;

use minke_blockstore::{ChangeFile, Disk, DiskError, Identity, Limits, Snapshot, State};

use crate::simulated::Simulated;
use crate::{BLOCK, LIMITS, base_of, identity_of, noise};

const DISK_BYTES: u64 = 64 << 20;

fn disk_on(storage: &Arc<Simulated>, below: &Arc<Snapshot>, limits: Limits) -> Disk {
    let disk = Disk::create(storage.clone(), below.clone(), [7; 16], DISK_BYTES, limits).unwrap();
    disk.commit().unwrap();
    disk
}

fn fresh(limits: Limits) -> (Arc<Simulated>, Arc<Snapshot>, Disk) {
    let (storage, below) = (
        Arc::new(Simulated::default()),
        Arc::new(Snapshot::nothing()),
    );
    let disk = disk_on(&storage, &below, limits);
    (storage, below, disk)
}

fn block_of(disk: &Disk, block: u64) -> Vec<u8> {
    let mut bytes = vec![9; BLOCK as usize];
    disk.read_at(block * BLOCK, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_commit_of_one_block_is_one_write_and_one_sync() {
    let (storage, _, disk) = fresh(Limits::default());
    for round in 1..100 {
        let before = storage.counts();
        disk.write_at(round * 7 * BLOCK, &[round as u8; BLOCK as usize])
            .unwrap();
        disk.commit().unwrap();
        let after = storage.counts();
        assert_eq!(after.writes - before.writes, 1, "round {round}");
        assert_eq!(after.syncs - before.syncs, 1, "round {round}");
    }
}

#[test]
fn a_commit_of_a_mebibyte_is_one_write_and_one_sync() {
    let (storage, _, disk) = fresh(Limits::default());
    let before = storage.counts();
    disk.write_at(BLOCK, &vec![3; 1 << 20]).unwrap();
    disk.commit().unwrap();
    let after = storage.counts();
    assert_eq!(after.writes - before.writes, 1);
    assert_eq!(after.syncs - before.syncs, 1);
}

#[test]
fn a_commit_of_nothing_asks_nothing_of_the_host() {
    let (storage, _, disk) = fresh(Limits::default());
    let before = storage.counts();
    disk.commit().unwrap();
    assert_eq!(storage.counts(), before);
}

#[test]
fn reading_committed_blocks_in_sequence_is_one_read() {
    let (storage, _, disk) = fresh(Limits::default());
    disk.write_at(0, &vec![3; 200 * BLOCK as usize]).unwrap();
    disk.commit().unwrap();
    let before = storage.counts().reads;
    disk.read_at(5, &mut vec![0; 150 * BLOCK as usize]).unwrap();
    assert_eq!(storage.counts().reads - before, 1);
}

#[test]
fn a_disk_that_says_nothing_takes_little_room() {
    let (storage, _, _disk) = fresh(Limits::default());
    assert!(storage.content().len() <= 16 << 10);
}

#[test]
fn a_discard_gives_the_room_back_and_never_brings_the_base_back() {
    let base = vec![5; 8 << 20];
    let below = base_of(&base);
    let storage = Arc::new(Simulated::default());
    let disk = disk_on(&storage, &below, Limits::default());
    disk.write_at(0, &noise(&mut fastrand::Rng::with_seed(1), 8 << 20))
        .unwrap();
    disk.checkpoint().unwrap();
    disk.discard(0, 8 << 20).unwrap();
    disk.checkpoint().unwrap();
    disk.checkpoint().unwrap();
    let punched = storage.counts().punched_bytes;
    assert!(punched >= 8 << 20, "{punched} bytes given back");
    assert_eq!(block_of(&disk, 100), [0; BLOCK as usize]);
    drop(disk);
    let disk = Disk::open(storage, below, Limits::default()).unwrap();
    assert_eq!(block_of(&disk, 100), [0; BLOCK as usize]);
}

#[test]
fn a_file_does_not_grow_without_end_while_blocks_are_rewritten() {
    let (storage, _, disk) = fresh(LIMITS);
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..3000 {
        let block = random.u64(..200);
        disk.write_at(block * BLOCK, &noise(&mut random, BLOCK as usize))
            .unwrap();
        disk.commit().unwrap();
    }
    // 200 blocks, 40 slots of garbage, a log, and short runs up to 4 MiB.
    let length = storage.content().len();
    assert!(length < 10 << 20, "{length} bytes");
}

#[test]
fn a_full_host_fails_the_commit_and_loses_nothing() {
    let (storage, below, disk) = fresh(Limits::default());
    disk.write_at(0, &[1; BLOCK as usize]).unwrap();
    disk.commit().unwrap();
    let full = storage.content().len() as u64;
    for space in [full, full + BLOCK, full + 3 * BLOCK + 5] {
        storage.limit_space(Some(space));
        disk.write_at(0, &[2; 10 * BLOCK as usize]).unwrap();
        let result = disk.commit();
        assert!(
            matches!(result, Err(DiskError::NoSpace { .. })),
            "{result:?}"
        );
        assert_eq!(block_of(&disk, 0), [2; BLOCK as usize]);
        let crashed = Arc::new(Simulated::new(storage.content()));
        let other = Disk::open(crashed, below.clone(), LIMITS).unwrap();
        assert_eq!(block_of(&other, 0), [1; BLOCK as usize], "space {space}");
    }
    storage.limit_space(None);
    disk.commit().unwrap();
    drop(disk);
    let disk = Disk::open(storage, below, LIMITS).unwrap();
    assert_eq!(block_of(&disk, 9), [2; BLOCK as usize]);
}

#[test]
fn a_full_host_fails_writes_beyond_the_buffer_and_holds_no_more_in_memory() {
    let (storage, below, disk) = fresh(LIMITS);
    storage.limit_space(Some(storage.content().len() as u64));
    let bytes = [4; 100 * BLOCK as usize];
    let result = disk.write_at(0, &bytes);
    assert!(
        matches!(result, Err(DiskError::NoSpace { .. })),
        "{result:?}"
    );
    storage.limit_space(None);
    disk.write_at(0, &bytes).unwrap();
    disk.commit().unwrap();
    let disk = Disk::open(storage, below, LIMITS).unwrap();
    assert_eq!(block_of(&disk, 99), [4; BLOCK as usize]);
}

#[test]
fn after_a_failed_sync_nothing_is_committed_until_the_disk_is_opened_again() {
    let (storage, below, disk) = fresh(LIMITS);
    disk.write_at(0, &[1; 10]).unwrap();
    storage.fail_syncs(true);
    assert!(matches!(disk.commit(), Err(DiskError::Io { .. })));
    storage.fail_syncs(false);
    assert!(matches!(disk.commit(), Err(DiskError::Unsynced)));
    assert_eq!(block_of(&disk, 0)[..10], [1; 10]);
    drop(disk);
    let disk = Disk::open(storage, below, LIMITS).unwrap();
    disk.write_at(0, &[2; 10]).unwrap();
    disk.commit().unwrap();
}

#[test]
fn a_read_error_below_fails_that_read_only() {
    let bytes = vec![5; 8 * BLOCK as usize];
    let base = Arc::new(Simulated::new(bytes.clone()));
    let below = Arc::new(Snapshot::of_base(base.clone(), identity_of(&bytes)).unwrap());
    let disk = disk_on(&Arc::new(Simulated::default()), &below, LIMITS);
    disk.write_at(0, &[6; BLOCK as usize]).unwrap();
    base.fail_reads(true);
    let result = disk.read_at(BLOCK, &mut [0; 10]);
    assert!(matches!(result, Err(DiskError::Io { .. })), "{result:?}");
    assert_eq!(block_of(&disk, 0), [6; BLOCK as usize]);
    disk.commit().unwrap();
    base.fail_reads(false);
    assert_eq!(block_of(&disk, 1), [5; BLOCK as usize]);
}

#[test]
fn another_a_changed_and_a_missing_base_are_refused() {
    let bytes = vec![5; 8 * BLOCK as usize];
    let storage = Arc::new(Simulated::default());
    drop(disk_on(&storage, &base_of(&bytes), LIMITS));
    let mut changed = bytes.clone();
    changed[100] = 6;
    let others = [
        base_of(&changed),
        base_of(&bytes[..7 * BLOCK as usize]),
        Arc::new(Snapshot::nothing()),
    ];
    for below in others {
        let result = Disk::open(storage.clone(), below, LIMITS);
        assert!(matches!(result, Err(DiskError::WrongBase { .. })));
    }
    let short = Arc::new(Simulated::new(bytes[..BLOCK as usize].to_vec()));
    let result = Snapshot::of_base(short, identity_of(&bytes));
    assert!(matches!(result, Err(DiskError::WrongBase { .. })));
}

#[test]
fn snapshots_in_another_order_are_refused() {
    let (first, below, disk) = fresh(LIMITS);
    let (second, third) = (Arc::<Simulated>::default(), Arc::<Simulated>::default());
    disk.snapshot(second.clone(), [1; 16]).unwrap();
    disk.snapshot(third, [2; 16]).unwrap();
    let result = below.with(second.clone(), &LIMITS);
    assert!(matches!(result, Err(DiskError::WrongBase { .. })));
    let chain = below.with(first, &LIMITS).unwrap();
    chain.with(second, &LIMITS).unwrap();
}

#[test]
fn a_snapshot_is_read_and_never_written() {
    let (first, below, disk) = fresh(LIMITS);
    disk.write_at(0, &[1; 10]).unwrap();
    disk.snapshot(Arc::<Simulated>::default(), [1; 16]).unwrap();
    disk.write_at(0, &[2; 10]).unwrap();
    let state = ChangeFile::inspect(&*first).unwrap().state;
    assert_eq!(state, State::Frozen);
    let result = Disk::open(first.clone(), below.clone(), LIMITS);
    let expected = "the disk cannot be written: its change file is a frozen snapshot";
    assert_eq!(result.unwrap_err().to_string(), expected);
    let mut bytes = [0; 10];
    let snapshot = below.with(first, &LIMITS).unwrap();
    snapshot.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 10]);
}

#[test]
fn a_snapshot_that_may_be_frozen_in_the_hosts_memory_only_is_made_durable_before_it_is_used() {
    let (first, below, disk) = fresh(LIMITS);
    disk.snapshot(Arc::<Simulated>::default(), [1; 16]).unwrap();
    let mut content = first.content();
    // As if the second copy of the superblock had not been written.
    content[BLOCK as usize + 80] ^= 1;
    let file = Arc::new(Simulated::new(content));
    below.with(file.clone(), &LIMITS).unwrap();
    assert_eq!(file.counts().syncs, 1);
    let syncs = first.counts().syncs;
    below.with(first.clone(), &LIMITS).unwrap();
    assert_eq!(first.counts().syncs, syncs);
}

#[test]
fn a_snapshot_that_cannot_be_begun_leaves_the_disk_as_it_was() {
    let (_, _, disk) = fresh(LIMITS);
    disk.write_at(0, &[1; 10]).unwrap();
    let full = Arc::new(Simulated::default());
    full.limit_space(Some(100));
    let result = disk.snapshot(full, [1; 16]);
    assert!(
        matches!(result, Err(DiskError::NoSpace { .. })),
        "{result:?}"
    );
    disk.write_at(0, &[2; 10]).unwrap();
    disk.commit().unwrap();
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let (storage, below, disk) = fresh(LIMITS);
    drop(disk);
    let mut content = storage.content();
    for copy in [0, BLOCK as usize] {
        content[copy + 8] = 9;
    }
    let result = Disk::open(Arc::new(Simulated::new(content)), below, LIMITS);
    let error = result.unwrap_err();
    let expected = "the change file has version 9, this minke reads 1";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.hint(), Some("use the newer minke that wrote it"));
}

#[test]
fn what_is_no_change_file_is_refused() {
    let below = Arc::new(Snapshot::nothing());
    for (content, expected) in [
        (vec![], "the change file was never begun"),
        (vec![0; 9000], "the change file was never begun"),
        (
            vec![1; 100],
            "the change file ends before its superblock at offset 0",
        ),
        (
            vec![1; 100_000],
            "corrupt change file: this is no change file: no superblock at offset 0",
        ),
    ] {
        let result = Disk::open(Arc::new(Simulated::new(content)), below.clone(), LIMITS);
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_disk_is_not_smaller_than_its_base_nor_larger_than_its_format() {
    let below = base_of(&[1; 5000]);
    for size in [4999, minke_blockstore::DISK_BYTES_MAX + 1] {
        let storage = Arc::<Simulated>::default();
        let result = Disk::create(storage, below.clone(), [1; 16], size, LIMITS);
        assert!(matches!(result, Err(DiskError::Unsupported { .. })));
    }
}

#[test]
fn the_map_of_a_disk_is_bounded_in_memory() {
    let storage = Arc::<Simulated>::default();
    let below = Arc::new(Snapshot::nothing());
    let limits = Limits {
        map_bytes_max: 1 << 20,
        ..LIMITS
    };
    let size = minke_blockstore::DISK_BYTES_MAX;
    let disk = Disk::create(storage, below, [1; 16], size, limits).unwrap();
    disk.discard(0, size).unwrap();
    let result = (0..1000)
        .map(|index| {
            disk.write_at(index << 32, &[1])
                .and_then(|()| disk.commit())
        })
        .find(Result::is_err);
    assert!(matches!(result, Some(Err(DiskError::MapTooLarge { .. }))));
}

#[test]
fn ranges_outside_of_the_disk_are_refused() {
    let (_, _, disk) = fresh(LIMITS);
    let is_refused = |result| matches!(result, Err(DiskError::OutOfRange { .. }));
    assert!(is_refused(disk.read_at(DISK_BYTES - 1, &mut [0; 2])));
    assert!(is_refused(disk.write_at(u64::MAX, &[0; 2])));
    assert!(is_refused(disk.discard(1, DISK_BYTES)));
    assert!(disk.mapped(DISK_BYTES, 1).is_none());
    disk.discard(0, DISK_BYTES).unwrap();
    disk.read_at(DISK_BYTES, &mut []).unwrap();
}

#[test]
fn identities_are_shown_short() {
    assert_eq!(Identity::NOTHING.to_string(), "nothing");
    let shown = identity_of(b"x").to_string();
    assert_eq!(shown, "3ae7d805f6789a64 (1 bytes)");
}
