//! Descriptors that come beside the bytes of a message. Linux: `unix(7)`, `SCM_RIGHTS`.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Bounds the descriptors beside one message: three standard streams and a module server.
pub(crate) const DESCRIPTORS_MAX: usize = 4;

/// Sends bytes, of which there is at least one, with at most [`DESCRIPTORS_MAX`] descriptors beside the first.
pub(crate) fn send(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let slices = [IoSlice::new(bytes)];
    let sent = retry_on_intr(|| sendmsg(stream, &slices, &mut control, SendFlags::NOSIGNAL))?;
    (&*stream).write_all(&bytes[sent..])
}

/// Receives bytes, and appends the descriptors beside them; those beyond [`DESCRIPTORS_MAX`] in all are closed. No bytes are the end.
pub(crate) fn receive(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let received =
        retry_on_intr(|| recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = message {
            let room = DESCRIPTORS_MAX.saturating_sub(descriptors.len());
            // What is not taken is closed.
            descriptors.extend(came.take(room));
        }
    }
    Ok(received.bytes)
}
