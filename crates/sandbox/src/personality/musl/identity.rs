//! Who a process is, what it may have, and the system's name.

use minke_abi::{Errno, Result};
use minke_kernel::ResourceLimit;

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
    let hostname = context.task().process.kernel.config.hostname.clone();
    let fields = [
        "Linux",
        &hostname,
        "6.1.0-minke",
        "#1 minke",
        "wasm32",
        "(none)",
    ];
    let mut bytes = Vec::with_capacity(fields.len() * FIELD_BYTES);
    for (index, field) in fields.iter().enumerate() {
        let shown = field.len().min(FIELD_BYTES - 1);
        bytes.extend(&field.as_bytes()[..shown]);
        bytes.resize((index + 1) * FIELD_BYTES, 0);
    }
    context.memory.write(arguments.address(0), &bytes)?;
    Ok(0)
}

fn limit_of(context: &Context<'_>, resource: u32) -> Result<ResourceLimit> {
    let limits = &context.task().process.kernel.config.resource_limits;
    limits.get(resource as usize).ok_or(Errno::EINVAL)
}

pub(in crate::personality) fn write_limit(
    context: &mut Context<'_>,
    resource: u32,
    target: GuestAddr,
) -> Result<i64> {
    let limit = limit_of(context, resource)?;
    context.memory.write_u64(target, limit.soft)?;
    context.memory.write_u64(target.offset(8), limit.hard)?;
    Ok(0)
}

/// Checks a new limit: the soft one must not exceed the hard one, nor the hard one what there is.
pub(in crate::personality) fn check_limit(
    context: &Context<'_>,
    resource: u32,
    source: GuestAddr,
) -> Result<i64> {
    let now = limit_of(context, resource)?;
    let soft = context.memory.read_u64(source)?;
    let hard = context.memory.read_u64(source.offset(8))?;
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if hard > now.hard {
        return Err(Errno::EPERM);
    }
    Ok(0)
}

pub(in crate::personality) fn prlimit(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (pid, resource) = (arguments.word(0), arguments.word(1));
    if pid != 0 && pid != context.task().process.pid.0 {
        return Err(Errno::ESRCH);
    }
    if let Some(new) = arguments.pointer(2) {
        check_limit(context, resource, new)?;
    }
    match arguments.pointer(3) {
        Some(old) => write_limit(context, resource, old),
        None => limit_of(context, resource).map(|_| 0),
    }
}
