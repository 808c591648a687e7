//! Socket addresses between the kernel and the guest's memory.

use minke_abi::{Errno, Result};
use minke_kernel::net::{ADDRESS_BYTES_MAX, Received, SocketAddress};

use crate::personality::musl::context::Context;
use crate::runtime::GuestAddr;

/// Reads an address. Linux: net/socket.c move_addr_to_kernel().
pub(in crate::personality) fn read_address(
    context: &Context<'_>,
    address: GuestAddr,
    length: u32,
) -> Result<SocketAddress> {
    if length as usize > ADDRESS_BYTES_MAX {
        return Err(Errno::EINVAL);
    }
    let bytes = context
        .memory
        .read_bytes(address, u64::from(length), ADDRESS_BYTES_MAX)?;
    SocketAddress::decode(&bytes)
}

/// Writes an address where the guest has room for it, and its whole length. Linux: net/socket.c move_addr_to_user().
pub(in crate::personality) fn write_address(
    context: &mut Context<'_>,
    address: &SocketAddress,
    target: Option<GuestAddr>,
    length: Option<GuestAddr>,
) -> Result<()> {
    let Some(target) = target else {
        return Ok(());
    };
    let length = length.ok_or(Errno::EFAULT)?;
    let room = context.memory.read_u32(length)?;
    if room.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = address.encode();
    let shown = bytes.len().min(room as usize);
    context.memory.write(target, &bytes[..shown])?;
    context.memory.write_u32(length, bytes.len() as u32)
}

/// A connected stream knows no sender: the length becomes 0.
pub(in crate::personality) fn write_sender(
    context: &mut Context<'_>,
    received: &Received,
    address: Option<GuestAddr>,
    length: Option<GuestAddr>,
) -> Result<()> {
    match (&received.from, address, length) {
        (Some(from), _, _) => write_address(context, from, address, length),
        (None, Some(_), Some(length)) => context.memory.write_u32(length, 0),
        _ => Ok(()),
    }
}
