//! Socket calls.

use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::descriptor::{Fd, FileDescription};
use crate::file::File;
use crate::net::options::{SO_PASSCRED, SOL_SOCKET};
use crate::net::options::{SO_RCVTIMEO, SO_SNDTIMEO};
use crate::net::unix::{Companions, UnixSocket, unix_socket};
use crate::net::{MessageFlags, Received, Shutdown, Socket, SocketAddress, UserCredentials};
use crate::task::{Deadline, Patience, Task};

/// What a program sends beside a message. Linux: `cmsg(3)`.
#[derive(Clone, Debug, Default)]
pub struct SentControl {
    /// Who it says that it is (`SCM_CREDENTIALS`).
    pub credentials: Option<UserCredentials>,
    /// What it passes on (`SCM_RIGHTS`).
    pub descriptors: Vec<Fd>,
}

/// What was received beside a message; descriptors that are not given numbers are closed.
#[derive(Default)]
pub struct ReceivedControl {
    /// Who has sent, if the socket's `SO_PASSCRED` is set.
    pub credentials: Option<UserCredentials>,
    pub descriptions: Vec<Arc<FileDescription>>,
}

/// A receive that is under way.
struct Receiver<'s> {
    socket: &'s dyn Socket,
    unix: Option<&'s dyn UnixSocket>,
    flags: MessageFlags,
    companions: Companions,
}

impl Receiver<'_> {
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Received> {
        let Some(unix) = self.unix else {
            return self.socket.receive(buffer, self.flags);
        };
        let (received, companions) = unix.receive_with(buffer, self.flags)?;
        self.companions = companions;
        Ok(received)
    }

    fn has_rights(&self) -> bool {
        self.companions.rights.is_some()
    }

    fn control(self) -> ReceivedControl {
        let is_told = self.socket.options().is_set(SOL_SOCKET, SO_PASSCRED);
        ReceivedControl {
            credentials: self.companions.credentials.filter(|_| is_told),
            descriptions: self.companions.descriptions(self.flags.consume()),
        }
    }
}

/// How much `MSG_WAITALL` gathers before it returns with less than was asked for. Bounds a copy that the kernel keeps.
const WHOLE_BYTES_MAX: usize = 1 << 20;

impl Task {
    /// Makes a socket. `domain` is `AF_*`, `kind` `SOCK_*` without flags; flags: `O_NONBLOCK`, `O_CLOEXEC`.
    pub fn socket(&self, domain: u16, kind: u32, protocol: i32, flags: OpenFlags) -> Result<Fd> {
        self.process.fds.check_room()?;
        let inode = AnonymousInode::of(self, FileType::Socket);
        let network = &self.process.kernel.network;
        let file = network.socket(domain, kind, protocol, inode)?;
        self.insert_socket(file, flags)
    }

    /// Makes two connected Unix sockets. Linux: `socketpair(2)`.
    pub fn socket_pair(&self, domain: u16, kind: u32, flags: OpenFlags) -> Result<(Fd, Fd)> {
        let inode = AnonymousInode::of(self, FileType::Socket);
        let network = &self.process.kernel.network;
        let (first, second) = network.socket_pair(domain, kind, inode)?;
        let first = self.insert_socket(first, flags)?;
        match self.insert_socket(second, flags) {
            Ok(second) => Ok((first, second)),
            Err(error) => {
                self.close(first)?;
                Err(error)
            }
        }
    }

    /// Binds a socket; a Unix path makes a socket file.
    pub fn bind(&self, fd: Fd, address: &SocketAddress) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        let socket = socket_of(&description)?;
        match (unix_socket(&*description.file), address) {
            (Some(unix), SocketAddress::Unix(address)) => self.bind_unix(socket, unix, address),
            (Some(_), SocketAddress::Inet(_)) => Err(Errno::EINVAL),
            (None, _) => socket.bind(address),
        }
    }

    /// Makes a socket take connections.
    pub fn listen(&self, fd: Fd, backlog: u32) -> Result<()> {
        socket_of(&*self.process.fds.get(fd)?)?.listen(backlog)
    }

    /// Takes a connection, waiting for one. Flags are those of the new descriptor.
    pub async fn accept(&self, fd: Fd, flags: OpenFlags) -> Result<(Fd, SocketAddress)> {
        let description = self.process.fds.get(fd)?;
        let socket = socket_of(&description)?;
        self.process.fds.check_room()?;
        let patience = self.patience(&description, socket, SO_RCVTIMEO);
        let register = |waker: &_| socket.register(PollEvents::IN, waker);
        let accepted = self.try_until(patience, register, || socket.accept());
        let (file, peer) = accepted.await?;
        Ok((self.insert_socket(file, flags)?, peer))
    }

    /// Connects, waiting for the end unless the socket is non-blocking (`EINPROGRESS`; `EAGAIN` for Unix sockets).
    pub async fn connect(&self, fd: Fd, address: &SocketAddress) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        let socket = socket_of(&description)?;
        let patience = self.patience(&description, socket, SO_SNDTIMEO);
        if let Some(unix) = unix_socket(&*description.file) {
            let target = self.unix_target(address)?;
            let register = |waker: &_| unix.register_target(&target, waker);
            let who = self.own_credentials();
            let connect = || unix.connect_to(&target, who);
            return self.try_until(patience, register, connect).await;
        }
        match (socket.connect(address), patience) {
            (Err(Errno::EINPROGRESS), Patience::Until(deadline)) => {
                self.wait_connected(socket, deadline).await
            }
            (done, _) => done,
        }
    }

    /// Waits until a connection that is under way has come about or failed; `EINPROGRESS` when the deadline passes first.
    async fn wait_connected(&self, socket: &dyn Socket, deadline: Deadline) -> Result<()> {
        let connected = self.wait_for(deadline, |cx| {
            socket.register(PollEvents::OUT, cx.waker());
            let ready = socket.poll(PollEvents::OUT, None);
            (!ready.is_empty()).then(|| socket.take_error())
        });
        connected.await.unwrap_or(Err(Errno::EINPROGRESS))
    }

    /// Sends, waiting for room. `with_bytes` hands the guest's bytes to the given action, once per try.
    ///
    /// A blocking send on a stream returns when all bytes are taken, or with the count of
    /// those that were before an error, a time-out or the end of the process. Linux: net/ipv4/tcp.c tcp_sendmsg_locked().
    pub async fn send_with(
        &self,
        fd: Fd,
        to: Option<&SocketAddress>,
        flags: MessageFlags,
        with_bytes: impl FnMut(&mut dyn FnMut(&[u8]) -> Result<usize>) -> Result<usize>,
    ) -> Result<usize> {
        let alone = SentControl::default();
        self.send_message(fd, to, flags, alone, with_bytes).await
    }

    /// Sends as [`Task::send_with`] does, with what travels beside the bytes. Linux: `sendmsg(2)`.
    pub async fn send_message(
        &self,
        fd: Fd,
        to: Option<&SocketAddress>,
        flags: MessageFlags,
        control: SentControl,
        mut with_bytes: impl FnMut(&mut dyn FnMut(&[u8]) -> Result<usize>) -> Result<usize>,
    ) -> Result<usize> {
        let description = self.process.fds.get(fd)?;
        let socket = socket_of(&description)?;
        let patience = self.patience_for(&description, socket, flags, SO_SNDTIMEO);
        let unix = unix_socket(&*description.file);
        let mut companions = match unix {
            Some(_) => self.companions(&control)?,
            None => Companions::default(),
        };
        let target = match (unix, to) {
            (Some(_), Some(to)) => Some(self.unix_target(to)?),
            _ => None,
        };
        let mut sent = 0;
        loop {
            let mut left = 0;
            let attempt = || {
                with_bytes(&mut |bytes| {
                    let rest = bytes.get(sent..).unwrap_or_default();
                    let count = match unix {
                        Some(unix) => unix.send_with(rest, target.as_ref(), &mut companions)?,
                        None => socket.send(rest, to, flags)?,
                    };
                    left = rest.len() - count;
                    Ok(count)
                })
            };
            let register = |waker: &_| match (unix, &target) {
                (Some(unix), Some(target)) => unix.register_target(target, waker),
                _ => socket.register(PollEvents::OUT, waker),
            };
            match self.try_until(patience, register, attempt).await {
                Ok(count) => sent += count,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
            if left == 0 || patience == Patience::None {
                return Ok(sent);
            }
        }
    }

    /// Receives, waiting for data. `with_buffer` hands the guest's buffer to the given action, once per try.
    ///
    /// With `MSG_WAITALL` a blocking stream returns when the buffer is full or the stream ends.
    /// Each try then fills the buffer from its start, so `with_buffer` may put it together anew.
    pub async fn receive_with(
        &self,
        fd: Fd,
        flags: MessageFlags,
        with_buffer: impl FnMut(&mut dyn FnMut(&mut [u8]) -> Result<Received>) -> Result<Received>,
    ) -> Result<Received> {
        let received = self.receive_message(fd, flags, with_buffer);
        Ok(received.await?.0)
    }

    /// Receives as [`Task::receive_with`] does, with what travels beside the bytes. Linux: `recvmsg(2)`.
    pub async fn receive_message(
        &self,
        fd: Fd,
        flags: MessageFlags,
        with_buffer: impl FnMut(&mut dyn FnMut(&mut [u8]) -> Result<Received>) -> Result<Received>,
    ) -> Result<(Received, ReceivedControl)> {
        let description = self.process.fds.get(fd)?;
        let mut receiver = Receiver {
            socket: socket_of(&description)?,
            unix: unix_socket(&*description.file),
            flags,
            companions: Companions::default(),
        };
        let received = self
            .receive_by(&description, &mut receiver, with_buffer)
            .await?;
        Ok((received, receiver.control()))
    }

    async fn receive_by(
        &self,
        description: &FileDescription,
        receiver: &mut Receiver<'_>,
        mut with_buffer: impl FnMut(&mut dyn FnMut(&mut [u8]) -> Result<Received>) -> Result<Received>,
    ) -> Result<Received> {
        let (socket, flags) = (receiver.socket, receiver.flags);
        let patience = self.patience_for(description, socket, flags, SO_RCVTIMEO);
        let register = |waker: &_| socket.register(PollEvents::IN, waker);
        let is_whole = flags.contains(MessageFlags::WAITALL)
            && !flags.contains(MessageFlags::PEEK)
            && patience != Patience::None;
        if !is_whole {
            let attempt = || with_buffer(&mut |buffer| receiver.receive(buffer));
            return self.try_until(patience, register, attempt).await;
        }
        let mut gathered = Vec::new();
        loop {
            let before = gathered.len();
            let mut is_done = false;
            let attempt = || {
                with_buffer(&mut |buffer| {
                    let received = receive_after(receiver, &mut gathered, buffer)?;
                    let is_message = received.from.is_some() || receiver.has_rights();
                    is_done = gathered.len() == buffer.len() || is_message;
                    Ok(received)
                })
            };
            let received = match self.try_until(patience, register, attempt).await {
                Err(_) if before > 0 => return Ok(Received::of_stream(before)),
                result => result?,
            };
            if is_done || gathered.len() == before || before >= WHOLE_BYTES_MAX {
                return Ok(received);
            }
        }
    }

    /// Ends one or both directions of a connection.
    pub fn shutdown(&self, fd: Fd, how: Shutdown) -> Result<()> {
        socket_of(&*self.process.fds.get(fd)?)?.shutdown(how)
    }

    /// Returns a socket's own address.
    pub fn socket_name(&self, fd: Fd) -> Result<SocketAddress> {
        socket_of(&*self.process.fds.get(fd)?)?.local_address()
    }

    /// Returns the address of a socket's peer.
    pub fn peer_name(&self, fd: Fd) -> Result<SocketAddress> {
        socket_of(&*self.process.fds.get(fd)?)?.peer_address()
    }

    /// Sets a socket option, Linux's numbers and layout.
    pub fn set_socket_option(&self, fd: Fd, level: i32, name: i32, value: &[u8]) -> Result<()> {
        socket_of(&*self.process.fds.get(fd)?)?.set_option(level, name, value)
    }

    /// Returns a socket option's value, Linux's numbers and layout.
    pub fn socket_option(&self, fd: Fd, level: i32, name: i32) -> Result<Vec<u8>> {
        socket_of(&*self.process.fds.get(fd)?)?.option(level, name)
    }

    /// Checks what is to travel beside a message. Linux: net/core/scm.c `__scm_send()`.
    fn companions(&self, control: &SentControl) -> Result<Companions> {
        let credentials = match control.credentials {
            None => self.own_credentials(),
            Some(claimed) => self.check_claim(claimed)?,
        };
        let fds = &self.process.fds;
        let descriptions: Result<Vec<_>> =
            control.descriptors.iter().map(|fd| fds.get(*fd)).collect();
        let descriptions = descriptions?;
        let in_flight = self.process.kernel.network.in_flight();
        let rights = match descriptions.is_empty() {
            true => None,
            false => Some(in_flight.send(descriptions)?),
        };
        Ok(Companions {
            credentials: Some(credentials),
            rights,
        })
    }

    fn own_credentials(&self) -> UserCredentials {
        let credentials = self.process.credentials();
        UserCredentials {
            pid: self.process.pid.0,
            uid: credentials.euid,
            gid: credentials.egid,
        }
    }

    /// Only root says that it is somebody else. Linux: net/core/scm.c `scm_check_creds()`.
    fn check_claim(&self, claimed: UserCredentials) -> Result<UserCredentials> {
        let own = self.process.credentials();
        let is_own = claimed.pid == self.process.pid.0
            && [own.uid, own.euid, own.suid].contains(&claimed.uid)
            && [own.gid, own.egid, own.sgid].contains(&claimed.gid);
        match own.is_privileged() || is_own {
            true => Ok(claimed),
            false => Err(Errno::EPERM),
        }
    }

    fn insert_socket(&self, file: Arc<dyn File>, flags: OpenFlags) -> Result<Fd> {
        let status = OpenFlags::RDWR | (flags & OpenFlags::NONBLOCK);
        let description = FileDescription::new(file, None, status);
        self.process
            .fds
            .insert(description, flags.contains(OpenFlags::CLOEXEC))
    }

    /// How long a call on a socket waits, after `O_NONBLOCK` and a time-out option.
    fn patience(
        &self,
        description: &FileDescription,
        socket: &dyn Socket,
        timeout_option: i32,
    ) -> Patience {
        if description.is_nonblocking() {
            return Patience::None;
        }
        let deadline = match socket.options().timeout(timeout_option) {
            None => Deadline::Never,
            Some(timeout) => {
                let now = self.process.kernel.clock.monotonic();
                Deadline::At(now.saturating_add(timeout))
            }
        };
        Patience::Until(deadline)
    }

    /// How long a transfer waits; `MSG_DONTWAIT` is for one call what `O_NONBLOCK` is for all.
    fn patience_for(
        &self,
        description: &FileDescription,
        socket: &dyn Socket,
        flags: MessageFlags,
        timeout_option: i32,
    ) -> Patience {
        if flags.contains(MessageFlags::DONTWAIT) {
            return Patience::None;
        }
        self.patience(description, socket, timeout_option)
    }
}

/// Receives behind what was gathered before, which is put into the buffer again.
fn receive_after(
    receiver: &mut Receiver<'_>,
    gathered: &mut Vec<u8>,
    buffer: &mut [u8],
) -> Result<Received> {
    let before = gathered.len().min(buffer.len());
    let (head, rest) = buffer.split_at_mut(before);
    head.copy_from_slice(&gathered[..before]);
    let received = receiver.receive(rest)?;
    gathered.extend_from_slice(&rest[..received.count]);
    if received.from.is_some() {
        return Ok(received);
    }
    Ok(Received::of_stream(gathered.len()))
}

/// Returns a description's socket operations, or `ENOTSOCK`.
fn socket_of(description: &FileDescription) -> Result<&dyn Socket> {
    description.file.socket().ok_or(Errno::ENOTSOCK)
}
