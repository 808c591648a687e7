//! Names of Unix sockets: paths are resolved here, with the task's rights.

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use crate::calls::paths::{Access, At, Follow};
use crate::net::unix::{PATH_BYTES_MAX, UnixKey, UnixSocket, UnixTarget};
use crate::net::{Socket, SocketAddress, UnixAddress};
use crate::task::Task;
use crate::vfs::permission::check;
use crate::vfs::{Metadata, NewInode};

/// The mode of a socket file before the umask. Linux: unix_bind_bsd().
const SOCKET_FILE_MODE: u32 = 0o777;

impl Task {
    /// Gives a Unix socket a name; a path makes its file. Linux: unix_bind().
    pub(super) fn bind_unix(
        &self,
        socket: &dyn Socket,
        unix: &dyn UnixSocket,
        address: &UnixAddress,
    ) -> Result<()> {
        let path = match address {
            UnixAddress::Unnamed => return unix.bind_anywhere(),
            UnixAddress::Abstract(name) => {
                let key = UnixKey::Abstract(name.clone());
                return unix.bind_to(address.clone(), key, None);
            }
            UnixAddress::Path(path) => path,
        };
        if path.len() > PATH_BYTES_MAX {
            return Err(Errno::EINVAL);
        }
        // A socket that has a name already must not leave a second file behind.
        if socket.local_address()? != SocketAddress::Unix(UnixAddress::Unnamed) {
            return Err(Errno::EINVAL);
        }
        self.make_node(At::Cwd, path, &NewInode::Socket, SOCKET_FILE_MODE)
            .map_err(|error| match error {
                Errno::EEXIST => Errno::EADDRINUSE,
                other => other,
            })?;
        let location = self.resolve(At::Cwd, path, Follow::No)?;
        let key = key_of(&location.inode.metadata()?);
        unix.bind_to(address.clone(), key, Some(location))
    }

    /// Finds the socket that has a name. Linux: unix_find_other().
    pub(super) fn unix_target(&self, address: &SocketAddress) -> Result<UnixTarget> {
        let names = self.process.kernel.network.unix_names();
        let path = match address {
            SocketAddress::Inet(_) | SocketAddress::Unix(UnixAddress::Unnamed) => {
                return Err(Errno::EINVAL);
            }
            SocketAddress::Unix(UnixAddress::Abstract(name)) => {
                return names.find(&UnixKey::Abstract(name.clone()));
            }
            SocketAddress::Unix(UnixAddress::Path(path)) => path,
        };
        let location = self.resolve(At::Cwd, path, Follow::Yes)?;
        check(&*location.inode, &self.process.credentials(), Access::WRITE)?;
        if location.inode.file_type() != FileType::Socket {
            return Err(Errno::ECONNREFUSED);
        }
        names.find(&key_of(&location.inode.metadata()?))
    }
}

fn key_of(metadata: &Metadata) -> UnixKey {
    UnixKey::Path {
        device: metadata.device,
        inode: metadata.inode,
    }
}
