//! `RUN --mount`.

use super::Arguments;
use super::copy::variable_in_from;
use super::flags::Flag;
use crate::instruction::{Literal, MountFlag, MountOption};
use crate::line::Problem;
use crate::word::Word;

/// Bounds the options of one mount.
const OPTIONS_MAX: usize = 64;

/// Reads `KEY[=VALUE],...`.
pub(super) fn read(arguments: &Arguments<'_>, flag: &Flag<'_>) -> Result<MountFlag, Problem> {
    let span = arguments.line.span_of(flag.piece);
    let mut mount = MountFlag {
        options: Vec::new(),
        from: None,
        span,
    };
    for field in fields(&flag.value).map_err(|message| Problem::new(flag.piece, message))? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        match value {
            Some(value) if key == "from" => {
                mount.from = Some(from(flag, value, span)?);
            }
            _ => {
                let word = |text| Word::parse_text(text, span, flag.piece, arguments.escape);
                let value = value.map(word).transpose()?;
                mount.options.push(MountOption { key, value, span });
            }
        }
        if mount.options.len() > OPTIONS_MAX {
            let message = format!("more than {OPTIONS_MAX} options");
            return Err(Problem::new(flag.piece, message).hint("remove some"));
        }
    }
    Ok(mount)
}

/// BuildKit: parseMount(); a `$` at the end is no variable.
fn from(flag: &Flag<'_>, value: &str, span: crate::Span) -> Result<Literal, Problem> {
    let text = value.to_owned();
    match value.find('$').is_some_and(|at| at + 1 < value.len()) {
        true => Err(variable_in_from(flag.piece)),
        false => Ok(Literal { text, span }),
    }
}

/// Splits one record of comma-separated values. Spec: RFC 4180.
fn fields(text: &str) -> Result<Vec<String>, &'static str> {
    const PROBLEM: &str = "a quote in `--mount` is not closed, or does not begin the option";
    let mut fields = vec![String::new()];
    let mut characters = text.chars().peekable();
    let mut is_start = true;
    while let Some(character) = characters.next() {
        let field = fields.last_mut().ok_or(PROBLEM)?;
        match character {
            ',' => {
                fields.push(String::new());
                is_start = true;
                continue;
            }
            '"' if is_start => loop {
                match characters.next().ok_or(PROBLEM)? {
                    '"' if characters.next_if_eq(&'"').is_none() => break,
                    character => field.push(character),
                }
            },
            '"' => return Err(PROBLEM),
            character => field.push(character),
        }
        is_start = false;
    }
    Ok(fields)
}
