//! Socket options: the table of what is known, and the values that one socket keeps.
//!
//! Every option is a row of [`OPTIONS`]; setting, getting and the support page
//! (`docs/compat/net.md`) come from it. An option that is not in the table answers
//! `ENOPROTOOPT`, as an unknown one does on Linux.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minke_abi::{Errno, Result};
use smallvec::SmallVec;

use crate::platform::{Nanoseconds, SocketOption};

/// `SOL_SOCKET`.
pub const SOL_SOCKET: i32 = 1;
/// `IPPROTO_IP`.
pub const SOL_IP: i32 = 0;
/// `IPPROTO_TCP`.
pub const SOL_TCP: i32 = 6;
/// `IPPROTO_IPV6`.
pub const SOL_IPV6: i32 = 41;

/// `SO_REUSEADDR`.
pub const SO_REUSEADDR: i32 = 2;
/// `SO_TYPE`.
pub const SO_TYPE: i32 = 3;
/// `SO_ERROR`.
pub const SO_ERROR: i32 = 4;
/// `SO_BROADCAST`.
pub const SO_BROADCAST: i32 = 6;
/// `SO_SNDBUF`.
pub const SO_SNDBUF: i32 = 7;
/// `SO_RCVBUF`.
pub const SO_RCVBUF: i32 = 8;
/// `SO_KEEPALIVE`.
pub const SO_KEEPALIVE: i32 = 9;
/// `SO_LINGER`.
pub const SO_LINGER: i32 = 13;
/// `SO_REUSEPORT`.
pub const SO_REUSEPORT: i32 = 15;
/// `SO_PASSCRED`.
pub const SO_PASSCRED: i32 = 16;
/// `SO_PEERCRED`.
pub const SO_PEERCRED: i32 = 17;
/// `SO_RCVTIMEO`.
pub const SO_RCVTIMEO: i32 = 20;
/// `SO_SNDTIMEO`.
pub const SO_SNDTIMEO: i32 = 21;
/// `SO_ACCEPTCONN`.
pub const SO_ACCEPTCONN: i32 = 30;
/// `SO_PROTOCOL`.
pub const SO_PROTOCOL: i32 = 38;
/// `SO_DOMAIN`.
pub const SO_DOMAIN: i32 = 39;
/// `TCP_NODELAY`.
pub const TCP_NODELAY: i32 = 1;
/// `IPV6_V6ONLY`.
pub const IPV6_V6ONLY: i32 = 26;

/// How an option's value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// An `int` that is 0 or 1.
    Flag,
    /// An `int`.
    Number,
    /// `struct linger`: two `int`s.
    Linger,
    /// `struct timeval` with two 64-bit fields.
    Interval,
    /// `struct ucred`: three `int`s.
    Credentials,
}

/// What setting an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// It means here what it means on Linux.
    Effective,
    /// It is applied to the host's socket where there is one, and kept where there is none.
    Host,
    /// It is kept and read back; it would change nothing that a program can see here.
    Kept,
    /// It can be read only; setting answers `ENOPROTOOPT`.
    ReadOnly,
    /// It is refused with an error, because a program that sets it relies on it.
    Refused(Errno),
}

/// Which sockets have an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    Internet,
    Ipv6,
    Tcp,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    pub level: i32,
    pub name: i32,
    pub symbol: &'static str,
    pub layout: Layout,
    pub scope: Scope,
    pub handling: Handling,
    /// The value before it is set, of `int`s.
    pub default: i32,
    pub note: &'static str,
}

macro_rules! options {
    ($($level:ident $name:literal $symbol:ident $layout:ident $scope:ident $handling:expr, $default:literal, $note:literal;)*) => {
        /// Every option that the kernel knows, by level and number.
        pub const OPTIONS: &[OptionRow] = &[$(OptionRow {
            level: $level,
            name: $name,
            symbol: stringify!($symbol),
            layout: Layout::$layout,
            scope: Scope::$scope,
            handling: $handling,
            default: $default,
            note: $note,
        }),*];
    };
}

use Handling::{Effective, Host, Kept, ReadOnly, Refused};

options! {
    SOL_IP 1 IP_TOS Number Internet Kept, 0, "no network below the host's sockets to tell";
    SOL_IP 2 IP_TTL Number Internet Host, 64, "";
    SOL_IP 10 IP_MTU_DISCOVER Number Internet Kept, 1, "the host's path decides";
    SOL_IP 11 IP_RECVERR Flag Internet Refused(Errno::ENOPROTOOPT), 0, "there is no error queue";
    SOL_IP 8 IP_PKTINFO Flag Internet Refused(Errno::ENOPROTOOPT), 0, "there are no such messages";
    SOL_IP 33 IP_MULTICAST_TTL Number Internet Kept, 1, "multicast groups cannot be joined";
    SOL_IP 34 IP_MULTICAST_LOOP Flag Internet Kept, 1, "multicast groups cannot be joined";
    SOL_IP 35 IP_ADD_MEMBERSHIP Number Internet Refused(Errno::ENODEV), 0, "the container has no multicast interface";
    SOL_SOCKET 1 SO_DEBUG Flag All Kept, 0, "";
    SOL_SOCKET 2 SO_REUSEADDR Flag All Effective, 0, "no port stays in `TIME_WAIT` inside the container";
    SOL_SOCKET 3 SO_TYPE Number All ReadOnly, 0, "";
    SOL_SOCKET 4 SO_ERROR Number All ReadOnly, 0, "";
    SOL_SOCKET 5 SO_DONTROUTE Flag All Kept, 0, "";
    SOL_SOCKET 6 SO_BROADCAST Flag All Host, 0, "";
    SOL_SOCKET 7 SO_SNDBUF Number All Host, 212992, "read back doubled; buffers inside the container have a fixed size";
    SOL_SOCKET 8 SO_RCVBUF Number All Host, 212992, "read back doubled; buffers inside the container have a fixed size";
    SOL_SOCKET 9 SO_KEEPALIVE Flag All Host, 0, "";
    SOL_SOCKET 10 SO_OOBINLINE Flag All Kept, 0, "there is no urgent data";
    SOL_SOCKET 12 SO_PRIORITY Number All Kept, 0, "";
    SOL_SOCKET 13 SO_LINGER Linger All Host, 0, "inside the container, 0 seconds resets the connection and longer waits are not needed";
    SOL_SOCKET 15 SO_REUSEPORT Flag All Effective, 0, "the latest listener gets connections from inside; host connections go to either";
    SOL_SOCKET 16 SO_PASSCRED Flag All Effective, 0, "what is sent by `write` is told as of who made the connection";
    SOL_SOCKET 17 SO_PEERCRED Credentials All ReadOnly, 0, "";
    SOL_SOCKET 18 SO_RCVLOWAT Number All Kept, 1, "a receive answers as soon as there is a byte";
    SOL_SOCKET 20 SO_RCVTIMEO Interval All Effective, 0, "";
    SOL_SOCKET 21 SO_SNDTIMEO Interval All Effective, 0, "";
    SOL_SOCKET 25 SO_BINDTODEVICE Number All Refused(Errno::EPERM), 0, "as for a user without `CAP_NET_RAW`";
    SOL_SOCKET 29 SO_TIMESTAMP Flag All Refused(Errno::ENOPROTOOPT), 0, "there are no such messages";
    SOL_SOCKET 30 SO_ACCEPTCONN Flag All ReadOnly, 0, "";
    SOL_SOCKET 36 SO_MARK Number All Refused(Errno::EPERM), 0, "as for a user without `CAP_NET_ADMIN`";
    SOL_SOCKET 38 SO_PROTOCOL Number All ReadOnly, 0, "";
    SOL_SOCKET 39 SO_DOMAIN Number All ReadOnly, 0, "";
    SOL_TCP 1 TCP_NODELAY Flag Tcp Host, 0, "";
    SOL_TCP 2 TCP_MAXSEG Number Tcp Kept, 536, "the host's path decides";
    SOL_TCP 3 TCP_CORK Flag Tcp Kept, 0, "bytes are sent at once";
    SOL_TCP 4 TCP_KEEPIDLE Number Tcp Host, 7200, "";
    SOL_TCP 5 TCP_KEEPINTVL Number Tcp Host, 75, "";
    SOL_TCP 6 TCP_KEEPCNT Number Tcp Host, 9, "";
    SOL_TCP 7 TCP_SYNCNT Number Tcp Kept, 6, "the host decides";
    SOL_TCP 8 TCP_LINGER2 Number Tcp Kept, 60, "the host decides";
    SOL_TCP 9 TCP_DEFER_ACCEPT Number Tcp Kept, 0, "connections are handed out at once";
    SOL_TCP 10 TCP_WINDOW_CLAMP Number Tcp Kept, 0, "the host decides";
    SOL_TCP 12 TCP_QUICKACK Flag Tcp Kept, 1, "the host decides";
    SOL_TCP 18 TCP_USER_TIMEOUT Number Tcp Kept, 0, "the host decides";
    SOL_TCP 23 TCP_FASTOPEN Number Tcp Kept, 0, "connections are made without it";
    SOL_IPV6 16 IPV6_UNICAST_HOPS Number Ipv6 Host, 64, "";
    SOL_IPV6 20 IPV6_ADD_MEMBERSHIP Number Ipv6 Refused(Errno::ENODEV), 0, "the container has no multicast interface";
    SOL_IPV6 26 IPV6_V6ONLY Flag Ipv6 Effective, 0, "only before `bind`";
    SOL_IPV6 49 IPV6_RECVPKTINFO Flag Ipv6 Refused(Errno::ENOPROTOOPT), 0, "there are no such messages";
    SOL_IPV6 67 IPV6_TCLASS Number Ipv6 Kept, 0, "no network below the host's sockets to tell";
}

/// What a socket is, as far as options depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKind {
    /// `AF_*`.
    pub domain: u16,
    /// `SOCK_*`.
    pub kind: u32,
    /// `IPPROTO_*`.
    pub protocol: i32,
}

impl SocketKind {
    fn has(self, scope: Scope) -> bool {
        let is_internet = self.domain != minke_abi::linux::AF_UNIX;
        match scope {
            Scope::All => true,
            Scope::Internet => is_internet,
            Scope::Ipv6 => self.domain == minke_abi::linux::AF_INET6,
            Scope::Tcp => is_internet && self.kind == minke_abi::linux::SOCK_STREAM,
        }
    }

    fn row(self, level: i32, name: i32) -> Result<&'static OptionRow> {
        if self.domain == minke_abi::linux::AF_UNIX && level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        OPTIONS
            .iter()
            .find(|row| row.level == level && row.name == name && self.has(row.scope))
            .ok_or(Errno::ENOPROTOOPT)
    }
}

/// A value as it was set: one `int`, or two numbers.
type Value = [i64; 2];

/// The options of one socket. An accepted socket inherits its listener's.
#[derive(Debug)]
pub struct SocketOptions {
    pub kind: SocketKind,
    /// Set values by level and name; at most one per row of the table.
    values: Mutex<BTreeMap<(i32, i32), Value>>,
}

/// Largest buffer size that is kept. Linux: `net.core.wmem_max`, `net.core.rmem_max`.
const BUFFER_BYTES_MAX: i64 = 212_992;
/// Smallest buffer size that is kept. Linux: `SOCK_MIN_SNDBUF / 2`.
const BUFFER_BYTES_MIN: i64 = 2_304;

impl SocketOptions {
    /// Makes the options of a new socket.
    pub fn new(kind: SocketKind) -> SocketOptions {
        SocketOptions {
            kind,
            values: Mutex::default(),
        }
    }

    /// Copies the options to a socket that was accepted.
    pub fn inherit(&self) -> SocketOptions {
        SocketOptions {
            kind: self.kind,
            values: Mutex::new(self.lock().clone()),
        }
    }

    /// Keeps a value; returns what the host's socket, if there is one, is to be told.
    ///
    /// `ENOPROTOOPT` for an unknown option, `EINVAL` for a value that is too short. Linux:
    /// net/core/sock.c sk_setsockopt().
    pub fn set(&self, level: i32, name: i32, bytes: &[u8]) -> Result<Option<SocketOption>> {
        let row = self.kind.row(level, name)?;
        match row.handling {
            ReadOnly => return Err(Errno::ENOPROTOOPT),
            Refused(error) => return Err(error),
            Effective | Host | Kept => {}
        }
        let value = parse(row.layout, bytes)?;
        let value = match (level, name) {
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => {
                [value[0].clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX) * 2, 0]
            }
            _ => value,
        };
        self.lock().insert((level, name), value);
        Ok(host_option(row, value))
    }

    /// Returns a value as Linux lays it out; `fact` supplies those that can only be read.
    pub fn get(&self, level: i32, name: i32, fact: impl FnOnce(i32) -> i32) -> Result<Vec<u8>> {
        let row = self.kind.row(level, name)?;
        match row.handling {
            Refused(error) => return Err(error),
            ReadOnly => {
                let value = match name {
                    SO_TYPE => self.kind.kind as i32,
                    SO_DOMAIN => i32::from(self.kind.domain),
                    SO_PROTOCOL => self.kind.protocol,
                    other => fact(other),
                };
                return Ok(value.to_le_bytes().to_vec());
            }
            Effective | Host | Kept => {}
        }
        let value = self.lock().get(&(level, name)).copied();
        Ok(lay_out(
            row.layout,
            value.unwrap_or([i64::from(row.default), 0]),
        ))
    }

    /// Whether a flag is set.
    pub fn is_set(&self, level: i32, name: i32) -> bool {
        self.lock()
            .get(&(level, name))
            .is_some_and(|value| value[0] != 0)
    }

    /// Returns `SO_RCVTIMEO` or `SO_SNDTIMEO`; `None` is no limit.
    pub fn timeout(&self, name: i32) -> Option<Nanoseconds> {
        let [seconds, microseconds] = *self.lock().get(&(SOL_SOCKET, name))?;
        let nanoseconds = u64::try_from(seconds)
            .unwrap_or(0)
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::try_from(microseconds).unwrap_or(0) * 1000);
        (nanoseconds > 0).then_some(nanoseconds)
    }

    /// Whether closing resets the connection: `SO_LINGER` with 0 seconds.
    pub fn resets_on_close(&self) -> bool {
        let linger = self.lock().get(&(SOL_SOCKET, SO_LINGER)).copied();
        linger.is_some_and(|[is_on, seconds]| is_on != 0 && seconds == 0)
    }

    /// Returns what a host socket that is made later has to be told.
    pub fn for_host(&self) -> SmallVec<[SocketOption; 4]> {
        let values = self.lock();
        let rows = values.iter().filter_map(|((level, name), value)| {
            let row = self.kind.row(*level, *name).ok()?;
            host_option(row, *value)
        });
        rows.collect()
    }

    /// Returns what the host's socket of an accepted connection has to be told: what the host does not copy itself.
    pub fn for_accepted(&self) -> SmallVec<[SocketOption; 4]> {
        let concerns_connections = |option: &SocketOption| {
            !matches!(
                option,
                SocketOption::ReuseAddress(_)
                    | SocketOption::ReusePort(_)
                    | SocketOption::IpV6Only(_)
            )
        };
        self.for_host()
            .into_iter()
            .filter(concerns_connections)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(i32, i32), Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(layout: Layout, bytes: &[u8]) -> Result<Value> {
    let int = |at: usize| -> Result<i64> {
        let field = bytes.get(at..at + 4).ok_or(Errno::EINVAL)?;
        let field = field.try_into().map_err(|_| Errno::EINVAL)?;
        Ok(i64::from(i32::from_le_bytes(field)))
    };
    let long = |at: usize| -> Result<i64> {
        let field = bytes.get(at..at + 8).ok_or(Errno::EINVAL)?;
        let field = field.try_into().map_err(|_| Errno::EINVAL)?;
        Ok(i64::from_le_bytes(field))
    };
    match layout {
        Layout::Flag => Ok([i64::from(int(0)? != 0), 0]),
        Layout::Number | Layout::Credentials => Ok([int(0)?, 0]),
        Layout::Linger => Ok([i64::from(int(0)? != 0), int(4)?]),
        Layout::Interval => {
            let value = [long(0)?, long(8)?];
            let is_fraction = (0..1_000_000).contains(&value[1]);
            // Linux: net/core/sock.c sock_set_timeout() answers `EDOM`.
            if is_fraction {
                Ok(value)
            } else {
                Err(Errno::EDOM)
            }
        }
    }
}

fn lay_out(layout: Layout, value: Value) -> Vec<u8> {
    let int = |v: i64| (v as i32).to_le_bytes();
    match layout {
        Layout::Flag | Layout::Number | Layout::Credentials => int(value[0]).to_vec(),
        Layout::Linger => [int(value[0]), int(value[1])].concat(),
        Layout::Interval => [value[0].to_le_bytes(), value[1].to_le_bytes()].concat(),
    }
}

/// Returns what the host has to be told of a value, if the option reaches it.
fn host_option(row: &OptionRow, value: Value) -> Option<SocketOption> {
    let is_on = value[0] != 0;
    let number = u32::try_from(value[0]).unwrap_or(0);
    Some(match row.symbol {
        "SO_REUSEADDR" => SocketOption::ReuseAddress(is_on),
        "SO_REUSEPORT" => SocketOption::ReusePort(is_on),
        "SO_BROADCAST" => SocketOption::Broadcast(is_on),
        "SO_KEEPALIVE" => SocketOption::KeepAlive(is_on),
        "SO_SNDBUF" => SocketOption::SendBufferBytes(number / 2),
        "SO_RCVBUF" => SocketOption::ReceiveBufferBytes(number / 2),
        "SO_LINGER" => {
            let seconds = u16::try_from(value[1].max(0)).unwrap_or(u16::MAX);
            SocketOption::Linger(is_on.then_some(seconds))
        }
        "TCP_NODELAY" => SocketOption::NoDelay(is_on),
        "TCP_KEEPIDLE" => SocketOption::KeepAliveIdle(number),
        "TCP_KEEPINTVL" => SocketOption::KeepAliveInterval(number),
        "TCP_KEEPCNT" => SocketOption::KeepAliveProbes(number),
        "IP_TTL" | "IPV6_UNICAST_HOPS" => SocketOption::HopLimit(u8::try_from(number).ok()?),
        "IPV6_V6ONLY" => SocketOption::IpV6Only(is_on),
        _ => return None,
    })
}
