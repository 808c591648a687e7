//! Disks in memory with a file system, to be mounted, mounted again, and looked at by `e2fsck`.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minke_ext4::make::{Identity, Journal, MakeOptions, make};
use minke_ext4::{Access, Device, MemoryDevice};
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::vfs::ext4::{AccessTimes, CACHE_BYTES, Ext4FileSystem, Ext4Options};

use crate::machine::{Machine, TickingClock};

/// A disk in memory.
pub(crate) struct Disk {
    pub(crate) device: Arc<MemoryDevice>,
    /// How often a file system on it said that something has changed.
    pub(crate) dirtied: Arc<AtomicUsize>,
}

impl Disk {
    /// Makes a disk with an empty file system.
    pub(crate) fn new(size: u64) -> Disk {
        let device = MemoryDevice::new(size);
        let options = MakeOptions {
            identity: Identity::from_seed([7; 32]),
            time_seconds: 1_700_000_000,
            block_size_bytes: Some(4096),
            label: String::new(),
            journal: Journal::Absent,
        };
        make(&device, &options).unwrap();
        Disk {
            device: Arc::new(device),
            dirtied: Arc::default(),
        }
    }

    /// Options that tests have no wishes about.
    pub(crate) fn options(&self) -> Ext4Options {
        let dirtied = Arc::clone(&self.dirtied);
        Ext4Options {
            clock: Arc::new(TickingClock::default()),
            budget: MemoryBudget::new(crate::machine::MEMORY_BYTES),
            is_synchronous: false,
            access_times: AccessTimes::Relative,
            bytes_max: None,
            cache_bytes_max: CACHE_BYTES,
            on_dirty: Box::new(move || {
                dirtied.fetch_add(1, Ordering::Relaxed);
            }),
        }
    }

    pub(crate) fn mount(&self) -> Arc<Ext4FileSystem> {
        self.mount_with(self.options())
    }

    pub(crate) fn mount_with(&self, options: Ext4Options) -> Arc<Ext4FileSystem> {
        let device: Arc<dyn Device> = Arc::clone(&self.device) as _;
        Ext4FileSystem::mount(device, Access::ReadWrite, options).unwrap()
    }

    /// Checks the whole file system.
    ///
    /// # Panics
    /// If `e2fsck` finds anything.
    pub(crate) fn check(&self, what: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = self.export(directory.path());
        let output = tool("e2fsck").arg("-fn").arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{what}: e2fsck finds:\n{text}");
    }

    /// Lets `debugfs` change the disk as no file system would.
    pub(crate) fn edit(&mut self, commands: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let path = self.export(directory.path());
        for command in commands {
            let output = tool("debugfs")
                .args(["-w", "-R", command])
                .arg(&path)
                .output();
            assert!(output.unwrap().status.success(), "{command}");
        }
        self.device = Arc::new(MemoryDevice::from_image(&fs::read(path).unwrap()));
    }

    fn export(&self, directory: &Path) -> PathBuf {
        let path = directory.join("image");
        let file = fs::File::create(&path).unwrap();
        file.set_len(self.device.size()).unwrap();
        self.device
            .for_each_piece(|offset, bytes| file.write_all_at(bytes, offset).unwrap());
        path
    }
}

/// Containers whose roots are of each kind.
pub(crate) fn machines() -> [Machine; 2] {
    let disk = Disk::new(64 << 20);
    [Machine::with_tmpfs(), Machine::with_root(disk.mount())]
}

/// Returns a tool that may lie where only root's path leads.
fn tool(name: &str) -> Command {
    let path = ["/usr/sbin", "/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| name.into()));
    command.env("LC_ALL", "C");
    command
}
