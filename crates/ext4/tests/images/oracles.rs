//! What was written is read by drivers of others, and compared with the model: `ext4-view` (MIT or Apache-2.0) and `rust-fs-ext4` (MIT).

use std::collections::BTreeMap;
use std::sync::Arc;

use ext4_view::Ext4;
use fs_ext4::Filesystem;
use fs_ext4::block_io::FileDevice;
use minke_ext4::{FileType, InodeNumber};

use crate::e2fsprogs::Image;
use crate::model::{Model, ModelInode};

/// Lets both drivers read all that has a name.
///
/// # Panics
/// If one of them sees anything else than the model.
pub(crate) fn compare(model: &Model, image: &Image, what: &str) {
    let view = is_for_view(image).then(|| Ext4::load(Box::new(image.bytes())).unwrap());
    let driver = is_for_driver(image).then(|| {
        let device = FileDevice::open(image.path().to_str().unwrap()).unwrap();
        Filesystem::mount(Arc::new(device)).unwrap()
    });
    let mut left = vec![(InodeNumber::ROOT, Vec::new())];
    while let Some((number, path)) = left.pop() {
        let inode = &model.inodes[&number];
        if let Some(view) = &view {
            view_has(view, &path, inode, what);
        }
        if let Some(driver) = &driver {
            driver_has(driver, number, inode, what);
        }
        for (name, child) in &inode.entries {
            left.push((*child, [&path[..], b"/", name].concat()));
        }
    }
}

/// Whether `ext4-view` 1.0.0 reads such images: it refuses `large_dir`, takes inodes of 128 bytes for truncated ones, and finds no holes in
/// files without extents.
fn is_for_view(image: &Image) -> bool {
    let features = image.dumped("Filesystem features");
    features.contains("extent")
        && !features.contains("large_dir")
        && image.dumped("Inode size") != "128"
}

/// Whether `rust-fs-ext4` 0.8.0 reads such images: it refuses directories without extents.
fn is_for_driver(image: &Image) -> bool {
    image.dumped("Filesystem features").contains("extent")
}

/// Compares one name as `ext4-view` finds it by its path. Of blocks that were given to a file and not written, 1.0.0 reads what the device happens to have.
fn view_has(view: &Ext4, path: &[u8], inode: &ModelInode, what: &str) {
    let shown = String::from_utf8_lossy(path);
    let path = if path.is_empty() { &b"/"[..] } else { path };
    let metadata = view.symlink_metadata(path).unwrap();
    assert_eq!(
        (metadata.mode() & 0xfff, metadata.uid()),
        (inode.mode, inode.uid),
        "{what}: {shown}"
    );
    match inode.kind {
        FileType::Regular => {
            let found = view.read(path).unwrap();
            assert_eq!(found.len(), inode.content.len(), "{what}: {shown}");
            assert!(
                inode.is_preallocated || found == inode.content,
                "{what}: {shown}"
            );
        }
        FileType::Symlink => {
            let found = view.read_link(path).unwrap();
            assert_eq!(found.as_ref(), &inode.content[..], "{what}: {shown}");
        }
        FileType::Directory => {
            let entries = view.read_dir(path).unwrap();
            let mut names: Vec<Vec<u8>> = entries
                .map(|entry| entry.unwrap().file_name().as_ref().to_vec())
                .filter(|name| name != b"." && name != b"..")
                .collect();
            names.sort();
            assert!(names.iter().eq(inode.entries.keys()), "{what}: {shown}");
        }
        _ => {}
    }
}

/// Compares one inode as `rust-fs-ext4` finds it by its number.
fn driver_has(driver: &Filesystem, number: InodeNumber, inode: &ModelInode, what: &str) {
    let found = driver.stat_ino(number.0).unwrap();
    let mode = inode.kind.mode_bits() | inode.mode;
    assert_eq!(
        (found.mode, found.uid, u32::from(found.links_count)),
        (mode, inode.uid, inode.links),
        "{what}: inode {number}"
    );
    match inode.kind {
        FileType::Regular => {
            assert_eq!(
                found.size,
                inode.content.len() as u64,
                "{what}: inode {number}"
            );
            let mut content = vec![0xff; inode.content.len()];
            let length = driver.read_ino(number.0, 0, &mut content).unwrap();
            assert_eq!(length, content.len(), "{what}: inode {number}");
            assert!(content == inode.content, "{what}: inode {number}");
        }
        FileType::Symlink => {
            let target = driver.read_link_ino(number.0).unwrap();
            assert_eq!(target, inode.content, "{what}: inode {number}");
        }
        FileType::Directory => {
            let entries = driver.read_dir_ino(number.0).unwrap().into_iter();
            let names: BTreeMap<Vec<u8>, InodeNumber> = entries
                .map(|entry| (entry.name, InodeNumber(entry.inode)))
                .filter(|(name, _)| name != b"." && name != b"..")
                .collect();
            assert_eq!(names, inode.entries, "{what}: inode {number}");
        }
        _ => {}
    }
}
