//! `COPY` and `ADD`.

use super::Arguments;
use crate::heredoc;
use crate::instruction::{Add, Copy, CopySource, Heredoc, Instruction};
use crate::json::{self, JsonError};
use crate::line::{Piece, Problem};
use crate::word::Word;
use crate::{command, source::Span};

pub(crate) fn copy(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let (sources, destination) = sources(arguments)?;
    let from = arguments.flag("from").map(|flag| {
        let from = arguments.value_literal(flag);
        match from.text.contains('$') {
            true => Err(variable_in_from(flag.piece)),
            false => Ok(from),
        }
    });
    Ok(Instruction::Copy(Copy {
        sources,
        destination,
        from: from.transpose()?,
        chown: arguments.flag_word("chown")?,
        chmod: arguments.flag_word("chmod")?,
        is_linked: arguments.switch("link").unwrap_or(false),
        keeps_parents: arguments.switch("parents").unwrap_or(false),
        excludes: arguments.flag_literals("exclude"),
    }))
}

pub(super) fn variable_in_from(piece: Piece<'_>) -> Problem {
    Problem::new(piece, "variables are not replaced in `from`")
        .hint("name a stage: `FROM $IMAGE AS NAME`, and take it from there")
}

pub(crate) fn add(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let (sources, destination) = sources(arguments)?;
    Ok(Instruction::Add(Add {
        sources,
        destination,
        chown: arguments.flag_word("chown")?,
        chmod: arguments.flag_word("chmod")?,
        is_linked: arguments.switch("link").unwrap_or(false),
        excludes: arguments.flag_literals("exclude"),
        keeps_git_directory: arguments.switch("keep-git-dir"),
        checksum: arguments.flag_word("checksum")?,
        unpacks: arguments.switch("unpack"),
    }))
}

/// Reads `SOURCE... DESTINATION`, or the same as an array. What looks like JSON and is not, may be a pattern:
/// `COPY [ab]* /`. BuildKit: parseMaybeJSONToList().
fn sources(arguments: &Arguments<'_>) -> Result<(Vec<CopySource>, Word), Problem> {
    let rest = arguments.rest;
    let (mut sources, destination) = match json::parse(rest.text) {
        Ok(texts) => {
            let mut words = arguments.array_words(&texts)?;
            let destination = words.pop();
            (
                words.into_iter().map(CopySource::Path).collect(),
                destination,
            )
        }
        Err(JsonError::NotTexts) => return Err(command::not_texts(rest)),
        Err(JsonError::Malformed(_)) => plain_sources(arguments)?,
    };
    match destination.filter(|_| !sources.is_empty()) {
        Some(destination) => Ok((std::mem::take(&mut sources), destination)),
        None => Err(arguments.missing()),
    }
}

type Sources = (Vec<CopySource>, Option<Word>);

fn plain_sources(arguments: &Arguments<'_>) -> Result<Sources, Problem> {
    let mut pieces: Vec<Piece<'_>> = arguments.rest.words().collect();
    let destination = pieces.pop();
    if let Some(piece) = destination
        && heredoc::parse(piece).is_some()
    {
        let message = format!("`{}` is no destination", piece.text);
        return Err(Problem::new(piece, message).hint("write the path of the file after it"));
    }
    let source = |piece| match heredoc(arguments, piece) {
        Some(heredoc) => heredoc.map(CopySource::Heredoc),
        None => arguments.word(piece).map(CopySource::Path),
    };
    let sources: Vec<CopySource> = pieces.into_iter().map(source).collect::<Result<_, _>>()?;
    let destination = destination.map(|piece| arguments.word(piece)).transpose()?;
    Ok((sources, destination))
}

/// Returns the here-document that a word stands for.
pub(super) fn heredoc(
    arguments: &Arguments<'_>,
    piece: Piece<'_>,
) -> Option<Result<Heredoc, Problem>> {
    let word = heredoc::parse(piece)?;
    let found = arguments.line.heredoc(piece)?;
    let text = match word.strips_tabs {
        true => without_tabs(&found.text),
        false => found.text.clone(),
    };
    let text = match word.is_quoted {
        true => Ok(Word::from_literal(text, found.span)),
        false => heredoc_word(text, found.span, piece),
    };
    Some(text.map(|text| Heredoc {
        name: word.name,
        span: arguments.line.span_of(piece),
        text,
    }))
}

fn heredoc_word(text: String, span: Span, piece: Piece<'_>) -> Result<Word, Problem> {
    Word::parse_heredoc(text, span, piece)
}

fn without_tabs(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(|line| line.trim_start_matches('\t')).collect()
}
