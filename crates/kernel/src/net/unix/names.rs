//! Names of Unix sockets: which socket a path or an abstract name leads to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::{Errno, Result};

use crate::net::unix::connection::Acceptor;
use crate::net::unix::datagram::Inbox;
use crate::net::{NamedSocket, UnixAddress};
use crate::vfs::Location;

/// What a name is looked up by. A path counts by the inode of its socket file, so that a renamed file still leads to its socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UnixKey {
    Path { device: u64, inode: u64 },
    Abstract(Vec<u8>),
}

/// A socket that was found by its name.
#[derive(Clone)]
pub(crate) enum UnixTarget {
    Connection(Arc<Acceptor>),
    Datagram(Arc<Inbox>),
}

/// Names point to sockets, and do not keep them.
enum Entry {
    Connection(Weak<Acceptor>),
    Datagram(Weak<Inbox>),
}

impl Entry {
    fn target(&self) -> Option<UnixTarget> {
        match self {
            Entry::Connection(acceptor) => acceptor.upgrade().map(UnixTarget::Connection),
            Entry::Datagram(inbox) => inbox.upgrade().map(UnixTarget::Datagram),
        }
    }
}

/// All names of a container.
#[derive(Default)]
pub(crate) struct UnixNames {
    entries: Mutex<BTreeMap<UnixKey, Entry>>,
}

/// Abstract names that the kernel gives itself: five hexadecimal digits. Linux: unix_autobind().
const AUTOMATIC_NAMES: u32 = 0x10_0000;

impl UnixNames {
    /// Enters a name; `EADDRINUSE` when a living socket has it.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: UnixAddress,
        key: UnixKey,
        target: &UnixTarget,
        location: Option<Arc<Location>>,
    ) -> Result<UnixName> {
        let entry = match target {
            UnixTarget::Connection(acceptor) => Entry::Connection(Arc::downgrade(acceptor)),
            UnixTarget::Datagram(inbox) => Entry::Datagram(Arc::downgrade(inbox)),
        };
        let mut entries = self.lock();
        if entries.contains_key(&key) {
            return Err(Errno::EADDRINUSE);
        }
        entries.insert(key.clone(), entry);
        Ok(UnixName {
            names: Arc::clone(self),
            address,
            key,
            _location: location,
        })
    }

    /// Enters an abstract name that nobody has; `ENOSPC` when all are taken.
    pub(crate) fn enter_any(self: &Arc<Self>, target: &UnixTarget) -> Result<UnixName> {
        for number in 0..AUTOMATIC_NAMES {
            let name = format!("{number:05x}").into_bytes();
            let address = UnixAddress::Abstract(name.clone());
            match self.enter(address, UnixKey::Abstract(name), target, None) {
                Err(Errno::EADDRINUSE) => {}
                entered => return entered,
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Returns the socket that has a name; `ECONNREFUSED` when none has.
    pub(crate) fn find(&self, key: &UnixKey) -> Result<UnixTarget> {
        let entries = self.lock();
        let target = entries.get(key).and_then(Entry::target);
        target.ok_or(Errno::ECONNREFUSED)
    }

    /// Lists all sockets that have a name.
    pub(crate) fn list(&self) -> Vec<NamedSocket> {
        let targets: Vec<UnixTarget> = self.lock().values().filter_map(Entry::target).collect();
        let sockets = targets.iter().map(|target| match target {
            UnixTarget::Connection(acceptor) => acceptor.shown(),
            UnixTarget::Datagram(inbox) => inbox.shown(),
        });
        sockets.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<UnixKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that a socket has; dropped, it is free again. The file of a path stays.
pub(crate) struct UnixName {
    names: Arc<UnixNames>,
    pub(crate) address: UnixAddress,
    key: UnixKey,
    /// Keeps the socket file's inode, whose number is the key.
    _location: Option<Arc<Location>>,
}

impl Drop for UnixName {
    fn drop(&mut self) {
        self.names.lock().remove(&self.key);
    }
}
