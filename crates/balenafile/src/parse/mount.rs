//! `RUN --mount`.

use super::Arguments;
use super::copy::variable_in_from;
use super::flags::Flag;
use crate::instruction::{Literal, MountFlag, MountOption};
use crate::line::{Piece, Problem};
use crate::word::Word;

/// Bounds the options of one mount.
const OPTIONS_MAX: usize = 64;

/// Reads `KEY[=VALUE],...`. What does not depend on variables is checked at once.
pub(super) fn read(arguments: &Arguments<'_>, flag: &Flag<'_>) -> Result<MountFlag, Problem> {
    let mut mount = MountFlag {
        options: Vec::new(),
        from: None,
        span: arguments.line.span_of(flag.piece),
    };
    let mut pieces = Vec::new();
    for (field, piece) in fields(flag)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (&field[..], None),
        };
        let key = key.to_ascii_lowercase();
        match value {
            Some(value) if key == "from" => mount.from = from(arguments, value, piece)?,
            _ => {
                mount.options.push(option(arguments, key, value, piece)?);
                pieces.push(piece);
            }
        }
        if mount.options.len() > OPTIONS_MAX {
            let message = format!("more than {OPTIONS_MAX} options");
            return Err(Problem::new(flag.piece, message).hint("remove some"));
        }
    }
    if mount.is_literal()
        && let Err(problem) = mount.check(&mut |_| None)
    {
        let piece = problem.option.and_then(|index| pieces.get(index));
        let piece = piece.copied().unwrap_or(flag.piece);
        return Err(Problem::new(piece, problem.message).hint(problem.hint));
    }
    Ok(mount)
}

fn option(
    arguments: &Arguments<'_>,
    key: String,
    value: Option<&str>,
    piece: Piece<'_>,
) -> Result<MountOption, Problem> {
    let span = arguments.line.span_of(piece);
    let word = |text| Word::parse_text(text, span, piece, arguments.escape);
    Ok(MountOption {
        key,
        value: value.map(word).transpose()?,
        span,
    })
}

/// BuildKit: parseMount(); a `$` at the end is no variable.
fn from(
    arguments: &Arguments<'_>,
    value: &str,
    piece: Piece<'_>,
) -> Result<Option<Literal>, Problem> {
    if value.find('$').is_some_and(|at| at + 1 < value.len()) {
        return Err(variable_in_from(piece));
    }
    let literal = Literal {
        text: value.to_owned(),
        span: arguments.line.span_of(piece),
    };
    Ok((!value.is_empty()).then_some(literal))
}

/// Splits one record of comma-separated values, each with its place; the whole, where quotes hide it. Spec: RFC 4180.
fn fields<'line>(flag: &Flag<'line>) -> Result<Vec<(String, Piece<'line>)>, Problem> {
    let piece = flag.piece;
    if piece.text == flag.value && !piece.text.contains('"') {
        let mut start = 0;
        let field = |field: &str| {
            let place = piece.part(start, start + field.len());
            start += field.len() + 1;
            (field.to_owned(), place)
        };
        return Ok(flag.value.split(',').map(field).collect());
    }
    let fields = quoted_fields(&flag.value).ok_or_else(|| {
        let message = "a quote in `--mount` is not closed, or does not begin its option";
        Problem::new(piece, message).hint("write the whole option in quotes")
    })?;
    Ok(fields.into_iter().map(|field| (field, piece)).collect())
}

fn quoted_fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let (mut field, mut is_start) = (String::new(), true);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ',' => fields.push(std::mem::take(&mut field)),
            '"' if !is_start => return None,
            '"' => loop {
                match characters.next()? {
                    '"' if characters.next_if_eq(&'"').is_none() => break,
                    character => field.push(character),
                }
            },
            character => field.push(character),
        }
        is_start = character == ',';
    }
    fields.push(field);
    Some(fields)
}
