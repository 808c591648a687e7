//! Published ports: host sockets that are bound before the guest starts.
//!
//! They are bound (and listen, for TCP) before the container starts, so that a port in use is
//! a failure of the command and not of the guest. Connections that come before the guest
//! listens wait in the host's queue.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use minke_kernel::platform::{Family, Transport};
use rustix::io::Errno;
use rustix::net::sockopt;

use super::network::open;
use crate::spec::{PublishedPort, TransportSpec};

/// Connections that wait on a published port, at most. Linux caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How often a port that the host chose for IPv4 is looked for on IPv6 too.
const CHOICES_MAX: u32 = 16;

/// Why a port could not be published. Docker's wording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to bind host port `{address}/{transport}`: {reason}")]
pub struct PublishError {
    pub address: SocketAddr,
    /// `tcp` or `udp`.
    pub transport: &'static str,
    pub reason: PublishErrorReason,
}

/// What the host said of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishErrorReason {
    #[error("address already in use")]
    InUse,
    #[error("permission denied")]
    NotPermitted,
    #[error("cannot assign requested address")]
    NotLocal,
    #[error("{0}")]
    Other(Errno),
}

impl PublishError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> String {
        let port = self.address.port();
        match self.reason {
            PublishErrorReason::InUse => {
                format!("choose another host port, or stop what listens on {port}: `ss -lntup`")
            }
            PublishErrorReason::NotPermitted => format!(
                "choose a host port from 1024 on, or allow {port} with `sysctl net.ipv4.ip_unprivileged_port_start`"
            ),
            PublishErrorReason::NotLocal => {
                "name an address of this machine: `ip address` lists them".to_owned()
            }
            PublishErrorReason::Other(_) => {
                "check that the host's network allows this port".to_owned()
            }
        }
    }
}

/// A host socket bound for a guest's port.
pub(super) struct BoundSocket {
    pub(super) transport: Transport,
    pub(super) guest_port: u16,
    pub(super) fd: OwnedFd,
}

/// The host sockets of all published ports.
#[derive(Default)]
pub struct PublishedSockets {
    pub(super) sockets: Vec<BoundSocket>,
    /// What was asked for, with the ports that the host chose filled in, one entry per address.
    pub bound: Vec<(PublishedPort, SocketAddr)>,
}

impl PublishedSockets {
    /// Binds every port, or none: on an error the others are closed again.
    pub fn bind(ports: &[PublishedPort]) -> Result<PublishedSockets, PublishError> {
        let mut published = PublishedSockets::default();
        for port in ports {
            published.bind_port(port)?;
        }
        Ok(published)
    }

    fn bind_port(&mut self, port: &PublishedPort) -> Result<(), PublishError> {
        match port.host_address {
            Some(ip) => {
                let address = SocketAddr::new(ip, port.host_port);
                let fd = bind_one(address, port.transport)?;
                self.add(port, fd)
            }
            None => self.bind_everywhere(port),
        }
    }

    /// Binds the wildcard of IPv4, and of IPv6 where the host has it, to the same port.
    fn bind_everywhere(&mut self, port: &PublishedPort) -> Result<(), PublishError> {
        let any = |ip: IpAddr, port: u16| SocketAddr::new(ip, port);
        let mut choices = 1;
        loop {
            let v4_address = any(Ipv4Addr::UNSPECIFIED.into(), port.host_port);
            let v4 = bind_one(v4_address, port.transport)?;
            let host_port = local_address(&v4, v4_address).port();
            let v6_address = any(Ipv6Addr::UNSPECIFIED.into(), host_port);
            match bind_one(v6_address, port.transport) {
                Ok(v6) => {
                    self.add(port, v4)?;
                    return self.add(port, v6);
                }
                Err(error) if error.is_without_ipv6() => return self.add(port, v4),
                Err(_) if port.host_port == 0 && choices < CHOICES_MAX => choices += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn add(&mut self, port: &PublishedPort, fd: OwnedFd) -> Result<(), PublishError> {
        let asked = SocketAddr::new(
            port.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            port.host_port,
        );
        self.bound.push((port.clone(), local_address(&fd, asked)));
        self.sockets.push(BoundSocket {
            transport: transport(port.transport),
            guest_port: port.guest_port,
            fd,
        });
        Ok(())
    }
}

impl PublishError {
    fn new(address: SocketAddr, transport: TransportSpec, error: Errno) -> PublishError {
        let reason = match error {
            Errno::ADDRINUSE => PublishErrorReason::InUse,
            Errno::ACCESS | Errno::PERM => PublishErrorReason::NotPermitted,
            Errno::ADDRNOTAVAIL => PublishErrorReason::NotLocal,
            other => PublishErrorReason::Other(other),
        };
        PublishError {
            address,
            transport: match transport {
                TransportSpec::Tcp => "tcp",
                TransportSpec::Udp => "udp",
            },
            reason,
        }
    }

    /// Whether the host has no IPv6 to bind.
    fn is_without_ipv6(&self) -> bool {
        matches!(
            self.reason,
            PublishErrorReason::NotLocal | PublishErrorReason::Other(Errno::AFNOSUPPORT)
        )
    }
}

fn bind_one(address: SocketAddr, spec: TransportSpec) -> Result<OwnedFd, PublishError> {
    let fail = |error| PublishError::new(address, spec, error);
    let family = Family::of(&address);
    let transport = transport(spec);
    let fd = open(transport, family).map_err(fail)?;
    if transport == Transport::Tcp {
        // A container that starts again must not wait for old connections of its port to time out.
        sockopt::set_socket_reuseaddr(&fd, true).map_err(fail)?;
    }
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(&fd, true).map_err(fail)?;
    }
    rustix::net::bind(&fd, &address).map_err(fail)?;
    if transport == Transport::Tcp {
        rustix::net::listen(&fd, BACKLOG).map_err(fail)?;
    }
    Ok(fd)
}

fn transport(spec: TransportSpec) -> Transport {
    match spec {
        TransportSpec::Tcp => Transport::Tcp,
        TransportSpec::Udp => Transport::Udp,
    }
}

fn local_address(fd: &OwnedFd, asked: SocketAddr) -> SocketAddr {
    rustix::net::getsockname(fd)
        .and_then(SocketAddr::try_from)
        .unwrap_or(asked)
}
