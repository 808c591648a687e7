//! Which events are asked for: Docker's `--filter` of `events`.

use super::{Event, EventKind};
use crate::syntax::SyntaxError;

/// Values of one key are alternatives; keys must all hold. Docker: `daemon/events/filter.go`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    terms: Vec<(Key, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Action,
    Container,
    Image,
    Kind,
    Label,
}

/// Docker's keys; those for what minke does not have match nothing and are refused.
const KEYS: [(&str, Key); 5] = [
    ("event", Key::Action),
    ("container", Key::Container),
    ("image", Key::Image),
    ("type", Key::Kind),
    ("label", Key::Label),
];

impl EventFilter {
    /// Parses `KEY=VALUE` texts.
    pub fn parse(texts: &[String]) -> Result<EventFilter, SyntaxError> {
        let terms = texts.iter().map(|text| parse_term(text));
        Ok(EventFilter {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    /// Whether an event is asked for.
    pub fn matches(&self, event: &Event) -> bool {
        KEYS.iter().all(|(_, key)| {
            let mut values = self.terms.iter().filter(|(k, _)| k == key).peekable();
            match key {
                // Docker: labels must all be there.
                Key::Label => values.all(|(_, value)| has_label(event, value)),
                key => {
                    values.peek().is_none() || values.any(|(_, value)| matches(event, *key, value))
                }
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
    let key = KEYS.iter().find(|(known, _)| *known == name);
    let Some((_, key)) = key else {
        return Err(SyntaxError::new(format!("invalid filter `{name}`"), hint));
    };
    if *key == Key::Kind && !EventKind::ALL.iter().any(|kind| kind.word() == value) {
        let words = EventKind::ALL
            .map(|kind| format!("`{}`", kind.word()))
            .join(", ");
        let message = format!("invalid type `{value}` in filter `{text}`");
        return Err(SyntaxError::new(message, format!("use one of {words}")));
    }
    Ok((*key, value.to_owned()))
}

fn matches(event: &Event, key: Key, value: &str) -> bool {
    match key {
        Key::Action => is_action(event, value),
        Key::Kind => event.kind.word() == value,
        Key::Container => event.kind == EventKind::Container && is_called(event, value),
        Key::Image => is_image(event, value),
        Key::Label => has_label(event, value),
    }
}

/// Docker: what follows a colon is left out of an action, such as the command of `exec_start: ls`, unless it is asked for.
fn is_action(event: &Event, value: &str) -> bool {
    let bare = event.action.split(':').next();
    event.action == value || bare == Some(value)
}

fn attribute<'a>(event: &'a Event, name: &str) -> &'a str {
    event.attributes.get(name).map_or("", String::as_str)
}

fn is_called(event: &Event, value: &str) -> bool {
    attribute(event, "name") == value || !value.is_empty() && event.id.starts_with(value)
}

/// An image by name or id, also of a container's event; a name without a tag stands for all of them.
fn is_image(event: &Event, value: &str) -> bool {
    let name = match event.kind {
        EventKind::Image => attribute(event, "name"),
        _ => attribute(event, "image"),
    };
    let bare = name.rsplit_once(':').map_or(name, |(bare, _)| bare);
    name == value || bare == value || event.kind == EventKind::Image && is_called(event, value)
}

/// `KEY` or `KEY=VALUE`.
fn has_label(event: &Event, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => event.attributes.get(name).is_some_and(|v| v == value),
        None => event.attributes.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filters: &[&str], expected: bool) {
        let event = Event::new(EventKind::Container, "die", "abcdef")
            .with("name", "web")
            .with("image", "app:1")
            .with("tier", "front");
        let texts: Vec<String> = filters.iter().map(|text| (*text).to_owned()).collect();
        let filter = EventFilter::parse(&texts).expect("valid");
        assert_eq!(filter.matches(&event), expected, "{filters:?}");
    }

    #[test]
    fn values_of_a_key_are_alternatives_and_keys_must_all_hold() {
        check(&[], true);
        check(&["event=start", "event=die"], true);
        check(&["event=start"], false);
        check(&["event=die", "container=web"], true);
        check(&["event=die", "container=abc"], true);
        check(&["event=die", "container=other"], false);
        check(&["image=app", "type=container"], true);
        check(&["image=app:2"], false);
        check(&["type=image"], false);
        check(&["label=tier", "label=tier=front"], true);
        check(&["label=tier", "label=tier=back"], false);
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for text in ["die", "colour=red", "type=cat"] {
            assert!(EventFilter::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
