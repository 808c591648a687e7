//! Who a process is, what it may have, and the system's name.

use minke_abi::{Errno, Result};
use minke_kernel::{Pid, ResourceLimit};

use crate::personality::musl::context::{Arguments, Context};
use crate::runtime::GuestAddr;

pub(in crate::personality) fn write_three(
    context: &mut Context<'_>,
    arguments: &Arguments,
    ids: [u32; 3],
) -> Result<i64> {
    for (index, id) in ids.into_iter().enumerate() {
        context.memory.write_u32(arguments.address(index), id)?;
    }
    Ok(0)
}

/// Lists the supplementary groups; a size of 0 asks for their number.
pub(in crate::personality) fn getgroups(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let who = context.task().process.credentials();
    let size = usize::try_from(arguments.int(0)).map_err(|_| Errno::EINVAL)?;
    if size == 0 {
        return Ok(who.groups.len() as i64);
    }
    if size < who.groups.len() {
        return Err(Errno::EINVAL);
    }
    let groups = who.groups.iter();
    let bytes: Vec<u8> = groups.flat_map(|group| group.to_le_bytes()).collect();
    context.memory.write(arguments.address(1), &bytes)?;
    Ok(who.groups.len() as i64)
}

/// Writes `struct utsname`: six texts of 65 bytes.
pub(in crate::personality) fn uname(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    const FIELD_BYTES: usize = 65;
    let names = context.task().process.kernel.names();
    let fields: [&[u8]; 6] = [
        b"Linux",
        &names.host,
        b"6.1.0-minke",
        b"#1 minke",
        b"wasm32",
        &names.domain,
    ];
    let mut bytes = Vec::with_capacity(fields.len() * FIELD_BYTES);
    for (index, field) in fields.iter().enumerate() {
        let shown = field.len().min(FIELD_BYTES - 1);
        bytes.extend(&field[..shown]);
        bytes.resize((index + 1) * FIELD_BYTES, 0);
    }
    context.memory.write(arguments.address(0), &bytes)?;
    Ok(0)
}

/// What a new limit changes.
pub(in crate::personality) const HELD_LIMITS: &str =
    "kept and inherited; `RLIMIT_NOFILE` and `RLIMIT_FSIZE` are held";

/// `getrlimit`: a resource, and where its limit goes.
pub(in crate::personality) fn getrlimit(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let resource = arguments.word(0);
    let limit = context.task().resource_limit(Pid(0), resource, None)?;
    write_limit(context, limit, arguments.address(1))
}

/// `setrlimit`: a resource, and its limit.
pub(in crate::personality) fn setrlimit(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let new = read_limit(context, arguments.address(1))?;
    let resource = arguments.word(0);
    let task = context.task();
    task.resource_limit(Pid(0), resource, Some(new)).map(|_| 0)
}

/// `prlimit64`: a process, a resource, its new limit and where the old one goes.
pub(in crate::personality) fn prlimit(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (pid, resource) = (Pid(arguments.word(0)), arguments.word(1));
    let new = match arguments.pointer(2) {
        Some(new) => Some(read_limit(context, new)?),
        None => None,
    };
    let before = context.task().resource_limit(pid, resource, new)?;
    match arguments.pointer(3) {
        Some(old) => write_limit(context, before, old),
        None => Ok(0),
    }
}

/// Reads `struct rlimit`.
fn read_limit(context: &Context<'_>, source: GuestAddr) -> Result<ResourceLimit> {
    Ok(ResourceLimit {
        soft: context.memory.read_u64(source)?,
        hard: context.memory.read_u64(source.offset(8))?,
    })
}

/// Writes `struct rlimit`.
fn write_limit(context: &mut Context<'_>, limit: ResourceLimit, target: GuestAddr) -> Result<i64> {
    context.memory.write_u64(target, limit.soft)?;
    context.memory.write_u64(target.offset(8), limit.hard)?;
    Ok(0)
}
