//! The calls of `wasi_unstable` that differ from preview 1's: two layouts and one numbering.

use minke_abi::wasi::{Subscription, Whence};
use wasmtime::Caller;

use super::descriptor::{descriptor_stat, seek};
use super::path::path_stat;
use super::poll::poll_with;
use super::{Answer, Call};
use crate::runtime::Guest;

/// Tells an open file's attributes.
pub(super) fn fd_filestat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Answer<()> {
    let stat = descriptor_stat(call, fd)?;
    Ok(call.memory.write(result.into(), &stat.to_unstable())?)
}

/// Moves a descriptor's position.
pub(super) fn fd_seek(
    call: &mut Call<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    result: u32,
) -> Answer<()> {
    seek(call, fd, offset, Whence::from_unstable(whence), result)
}

/// Tells a path's attributes.
pub(super) fn path_filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    result: u32,
) -> Answer<()> {
    let stat = path_stat(call, fd, flags, path, length)?;
    Ok(call.memory.write(result.into(), &stat.to_unstable())?)
}

/// Waits for events.
pub(super) async fn poll_oneoff(
    caller: &mut Caller<'_, Guest>,
    subscriptions: u32,
    events: u32,
    count: u32,
    result: u32,
) -> Answer<()> {
    let parse = Subscription::from_unstable;
    poll_with(caller, parse, subscriptions, events, count, result).await
}
