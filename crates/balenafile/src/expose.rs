//! Ports: what a word of `EXPOSE` means once it is expanded.
//!
//! Spec: Dockerfile reference, "EXPOSE"; BuildKit `dockerfile2llb/convert_expose.go` parsePort().

/// `[[IP:]HOSTPORT:]PORT[-PORT][/PROTOCOL]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub first: u16,
    /// Not less than the first.
    pub last: u16,
    /// Lower-cased: `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    /// Whether the protocol was typed otherwise.
    pub has_odd_case: bool,
    /// Whether it has an address or a port of the host, which an image cannot publish and which is not looked at.
    pub is_mapping: bool,
}

/// Why a word is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExposeError {
    #[error("`{0}` is not a port from 0 to 65535, or a range of them")]
    Number(String),
    #[error("`{0}` is not a protocol")]
    Protocol(String),
}

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

impl Exposed {
    /// Reads a port or a range of ports.
    pub fn parse(text: &str) -> Result<Self, ExposeError> {
        let malformed = || ExposeError::Number(text.to_owned());
        let (mapping, container) = match text.rsplit_once(':') {
            Some((mapping, container)) => (Some(mapping), container),
            None => (None, text),
        };
        let (ports, typed) = container.split_once('/').unwrap_or((container, ""));
        let protocol = match typed {
            "" => PROTOCOLS[0],
            typed => PROTOCOLS
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(typed))
                .ok_or_else(|| ExposeError::Protocol(typed.to_owned()))?,
        };
        let (first, last) = range(ports).ok_or_else(malformed)?;
        let host = mapping.map(|mapping| mapping.rsplit(':').next().unwrap_or(mapping));
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            let (host_first, host_last) = range(host).ok_or_else(malformed)?;
            if first != last && host_last - host_first != last - first {
                return Err(malformed());
            }
        }
        Ok(Self {
            first,
            last,
            protocol,
            has_odd_case: !typed.is_empty() && typed != protocol,
            is_mapping: mapping.is_some_and(|mapping| !mapping.is_empty()),
        })
    }
}

fn range(ports: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let is_digits = text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_digits)
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_ranges_and_protocols() {
        for (text, first, last, protocol) in [
            ("3000", 3000, 3000, "tcp"),
            ("53/UDP", 53, 53, "udp"),
            ("8000-8002/tcp", 8000, 8002, "tcp"),
            ("80/", 80, 80, "tcp"),
            ("0", 0, 0, "tcp"),
            ("8080:80", 80, 80, "tcp"),
            ("127.0.0.1:8080:80/sctp", 80, 80, "sctp"),
            ("[::1]::80", 80, 80, "tcp"),
            ("1-2:3-4", 3, 4, "tcp"),
            ("1-5:3", 3, 3, "tcp"),
        ] {
            let port = Exposed::parse(text).expect(text);
            assert_eq!(
                (port.first, port.last, port.protocol),
                (first, last, protocol),
                "{text}"
            );
            assert_eq!(port.is_mapping, text.contains(':'), "{text}");
            assert_eq!(port.has_odd_case, text.contains("UDP"), "{text}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "", "65536", "a", "80/x", "9-8", "-", "+80", "80-", "a:80", "1-3:4-5", "/tcp",
        ] {
            assert!(Exposed::parse(text).is_err(), "{text}");
        }
    }
}
