//! Calls on open files: positions, directories, sizes, durability, locks.

use minke_abi::{Errno, Result};
use minke_kernel::descriptor::SeekTarget;

use super::transfers::of_size;
use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::files::{fadvise, fallocate, getdents};

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("lseek", 8, seek),
    Syscall::now("getdents64", 217, getdents),
    Syscall::now("fsync", 74, |c, a| c.task().sync(a.fd(0)).map(|()| 0)),
    Syscall::now("fdatasync", 75, |c, a| c.task().sync(a.fd(0)).map(|()| 0)),
    Syscall::now("sync", 162, |c, _| {
        c.task().sync_all();
        Ok(0)
    }),
    Syscall::now("syncfs", 306, |c, a| {
        c.task().sync_file_system(a.fd(0)).map(|()| 0)
    }),
    Syscall::now("fallocate", 285, |c, a| {
        let changed = fallocate(c, a);
        of_size(c, changed)
    })
    .attentive()
    .partial("mode 0, `FALLOC_FL_KEEP_SIZE` and `FALLOC_FL_PUNCH_HOLE` only"),
    Syscall::now("fadvise", 221, fadvise).partial("the advice is checked and not used"),
];

fn seek(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let offset = arguments.long(1);
    let from = || u64::try_from(offset).map_err(|_| Errno::EINVAL);
    let target = match arguments.word(2) {
        0 => SeekTarget::Start(from()?),
        1 => SeekTarget::Current(offset),
        2 => SeekTarget::End(offset),
        3 => SeekTarget::Data(from()?),
        4 => SeekTarget::Hole(from()?),
        _ => return Err(Errno::EINVAL),
    };
    let position = context.task().seek(arguments.fd(0), target)?;
    Ok(position as i64)
}
