//! What mounted disks keep in memory depends on how much the container has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minke_ext4::{Access, Device, DeviceError, MemoryDevice};
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::vfs::ext4::{Ext4FileSystem, Ext4Options};

use crate::disk::Disk;
use crate::machine::{Machine, Shortcuts};

const FILE_BYTES: u64 = 4 << 20;

/// A device that counts the bytes that are read from it and written to it, and has nothing mapped.
struct Counting {
    device: Arc<MemoryDevice>,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
}

impl Device for Counting {
    fn size(&self) -> u64 {
        self.device.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let count = buffer.len() as u64;
        self.read_bytes.fetch_add(count, Ordering::Relaxed);
        self.device.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let count = bytes.len() as u64;
        self.written_bytes.fetch_add(count, Ordering::Relaxed);
        self.device.write_at(offset, bytes)
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        self.device.discard(offset, length)
    }

    fn commit(&self) -> Result<(), DeviceError> {
        self.device.commit()
    }

    fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}

/// A container with so much memory, and what it counts of its root.
fn machine(disk: &Disk, memory_bytes: u64) -> (Machine, Arc<Counting>) {
    let counting = Arc::new(Counting {
        device: Arc::clone(&disk.device),
        read_bytes: AtomicU64::new(0),
        written_bytes: AtomicU64::new(0),
    });
    let device: Arc<dyn Device> = Arc::clone(&counting) as _;
    let options = Ext4Options {
        budget: MemoryBudget::new(memory_bytes),
        ..disk.options()
    };
    let file_system = Ext4FileSystem::mount(device, Access::ReadWrite, options).unwrap();
    (Machine::with_root(file_system), counting)
}

/// Reads a file twice; returns the bytes that the second time came from the device.
fn read_again(disk: &Disk, memory_bytes: u64) -> u64 {
    let (machine, counting) = machine(disk, memory_bytes);
    let task = machine.root();
    assert_eq!(task.get("/file").unwrap().len() as u64, FILE_BYTES);
    let before = counting.read_bytes.load(Ordering::Relaxed);
    task.get("/file").unwrap();
    counting.read_bytes.load(Ordering::Relaxed) - before
}

#[test]
fn a_container_with_little_memory_keeps_little_of_its_disk() {
    let disk = Disk::new(64 << 20);
    let file_system = disk.mount();
    let writer = Machine::with_root(Arc::clone(&file_system) as _);
    writer
        .root()
        .put("/file", &[7; FILE_BYTES as usize])
        .unwrap();
    file_system.write_back().unwrap();
    assert_eq!(read_again(&disk, 256 << 20), 0);
    let again = read_again(&disk, 16 << 20);
    assert!(again > FILE_BYTES / 2, "{again} bytes");
}

#[test]
fn a_container_with_little_memory_lets_little_wait_to_be_written() {
    let disk = Disk::new(64 << 20);
    let (machine, counting) = machine(&disk, 16 << 20);
    let task = machine.root();
    task.put("/file", &[7; FILE_BYTES as usize]).unwrap();
    let written = counting.written_bytes.load(Ordering::Relaxed);
    assert!(written > FILE_BYTES / 2, "{written} bytes");
}
