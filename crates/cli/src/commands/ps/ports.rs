//! The column `PORTS`.
//!
//! Docker: `cli/command/formatter/container.go`, `DisplayablePorts()`: neighbours that are published on the numbers that they
//! have, or not at all, are one range; what is published on other ports comes last.

use std::net::{IpAddr, SocketAddr};

use minke_engine::Container;
use minke_engine::spec::PublishedPort;
use minke_engine::syntax::guest_port_name;

/// Ports of one protocol that follow each other.
struct Run<'a> {
    /// Where they are published; `None` where they are not.
    address: Option<IpAddr>,
    protocol: &'a str,
    first: u16,
    last: u16,
}

/// Returns the ports of a container, none of one that does not run.
pub(super) fn ports(container: &Container) -> String {
    match container.state.is_up() {
        true => text(&container.state.published, &container.config.exposed_ports),
        false => String::new(),
    }
}

fn text<'a>(published: &[PublishedPort], exposed: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = published.iter().map(guest_port_name).collect();
    let mut single: Vec<(u16, Option<IpAddr>, &str)> = Vec::new();
    let mut moved = Vec::new();
    for (port, name) in published.iter().zip(&names) {
        match port.host_address {
            Some(address) if port.host_port == port.guest_port => {
                single.push((port.guest_port, Some(address), protocol(name)));
            }
            Some(address) => {
                let host = SocketAddr::new(address, port.host_port);
                moved.push((port.guest_port, format!("{host}->{name}")));
            }
            None => moved.push((port.guest_port, format!("{}->{name}", port.host_port))),
        }
    }
    let unpublished = exposed.into_iter().filter(|name| !names.contains(name));
    single.extend(unpublished.filter_map(|name| Some((number(name)?, None, protocol(name)))));
    single.sort_unstable();
    moved.sort_by_key(|(port, _)| *port);
    let runs = runs(&single);
    let runs = runs.iter().map(Run::text);
    let all: Vec<String> = runs
        .chain(moved.into_iter().map(|(_, text)| text))
        .collect();
    all.join(", ")
}

/// Puts ports, in order, together.
fn runs<'a>(ports: &[(u16, Option<IpAddr>, &'a str)]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for &(port, address, protocol) in ports {
        let mut newest = runs.iter_mut().rev();
        let open = newest.find(|run| (run.address, run.protocol) == (address, protocol));
        match open {
            Some(run) if u32::from(run.last) + 1 == u32::from(port) => run.last = port,
            _ => runs.push(Run {
                address,
                protocol,
                first: port,
                last: port,
            }),
        }
    }
    runs
}

impl Run<'_> {
    fn text(&self) -> String {
        let (first, last, protocol) = (self.first, self.last, self.protocol);
        let range = match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        match self.address {
            Some(IpAddr::V4(address)) => format!("{address}:{range}->{range}/{protocol}"),
            Some(IpAddr::V6(address)) => format!("[{address}]:{range}->{range}/{protocol}"),
            None => format!("{range}/{protocol}"),
        }
    }
}

fn number(name: &str) -> Option<u16> {
    name.split('/').next()?.parse().ok()
}

fn protocol(name: &str) -> &str {
    name.split_once('/').map_or("tcp", |(_, protocol)| protocol)
}

#[cfg(test)]
mod tests {
    use minke_engine::spec::TransportSpec;

    use super::*;

    fn port(address: &str, host_port: u16, guest_port: u16) -> PublishedPort {
        PublishedPort {
            host_address: address.parse().ok(),
            host_port,
            guest_port,
            transport: TransportSpec::Tcp,
        }
    }

    #[track_caller]
    fn check(published: &[PublishedPort], exposed: &[&str], expected: &str) {
        let exposed: Vec<String> = exposed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(text(published, &exposed), expected);
    }

    #[test]
    fn neighbours_are_shown_as_ranges_by_address_and_protocol() {
        let both = |number| [port("0.0.0.0", number, number), port("::", number, number)];
        let published: Vec<_> = (3000..3003).flat_map(both).collect();
        let ranges = "0.0.0.0:3000-3002->3000-3002/tcp, [::]:3000-3002->3000-3002/tcp";
        check(&published, &["3000/tcp"], ranges);
        let apart = [port("127.0.0.1", 80, 80), port("127.0.0.1", 82, 82)];
        check(&apart, &[], "127.0.0.1:80->80/tcp, 127.0.0.1:82->82/tcp");
        check(
            &[],
            &["65535/tcp", "65534/tcp", "53/udp"],
            "53/udp, 65534-65535/tcp",
        );
    }

    #[test]
    fn what_is_published_on_another_port_comes_last_and_alone() {
        let published = [
            port("0.0.0.0", 8080, 80),
            port("0.0.0.0", 8081, 81),
            port("0.0.0.0", 90, 90),
        ];
        check(
            &published,
            &["95/tcp"],
            "0.0.0.0:90->90/tcp, 95/tcp, 0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp",
        );
        check(&[], &[], "");
    }
}
