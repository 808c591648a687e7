//! Flags: the `--name=value` words before an instruction's arguments.
//!
//! Spec: BuildKit `parser/split_command.go` extractBuilderFlags(), `instructions/bflag.go` Parse().

use super::{Arguments, missing, shown, usage};
use crate::instruction::Literal;
use crate::line::{Piece, Problem};
use crate::table::{self, FlagForm, FlagRow, InstructionRow};
use crate::word::Word;

/// A flag that was given.
#[derive(Debug)]
pub(super) struct Flag<'line> {
    row: &'static FlagRow,
    /// The value as it stands, for messages; the whole flag if it has none.
    pub(super) piece: Piece<'line>,
    /// The value without its quotes and escapes; empty if there was none.
    pub(super) value: String,
}

/// Splits the flags off.
pub(super) fn read<'line>(
    row: &'static InstructionRow,
    mut rest: Piece<'line>,
    escape: char,
) -> Result<(Vec<Flag<'line>>, Piece<'line>), Problem> {
    let mut flags: Vec<Flag<'line>> = Vec::new();
    while rest.text.starts_with("--") {
        let (word, text) = split_flag(rest, escape);
        rest = rest.part(word.text.len(), rest.text.len()).trimmed();
        if text == "--" {
            break;
        }
        let flag = flag(row, word, &text)?;
        let is_same = |known: &Flag<'_>| known.row.name == flag.row.name;
        if flag.row.form != FlagForm::Values && flags.iter().any(is_same) {
            let message = format!("`--{}` is given twice", flag.row.name);
            return Err(Problem::new(word, message).hint("remove one of them"));
        }
        flags.push(flag);
    }
    Ok((flags, rest))
}

/// Returns the first word as it stands, and without quotes and escapes.
fn split_flag(rest: Piece<'_>, escape: char) -> (Piece<'_>, String) {
    let (mut text, mut quote) = (String::new(), None);
    let mut characters = rest.text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            _ if character == escape => text.extend(characters.next().map(|(_, next)| next)),
            ('\'' | '"', None) => quote = Some(character),
            (_, None) if character.is_whitespace() => return (rest.part(0, at), text),
            _ => text.push(character),
        }
    }
    (rest, text)
}

fn flag<'line>(
    row: &'static InstructionRow,
    word: Piece<'line>,
    text: &str,
) -> Result<Flag<'line>, Problem> {
    let (name, value) = match text[2..].split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (&text[2..], None),
    };
    let Some(flag) = row.flags.iter().find(|flag| flag.name == name) else {
        return Err(unknown(row, word, name));
    };
    let is_switch = flag.form == FlagForm::Switch;
    match value {
        None if !is_switch => return Err(without_value(flag, word)),
        Some("") => return Err(without_value(flag, word)),
        Some(value) if is_switch && !is_boolean(value) => {
            let message = format!("`--{name}` is true or false, not `{}`", shown(value));
            return Err(Problem::new(word, message).hint(format!("write `--{name}`")));
        }
        _ => {}
    }
    let start = word.text.find('=').map_or(0, |at| at + 1);
    Ok(Flag {
        row: flag,
        piece: word.part(start, word.text.len()),
        value: value.unwrap_or_default().to_owned(),
    })
}

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

fn without_value(flag: &FlagRow, word: Piece<'_>) -> Problem {
    Problem::new(word, format!("`--{}` needs a value", flag.name))
        .hint(format!("write `--{}=VALUE`", flag.name))
}

fn unknown(row: &InstructionRow, word: Piece<'_>, typed: &str) -> Problem {
    let message = format!("`{}` has no flag `--{}`", row.name, shown(typed));
    let problem = Problem::new(word, message);
    match table::nearest(typed, row.flags.iter().map(|flag| flag.name)) {
        Some(nearest) => problem.hint(format!("did you mean `--{nearest}`?")),
        None if row.flags.is_empty() => problem.hint(format!(
            "write `--` first if it belongs to the argument: `{} -- {}`",
            row.name,
            shown(word.text)
        )),
        None => problem.hint(usage(row)),
    }
}

impl<'line> Arguments<'line> {
    pub(super) fn flag(&self, name: &str) -> Option<&Flag<'line>> {
        self.flags.iter().find(|flag| flag.row.name == name)
    }

    /// Returns the flags of a name that may be given several times.
    pub(super) fn flags(&self, name: &str) -> impl Iterator<Item = &Flag<'line>> {
        self.flags.iter().filter(move |flag| flag.row.name == name)
    }

    pub(super) fn flag_word(&self, name: &str) -> Result<Option<Word>, Problem> {
        let flag = self.flag(name);
        flag.map(|flag| self.value_word(flag)).transpose()
    }

    fn value_word(&self, flag: &Flag<'_>) -> Result<Word, Problem> {
        let span = self.line.span_of(flag.piece);
        Word::parse_text(&flag.value, span, flag.piece, self.escape)
    }

    pub(super) fn flag_literals(&self, name: &str) -> Vec<Literal> {
        let literal = |flag: &Flag<'_>| self.value_literal(flag);
        self.flags(name).map(literal).collect()
    }

    pub(super) fn value_literal(&self, flag: &Flag<'_>) -> Literal {
        Literal {
            text: flag.value.clone(),
            span: self.line.span_of(flag.piece),
        }
    }

    /// Returns what a switch says; none if it was not given.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        let flag = self.flag(name)?;
        Some(!flag.value.eq_ignore_ascii_case("false"))
    }

    pub(super) fn missing(&self) -> Problem {
        missing(self.row, self.rest)
    }
}
