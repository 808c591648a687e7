//! Published ports: `[HOST:][HOSTPORT:]GUESTPORT[/tcp|/udp]`.

use std::net::IpAddr;

use minke_sandbox::spec::{PublishedPort, TransportSpec};

use super::SyntaxError;

/// What a published port looks like, for hints.
const FORM: &str =
    "write `[HOST:][HOSTPORT:]GUESTPORT[/udp]`, such as `8080:3000` or `127.0.0.1:8080:3000`";

/// Parses a published port. An empty or missing host port lets the host choose. Docker: `go-connections/nat`, without ranges.
pub fn parse_publish(text: &str) -> Result<PublishedPort, SyntaxError> {
    let (addresses, transport) = split_transport(text)?;
    let (rest, guest) = addresses.rsplit_once(':').unwrap_or(("", addresses));
    let (host, host_port) = rest.rsplit_once(':').unwrap_or(("", rest));
    // `[::1]:3000`: the only colon left of the guest's port is inside the brackets.
    let (host, host_port) = if rest.ends_with(']') {
        (rest, "")
    } else {
        (host, host_port)
    };
    let guest_port = port(text, guest)?;
    if guest_port == 0 {
        return Err(out_of_range(text, guest));
    }
    Ok(PublishedPort {
        host_address: address(text, host)?,
        host_port: if host_port.is_empty() {
            0
        } else {
            port(text, host_port)?
        },
        guest_port,
        transport,
    })
}

fn split_transport(text: &str) -> Result<(&str, TransportSpec), SyntaxError> {
    match text.split_once('/') {
        None => Ok((text, TransportSpec::Tcp)),
        Some((rest, "tcp")) => Ok((rest, TransportSpec::Tcp)),
        Some((rest, "udp")) => Ok((rest, TransportSpec::Udp)),
        Some((_, other)) => Err(SyntaxError::new(
            format!("invalid protocol `{other}` in published port `{text}`"),
            "use `/tcp` or `/udp`",
        )),
    }
}

fn port(text: &str, digits: &str) -> Result<u16, SyntaxError> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let what = if digits.contains('-') {
            format!("port ranges are not supported: `{text}`")
        } else {
            format!("invalid port `{digits}` in published port `{text}`")
        };
        return Err(SyntaxError::new(what, FORM));
    }
    digits.parse().map_err(|_| out_of_range(text, digits))
}

fn out_of_range(text: &str, digits: &str) -> SyntaxError {
    SyntaxError::new(
        format!("port `{digits}` in published port `{text}` is out of range"),
        "ports are numbers from 1 to 65535",
    )
}

fn address(text: &str, host: &str) -> Result<Option<IpAddr>, SyntaxError> {
    if host.is_empty() {
        return Ok(None);
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bare.unwrap_or(host).parse().map(Some).map_err(|_| {
        SyntaxError::new(
            format!("invalid host address `{host}` in published port `{text}`"),
            FORM,
        )
    })
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
        assert_eq!(parse_publish(text), Ok(expected), "{text}");
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
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "invalid port ``"),
            ("web:80", "invalid port `web`"),
            ("70000:80", "`70000`"),
            ("80:0", "`0`"),
            ("80:80/sctp", "`sctp`"),
            ("localhost:80:80", "`localhost`"),
            ("80-90:80", "ranges"),
            ("-1:80", "-1"),
            ("1:2:3:4", "`1:2`"),
        ] {
            let error = parse_publish(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
