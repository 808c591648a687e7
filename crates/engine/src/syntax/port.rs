//! Ports as people type them: `[HOST:][HOSTPORT:]GUESTPORT[/tcp|/udp]`, with ranges such as `8000-8009`.

use std::net::IpAddr;

use minke_sandbox::spec::{PublishedPort, TransportSpec};

use super::SyntaxError;

/// What a published port looks like, for hints.
const FORM: &str =
    "write `[HOST:][HOSTPORT:]GUESTPORT[/udp]`, such as `8080:3000` or `127.0.0.1:8080:3000`";

/// Ports of a container: one or a range. Docker: `go-connections/nat`, `Port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
    pub transport: TransportSpec,
}

impl PortRange {
    /// Parses `3000`, `3000/udp` or `3000-3009/tcp`.
    pub fn parse(text: &str) -> Result<PortRange, SyntaxError> {
        let (ports, transport) = split_transport(text)?;
        let (first, last) = range(text, ports)?;
        if first == 0 {
            return Err(out_of_range(text, ports));
        }
        Ok(PortRange {
            first,
            last,
            transport,
        })
    }

    /// Whether all of another range is in this one.
    pub fn contains(&self, other: &PortRange) -> bool {
        let is_inside = self.first <= other.first && other.last <= self.last;
        is_inside && self.transport == other.transport
    }

    /// Returns each port as Docker names it: `3000/tcp`.
    pub fn names(&self) -> impl Iterator<Item = String> + use<> {
        let transport = self.transport;
        (self.first..=self.last).map(move |port| name(port, transport))
    }
}

/// Returns a guest's port as Docker names it: `3000/tcp`.
pub fn guest_port_name(port: &PublishedPort) -> String {
    name(port.guest_port, port.transport)
}

fn name(port: u16, transport: TransportSpec) -> String {
    let transport = match transport {
        TransportSpec::Tcp => "tcp",
        TransportSpec::Udp => "udp",
    };
    format!("{port}/{transport}")
}

/// Parses a published port, or as many as a range has. An empty or missing host port lets the host choose.
/// Docker: `go-connections/nat`, `ParsePortSpec()`.
pub fn parse_publish(text: &str) -> Result<Vec<PublishedPort>, SyntaxError> {
    let (addresses, transport) = split_transport(text)?;
    let (rest, guest) = addresses.rsplit_once(':').unwrap_or(("", addresses));
    let (host, host_port) = rest.rsplit_once(':').unwrap_or(("", rest));
    // `[::1]:3000`: the only colon left of the guest's port is inside the brackets.
    let (host, host_port) = if rest.ends_with(']') {
        (rest, "")
    } else {
        (host, host_port)
    };
    let (first, last) = range(text, guest)?;
    if first == 0 {
        return Err(out_of_range(text, guest));
    }
    let host_address = address(text, host)?;
    let host_first = first_host_port(text, host_port, last - first)?;
    Ok((0..=last - first)
        .map(|offset| PublishedPort {
            host_address,
            host_port: host_first.map_or(0, |host| host + offset),
            guest_port: first + offset,
            transport,
        })
        .collect())
}

/// Returns the host's port for the first of the guest's; `None` lets the host choose each.
fn first_host_port(text: &str, ports: &str, further: u16) -> Result<Option<u16>, SyntaxError> {
    if ports.is_empty() {
        return Ok(None);
    }
    let (first, last) = range(text, ports)?;
    if (first, last) == (0, 0) {
        return Ok(None);
    }
    if last - first != further {
        return Err(SyntaxError::new(
            format!("invalid ranges in `{text}`: host and container need as many ports"),
            "write as many on both sides, such as `8000-8009:3000-3009`",
        ));
    }
    Ok(Some(first))
}

fn split_transport(text: &str) -> Result<(&str, TransportSpec), SyntaxError> {
    match text.split_once('/') {
        None => Ok((text, TransportSpec::Tcp)),
        Some((rest, "tcp")) => Ok((rest, TransportSpec::Tcp)),
        Some((rest, "udp")) => Ok((rest, TransportSpec::Udp)),
        Some((_, other)) => Err(SyntaxError::new(
            format!("invalid protocol `{other}` in `{text}`"),
            "use `/tcp` or `/udp`",
        )),
    }
}

fn range(text: &str, ports: &str) -> Result<(u16, u16), SyntaxError> {
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (port(text, first)?, port(text, last)?);
    if first > last {
        return Err(SyntaxError::new(
            format!("invalid range `{ports}` in `{text}`: it ends before it begins"),
            "write the lower port first",
        ));
    }
    Ok((first, last))
}

fn port(text: &str, digits: &str) -> Result<u16, SyntaxError> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let what = format!("invalid port `{digits}` in `{text}`");
        return Err(SyntaxError::new(what, FORM));
    }
    digits.parse().map_err(|_| out_of_range(text, digits))
}

fn out_of_range(text: &str, digits: &str) -> SyntaxError {
    SyntaxError::new(
        format!("port `{digits}` in `{text}` is out of range"),
        "ports are numbers from 1 to 65535",
    )
}

fn address(text: &str, host: &str) -> Result<Option<IpAddr>, SyntaxError> {
    if host.is_empty() {
        return Ok(None);
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bare.unwrap_or(host)
        .parse()
        .map(Some)
        .map_err(|_| SyntaxError::new(format!("invalid host address `{host}` in `{text}`"), FORM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        text: &str,
        host: Option<&str>,
        host_port: u16,
        guest_port: u16,
        transport: TransportSpec,
    ) {
        let expected = PublishedPort {
            host_address: host.map(|h| h.parse().expect("an address")),
            host_port,
            guest_port,
            transport,
        };
        assert_eq!(parse_publish(text), Ok(vec![expected]), "{text}");
    }

    #[test]
    fn every_form_of_docker_is_understood() {
        use TransportSpec::{Tcp, Udp};
        check("3000", None, 0, 3000, Tcp);
        check("8080:3000", None, 8080, 3000, Tcp);
        check("8080:3000/tcp", None, 8080, 3000, Tcp);
        check("53:53/udp", None, 53, 53, Udp);
        check("127.0.0.1:8080:3000", Some("127.0.0.1"), 8080, 3000, Tcp);
        check("127.0.0.1::3000", Some("127.0.0.1"), 0, 3000, Tcp);
        check("127.0.0.1:0:3000", Some("127.0.0.1"), 0, 3000, Tcp);
        check("[::1]:8080:3000", Some("::1"), 8080, 3000, Tcp);
        check("[::1]::3000", Some("::1"), 0, 3000, Tcp);
    }

    #[test]
    fn a_range_is_as_many_ports() {
        let ports = parse_publish("127.0.0.1:8000-8002:90-92").expect("a range");
        let pairs: Vec<_> = ports.iter().map(|p| (p.host_port, p.guest_port)).collect();
        assert_eq!(pairs, [(8000, 90), (8001, 91), (8002, 92)]);
        let chosen = parse_publish("90-91/udp").expect("a range");
        assert!(chosen.iter().all(|port| port.host_port == 0) && chosen.len() == 2);
    }

    #[test]
    fn exposed_ports_have_names() {
        let range = PortRange::parse("80-81/udp").expect("a range");
        assert_eq!(range.names().collect::<Vec<_>>(), ["80/udp", "81/udp"]);
        assert!(PortRange::parse("0").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "invalid port ``"),
            ("web:80", "invalid port `web`"),
            ("70000:80", "`70000`"),
            ("80:0", "`0`"),
            ("80:80/sctp", "`sctp`"),
            ("localhost:80:80", "`localhost`"),
            ("80-90:80", "as many"),
            ("90-80", "ends before"),
            ("-1:80", "invalid port ``"),
            ("1:2:3:4", "`1:2`"),
        ] {
            let error = parse_publish(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
