//! `FROM` and `ARG`.

use super::Arguments;
use crate::instruction::{ArgDeclaration, From, Instruction};
use crate::line::{Piece, Problem};

pub(crate) fn from(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let words: Vec<Piece<'_>> = arguments.rest.words().collect();
    let (image, name) = match words[..] {
        [image] => (image, None),
        [image, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => (image, Some(name)),
        _ => return Err(arguments.missing()),
    };
    if let Some(name) = name.filter(|name| !is_stage_name(name.text)) {
        return Err(
            Problem::new(name, format!("`{}` cannot name a stage", name.text))
                .hint("begin with a letter, and use letters, digits, `-`, `_` and `.`"),
        );
    }
    Ok(Instruction::From(From {
        image: arguments.word(image)?,
        platform: arguments.flag_word("platform")?,
        name: name.map(|name| name.text.to_ascii_lowercase()),
    }))
}

/// BuildKit: `instructions/parse.go` parseBuildStageName().
fn is_stage_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
        })
}

pub(crate) fn arg(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let words = arguments.quoted_words().into_iter();
    let declarations: Result<_, _> = words.map(|word| declaration(arguments, word)).collect();
    declarations.map(Instruction::Arg)
}

fn declaration(arguments: &Arguments<'_>, word: Piece<'_>) -> Result<ArgDeclaration, Problem> {
    let (name, default) = match word.text.find('=') {
        Some(at) => (word.part(0, at), Some(word.part(at + 1, word.text.len()))),
        None => (word, None),
    };
    let name_word = arguments.word(name)?;
    let name = name_word.literal().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        Problem::new(word, "a variable's name is empty, or has a variable in it")
            .hint("write `ARG NAME` or `ARG NAME=DEFAULT`")
    })?;
    Ok(ArgDeclaration {
        name,
        default: default.map(|default| arguments.word(default)).transpose()?,
        span: name_word.span,
    })
}
