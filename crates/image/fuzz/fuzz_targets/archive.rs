//! An archive of any bytes is loaded or refused; what is refused leaves nothing, and what is loaded can be read back.

#![no_main]

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use libfuzzer_sys::fuzz_target;
use minke_image::Store;
use minke_image::archive::{Limits, LoadOptions, Silent};

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = Store::open(directory.path()).expect("a store can be made");
    let mut archive = tempfile::tempfile().expect("a file can be made");
    archive.write_all(data).expect("it can be written");
    archive.seek(SeekFrom::Start(0)).expect("it is a file");
    let limits = Limits { members_max: 1000, unpacked_bytes_max: 16 << 20, layer_bytes_max: 16 << 20 };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    match store.load(archive, &options, &Silent) {
        Ok(loaded) => loaded.iter().for_each(|it| drop(store.root_layers(&it.image).expect("it is whole"))),
        Err(_) => {
            let blobs = fs::read_dir(directory.path().join("blobs/sha256")).expect("it is there");
            assert_eq!(blobs.count(), 0);
        }
    }
});
