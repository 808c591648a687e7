//! ext2, ext3 and ext4 on a block device, from the disk-layout documentation: bytes in, values out.
//!
//! Nothing here asks the host: the device comes in as a [`Device`], and times as arguments. Images are foreign: every
//! number of them is checked before it is used, and what one can make this crate hold or do is bounded by the image's own bytes.
//!
//! [`layout`] knows each structure by its bytes; nothing else does. [`make`] makes file systems.
//!
//! Spec: the Linux kernel's documentation, "ext4 Data Structures and Algorithms".

pub mod device;
pub mod layout;
pub mod make;

pub use device::{Device, DeviceError, MemoryDevice};
