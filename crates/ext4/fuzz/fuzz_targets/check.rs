//! Any bytes are a file system with or without faults, or a complaint; what has none is opened.
//!
//! `cargo +nightly fuzz run check`, in `crates/ext4`. The seeds have no checksums, which few changes would get past.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_ext4::check::{FAULTS_MAX, check};
use minke_ext4::{Access, FileSystem, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    let Ok(report) = check(&bytes) else {
        return;
    };
    assert!(report.faults.len() <= FAULTS_MAX);
    for fault in &report.faults {
        assert!(!fault.to_string().is_empty());
    }
    if report.is_clean() && !report.needs_recovery {
        let opened = FileSystem::open(bytes, Access::ReadOnly, Timestamp::default());
        assert!(
            !matches!(opened, Err(minke_ext4::Error::Corrupt { .. })),
            "what is without faults opens"
        );
    }
});
