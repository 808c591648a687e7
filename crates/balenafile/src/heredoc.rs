//! Here-documents: the `<<NAME` words of an instruction.
//!
//! Spec: Dockerfile reference, "Here-Documents"; BuildKit `parser/parser.go` heredocsFromLine(), heredocFromMatch().

use crate::json;
use crate::line::Piece;

/// Instructions whose words may be here-documents.
const INSTRUCTIONS: [&str; 3] = ["ADD", "COPY", "RUN"];

/// A word `[DIGITS]<<[-]NAME`.
#[derive(Debug, Clone)]
pub(crate) struct HeredocWord<'line> {
    pub(crate) piece: Piece<'line>,
    /// Quotes removed.
    pub(crate) name: String,
    /// `<<-`: tabs at the beginning of lines do not count.
    pub(crate) strips_tabs: bool,
    /// Whether a part of the name is quoted: nothing is special in the text.
    pub(crate) is_quoted: bool,
}

/// Returns the here-document words of an instruction.
pub(crate) fn words(line: &str) -> Vec<HeredocWord<'_>> {
    let piece = Piece {
        text: line,
        start: 0,
    };
    match line.contains("<<") {
        true => words_of_instruction(piece),
        false => Vec::new(),
    }
}

fn words_of_instruction(piece: Piece<'_>) -> Vec<HeredocWord<'_>> {
    let (name, rest) = piece.split_word();
    if name.text.eq_ignore_ascii_case("ONBUILD") {
        return words_of_instruction(rest);
    }
    let is_known = INSTRUCTIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name.text));
    if !is_known || json::parse(arguments(rest).text).is_ok() {
        return Vec::new();
    }
    let words = shell_words(rest);
    words.into_iter().filter_map(parse).collect()
}

/// Returns what follows the flags.
fn arguments(mut rest: Piece<'_>) -> Piece<'_> {
    while rest.text.starts_with("--") {
        rest = rest.split_word().1;
    }
    rest
}

/// Reads `[DIGITS]<<[-]NAME`.
pub(crate) fn parse(piece: Piece<'_>) -> Option<HeredocWord<'_>> {
    let text = piece
        .text
        .trim_start_matches(|digit: char| digit.is_ascii_digit())
        .strip_prefix("<<")?;
    let (text, strips_tabs) = match text.strip_prefix('-') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (name, is_quoted) = unquoted(text.trim_start())?;
    let is_word = !name.is_empty() && !text.contains('<');
    is_word.then_some(HeredocWord {
        piece,
        name,
        strips_tabs,
        is_quoted,
    })
}

/// Removes quotes and escapes; none for several words, or a quote that is not closed.
fn unquoted(text: &str) -> Option<(String, bool)> {
    let (mut name, mut is_quoted, mut quote) = (String::new(), false, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => name.extend(characters.next()),
            ('\'' | '"', None) => {
                is_quoted = true;
                quote = Some(character);
            }
            (_, None) if character.is_whitespace() => return None,
            _ => name.push(character),
        }
    }
    quote.is_none().then_some((name, is_quoted))
}

/// Splits at white space outside quotes; white space after `<<` does not count. None of it, if a quote is not closed.
fn shell_words(piece: Piece<'_>) -> Vec<Piece<'_>> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    let mut characters = piece.text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if start.is_none() && !character.is_whitespace() {
            start = Some(at);
        }
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => drop(characters.next()),
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(character),
            ('<', None) if characters.next_if(|(_, next)| *next == '<').is_some() => {
                while characters
                    .next_if(|(_, next)| matches!(next, ' ' | '\t' | '\r'))
                    .is_some()
                {}
            }
            _ if character.is_whitespace() => {
                words.extend(start.take().map(|start| piece.part(start, at)));
            }
            _ => {}
        }
    }
    words.extend(start.map(|start| piece.part(start, piece.text.len())));
    match quote {
        None => words,
        Some(_) => Vec::new(),
    }
}
