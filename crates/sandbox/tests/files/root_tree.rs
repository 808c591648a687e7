//! Roots from layer tars, well-meant and hostile.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::vfs::memory::MemoryFileSystem;
use minke_kernel::vfs::tree::{ArchiveError, LayerError, Tree, TreeError};
use minke_kernel::vfs::{FileSystem, Inode, Location, MountOptions, MountTree};
use minke_sandbox::platform::root::{RootError, file_part, lower_tree};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use tar::{EntryType, Header};
use tempfile::TempDir;

use crate::machine::memory_options;

/// A tar in the making.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Layer {
        Layer(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> Layer {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o750
        } else {
            0o640
        });
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        // Written by hand, because the builder refuses hostile names.
        let bytes = header.as_mut_bytes();
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &[u8]) -> Layer {
        self.entry(EntryType::Regular, path, "", content)
    }

    fn directory(self, path: &str) -> Layer {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Layer {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn build(layers: Vec<Vec<u8>>) -> Result<Arc<Tree>, RootError> {
    let directory = TempDir::new().unwrap();
    let paths: Vec<PathBuf> = layers
        .into_iter()
        .enumerate()
        .map(|(index, bytes)| {
            let path = directory.path().join(index.to_string());
            std::fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    lower_tree(&paths, None)
}

fn mounted(layers: Vec<Layer>) -> Arc<MountTree> {
    let tree = build(layers.into_iter().map(Layer::bytes).collect()).unwrap();
    MountTree::new(tree, MountOptions::default())
}

fn find(mounts: &MountTree, path: &str) -> Option<Arc<Location>> {
    mounts.find(path.as_bytes()).ok()
}

fn content(mounts: &MountTree, path: &str) -> String {
    let location = find(mounts, path).unwrap();
    let file = Arc::clone(&location.inode).open(OpenFlags::RDONLY).unwrap();
    let mut bytes = vec![0; location.inode.metadata().unwrap().size as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    String::from_utf8(bytes).unwrap()
}

fn names(mounts: &MountTree, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let location = find(mounts, path).unwrap();
    location
        .inode
        .read_directory(0, &mut |entry| {
            names.push(String::from_utf8_lossy(entry.name).into_owned());
            true
        })
        .unwrap();
    names
}

#[test]
fn later_layers_replace_files_and_keep_directories() {
    let mounts = mounted(vec![
        Layer::new()
            .directory("./etc/")
            .file("./etc/a", b"old")
            .file("etc/b", b"b"),
        Layer::new().directory("etc").file("/etc/a", b"new"),
    ]);
    assert_eq!(names(&mounts, "/etc"), ["a", "b"]);
    assert_eq!(content(&mounts, "/etc/a"), "new");
    let metadata = find(&mounts, "/etc").unwrap().inode.metadata().unwrap();
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o750, 7, 8));
    assert_eq!(
        (metadata.links, metadata.modified.seconds),
        (2, 1_000_000_000)
    );
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let mounts = mounted(vec![
        Layer::new()
            .file("d/low", b"")
            .file("d/sub/low", b"")
            .file("gone/x", b""),
        Layer::new()
            .file("d/own", b"")
            .file("d/sub/own", b"")
            .file("d/.wh..wh..opq", b"")
            .file(".wh.gone", b"")
            .file(".wh.never", b""),
    ]);
    assert_eq!(names(&mounts, "/d"), ["own", "sub"]);
    assert_eq!(names(&mounts, "/d/sub"), ["own"]);
    assert_eq!(names(&mounts, "/"), ["d"]);
}

#[test]
fn hard_links_share_an_inode_through_the_overlay() {
    let layers = vec![
        Layer::new()
            .file("a", b"text")
            .entry(EntryType::Link, "b", "a", b"")
            .bytes(),
    ];
    let lower: Arc<dyn FileSystem> = build(layers).unwrap();
    let overlay = MemoryFileSystem::overlay(&lower, memory_options()).unwrap();
    let mounts = MountTree::new(overlay, MountOptions::default());
    let a = find(&mounts, "/a").unwrap();
    assert_eq!(a.inode.metadata().unwrap().links, 2);
    let file = Arc::clone(&a.inode).open(OpenFlags::RDWR).unwrap();
    file.write_at(b"n", 0).unwrap();
    assert_eq!(content(&mounts, "/b"), "next");
    assert_eq!(
        find(&mounts, "/b").unwrap().inode.number(),
        a.inode.number()
    );
}

#[test]
fn a_file_is_part_of_its_layer_until_it_is_changed() {
    let directory = TempDir::new().unwrap();
    let layer = directory.path().join("layer.tar");
    let tar = Layer::new().file("first", b"1").file("program", b"code");
    std::fs::write(&layer, tar.bytes()).unwrap();
    let lower: Arc<dyn FileSystem> = lower_tree(&[layer], None).unwrap();
    let overlay = MemoryFileSystem::overlay(&lower, memory_options()).unwrap();
    let mounts = MountTree::new(overlay, MountOptions::default());
    let inode = Arc::clone(&find(&mounts, "/program").unwrap().inode);
    let file = inode.open(OpenFlags::RDWR).unwrap();
    let part = file_part(&*file).unwrap();
    let mut bytes = vec![0; part.length as usize];
    part.file.read_exact_at(&mut bytes, part.offset).unwrap();
    assert_eq!(bytes, b"code");
    file.write_at(b"d", 2).unwrap();
    assert!(file_part(&*file).is_none());
}

#[test]
fn parents_are_found_through_links_inside_the_root() {
    let mounts = mounted(vec![
        Layer::new().directory("usr/lib").symlink("lib", "/usr/lib"),
        Layer::new()
            .file("lib/x", b"found")
            .symlink("up", "../../.."),
        Layer::new().file("up/lib/y", b""),
    ]);
    assert_eq!(content(&mounts, "/usr/lib/x"), "found");
    assert_eq!(names(&mounts, "/usr/lib"), ["x", "y"]);
    let link = mounts.find(b"/up/lib").unwrap();
    assert_eq!(link.inode.file_type(), FileType::Directory);
}

#[test]
fn long_names_come_by_gnu_and_pax_headers() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"hi"[..]).unwrap();
    builder
        .append_pax_extensions([
            ("path", "unicode-ü".as_bytes()),
            ("mtime", b"-1.25"),
            ("SCHILY.xattr.user.note", b"line\nbreak"),
        ])
        .unwrap();
    let mut header = Header::new_ustar();
    header.set_path("replaced").unwrap();
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
    let tree = build(vec![builder.into_inner().unwrap()]).unwrap();
    let mounts = MountTree::new(tree, MountOptions::default());
    assert_eq!(content(&mounts, &format!("/{long}")), "hi");
    let inode = Arc::clone(&find(&mounts, "/unicode-ü").unwrap().inode);
    let modified = inode.metadata().unwrap().modified;
    assert_eq!((modified.seconds, modified.nanoseconds), (-2, 750_000_000));
    assert_eq!(
        inode.extended_attribute(b"user.note").unwrap(),
        b"line\nbreak"
    );
}

#[test]
fn hostile_names_are_refused() {
    let refused = |layer: Layer| match build(vec![layer.bytes()]) {
        Err(RootError::Archive { source, .. }) => source,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was taken"),
    };
    let outside = |layer| matches!(refused(layer), LayerError::Tree(TreeError::Outside(_)));
    assert!(outside(Layer::new().file("../x", b"")));
    assert!(outside(Layer::new().file("a/../../x", b"")));
    assert!(outside(Layer::new().entry(
        EntryType::Link,
        "x",
        "../../etc/passwd",
        b""
    )));
    assert!(matches!(
        refused(Layer::new().entry(EntryType::Link, "x", "missing", b"")),
        LayerError::Tree(TreeError::BadHardLink(_))
    ));
    assert!(matches!(
        refused(Layer::new().symlink("loop", "loop").file("loop/x", b"")),
        LayerError::Tree(TreeError::TooManyLinks(_))
    ));
    assert!(matches!(
        refused(Layer::new().file("file", b"").file("file/x", b"")),
        LayerError::Tree(TreeError::NotDirectory(_))
    ));
    assert!(matches!(
        refused(Layer::new().file(".wh..", b"")),
        LayerError::Archive(ArchiveError::Corrupt(_))
    ));
}

#[test]
fn a_cut_or_damaged_tar_names_the_place() {
    let mut bytes = Layer::new()
        .file("a", b"text")
        .file("b", &[1; 2000])
        .bytes();
    bytes.truncate(2048);
    let Err(RootError::Archive { offset, source, .. }) = build(vec![bytes.clone()]) else {
        panic!("a cut tar was taken");
    };
    assert_eq!(offset, 1024);
    assert!(matches!(
        source,
        LayerError::Archive(ArchiveError::Truncated)
    ));
    let outside = Layer::new().file("a", b"").file("../x", b"text").bytes();
    let Err(RootError::Archive { offset, .. }) = build(vec![outside]) else {
        panic!("a path that leaves the root was taken");
    };
    assert_eq!(offset, 512);
    bytes[1030] ^= 1;
    let Err(RootError::Archive { source, .. }) = build(vec![bytes]) else {
        panic!("a damaged tar was taken");
    };
    assert!(matches!(
        source,
        LayerError::Archive(ArchiveError::Corrupt("checksum"))
    ));
}

/// Makes a tree that needs what the formats differ in: long names and targets, links, big ids.
fn fill(top: &Path) {
    let deep = top.join("d".repeat(200)).join("e".repeat(90));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), [7; 5000]).unwrap();
    std::fs::write(top.join("ünïcode"), b"").unwrap();
    std::fs::hard_link(deep.join("file"), top.join("hard")).unwrap();
    std::os::unix::fs::symlink("t".repeat(150), top.join("long-link")).unwrap();
    std::os::unix::fs::symlink("hard", top.join("link")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4711);
    std::fs::set_permissions(top.join("ünïcode"), mode).unwrap();
}

/// Compares a directory of the host with one of a tree.
fn compare(host: &Path, guest: &Arc<dyn Inode>) {
    let mut names = Vec::new();
    guest
        .read_directory(0, &mut |entry| {
            names.push(entry.name.to_vec());
            true
        })
        .unwrap();
    assert_eq!(names.len(), std::fs::read_dir(host).unwrap().count());
    for name in names {
        let host = host.join(std::ffi::OsStr::from_bytes(&name));
        let inode = guest.lookup(&name).unwrap();
        let found = inode.metadata().unwrap();
        let expected = std::fs::symlink_metadata(&host).unwrap();
        assert_eq!(
            (
                found.mode | found.file_type.mode_bits(),
                found.uid,
                found.gid
            ),
            (expected.mode(), expected.uid(), expected.gid()),
            "{host:?}"
        );
        assert_eq!(found.modified.seconds, expected.mtime(), "{host:?}");
        match found.file_type {
            FileType::Directory => compare(&host, &inode),
            FileType::Symlink => {
                let target = std::fs::read_link(&host).unwrap();
                assert_eq!(inode.read_link().unwrap(), target.as_os_str().as_bytes());
            }
            _ => {
                assert_eq!(u64::from(found.links), expected.nlink());
                let mut content = vec![0; found.size as usize];
                let file = inode.open(OpenFlags::RDONLY).unwrap();
                file.read_at(&mut content, 0).unwrap();
                assert_eq!(content, std::fs::read(&host).unwrap());
            }
        }
    }
}

#[test]
fn what_tar_packs_is_what_is_seen() {
    let directory = TempDir::new().unwrap();
    let top = directory.path().join("top");
    std::fs::create_dir(&top).unwrap();
    fill(&top);
    for format in ["gnu", "pax"] {
        let packed = directory.path().join(format);
        let status = std::process::Command::new("tar")
            .arg(format!("--format={format}"))
            .arg("-cf")
            .arg(&packed)
            .arg("-C")
            .arg(&top)
            .arg(".")
            .status()
            .unwrap();
        assert!(status.success());
        let tree = lower_tree(&[packed], None).unwrap();
        compare(&top, &tree.root());
    }
}

/// Names that get in each other's way.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a"),
        Just("a/b"),
        Just("a/b/c"),
        Just("l"),
        Just("l/a"),
        Just(".wh.a"),
        Just("a/.wh.b"),
        Just("a/.wh..wh..opq"),
        Just(".wh..wh..opq"),
        Just("/"),
        Just("./."),
    ]
    .prop_map(str::to_owned)
}

fn entries() -> impl Strategy<Value = Vec<(u8, String, String)>> {
    proptest::collection::vec((0..6_u8, name(), name()), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_order_of_entries_gives_a_tree_or_an_error(layers in proptest::collection::vec(entries(), 1..4)) {
        let kinds = [EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char];
        let layers = layers.into_iter().map(|entries| {
            let layer = entries.into_iter().fold(Layer::new(), |layer, (kind, path, link)| {
                layer.entry(kinds[usize::from(kind)], &path, &link, b"")
            });
            layer.bytes()
        });
        if let Ok(tree) = build(layers.collect()) {
            walk_all(&MountTree::new(tree, MountOptions::default()));
        }
    }

    #[test]
    fn damaged_bytes_give_a_tree_or_an_error(changes in proptest::collection::vec((0..4096_usize, any::<u8>()), 1..8), fixed in any::<bool>()) {
        let mut bytes = Layer::new().directory("d").file("d/a", b"text").symlink("l", "d").file("l/b", b"x").bytes();
        for (position, value) in changes {
            bytes[position] = value;
            if fixed {
                let start = position / 512 * 512;
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[start..start + 512]);
                header.set_cksum();
                bytes[start..start + 512].copy_from_slice(header.as_bytes());
            }
        }
        if let Ok(tree) = build(vec![bytes]) {
            walk_all(&MountTree::new(tree, MountOptions::default()));
        }
    }
}

/// Looks at everything that can be reached, and checks that directories agree with their parents.
fn walk_all(mounts: &MountTree) {
    let mut pending = vec![Arc::clone(&mounts.root().inode)];
    while let Some(directory) = pending.pop() {
        let mut names = Vec::new();
        directory
            .read_directory(0, &mut |entry| {
                names.push(entry.name.to_vec());
                true
            })
            .unwrap();
        for name in names {
            let child = directory.lookup(&name).unwrap();
            child.metadata().unwrap();
            if child.file_type() == FileType::Directory {
                assert_eq!(child.parent().unwrap().number(), directory.number());
                pending.push(child);
            }
        }
    }
}
