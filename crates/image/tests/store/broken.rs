//! Files that were cut, changed or left by the dead.

use std::fs;
use std::io::Write;

use minke_image::{Blob, Digest, FileDigest, FileStamp, Force, Store, StoreError};

use crate::{Bench, count, layer};

#[test]
fn a_changed_blob_is_named_with_its_digest() {
    let bench = Bench::new();
    let image = bench.image("one", "1");
    for digest in [image.manifest_digest, image.id] {
        let path = bench.store.blob_path(&digest);
        let original = fs::read(&path).expect("it is there");
        fs::write(&path, b"{}").expect("it can be changed");
        let error = bench.store.image("one").expect_err("it is corrupt");
        assert!(
            matches!(error, StoreError::CorruptBlob { digest: named, .. } if named == digest),
            "{error}"
        );
        assert!(error.hint().is_some());
        fs::write(&path, original).expect("it can be changed back");
    }
    assert_eq!(bench.store.image("one").expect("it is whole again"), image);
}

#[test]
fn a_changed_cut_or_missing_layer_is_named() {
    let bench = Bench::new();
    let image = bench.image("one", &"content ".repeat(1000));
    let digest = image.layers[0].digest;
    let path = bench.store.blob_path(&digest);
    // The tar that was made with the blob would do without it.
    let tars = bench.directory.path().join("layers");
    fs::remove_dir_all(&tars)
        .and_then(|()| fs::create_dir(&tars))
        .expect("it can be emptied");
    let original = fs::read(&path).expect("it is there");
    let mut flipped = original.clone();
    flipped[20] ^= 1;
    for broken in [
        flipped,
        original[..original.len() / 2].to_vec(),
        b"not zstd".to_vec(),
        [&original[..], b"more"].concat(),
    ] {
        fs::write(&path, broken).expect("it can be changed");
        let error = bench.store.root_layers(&image).expect_err("it is corrupt");
        assert!(
            matches!(error, StoreError::CorruptBlob { digest: named, .. } if named == digest),
            "{error}"
        );
    }
    fs::remove_file(&path).expect("it can be removed");
    let error = bench.store.root_layers(&image).expect_err("it is missing");
    assert!(
        matches!(error, StoreError::MissingBlob { digest: named } if named == digest),
        "{error}"
    );
    assert_eq!(count(&bench.directory.path().join("tmp")), 0);
}

/// Waits until a change gets another time than the last one of this file: many a kernel takes times from a clock of some milliseconds.
fn wait_for_another_time(path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    let changed = |path: &std::path::Path| {
        let metadata = fs::metadata(path).expect("it is there");
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let probe = path.with_extension("probe");
    while {
        fs::write(&probe, "").expect("it can be written");
        changed(&probe) <= changed(path)
    } {
        std::thread::yield_now();
    }
    fs::remove_file(probe).expect("it can be removed");
}

#[test]
fn a_changed_unpacked_layer_is_made_again() {
    let bench = Bench::new();
    let image = bench.image("one", "content");
    let file = bench
        .store
        .root_layers(&image)
        .expect("it can be unpacked")
        .remove(0);
    let original = fs::read(&file.path).expect("it is there");
    wait_for_another_time(&file.path);
    let check = || {
        assert_eq!(
            bench.store.root_layers(&image).expect("it can be unpacked")[0],
            file
        );
        assert_eq!(fs::read(&file.path).expect("it is there"), original);
    };
    // In place, keeping size and modification time.
    let modified = fs::metadata(&file.path)
        .and_then(|metadata| metadata.modified())
        .expect("it has a time");
    let mut changed = original.clone();
    changed[512] ^= 1;
    let mut handle = fs::OpenOptions::new()
        .write(true)
        .open(&file.path)
        .expect("it can be opened");
    handle
        .write_all(&changed)
        .and_then(|()| handle.set_modified(modified))
        .expect("it can be changed");
    check();
    // Replaced by another file.
    let other = file.path.with_extension("other");
    fs::write(&other, &changed)
        .and_then(|()| fs::rename(&other, &file.path))
        .expect("it can be replaced");
    check();
    // Cut, removed, or without its seal.
    fs::write(&file.path, b"").expect("it can be cut");
    check();
    fs::remove_file(&file.path).expect("it can be removed");
    check();
    fs::write(file.path.with_extension("seal"), b"{").expect("it can be changed");
    check();
    let inode = |path: &std::path::Path| {
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("it is there"))
    };
    let before = inode(&file.path);
    check();
    assert_eq!(inode(&file.path), before, "a whole file is used as it is");
}

#[test]
fn a_blob_that_is_not_what_it_says_is_not_stored() {
    let bench = Bench::new();
    let lease = bench.store.lease().expect("a lease can be had");
    let blob = Blob {
        digest: Digest::of(b"right"),
        size_bytes: 5,
    };
    for wrong in [&b"wrong"[..], b"right and more", b"righ"] {
        let error = lease.import_blob(&blob, wrong).expect_err("it is wrong");
        assert!(matches!(error, StoreError::CorruptBlob { .. }), "{error}");
    }
    assert_eq!(bench.blobs_count(), 0);
    lease
        .import_blob(&blob, &b"right"[..])
        .expect("it is right");
    assert_eq!(
        bench.store.read_blob(&blob.digest).expect("it is there"),
        b"right"
    );
}

#[test]
fn an_unfinished_layer_leaves_nothing() {
    let bench = Bench::new();
    let lease = bench.store.lease().expect("a lease can be had");
    let mut writer = lease.layer_writer().expect("a layer can be started");
    let short = writer.file(
        std::path::Path::new("a"),
        crate::METADATA,
        10,
        &b"short"[..],
    );
    assert!(short.is_err(), "a file shorter than announced is refused");
    drop(writer);
    drop(lease);
    assert_eq!(
        (
            bench.blobs_count(),
            count(&bench.directory.path().join("tmp"))
        ),
        (0, 0)
    );
}

#[test]
fn what_nobody_uses_is_collected_and_what_a_lease_holds_is_not() {
    let bench = Bench::new();
    let lease = bench.store.lease().expect("a lease can be had");
    let made = layer(&lease, "held");
    let other = bench.reopen();
    assert_eq!(other.collect().expect("it can be collected").files_count, 0);
    bench.store.layer_files(&[made]).expect("it is still there");
    drop(lease);
    let collected = other.collect().expect("it can be collected");
    assert_eq!(collected.files_count, 3, "a blob, a tar and its seal");
}

#[test]
fn a_database_of_a_newer_minke_is_left_alone() {
    let bench = Bench::new();
    let path = bench.directory.path().join("images.db");
    let connection = rusqlite::Connection::open(path).expect("it can be opened");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("it can be changed");
    let error = Store::open(bench.directory.path()).expect_err("it is too new");
    assert_eq!(
        error.to_string(),
        "the store has format 99, this minke reads 4"
    );
}

#[test]
fn a_damaged_database_says_what_to_do() {
    let bench = Bench::new();
    let directory = tempfile::tempdir_in(bench.directory.path()).expect("a directory can be made");
    fs::write(
        directory.path().join("images.db"),
        "not a database ".repeat(100),
    )
    .expect("it can be written");
    let error = Store::open(directory.path()).expect_err("it is damaged");
    assert!(
        error
            .hint()
            .expect("there is a hint")
            .contains("`minke system check --repair`"),
        "{error}"
    );
}

#[test]
fn a_store_that_cannot_be_written_names_its_place() {
    let error = Store::open("/proc/minke").expect_err("it cannot be made");
    assert!(error.to_string().contains("`/proc/minke`"), "{error}");
    let bench = Bench::new();
    assert!(
        bench
            .store
            .remove("none", Force::Yes)
            .expect_err("there is none")
            .is_not_found()
    );
}

#[test]
fn a_file_is_known_only_while_it_looks_the_same_and_was_left_alone() {
    let bench = Bench::new();
    let stamp = FileStamp {
        device: u64::MAX,
        inode: 1 << 63,
        size_bytes: 3,
        mtime_ns: 5,
        ctime_ns: 1_000_000_000,
    };
    let digest = FileDigest::of(b"abc");
    let known = |stamp: &FileStamp| {
        let known = bench.reopen().file_digests(&[None, Some(*stamp)]);
        known.expect("they can be asked")[1]
    };
    let remember = |now_ns| {
        bench
            .store
            .remember_file_digests(&[(stamp, digest)], now_ns)
            .expect("it can be remembered");
    };
    remember(3_000_000_000);
    assert_eq!(
        known(&stamp),
        None,
        "it was changed less than two seconds before"
    );
    remember(3_000_000_001);
    assert_eq!(known(&stamp), Some(digest));
    for other in [
        FileStamp { device: 1, ..stamp },
        FileStamp { inode: 1, ..stamp },
        FileStamp {
            size_bytes: 4,
            ..stamp
        },
        FileStamp {
            mtime_ns: 6,
            ..stamp
        },
        FileStamp {
            ctime_ns: 6,
            ..stamp
        },
    ] {
        assert_eq!(known(&other), None, "{other:?}");
    }
    bench
        .store
        .forget_file_digests()
        .expect("it can be forgotten");
    assert_eq!(known(&stamp), None);
}

#[test]
fn a_store_of_the_first_format_is_upgraded() {
    let bench = Bench::new();
    let image = bench.image("one", "1");
    let connection = rusqlite::Connection::open(bench.directory.path().join("images.db"))
        .expect("it can be opened");
    connection
        .execute_batch(
            "DROP TABLE files; ALTER TABLE steps DROP COLUMN used_s; PRAGMA user_version = 1;",
        )
        .expect("it can be changed");
    drop(connection);
    let store = bench.reopen();
    store.forget_file_digests().expect("the table is there");
    assert_eq!(store.image("one").expect("what was there still is"), image);
}
