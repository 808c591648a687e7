//! Host names that a container resolves itself, before its host is asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::NetworkMode;
use crate::net::address::CONTAINER_ADDRESS;

/// How much of `/etc/hosts` is read. Bounds what a guest's own file can cost; block lists are shorter.
pub(crate) const HOSTS_FILE_BYTES_MAX: usize = 1 << 20;

/// Addresses taken for one name from `/etc/hosts`.
const ADDRESSES_MAX: usize = 64;

/// Answers numbers, `localhost` and the container's own name.
///
/// Spec: RFC 6761, 6.3 (`localhost` and names below it are loopback).
pub(crate) fn resolve_known(name: &str, hostname: &str, mode: NetworkMode) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = name.parse() {
        return Some(vec![ip]);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let loopback = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    if is_same(name, "localhost") || has_suffix(name, ".localhost") {
        return Some(loopback());
    }
    if !is_same(name, hostname) {
        return None;
    }
    match mode {
        NetworkMode::Private => Some(vec![CONTAINER_ADDRESS.into()]),
        NetworkMode::None => Some(loopback()),
        // The host knows its own name.
        NetworkMode::Host => None,
    }
}

/// Finds a name in the text of `/etc/hosts`. POSIX has no format; Linux: `hosts(5)`.
pub(crate) fn resolve_in_hosts(text: &[u8], name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| host_of_line(line, name))
        .take(ADDRESSES_MAX)
        .collect()
}

/// Returns a line's address if the line gives it to `name`.
fn host_of_line(line: &[u8], name: &str) -> Option<IpAddr> {
    let line = line.split(|byte| *byte == b'#').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let address = words.next()?;
    if !words.any(|word| is_same(word, name)) {
        return None;
    }
    // A zone, as in `fe80::1%eth0`, names an interface that the container does not have.
    address.split('%').next()?.parse().ok()
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    let start = name.len().checked_sub(suffix.len());
    let tail = start.and_then(|start| name.get(start..));
    tail.is_some_and(|tail| is_same(tail, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<Vec<String>> {
        let found = resolve_known(name, "web", NetworkMode::Private)?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn numbers_localhost_and_the_own_name_need_no_resolver() {
        assert_eq!(known("198.51.100.7").unwrap(), ["198.51.100.7"]);
        assert_eq!(known("2001:db8::1").unwrap(), ["2001:db8::1"]);
        assert_eq!(known("LocalHost.").unwrap(), ["127.0.0.1", "::1"]);
        assert_eq!(known("a.localhost").unwrap(), ["127.0.0.1", "::1"]);
        assert_eq!(known("WEB").unwrap(), ["192.0.0.2"]);
        assert_eq!(known("example.org"), None);
        assert_eq!(known(""), None);
    }

    #[test]
    fn hosts_lines_give_their_address_to_each_name() {
        let text =
            b"10.0.0.1 db  db.internal # main\n# 10.0.0.2 db\nfe80::1%eth0 db\nbad db\n\xff db\n";
        let found = resolve_in_hosts(text, "DB");
        let expected: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(found, expected);
        assert!(resolve_in_hosts(text, "main").is_empty());
    }
}
