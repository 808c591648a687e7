//! Looking host names up.

use std::net::IpAddr;

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use crate::calls::paths::At;
use crate::net::NetworkMode;
use crate::net::resolve::{HOSTS_FILE_BYTES_MAX, resolve_in_hosts, resolve_known};
use crate::task::{Deadline, Task};

impl Task {
    /// Resolves a host name: numbers, `localhost`, the container's own name, `/etc/hosts`, then the host's resolver.
    ///
    /// `ENOENT` when there is no such name; `ENOBUFS` when too many look-ups wait already.
    pub async fn resolve_host(&self, name: &str) -> Result<Vec<IpAddr>> {
        let kernel = &self.process.kernel;
        let mode = kernel.network.mode;
        if let Some(found) = resolve_known(name, &kernel.config.hostname, mode) {
            return Ok(found);
        }
        // A container without the file, or without the right to read it, has no names in it.
        let hosts = self.read_hosts_file().unwrap_or_default();
        let found = resolve_in_hosts(&hosts, name);
        if !found.is_empty() {
            return Ok(found);
        }
        if mode == NetworkMode::None {
            return Err(Errno::ENOENT);
        }
        let lookup = kernel.network.host.resolve(name);
        let answer = self.wait_for(Deadline::Never, |cx| match lookup.poll(cx.waker()) {
            Err(Errno::EAGAIN) => None,
            answer => Some(answer),
        });
        answer.await.unwrap_or(Err(Errno::EINTR))
    }

    fn read_hosts_file(&self) -> Result<Vec<u8>> {
        let description = self.open_description(At::Cwd, b"/etc/hosts", OpenFlags::NONBLOCK, 0)?;
        let size = usize::try_from(description.file.metadata()?.size).unwrap_or(usize::MAX);
        let mut text = vec![0; size.min(HOSTS_FILE_BYTES_MAX)];
        let count = description.read_at(&mut text, 0)?;
        text.truncate(count);
        Ok(text)
    }
}
