//! What a container's root was before anything changed it, and where it may differ from that.

use std::sync::{Arc, Weak};

use minke_abi::{Errno, Result};
use minke_disk::{ReadOnly, Snapshot, WritableDisk};
use minke_ext4::Access;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::platform::Clock;
use minke_kernel::vfs::FileSystem;
use minke_kernel::vfs::changes::Scope;
use minke_kernel::vfs::ext4::{AccessTimes, CACHE_BYTES, Ext4FileSystem, Ext4Options};

/// The tree that a root lies over. Clones share it.
#[derive(Clone)]
pub(crate) enum Lower {
    /// Of a root in memory.
    Tree(Arc<dyn FileSystem>),
    Disk(DiskLower),
}

/// Of a root on a disk: opened when somebody asks, which few do.
#[derive(Clone)]
pub(crate) struct DiskLower {
    pub(super) image: Arc<Snapshot>,
    /// What lies over it; both are others' to keep.
    pub(super) disk: Weak<WritableDisk>,
    pub(super) root: Weak<Ext4FileSystem>,
    /// Nothing had been written to the root when it was opened.
    pub(super) is_new: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: Arc<MemoryBudget>,
}

impl Lower {
    /// Whether something of the root could not be written because the host had no space left.
    pub(crate) fn has_met_full_host(&self) -> bool {
        match self {
            Lower::Tree(_) => false,
            Lower::Disk(lower) => lower
                .disk
                .upgrade()
                .is_some_and(|it| it.has_met_full_host()),
        }
    }

    /// Whether nothing has been changed since the root was made, as far as that costs nothing to know.
    pub(crate) fn is_untouched(&self) -> bool {
        match self {
            Lower::Tree(_) => false,
            Lower::Disk(lower) => {
                lower.is_new && lower.root.upgrade().is_some_and(|root| !root.is_dirty())
            }
        }
    }

    /// Returns the tree, whose inodes have the numbers that they have in the root, and where the root may differ from it.
    ///
    /// # Errors
    /// `EIO` if the image's disk cannot be read.
    pub(crate) fn open(&self) -> Result<(Arc<dyn FileSystem>, Scope)> {
        match self {
            Lower::Tree(tree) => Ok((Arc::clone(tree), Scope::Everywhere)),
            Lower::Disk(lower) => {
                let image = lower.open()?;
                let scope = lower.scope(&image);
                Ok((image as Arc<dyn FileSystem>, scope))
            }
        }
    }
}

impl DiskLower {
    fn open(&self) -> Result<Arc<Ext4FileSystem>> {
        let options = Ext4Options {
            clock: Arc::clone(&self.clock),
            budget: Arc::clone(&self.memory),
            is_synchronous: false,
            access_times: AccessTimes::Never,
            bytes_max: None,
            cache_bytes_max: CACHE_BYTES,
            on_dirty: Box::new(|| {}),
        };
        let device = Arc::new(ReadOnly(self.image.clone()));
        Ext4FileSystem::mount(device, Access::ReadOnly, options).map_err(|error| {
            tracing::error!(%error, "cannot read the image's disk");
            Errno::EIO
        })
    }

    /// Returns where the root may differ: the file of changes knows which blocks it has, and those of inodes tell the rest.
    fn scope(&self, image: &Ext4FileSystem) -> Scope {
        let (Some(disk), Some(root)) = (self.disk.upgrade(), self.root.upgrade()) else {
            return Scope::Everywhere;
        };
        let mut written = |range| disk.written_since(&self.image, range);
        match root.touched_since(image, &mut written) {
            Ok(touched) => Scope::Among(touched),
            Err(error) => {
                tracing::debug!(%error, "looking at everything for changes");
                Scope::Everywhere
            }
        }
    }
}
