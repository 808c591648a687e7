//! What `/proc/net` says: sockets that have a name or a port, interfaces and routes.
//!
//! Sockets without a port or name of their own, such as accepted connections, are left out. Linux: net/ipv4/tcp_ipv4.c
//! `tcp4_seq_show()`, net/ipv4/udp.c, net/unix/af_unix.c; `proc_pid_net(5)`.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::kernel::Kernel;
use crate::net::address::{CONTAINER_ADDRESS, GATEWAY_ADDRESS};
use crate::net::{NamedSocket, NetworkMode, UnixAddress};

/// `TCP_LISTEN`, and what an unconnected socket is in otherwise.
const LISTEN: u8 = 0x0a;
const CLOSE: u8 = 0x07;

/// `__SO_ACCEPTCON`.
const ACCEPTS: u32 = 0x1_0000;
/// `SS_UNCONNECTED`.
const UNCONNECTED: u32 = 1;

/// Bits of the container's own network. Spec: RFC 6333, 5.7.
const NETWORK_MASK: u32 = 0xffff_fff8;

/// `RTF_UP`, `RTF_GATEWAY`.
const UP: u32 = 1;
const GATEWAY: u32 = 2;

pub(super) fn tcp(kernel: &Kernel) -> String {
    internet(
        TCP_HEAD,
        4,
        &kernel.network.tcp_ports(),
        SocketAddr::is_ipv4,
    )
}

pub(super) fn tcp6(kernel: &Kernel) -> String {
    internet(
        TCP6_HEAD,
        4,
        &kernel.network.tcp_ports(),
        SocketAddr::is_ipv6,
    )
}

pub(super) fn udp(kernel: &Kernel) -> String {
    internet(
        UDP_HEAD,
        5,
        &kernel.network.udp_ports(),
        SocketAddr::is_ipv4,
    )
}

pub(super) fn udp6(kernel: &Kernel) -> String {
    internet(
        UDP6_HEAD,
        5,
        &kernel.network.udp_ports(),
        SocketAddr::is_ipv6,
    )
}

const TCP_HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const TCP6_HEAD: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const UDP_HEAD: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const UDP6_HEAD: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

fn internet(
    head: &str,
    width: usize,
    sockets: &[(SocketAddr, bool)],
    is_shown: fn(&SocketAddr) -> bool,
) -> String {
    let mut text = head.to_owned();
    let shown = sockets.iter().filter(|(address, _)| is_shown(address));
    for (number, (address, is_listening)) in shown.enumerate() {
        let local = hexadecimal(address.ip());
        let remote = "0".repeat(local.len());
        let (port, state) = (address.port(), if *is_listening { LISTEN } else { CLOSE });
        let _ = writeln!(
            text,
            "{number:width$}: {local}:{port:04X} {remote}:0000 {state:02X} 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 0"
        );
    }
    text
}

/// Writes an address as Linux does: words of 32 bits, as a processor with little ends reads them.
fn hexadecimal(ip: IpAddr) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.chunks(4).fold(String::new(), |mut text, word| {
        let _ = word
            .iter()
            .rev()
            .try_for_each(|byte| write!(text, "{byte:02X}"));
        text
    })
}

pub(super) fn unix(kernel: &Kernel) -> String {
    let mut text = "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned();
    for NamedSocket {
        address,
        kind,
        is_listening,
        inode,
    } in kernel.network.named_sockets()
    {
        let flags = if is_listening { ACCEPTS } else { 0 };
        let path = match address {
            UnixAddress::Unnamed => continue,
            UnixAddress::Path(path) => String::from_utf8_lossy(&path).into_owned(),
            UnixAddress::Abstract(name) => format!("@{}", String::from_utf8_lossy(&name)),
        };
        let _ = writeln!(
            text,
            "0000000000000000: 00000002 00000000 {flags:08X} {kind:04X} {UNCONNECTED:02X} {inode:5} {path}"
        );
    }
    text
}

/// Nothing is counted.
pub(super) fn dev(kernel: &Kernel) -> String {
    let mut text = "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
        .to_owned();
    for name in interfaces(kernel) {
        let _ = writeln!(
            text,
            "{name:>6}:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0"
        );
    }
    text
}

fn interfaces(kernel: &Kernel) -> &'static [&'static str] {
    match kernel.network.mode {
        NetworkMode::Private => &["lo", "eth0"],
        NetworkMode::Host | NetworkMode::None => &["lo"],
    }
}

pub(super) fn route(kernel: &Kernel) -> String {
    let mut text =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
            .to_owned();
    if kernel.network.mode != NetworkMode::Private {
        return text;
    }
    let word = |address: u32| hexadecimal(IpAddr::V4(address.into()));
    let network = word(u32::from(CONTAINER_ADDRESS) & NETWORK_MASK);
    let (any, gateway) = (word(0), hexadecimal(GATEWAY_ADDRESS.into()));
    let rows = [
        (&any, &gateway, UP | GATEWAY, &any),
        (&network, &any, UP, &word(NETWORK_MASK)),
    ];
    for (destination, gateway, flags, mask) in rows {
        let _ = writeln!(
            text,
            "eth0\t{destination}\t{gateway}\t{flags:04X}\t0\t0\t0\t{mask}\t0\t0\t0"
        );
    }
    text
}
