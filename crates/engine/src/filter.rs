//! Which containers are asked for: Docker's `--filter` of `ps`.

use minke_sandbox::spec::{MountSpec, NetworkModeSpec, PublishedPort};

use crate::record::{Container, Status};
use crate::syntax::{PortRange, SyntaxError, guest_port_name};

/// Values of one key are alternatives, but labels must all be there; keys must all hold. Docker: `daemon/list.go`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFilter {
    terms: Vec<(Key, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Ancestor,
    Before,
    Exited,
    Expose,
    Id,
    Label,
    Name,
    Network,
    Publish,
    Since,
    Status,
    Volume,
}

const KEYS: [(&str, Key); 12] = [
    ("ancestor", Key::Ancestor),
    ("before", Key::Before),
    ("exited", Key::Exited),
    ("expose", Key::Expose),
    ("id", Key::Id),
    ("label", Key::Label),
    ("name", Key::Name),
    ("network", Key::Network),
    ("publish", Key::Publish),
    ("since", Key::Since),
    ("status", Key::Status),
    ("volume", Key::Volume),
];

impl ContainerFilter {
    /// Parses `KEY=VALUE` texts.
    pub fn parse(texts: &[String]) -> Result<ContainerFilter, SyntaxError> {
        let terms = texts.iter().map(|text| parse_term(text));
        Ok(ContainerFilter {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the filter says itself whether containers that have ended are shown. Docker: then `ps` needs no `-a`.
    pub fn names_states(&self) -> bool {
        let is_of_state = |key: &Key| matches!(key, Key::Status | Key::Exited);
        self.terms.iter().any(|(key, _)| is_of_state(key))
    }

    /// Returns the containers, names or ids, that `before` and `since` name.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let is_reference = |key: Key| matches!(key, Key::Before | Key::Since);
        let found = self.terms.iter().filter(move |(key, _)| is_reference(*key));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a container is asked for. `made_at` tells when the containers of [`ContainerFilter::references`] were made.
    pub fn matches(&self, container: &Container, made_at: &dyn Fn(&str) -> Option<String>) -> bool {
        KEYS.iter().all(|(_, key)| {
            let mut values = self.terms.iter().filter(|(k, _)| k == key).peekable();
            let holds = |value: &str| matches(container, *key, value, made_at);
            match key {
                Key::Label => values.all(|(_, value)| holds(value)),
                _ => values.peek().is_none() || values.any(|(_, value)| holds(value)),
            }
        })
    }
}

fn parse_term(text: &str) -> Result<(Key, String), SyntaxError> {
    let names = KEYS.map(|(name, _)| format!("`{name}`")).join(", ");
    let hint = format!("write `KEY=VALUE` with one of {names}");
    let Some((name, value)) = text.split_once('=') else {
        return Err(SyntaxError::new(format!("invalid filter `{text}`"), hint));
    };
    if name == "health" {
        return Err(SyntaxError::new(
            format!("filter `{text}`: no health checks yet"),
            "leave the filter out",
        ));
    }
    let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) else {
        return Err(SyntaxError::new(format!("invalid filter `{name}`"), hint));
    };
    check_value(*key, text, value)?;
    Ok((*key, value.to_owned()))
}

fn check_value(key: Key, text: &str, value: &str) -> Result<(), SyntaxError> {
    let wrong = |hint: String| Err(SyntaxError::new(format!("invalid filter `{text}`"), hint));
    match key {
        Key::Status if !Status::ALL.iter().any(|status| status.word() == value) => {
            let words = Status::ALL
                .map(|status| format!("`{}`", status.word()))
                .join(", ");
            wrong(format!("use one of {words}"))
        }
        Key::Exited if value.parse::<u8>().is_err() => {
            wrong("give an exit code, such as `exited=137`".to_owned())
        }
        Key::Publish | Key::Expose => PortRange::parse(value).map(drop),
        _ => Ok(()),
    }
}

fn matches(
    container: &Container,
    key: Key,
    value: &str,
    made_at: &dyn Fn(&str) -> Option<String>,
) -> bool {
    let (config, state) = (&container.config, &container.state);
    let created_at = &config.created_at;
    match key {
        Key::Ancestor => is_image(container, value),
        Key::Before => made_at(value).is_some_and(|then| *created_at < then),
        Key::Since => made_at(value).is_some_and(|then| *created_at > then),
        Key::Exited => state.status == Status::Exited && value.parse() == Ok(state.exit_code),
        Key::Expose => {
            let exposed = config.exposed_ports.iter();
            // Docker: what is published is exposed.
            let published = published(container).iter().map(guest_port_name);
            exposed
                .cloned()
                .chain(published)
                .any(|port| is_in(value, &port))
        }
        Key::Publish => published(container)
            .iter()
            .any(|port| is_in(value, &guest_port_name(port))),
        Key::Id => container.id().starts_with(value),
        Key::Label => has_label(container, value),
        Key::Name => is_called(&config.name, value),
        Key::Network => network_name(config.spec.network.mode) == value,
        Key::Status => state.status.word() == value,
        Key::Volume => config
            .spec
            .mounts
            .iter()
            .any(|mount| is_mount(mount, value)),
    }
}

fn published(container: &Container) -> &[PublishedPort] {
    match container.state.published.is_empty() {
        true => &container.config.spec.network.published,
        false => &container.state.published,
    }
}

/// An image by name, with or without its tag, or by the beginning of its id.
fn is_image(container: &Container, value: &str) -> bool {
    let config = &container.config;
    let bare = config
        .image
        .rsplit_once(':')
        .map_or(&*config.image, |(bare, _)| bare);
    let id = config.image_id.as_deref().unwrap_or_default();
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    let is_id = !value.is_empty() && (id.starts_with(value) || digits.starts_with(value));
    config.image == value || bare == value || config.image == format!("{value}:latest") || is_id
}

/// A part of a name; `^` and `$` stand for its ends, and Docker's leading `/` may be there.
fn is_called(name: &str, wanted: &str) -> bool {
    let (is_start, wanted) = match wanted.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, wanted),
    };
    let (is_end, wanted) = match wanted.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, wanted),
    };
    let (is_start, wanted) = match wanted.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (is_start, wanted),
    };
    match (is_start, is_end) {
        (true, true) => name == wanted,
        (true, false) => name.starts_with(wanted),
        (false, true) => name.ends_with(wanted),
        (false, false) => name.contains(wanted),
    }
}

fn has_label(container: &Container, wanted: &str) -> bool {
    let labels = &container.config.labels;
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

fn is_in(range: &str, port: &str) -> bool {
    let (range, port) = (PortRange::parse(range), PortRange::parse(port));
    matches!((range, port), (Ok(range), Ok(port)) if range.contains(&port))
}

fn is_mount(mount: &MountSpec, value: &str) -> bool {
    match mount {
        MountSpec::Bind { source, target, .. } | MountSpec::Disk { source, target, .. } => {
            source.to_str() == Some(value) || target == value
        }
        MountSpec::Volume { name, target, .. } => name == value || target == value,
        MountSpec::Tmpfs { target, .. }
        | MountSpec::Layers { target, .. }
        | MountSpec::File { target, .. } => target == value,
    }
}

/// Docker's word for a network mode.
pub fn network_name(mode: NetworkModeSpec) -> &'static str {
    match mode {
        NetworkModeSpec::Private => "private",
        NetworkModeSpec::Host => "host",
        NetworkModeSpec::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_by_their_parts_and_ends() {
        for (wanted, matches) in [
            ("we", true),
            ("b1", true),
            ("^web", true),
            ("^eb", false),
            ("1$", true),
            ("^/web1$", true),
            ("^web$", false),
            ("x", false),
        ] {
            assert_eq!(is_called("web1", wanted), matches, "{wanted}");
        }
    }

    #[test]
    fn ports_match_in_ranges() {
        for (range, port, expected) in [
            ("80", "80/tcp", true),
            ("80/udp", "80/tcp", false),
            ("79-81", "80/tcp", true),
            ("81-90/tcp", "80/tcp", false),
        ] {
            assert_eq!(is_in(range, port), expected, "{range} {port}");
        }
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for text in [
            "web",
            "colour=red",
            "status=happy",
            "exited=x",
            "publish=x",
            "health=healthy",
        ] {
            assert!(
                ContainerFilter::parse(&[text.to_owned()]).is_err(),
                "{text}"
            );
        }
    }
}
