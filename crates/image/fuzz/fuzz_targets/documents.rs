//! A manifest and a configuration, parted by a zero byte, give an image or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_image::{Digest, Image};

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (manifest, config) = data.split_at(end);
    let config = config.get(1..).unwrap_or_default();
    if let Ok(image) = Image::of_documents(&Digest::of(manifest), manifest, config) {
        assert_eq!(image.id, Digest::of(config));
    }
});
