//! `ENV` and `LABEL`: `NAME=VALUE...` or `NAME VALUE`.
//!
//! Spec: BuildKit `parser/line_parsers.go` parseNameVal().

use super::{Arguments, missing};
use crate::instruction::{Instruction, Pair};
use crate::line::{Piece, Problem};

pub(crate) fn env(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    pairs(arguments).map(Instruction::Env)
}

pub(crate) fn label(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    pairs(arguments).map(Instruction::Label)
}

fn pairs(arguments: &Arguments<'_>) -> Result<Vec<Pair>, Problem> {
    let words = arguments.quoted_words();
    let first = words.first().copied().unwrap_or(arguments.rest);
    if first.text.contains('=') {
        return words
            .into_iter()
            .map(|word| pair(arguments, word))
            .collect();
    }
    let (name, value) = arguments.rest.split_word();
    if value.text.is_empty() {
        return Err(missing(arguments.row, arguments.rest));
    }
    Ok(vec![Pair {
        name: arguments.word(name)?,
        value: arguments.word(value)?,
        is_legacy: true,
    }])
}

fn pair(arguments: &Arguments<'_>, word: Piece<'_>) -> Result<Pair, Problem> {
    let form = arguments.row.forms[0];
    match word.text.find('=') {
        None => Err(Problem::new(word, format!("`{}` has no `=`", word.text))
            .hint(format!("put values with spaces in double quotes: `{form}`"))),
        Some(0) => Err(Problem::new(word, "a name is empty").hint(format!("write `{form}`"))),
        Some(at) => Ok(Pair {
            name: arguments.word(word.part(0, at))?,
            value: arguments.word(word.part(at + 1, word.text.len()))?,
            is_legacy: false,
        }),
    }
}
