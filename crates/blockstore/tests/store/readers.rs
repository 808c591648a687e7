//! Readers beside the writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use minke_blockstore::{Disk, Limits, Snapshot};

use crate::simulated::Simulated;
use crate::{BLOCK, LIMITS};

fn disk(storage: &Arc<Simulated>, limits: Limits) -> Arc<Disk> {
    let below = Arc::new(Snapshot::nothing());
    Arc::new(Disk::create(storage.clone(), below, [7; 16], 100 * BLOCK, limits).unwrap())
}

/// Writes most blocks anew, so that a long run of slots is out of use.
fn rewrite(disk: &Disk, value: u8) {
    disk.write_at(0, &vec![value; 90 * BLOCK as usize]).unwrap();
    disk.checkpoint().unwrap();
}

#[test]
fn a_slot_that_is_being_read_is_not_given_to_another_block() {
    let storage = Arc::<Simulated>::default();
    let disk = disk(&storage, LIMITS);
    rewrite(&disk, 1);
    // Between the look-up and the read of the host, in the reader's thread: that no lock is held is shown too.
    let writer = disk.clone();
    storage.before_next_read(move || (2..9).for_each(|value| rewrite(&writer, value)));
    let mut bytes = [0; BLOCK as usize];
    disk.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; BLOCK as usize]);
    disk.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [8; BLOCK as usize]);
}

#[test]
fn a_reader_goes_on_below_a_snapshot_that_is_taken_meanwhile() {
    let storage = Arc::<Simulated>::default();
    let disk = disk(&storage, LIMITS);
    rewrite(&disk, 1);
    let writer = disk.clone();
    storage.before_next_read(move || {
        writer
            .snapshot(Arc::<Simulated>::default(), [8; 16])
            .unwrap();
        (2..9).for_each(|value| rewrite(&writer, value));
    });
    let mut bytes = [0; BLOCK as usize];
    disk.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; BLOCK as usize]);
}

#[test]
fn what_is_written_while_a_commit_is_written_is_in_the_next_one() {
    let storage = Arc::<Simulated>::default();
    let disk = disk(&storage, LIMITS);
    disk.write_at(0, &[1; 2 * BLOCK as usize]).unwrap();
    let writer = disk.clone();
    storage.before_next_sync(move || {
        writer.write_at(BLOCK, &[2; BLOCK as usize]).unwrap();
        writer.discard(0, BLOCK).unwrap();
    });
    disk.commit().unwrap();
    let blocks = |disk: &Disk| {
        let mut bytes = [9; 2 * BLOCK as usize];
        disk.read_at(0, &mut bytes).unwrap();
        (bytes[0], bytes[BLOCK as usize])
    };
    let reopened = || {
        let crashed = Arc::new(Simulated::new(storage.content()));
        Disk::open(crashed, Arc::new(Snapshot::nothing()), LIMITS).unwrap()
    };
    assert_eq!(blocks(&disk), (0, 2));
    assert_eq!(blocks(&reopened()), (1, 1));
    disk.commit().unwrap();
    assert_eq!(blocks(&reopened()), (0, 2));
}

#[test]
fn threads_that_read_never_see_another_blocks_bytes() {
    const BLOCKS: u64 = 20;
    let storage = Arc::<Simulated>::default();
    let disk = disk(&storage, LIMITS);
    // Every block says its number in each byte's upper bits.
    let fill = |block: u64, round: u8| vec![(block as u8) << 3 | round & 7; BLOCK as usize];
    for block in 0..BLOCKS {
        disk.write_at(block * BLOCK, &fill(block, 0)).unwrap();
    }
    let is_over = AtomicBool::new(false);
    let wrong = Mutex::new(None);
    std::thread::scope(|scope| {
        for start in [0, 7] {
            let (disk, is_over, wrong) = (&disk, &is_over, &wrong);
            scope.spawn(move || {
                let mut block = start;
                let mut bytes = vec![0; BLOCK as usize];
                while !is_over.load(Ordering::Relaxed) {
                    block = (block + 3) % BLOCKS;
                    disk.read_at(block * BLOCK, &mut bytes).unwrap();
                    let is_one = bytes.iter().all(|byte| *byte == bytes[0]);
                    if !is_one || u64::from(bytes[0] >> 3) != block {
                        *wrong.lock().unwrap() = Some((block, bytes[0]));
                    }
                }
            });
        }
        for round in 0..400_u64 {
            let block = round * 7 % BLOCKS;
            disk.write_at(block * BLOCK, &fill(block, round as u8))
                .unwrap();
            disk.commit().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(*wrong.lock().unwrap(), None);
}
