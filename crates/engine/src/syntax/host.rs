//! Host names that people give: `--add-host NAME:ADDRESS` and `--hostname`.

use std::net::IpAddr;

use super::SyntaxError;

/// Longest host name. Linux: `HOST_NAME_MAX`.
const HOSTNAME_BYTES_MAX: usize = 64;

/// Parses a name with an address: `NAME:ADDRESS` or `NAME=ADDRESS`. Docker: `opts/hosts.go`, `ValidateExtraHost()`.
pub fn parse_host(text: &str) -> Result<(String, IpAddr), SyntaxError> {
    let invalid =
        |what: String| SyntaxError::new(what, "write `NAME:ADDRESS`, such as `db:10.0.0.7`");
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = split.filter(|(name, _)| !name.is_empty()) else {
        return Err(invalid(format!("bad format for add-host: `{text}`")));
    };
    if address == "host-gateway" {
        return Err(SyntaxError::new(
            format!("`host-gateway` in add-host `{text}`: a container cannot reach its host yet"),
            "give an address, or use `--network host`",
        ));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare.unwrap_or(address).parse() {
        Ok(address) => Ok((name.to_owned(), address)),
        Err(_) => Err(invalid(format!(
            "invalid IP address in add-host: `{address}`"
        ))),
    }
}

/// Checks a container's own name. Docker takes what fits; we refuse what cannot stand in a file of hosts.
pub fn check_hostname(text: &str) -> Result<(), SyntaxError> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=HOSTNAME_BYTES_MAX).contains(&text.len()) && text.chars().all(is_letter) {
        return Ok(());
    }
    Err(SyntaxError::new(
        format!("invalid hostname `{text}`"),
        format!("use letters, digits, `-` and `.`, at most {HOSTNAME_BYTES_MAX} of them"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_addresses() {
        let check = |text: &str, name: &str, address: &str| {
            let expected = (name.to_owned(), address.parse().expect("an address"));
            assert_eq!(parse_host(text), Ok(expected), "{text}");
        };
        check("db:10.0.0.7", "db", "10.0.0.7");
        check("db=10.0.0.7", "db", "10.0.0.7");
        check("db:::1", "db", "::1");
        check("db=[::1]", "db", "::1");
        for text in ["", "db", ":1.2.3.4", "db:", "db:here", "up:host-gateway"] {
            assert!(parse_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hostnames_fit_into_a_file_of_hosts() {
        assert!(check_hostname("web-1.example").is_ok());
        for text in ["", "a b", "a\nb", "a/b", &"x".repeat(65)] {
            assert!(check_hostname(text).is_err(), "{text}");
        }
    }
}
