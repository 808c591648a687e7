//! Limits of resources: `nofile=64:128`.

use minke_image::nearest;
use minke_sandbox::spec::{ResourceSpec, resource_names};

use super::SyntaxError;

/// Parses `NAME=SOFT[:HARD]`; `-1` is no limit. Docker: `go-units`, `ParseUlimit()`.
pub fn parse_ulimit(text: &str) -> Result<ResourceSpec, SyntaxError> {
    let (name, limits) = text.split_once('=').ok_or_else(|| {
        SyntaxError::new(
            format!("invalid ulimit `{text}`"),
            "write `NAME=SOFT[:HARD]`, such as `nofile=64:128`",
        )
    })?;
    if !resource_names().any(|known| known == name) {
        return Err(unknown(name));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (number(text, soft)?, number(text, hard)?);
    if soft > hard {
        return Err(SyntaxError::new(
            format!("ulimit soft limit must be less than or equal to hard limit: `{text}`"),
            "raise the second number, or leave it out",
        ));
    }
    Ok(ResourceSpec {
        name: name.to_owned(),
        soft,
        hard,
    })
}

fn number(text: &str, limit: &str) -> Result<u64, SyntaxError> {
    if limit == "-1" || limit == "unlimited" {
        return Ok(u64::MAX);
    }
    limit.parse().map_err(|_| {
        SyntaxError::new(
            format!("invalid number `{limit}` in ulimit `{text}`"),
            "write a number from 0, or -1 for no limit",
        )
    })
}

fn unknown(name: &str) -> SyntaxError {
    let hint = match nearest(name, resource_names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<_> = resource_names().collect();
            format!("names are {}", names.join(", "))
        }
    };
    SyntaxError::new(format!("invalid ulimit type: `{name}`"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_both_limits() {
        let limit = |soft, hard| ResourceSpec {
            name: "nofile".to_owned(),
            soft,
            hard,
        };
        assert_eq!(parse_ulimit("nofile=64"), Ok(limit(64, 64)));
        assert_eq!(parse_ulimit("nofile=64:128"), Ok(limit(64, 128)));
        assert_eq!(parse_ulimit("nofile=64:-1"), Ok(limit(64, u64::MAX)));
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        for (text, hint) in [
            (
                "nofile",
                "write `NAME=SOFT[:HARD]`, such as `nofile=64:128`",
            ),
            ("nofiles=1", "did you mean `nofile`?"),
            ("nofile=2:1", "raise the second number, or leave it out"),
            ("nofile=x", "write a number from 0, or -1 for no limit"),
            ("nofile=-2", "write a number from 0, or -1 for no limit"),
        ] {
            assert_eq!(parse_ulimit(text).expect_err(text).hint, hint);
        }
    }
}
