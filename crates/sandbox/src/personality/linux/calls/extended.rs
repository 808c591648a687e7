//! Extended attributes of files.

use minke_abi::{Errno, Result};
use minke_kernel::calls::extended::SetExtended;
use minke_kernel::calls::{At, Follow};

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::runtime::GuestAddr;

/// Longest name and value. Linux: `XATTR_NAME_MAX`, `XATTR_SIZE_MAX`.
const NAME_BYTES_MAX: usize = 255;
const VALUE_BYTES_MAX: usize = 65_536;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("getxattr", 191, |c, a| get(c, a, Named::Path(Follow::Yes))),
    Syscall::now("lgetxattr", 192, |c, a| get(c, a, Named::Path(Follow::No))),
    Syscall::now("fgetxattr", 193, |c, a| get(c, a, Named::Descriptor)),
    Syscall::now("setxattr", 188, |c, a| set(c, a, Named::Path(Follow::Yes))),
    Syscall::now("lsetxattr", 189, |c, a| set(c, a, Named::Path(Follow::No))),
    Syscall::now("fsetxattr", 190, |c, a| set(c, a, Named::Descriptor)),
    Syscall::now("listxattr", 194, |c, a| {
        list(c, a, Named::Path(Follow::Yes))
    }),
    Syscall::now("llistxattr", 195, |c, a| {
        list(c, a, Named::Path(Follow::No))
    }),
    Syscall::now("flistxattr", 196, |c, a| list(c, a, Named::Descriptor)),
    Syscall::now("removexattr", 197, |c, a| {
        remove(c, a, Named::Path(Follow::Yes))
    }),
    Syscall::now("lremovexattr", 198, |c, a| {
        remove(c, a, Named::Path(Follow::No))
    }),
    Syscall::now("fremovexattr", 199, |c, a| remove(c, a, Named::Descriptor)),
];

/// How the first argument names a file.
#[derive(Clone, Copy)]
enum Named {
    Path(Follow),
    Descriptor,
}

fn path(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<u8>> {
    let path = context.path(arguments.address(0))?;
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    Ok(path)
}

fn name(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<u8>> {
    let name = context
        .memory
        .read_c_string(arguments.address(1), NAME_BYTES_MAX);
    name.map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::ERANGE,
        other => other,
    })
}

fn get(context: &mut Context<'_>, arguments: &Arguments, named: Named) -> Result<i64> {
    let name = name(context, arguments)?;
    let task = context.task();
    let value = match named {
        Named::Path(follow) => {
            let path = path(context, arguments)?;
            task.extended_attribute(At::Cwd, &path, &name, follow)
        }
        Named::Descriptor => task.file_extended_attribute(arguments.fd(0), &name),
    }?;
    give(context, &value, arguments.address(2), arguments.word(3))
}

/// Writes what was asked for; with no room at all, only its length is told.
fn give(context: &mut Context<'_>, value: &[u8], target: GuestAddr, room: u32) -> Result<i64> {
    if room > 0 {
        if value.len() > room as usize {
            return Err(Errno::ERANGE);
        }
        context.memory.write(target, value)?;
    }
    Ok(value.len() as i64)
}

fn set(context: &mut Context<'_>, arguments: &Arguments, named: Named) -> Result<i64> {
    let how = match arguments.word(4) {
        0 => SetExtended::Either,
        1 => SetExtended::Create,
        2 => SetExtended::Replace,
        _ => return Err(Errno::EINVAL),
    };
    let name = name(context, arguments)?;
    let length = arguments.word(3);
    if length as usize > VALUE_BYTES_MAX {
        return Err(Errno::E2BIG);
    }
    let (value_at, length) = (arguments.address(2), u64::from(length));
    let value = context
        .memory
        .read_bytes(value_at, length, VALUE_BYTES_MAX)?;
    let new = (value.as_slice(), how);
    let task = context.task();
    match named {
        Named::Path(follow) => {
            let path = path(context, arguments)?;
            task.set_extended_attribute(At::Cwd, &path, &name, new, follow)
        }
        Named::Descriptor => task.set_file_extended_attribute(arguments.fd(0), &name, new),
    }?;
    Ok(0)
}

fn list(context: &mut Context<'_>, arguments: &Arguments, named: Named) -> Result<i64> {
    let task = context.task();
    let names = match named {
        Named::Path(follow) => {
            let path = path(context, arguments)?;
            task.extended_attributes(At::Cwd, &path, follow)
        }
        Named::Descriptor => task.file_extended_attributes(arguments.fd(0)),
    }?;
    let mut bytes = Vec::new();
    for name in names {
        bytes.extend(name);
        bytes.push(0);
    }
    give(context, &bytes, arguments.address(1), arguments.word(2))
}

fn remove(context: &mut Context<'_>, arguments: &Arguments, named: Named) -> Result<i64> {
    let name = name(context, arguments)?;
    let task = context.task();
    match named {
        Named::Path(follow) => {
            let path = path(context, arguments)?;
            task.remove_extended_attribute(At::Cwd, &path, &name, follow)
        }
        Named::Descriptor => task.remove_file_extended_attribute(arguments.fd(0), &name),
    }?;
    Ok(0)
}
