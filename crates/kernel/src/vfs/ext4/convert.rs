//! The driver's errors, times and kinds as the kernel's, and the other way round.

use minke_abi::Errno;
use minke_abi::linux::FileType;
use minke_ext4::{DeviceError, Error};

use crate::vfs::device::{device_number, device_parts};
use crate::vfs::{Metadata, NewInode, Ownership, Timestamp};

/// Returns the number that a guest sees of an error of the driver. A broken image gives `EIO`.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn errno(error: Error) -> Errno {
    match error {
        Error::Device(DeviceError::NoSpace) | Error::NoSpace | Error::AttributesTooLarge => {
            Errno::ENOSPC
        }
        Error::Device(DeviceError::ReadOnly) | Error::ReadOnly => Errno::EROFS,
        Error::Device(DeviceError::OutOfBounds { .. } | DeviceError::Failed(_)) => Errno::EIO,
        Error::Corrupt { .. } | Error::Layout { .. } => Errno::EIO,
        Error::Unsupported { .. } => Errno::EOPNOTSUPP,
        Error::NotFound => Errno::ENOENT,
        Error::Exists => Errno::EEXIST,
        Error::NotDirectory => Errno::ENOTDIR,
        Error::IsDirectory => Errno::EISDIR,
        Error::NotEmpty => Errno::ENOTEMPTY,
        Error::NameTooLong => Errno::ENAMETOOLONG,
        Error::TooManyLinks => Errno::EMLINK,
        Error::FileTooLarge => Errno::EFBIG,
        Error::InvalidArgument => Errno::EINVAL,
        Error::NoAttribute => Errno::ENODATA,
    }
}

/// Returns an owner as the driver has it.
pub(super) fn ownership(ownership: Ownership) -> minke_ext4::Ownership {
    minke_ext4::Ownership {
        uid: ownership.uid,
        gid: ownership.gid,
        mode: ownership.mode as u16 & 0o7777,
    }
}

pub(super) fn to_ext4(time: Timestamp) -> minke_ext4::Timestamp {
    minke_ext4::Timestamp {
        seconds: time.seconds,
        nanoseconds: time.nanoseconds,
    }
}

fn from_ext4(time: minke_ext4::Timestamp) -> Timestamp {
    Timestamp {
        seconds: time.seconds,
        nanoseconds: time.nanoseconds,
    }
}

pub(super) fn file_type(kind: minke_ext4::FileType) -> FileType {
    match kind {
        minke_ext4::FileType::Regular => FileType::Regular,
        minke_ext4::FileType::Directory => FileType::Directory,
        minke_ext4::FileType::CharacterDevice => FileType::CharacterDevice,
        minke_ext4::FileType::BlockDevice => FileType::BlockDevice,
        minke_ext4::FileType::Fifo => FileType::Fifo,
        minke_ext4::FileType::Socket => FileType::Socket,
        minke_ext4::FileType::Symlink => FileType::Symlink,
    }
}

pub(super) fn new_inode<'a>(new: &NewInode<'a>) -> minke_ext4::NewInode<'a> {
    match new {
        NewInode::Regular => minke_ext4::NewInode::Regular,
        NewInode::Directory => minke_ext4::NewInode::Directory,
        NewInode::Symlink(target) => minke_ext4::NewInode::Symlink(target),
        NewInode::Fifo => minke_ext4::NewInode::Fifo,
        NewInode::Socket => minke_ext4::NewInode::Socket,
        NewInode::CharacterDevice(number) => {
            let (major, minor) = device_parts(*number);
            minke_ext4::NewInode::CharacterDevice(major, minor)
        }
        NewInode::BlockDevice(number) => {
            let (major, minor) = device_parts(*number);
            minke_ext4::NewInode::BlockDevice(major, minor)
        }
    }
}

pub(super) fn metadata(device: u64, block_size: u32, found: &minke_ext4::Metadata) -> Metadata {
    let (major, minor) = found.device;
    Metadata {
        device,
        inode: found.inode.0.into(),
        file_type: file_type(found.file_type),
        mode: found.mode.into(),
        links: found.links,
        uid: found.uid,
        gid: found.gid,
        device_id: device_number(major, minor),
        size: found.size,
        block_size,
        blocks: found.sectors,
        accessed: from_ext4(found.accessed),
        modified: from_ext4(found.modified),
        changed: from_ext4(found.changed),
    }
}
