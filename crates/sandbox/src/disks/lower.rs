//! What a container's root was before anything changed it.

use std::sync::Arc;

use minke_abi::{Errno, Result};
use minke_disk::{ReadOnly, Snapshot};
use minke_ext4::Access;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::platform::Clock;
use minke_kernel::vfs::FileSystem;
use minke_kernel::vfs::ext4::{AccessTimes, CACHE_BYTES, Ext4FileSystem, Ext4Options};

/// The tree that a root lies over. Clones share it.
#[derive(Clone)]
pub(crate) enum Lower {
    /// Of a root in memory.
    Tree(Arc<dyn FileSystem>),
    /// Of a root on a disk: opened when somebody asks, which few do.
    Disk {
        image: Arc<Snapshot>,
        clock: Arc<dyn Clock>,
        memory: Arc<MemoryBudget>,
    },
}

impl Lower {
    /// Returns the tree. Its inodes have the numbers that they have in the root.
    ///
    /// # Errors
    /// `EIO` if the image's disk cannot be read.
    pub(crate) fn open(&self) -> Result<Arc<dyn FileSystem>> {
        match self {
            Lower::Tree(tree) => Ok(Arc::clone(tree)),
            Lower::Disk {
                image,
                clock,
                memory,
            } => {
                let options = Ext4Options {
                    clock: Arc::clone(clock),
                    budget: Arc::clone(memory),
                    is_synchronous: false,
                    access_times: AccessTimes::Never,
                    bytes_max: None,
                    cache_bytes_max: CACHE_BYTES,
                    on_dirty: Box::new(|| {}),
                };
                let device = Arc::new(ReadOnly(image.clone()));
                match Ext4FileSystem::mount(device, Access::ReadOnly, options) {
                    Ok(mounted) => Ok(mounted),
                    Err(error) => {
                        tracing::error!(%error, "cannot read the image's disk");
                        Err(Errno::EIO)
                    }
                }
            }
        }
    }
}
