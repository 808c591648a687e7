//! Checks file systems: reads everything, and names each fault with its place. Nothing is changed.
//!
//! What is compared: every checksum; bitmaps and free counts with what files use; link counts with names; each directory's entries, and
//! that a way from the top leads there; hash trees with the names in them; maps of blocks with the device and with each other; attributes,
//! orphans, the journal's superblock and the reserved descriptors. The content of a journal is not judged.
//!
//! Images may be hostile. No block is followed twice: what belongs to two is reported, and the second's part left out. So the work is
//! bounded by the image's size, and the memory by a bit for each used block, some 50 bytes for each used inode, and a few for each name of
//! the largest directory.
//!
//! | module | is |
//! |---|---|
//! | `fault` | what can be wrong |
//! | `volume` | superblock, descriptors, blocks |
//! | `claims` | which blocks are used |
//! | `groups` | places of metadata; bitmaps and counts against what was found |
//! | `inodes`, `maps`, `attributes` | each inode, its blocks, its attributes |
//! | `special` | inodes that the file system keeps for itself |
//! | `directories`, `hash_tree` | names |
//! | `links` | counts of links, and the way from the top |
//!
//! Spec: ext4 disk layout; `e2fsck(8)` is the oracle of the tests.

mod attributes;
mod claims;
mod directories;
mod fault;
mod groups;
mod hash_tree;
mod inodes;
mod links;
mod maps;
mod special;
mod volume;

use std::collections::{HashMap, HashSet};

use crate::device::{Device, DeviceError};
use crate::layout::superblock::{REVISION_DYNAMIC, State};
use crate::layout::{Compatible, FileType, Incompatible, InodeNumber, LayoutError};
use claims::Claims;
pub use fault::{Fault, FaultKind, FaultPlace, Mismatch};
use volume::Volume;

/// Largest group descriptor in bytes.
const DESCRIPTOR_SIZE_MAX: u16 = 1024;
/// Faults that a report holds; more are only counted.
pub const FAULTS_MAX: usize = 1000;

/// Why an image could not be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error("too small for a file system")]
    TooSmall,
    #[error("no file system that can be checked: {0}")]
    Superblock(#[source] LayoutError),
    #[error("unsupported: {what}")]
    Unsupported { what: String },
    #[error("cut short: {device_blocks_count} of {blocks_count} blocks are there")]
    CutShort {
        blocks_count: u64,
        device_blocks_count: u64,
    },
    #[error("the group descriptors lie outside of the file system")]
    NoDescriptors,
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// At most [`FAULTS_MAX`], in the order in which they were found.
    pub faults: Vec<Fault>,
    /// Faults beyond those.
    pub omitted_count: u64,
    /// The journal holds changes that are not in place yet: Linux will replay it, and faults may vanish.
    pub needs_recovery: bool,
    /// Inodes without a name that Linux deletes when it mounts.
    pub orphans_count: u64,
    pub inodes_count: u64,
    pub directories_count: u64,
    pub used_blocks_count: u64,
    pub blocks_count: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Checks the file system on a device.
///
/// # Errors
/// [`CheckError`] if there is none, it has features that are not known, it is cut short, or the device fails.
pub fn check(device: &dyn Device) -> Result<CheckReport, CheckError> {
    let mut faults = Vec::new();
    let volume = Volume::open(device, &mut faults)?;
    let mut checker = Checker {
        volume,
        claims: Claims::default(),
        report: CheckReport::default(),
        inodes: HashMap::new(),
        orphans: HashSet::new(),
        directories: Vec::new(),
        attribute_blocks: HashMap::new(),
        dot_dots: Vec::new(),
        file_groups: HashSet::new(),
        readable_tables: Vec::new(),
    };
    for fault in faults {
        checker.fault(fault.place, fault.kind);
    }
    checker.run()?;
    Ok(checker.report)
}

/// What is known of a used inode.
struct FoundInode {
    /// `None`: none that there is.
    file_type: Option<FileType>,
    links_count: u16,
    /// Names that lead there; for a directory, its own `.` and those `..` that do.
    references: u32,
    /// Of a directory: the one that has its name.
    parent: Option<InodeNumber>,
}

/// A directory whose entries are to be checked.
struct FoundDirectory {
    number: InodeNumber,
    has_index: bool,
    /// Where sums of its blocks begin.
    seed: u32,
    /// Its blocks in their order.
    blocks: Vec<maps::MappedRun>,
    blocks_count: u64,
}

/// Times that an attribute block is used, and how often it says that it is.
struct AttributeUse {
    found: u32,
    stored: u32,
    /// The first inode that uses it.
    inode: InodeNumber,
}

struct Checker<'a> {
    volume: Volume<'a>,
    claims: Claims,
    report: CheckReport,
    inodes: HashMap<InodeNumber, FoundInode>,
    orphans: HashSet<InodeNumber>,
    directories: Vec<FoundDirectory>,
    attribute_blocks: HashMap<u64, AttributeUse>,
    /// Directories, and what their `..` names.
    dot_dots: Vec<(InodeNumber, InodeNumber)>,
    /// Groups in which files have blocks.
    file_groups: HashSet<u32>,
    /// Whether each group's inode table has a place of its own.
    readable_tables: Vec<bool>,
}

impl Checker<'_> {
    fn run(&mut self) -> Result<(), CheckError> {
        self.check_superblock();
        self.claim_metadata();
        self.find_orphans()?;
        self.check_inodes()?;
        self.check_attribute_counts();
        self.check_directories()?;
        self.check_links();
        self.check_bitmaps()?;
        self.report.inodes_count = self.inodes.len() as u64;
        self.report.directories_count = self.directories.len() as u64;
        self.report.orphans_count = self.orphans.len() as u64;
        self.report.blocks_count = self.volume.superblock.blocks_count;
        Ok(())
    }

    fn fault(&mut self, place: FaultPlace, kind: FaultKind) {
        match self.report.faults.len() < FAULTS_MAX {
            true => self.report.faults.push(Fault { place, kind }),
            false => self.report.omitted_count += 1,
        }
    }

    fn check_superblock(&mut self) {
        let superblock = &self.volume.superblock;
        self.report.needs_recovery = superblock.incompatible().contains(Incompatible::RECOVER);
        let has_errors = State::from_bits_retain(superblock.state).contains(State::ERROR);
        let reserved = superblock.reserved_blocks_count > superblock.blocks_count / 2;
        let is_old = superblock.revision == 0
            && (superblock.feature_compat, superblock.feature_incompat) != (0, 0);
        let compatible = superblock.compatible();
        let rules = [
            (has_errors, "Linux has found errors, and marked it so"),
            (reserved, "more than half of the blocks are reserved"),
            (
                superblock.log_cluster_size != superblock.log_block_size
                    || superblock.clusters_per_group != superblock.blocks_per_group,
                "clusters that are not blocks",
            ),
            (
                compatible.contains(Compatible::ORPHAN_FILE)
                    && !compatible.contains(Compatible::HAS_JOURNAL),
                "an orphan file without a journal",
            ),
            (
                superblock.revision > REVISION_DYNAMIC,
                "a revision that is not known",
            ),
            (
                superblock.descriptor_size > DESCRIPTOR_SIZE_MAX,
                "impossible size of group descriptors",
            ),
            (is_old, "features without a revision that has any"),
        ];
        for (_, reason) in rules.into_iter().filter(|(is_broken, _)| *is_broken) {
            self.fault(FaultPlace::Superblock, FaultKind::Superblock { reason });
        }
    }
}
