//! What travels beside a message: `struct cmsghdr` and what follows it. Linux: net/core/scm.c; `cmsg(3)`.

use minke_abi::{Errno, Result};
use minke_kernel::Fd;
use minke_kernel::calls::sockets::{ReceivedControl, SentControl};
use minke_kernel::net::{MessageFlags, UserCredentials};

use super::messages::MessageLayout;
use crate::personality::musl::context::Context;
use crate::runtime::GuestAddr;

/// `SOL_SOCKET`.
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;

/// Most descriptors of one message. Linux: `SCM_MAX_FD`.
const DESCRIPTORS_MAX: usize = 253;

/// Most bytes beside a message. Linux: `net.core.optmem_max`.
const CONTROL_BYTES_MAX: u32 = 131_072;

/// Bytes of a descriptor's number.
const FD_BYTES: u64 = 4;

/// A buffer for what travels beside a message, as the guest gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ControlBuffer {
    pub(super) at: GuestAddr,
    pub(super) length: u32,
}

/// Reads what a program sends beside a message; what is not of sockets is left out.
pub(super) fn read_control(
    context: &Context<'_>,
    buffer: ControlBuffer,
    layout: MessageLayout,
) -> Result<SentControl> {
    if buffer.length > CONTROL_BYTES_MAX {
        return Err(Errno::ENOBUFS);
    }
    let header = layout.control_header_bytes;
    let mut control = SentControl::default();
    let mut at = 0;
    while at + header <= u64::from(buffer.length) {
        let start = buffer.at.offset(at);
        let length = u64::from(context.memory.read_u32(start)?);
        if length < header || at + length > u64::from(buffer.length) {
            return Err(Errno::EINVAL);
        }
        let level = context.memory.read_u32(start.offset(header - 8))?;
        let kind = context.memory.read_u32(start.offset(header - 4))?;
        if level == SOL_SOCKET {
            let content = (start.offset(header), length - header);
            read_one(context, kind, content, &mut control)?;
        }
        at += length.next_multiple_of(layout.control_alignment);
    }
    Ok(control)
}

fn read_one(
    context: &Context<'_>,
    kind: u32,
    (at, length): (GuestAddr, u64),
    control: &mut SentControl,
) -> Result<()> {
    let word = |index: u64| context.memory.read_u32(at.offset(index * 4));
    match kind {
        SCM_RIGHTS => {
            for index in 0..length / FD_BYTES {
                if control.descriptors.len() >= DESCRIPTORS_MAX {
                    return Err(Errno::EINVAL);
                }
                control.descriptors.push(Fd(word(index)?));
            }
        }
        SCM_CREDENTIALS if length == UserCredentials::BYTES as u64 => {
            control.credentials = Some(UserCredentials {
                pid: word(0)?,
                uid: word(1)?,
                gid: word(2)?,
            });
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// Writes what was received beside a message, and gives descriptors their numbers; returns the bytes that it took. What there is no
/// room for is told by `MSG_CTRUNC`.
pub(super) fn write_control(
    context: &mut Context<'_>,
    received: ReceivedControl,
    buffer: Option<ControlBuffer>,
    (layout, is_close_on_exec): (MessageLayout, bool),
    told: &mut MessageFlags,
) -> Result<u64> {
    let has_any = received.credentials.is_some() || !received.descriptions.is_empty();
    let Some(buffer) = buffer else {
        told.set(MessageFlags::CTRUNC, has_any);
        return Ok(0);
    };
    let mut writer = ControlWriter {
        buffer,
        layout,
        used: 0,
    };
    if let Some(credentials) = received.credentials {
        let is_whole = writer.put(context, SCM_CREDENTIALS, &credentials.encode())?;
        told.set(MessageFlags::CTRUNC, !is_whole);
    }
    let mut numbers = Vec::new();
    let count = received.descriptions.len();
    for description in received.descriptions.into_iter().take(writer.fds_max()) {
        let fds = &context.task().process.fds;
        match fds.insert(description, is_close_on_exec) {
            Ok(fd) => numbers.extend_from_slice(&fd.0.to_le_bytes()),
            Err(_) => break,
        }
    }
    if (numbers.len() as u64) < count as u64 * FD_BYTES {
        told.insert(MessageFlags::CTRUNC);
    }
    if !numbers.is_empty() {
        writer.put(context, SCM_RIGHTS, &numbers)?;
    }
    Ok(writer.used)
}

struct ControlWriter {
    buffer: ControlBuffer,
    layout: MessageLayout,
    used: u64,
}

impl ControlWriter {
    fn room(&self) -> u64 {
        u64::from(self.buffer.length) - self.used
    }

    /// How many descriptors fit.
    fn fds_max(&self) -> usize {
        let room = self.room().saturating_sub(self.layout.control_header_bytes);
        usize::try_from(room / FD_BYTES).unwrap_or(0)
    }

    /// Writes one, cut to the room that is left; `false` if it was cut. Linux: net/core/scm.c `put_cmsg()`.
    fn put(&mut self, context: &mut Context<'_>, kind: u32, content: &[u8]) -> Result<bool> {
        let header = self.layout.control_header_bytes;
        let (room, whole) = (self.room(), header + content.len() as u64);
        if room < header {
            return Ok(false);
        }
        let length = whole.min(room);
        let shown = usize::try_from(length - header).unwrap_or(content.len());
        let start = self.buffer.at.offset(self.used);
        let memory = &mut context.memory;
        let length_bytes = &length.to_le_bytes()[..self.layout.control_length_bytes];
        memory.write(start, length_bytes)?;
        memory.write_u32(start.offset(header - 8), SOL_SOCKET)?;
        memory.write_u32(start.offset(header - 4), kind)?;
        memory.write(start.offset(header), &content[..shown])?;
        self.used += whole
            .next_multiple_of(self.layout.control_alignment)
            .min(room);
        Ok(length == whole)
    }
}
