//! Disks in files of the host: locks, image files as volumes, and what a crash leaves of them.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use minke_blockstore::{Disk, Limits, Snapshot, Storage};
use minke_disk::{Access, DiskFileError, HostFile, Volume, image_identity};
use minke_ext4::Device;
use tempfile::TempDir;

const IMAGE_BYTES: usize = 3 << 20;

struct Files {
    image: PathBuf,
    changes: PathBuf,
    _directory: TempDir,
}

impl Files {
    fn new() -> Files {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("data.img");
        fs::write(&image, vec![5; IMAGE_BYTES]).unwrap();
        Files {
            changes: directory.path().join("data.changes"),
            image,
            _directory: directory,
        }
    }

    fn open(&self) -> Result<Volume, DiskFileError> {
        Volume::open(&self.image, &self.changes, Limits::default())
    }
}

fn first_bytes(volume: &Volume) -> [u8; 4] {
    let mut bytes = [0; 4];
    volume.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_was_written_is_in_the_image_when_the_volume_is_merged() {
    let files = Files::new();
    let volume = files.open().unwrap();
    volume.write_at(0, b"text").unwrap();
    volume.discard(1 << 20, 1 << 20).unwrap();
    volume.merge().unwrap();
    let mut expected = vec![5; IMAGE_BYTES];
    expected[..4].copy_from_slice(b"text");
    expected[1 << 20..2 << 20].fill(0);
    assert!(fs::read(&files.image).unwrap() == expected);
    assert!(!files.changes.exists());
    let room = fs::metadata(&files.image).unwrap().blocks() * 512;
    assert!(room < IMAGE_BYTES as u64, "{room} bytes");
}

#[test]
fn what_was_committed_is_there_after_a_crash_and_the_image_is_unchanged_till_then() {
    let files = Files::new();
    let volume = files.open().unwrap();
    volume.write_at(0, b"kept").unwrap();
    volume.commit().unwrap();
    volume.write_at(0, b"lost").unwrap();
    drop(volume);
    assert!(fs::read(&files.image).unwrap() == vec![5; IMAGE_BYTES]);
    assert_eq!(&first_bytes(&files.open().unwrap()), b"kept");
}

#[test]
fn a_second_writer_is_locked_out_with_a_message() {
    let files = Files::new();
    let volume = files.open().unwrap();
    let error = files.open().unwrap_err();
    let expected = format!("the disk `{}` is in use", files.image.display());
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().is_some());
    let result = HostFile::open(&files.changes, Access::Read);
    assert!(matches!(result, Err(DiskFileError::InUse { .. })));
    drop(volume);
    files.open().unwrap();
}

#[test]
fn readers_share_a_file_and_keep_writers_out() {
    let files = Files::new();
    let first = HostFile::open(&files.image, Access::Read).unwrap();
    let second = HostFile::open_mapped(&files.image).unwrap();
    assert_eq!(second.mapped(4, 2), Some(&[5, 5][..]));
    assert_eq!(second.mapped(IMAGE_BYTES as u64 - 1, 2), None);
    assert!(matches!(files.open(), Err(DiskFileError::InUse { .. })));
    drop((first, second));
    files.open().unwrap();
}

#[test]
fn an_image_that_was_changed_beside_its_changes_is_refused() {
    let files = Files::new();
    let volume = files.open().unwrap();
    volume.write_at(0, b"text").unwrap();
    volume.commit().unwrap();
    drop(volume);
    let modified = fs::metadata(&files.image).unwrap().modified().unwrap();
    let mut image = fs::read(&files.image).unwrap();
    image[IMAGE_BYTES - 1] = 6;
    fs::write(&files.image, &image).unwrap();
    let error = files.open().unwrap_err();
    let hint = "put the disk's own base back in its place, unchanged";
    assert_eq!(error.hint(), Some(hint));
    assert!(fs::read(&files.image).unwrap() == image);
    image[IMAGE_BYTES - 1] = 5;
    fs::write(&files.image, &image).unwrap();
    let restored = fs::File::options().write(true).open(&files.image).unwrap();
    restored.set_modified(modified).unwrap();
    drop(restored);
    assert_eq!(&first_bytes(&files.open().unwrap()), b"text");
}

/// A file that fails when this many bytes were written.
struct Failing {
    file: HostFile,
    writes_left: std::sync::atomic::AtomicUsize,
}

impl Storage for Failing {
    fn length(&self) -> std::io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        self.file.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let left = self
            .writes_left
            .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        match left {
            0 => Err(std::io::Error::other("killed")),
            _ => self.file.write_at(offset, bytes),
        }
    }

    fn sync(&self) -> std::io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> std::io::Result<()> {
        self.file.truncate(length)
    }

    fn punch(&self, offset: u64, length: u64) -> std::io::Result<()> {
        self.file.punch(offset, length)
    }
}

#[test]
fn a_merge_that_was_cut_short_is_finished_when_the_volume_is_opened() {
    let files = Files::new();
    let volume = files.open().unwrap();
    volume.write_at(0, &[7; 4096]).unwrap();
    volume.write_at(2 << 20, &[8; 4096]).unwrap();
    volume.commit().unwrap();
    drop(volume);
    let image = Failing {
        file: HostFile::open(&files.image, Access::Write).unwrap(),
        writes_left: 1.into(),
    };
    let identity = image_identity(&image.file).unwrap();
    let changes = Arc::new(HostFile::open(&files.changes, Access::Write).unwrap());
    minke_blockstore::merge(changes, &image, identity, &Limits::default()).unwrap_err();
    drop(image);
    let half = fs::read(&files.image).unwrap();
    assert_eq!((half[0], half[2 << 20]), (7, 5));
    drop(files.open().unwrap());
    let whole = fs::read(&files.image).unwrap();
    assert_eq!((whole[0], whole[2 << 20]), (7, 8));
}

#[test]
fn a_change_file_that_was_never_begun_is_made_anew() {
    for content in [vec![], vec![0; 10_000]] {
        let files = Files::new();
        fs::write(&files.changes, content).unwrap();
        files.open().unwrap();
    }
    let files = Files::new();
    fs::write(&files.changes, "a file of somebody else").unwrap();
    files.open().unwrap_err();
}

#[test]
fn a_mapped_base_and_mapped_snapshots_are_read_in_place() {
    let files = Files::new();
    let open = |path| Arc::new(HostFile::open_mapped(path).unwrap());
    let image = open(&files.image);
    let identity = image_identity(&image).unwrap();
    let below = Arc::new(Snapshot::of_base(image, identity).unwrap());
    let changes = Arc::new(HostFile::open(&files.changes, Access::Create).unwrap());
    let size = IMAGE_BYTES as u64;
    let disk = Disk::create(changes, below.clone(), [3; 16], size, Limits::default()).unwrap();
    disk.write_at(4096, &[7; 8192]).unwrap();
    assert_eq!(disk.mapped(100, 3), Some(&[5; 3][..]));
    assert_eq!(disk.mapped(100, 5000), Some(&[5; 3996][..]));
    assert_eq!(disk.mapped(4096, 3), None);
    disk.freeze().unwrap();
    let chain = below
        .with(open(&files.changes), &Limits::default())
        .unwrap();
    assert_eq!(chain.mapped(4095, 1), Some(&[5][..]));
    assert_eq!(chain.mapped(5000, 7000), Some(&[7; 7000][..]));
}
