//! Which volumes are asked for: Docker's `--filter` of `volume ls` and `volume prune`.

use minke_image::ImageFilter;

use super::Volume;
use crate::syntax::SyntaxError;

/// Values of `name` are alternatives, labels must all be there; keys must all hold. Docker: `volume/service/by.go`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFilter {
    /// Parts of names.
    names: Vec<String>,
    /// Labels alone.
    labels: ImageFilter,
    /// Whether no container has it.
    is_dangling: Option<bool>,
}

impl VolumeFilter {
    /// Keys of a list.
    pub const LIST_KEYS: &[&str] = &["dangling", "label", "label!", "name"];
    /// Keys of a prune.
    pub const PRUNE_KEYS: &[&str] = &["label", "label!"];

    /// Parses `KEY=VALUE` texts of these keys.
    pub fn parse(texts: &[String], keys: &[&str]) -> Result<VolumeFilter, SyntaxError> {
        let mut filter = VolumeFilter::default();
        for text in texts {
            let hint = format!("use one of {}, such as `label=NAME`", keys.join(", "));
            let wrong = || SyntaxError::new(format!("invalid filter `{text}`"), hint.clone());
            let (key, value) = text.split_once('=').ok_or_else(wrong)?;
            if !keys.contains(&key) {
                return Err(SyntaxError::new(format!("invalid filter `{key}`"), hint));
            }
            match (key, value) {
                ("name", _) => filter.names.push(value.to_owned()),
                ("dangling", "true" | "1") => filter.is_dangling = Some(true),
                ("dangling", "false" | "0") => filter.is_dangling = Some(false),
                ("label" | "label!", _) => filter
                    .labels
                    .add(text, |_| None)
                    .map_err(|error| SyntaxError::new(error.to_string(), error.hint()))?,
                _ => {
                    return Err(SyntaxError::new(
                        format!("invalid filter `{text}`"),
                        "write `dangling=true` or `dangling=false`",
                    ));
                }
            }
        }
        Ok(filter)
    }

    /// Whether a volume is asked for that some container has, or none.
    pub fn matches(&self, volume: &Volume, is_used: bool) -> bool {
        let is_called = |part: &String| volume.name.contains(part);
        (self.names.is_empty() || self.names.iter().any(is_called))
            && self
                .is_dangling
                .is_none_or(|is_dangling| is_dangling != is_used)
            && self.labels.lets_through(&volume.labels)
    }
}
