//! Any bytes are layers of a tree or a complaint, and every file of the tree lies inside them.
//!
//! `cargo +nightly fuzz run tree`, in `crates/archive`. The first two bytes say where the second layer begins; the sums of
//! headers are made right, or no change would get past them.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::vfs::tree::{Bytes, TreeBuilder};
use minke_kernel::vfs::{FileSystem, Inode};

/// How deep the tree is looked at.
const DEPTH_MAX: usize = 32;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let middle = usize::from(u16::from_le_bytes(*first)).min(rest.len());
    let mut builder = TreeBuilder::new();
    for layer in [&rest[..middle], &rest[middle..]] {
        let layer: Arc<dyn Bytes> = Arc::new(summed(layer));
        if let Err((offset, error)) = builder.add_layer(&layer) {
            assert!(offset <= layer.as_slice().len() && !error.to_string().is_empty());
            return;
        }
        builder.next_layer();
    }
    look_at(&builder.finish().root(), DEPTH_MAX);
});

/// Makes the sum of each block right that looks like a header with one.
fn summed(layer: &[u8]) -> Vec<u8> {
    let mut layer = layer.to_vec();
    for block in layer.chunks_exact_mut(512) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        // A block of zeros stays the end.
        let is_end = sum == 8 * u32::from(b' ');
        let field = if is_end {
            "\0".repeat(8)
        } else {
            format!("{sum:06o}\0 ")
        };
        block[148..156].copy_from_slice(field.as_bytes());
    }
    layer
}

fn look_at(inode: &Arc<dyn Inode>, depth: usize) {
    let _ = (inode.metadata(), inode.read_link());
    if let Ok(file) = Arc::clone(inode).open(OpenFlags::RDONLY) {
        let content = file.fixed_content().map(|content| content.bytes().to_vec());
        assert_eq!(content.is_some(), inode.file_type() == FileType::Regular);
    }
    let mut names = Vec::new();
    let _ = inode.read_directory(0, &mut |entry| {
        names.push(entry.name.to_vec());
        true
    });
    for name in names {
        let child = inode.lookup(&name).expect("a name that is listed is found");
        if depth > 0 {
            look_at(&child, depth - 1);
        }
    }
}
