//! Commands: what `CMD` and `ENTRYPOINT` run.
//!
//! Docker gives the shell form to `/bin/sh -c`. Images here have no shell yet, so the words of a simple command are
//! split as a shell would and run as they are; anything that needs a shell is refused rather than misread.
//!
//! Spec: POSIX 2.2 Quoting, 2.3 Token Recognition, 2.4 Reserved Words; Dockerfile reference, "Shell and exec form".

use crate::json;
use crate::line::{Piece, Problem};

/// How a command was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandForm {
    /// `["program", "argument"]`
    Exec,
    /// `program argument`
    Shell,
}

/// The words of a command, the program first. Empty for `[]`, which takes a base image's command away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub form: CommandForm,
    pub words: Vec<String>,
}

/// Words that begin something which only a shell can run. POSIX: 2.4 Reserved Words.
const RESERVED: [&str; 14] = [
    "!", "{", "}", "case", "do", "done", "elif", "else", "fi", "for", "if", "then", "until",
    "while",
];

const HINT: &str = "images have no shell yet: write a simple command, or the exec form `[\"program\", \"argument\"]`, where nothing is special";

pub(crate) fn parse(piece: Piece<'_>) -> Result<Command, Problem> {
    if piece.text.starts_with('[') {
        return match json::parse(piece.text) {
            Ok(words) => exec(piece, words),
            Err(problem) => Err(Problem::new(
                piece,
                format!("the exec form is a JSON array: {problem}"),
            )
            .hint("write `[\"program\", \"argument\"]` with double quotes")),
        };
    }
    let mut words = split(piece)?;
    // `exec program` asks the shell to get out of the way, which it is already.
    if words.len() > 1 && words[0] == "exec" {
        words.remove(0);
    }
    match words.first() {
        None => Err(Problem::new(piece, "a command is missing")
            .hint("write `[\"program\", \"argument\"]` or `program argument`")),
        Some(first) if RESERVED.contains(&first.as_str()) => {
            Err(Problem::new(piece, format!("`{first}` is the shell's own word")).hint(HINT))
        }
        Some(first) if is_assignment(first) => Err(Problem::new(
            piece,
            format!("`{first}` would set a variable for the command"),
        )
        .hint("set it with `ENV` before")),
        Some(_) => Ok(Command {
            form: CommandForm::Shell,
            words,
        }),
    }
}

fn exec(piece: Piece<'_>, words: Vec<String>) -> Result<Command, Problem> {
    if words.first().is_some_and(String::is_empty) {
        return Err(Problem::new(piece, "the program's name is empty")
            .hint("name a program of the image first"));
    }
    Ok(Command {
        form: CommandForm::Exec,
        words,
    })
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name
                .chars()
                .all(|character| character == '_' || character.is_ascii_alphanumeric())
    })
}

/// Splits a simple command into words, quotes removed.
fn split(piece: Piece<'_>) -> Result<Vec<String>, Problem> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = piece.text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let here = piece.part(at, at + character.len_utf8());
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => quoted(
                &mut characters,
                word.get_or_insert_default(),
                here,
                Quote::Single,
                piece,
            )?,
            '"' => quoted(
                &mut characters,
                word.get_or_insert_default(),
                here,
                Quote::Double,
                piece,
            )?,
            '\\' => word
                .get_or_insert_default()
                .extend(characters.next().map(|(_, escaped)| escaped)),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '[' => {
                return Err(needs_shell(here));
            }
            '#' | '~' if word.is_none() => return Err(needs_shell(here)),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

fn needs_shell(here: Piece<'_>) -> Problem {
    Problem::new(here, format!("`{}` needs a shell", here.text)).hint(HINT)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Single,
    Double,
}

fn quoted(
    characters: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    word: &mut String,
    opening: Piece<'_>,
    quote: Quote,
    piece: Piece<'_>,
) -> Result<(), Problem> {
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Quote::Single, '\'') | (Quote::Double, '"') => return Ok(()),
            (Quote::Double, '$' | '`') => return Err(needs_shell(piece.part(at, at + 1))),
            (Quote::Double, '\\') => {
                match characters.next_if(|(_, next)| matches!(next, '$' | '`' | '"' | '\\')) {
                    Some((_, escaped)) => word.push(escaped),
                    None => word.push('\\'),
                }
            }
            _ => word.push(character),
        }
    }
    Err(Problem::new(opening, "a quote is not closed")
        .hint("close it, or write a backslash before it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        parse(Piece { text, start: 0 })
            .map(|command| command.words)
            .map_err(|problem| problem.message)
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text).expect(text), expected);
    }

    #[test]
    fn a_simple_command_is_split_as_a_shell_would() {
        check(
            "python server.py -p 3000",
            &["python", "server.py", "-p", "3000"],
        );
        check(
            r#"echo 'a  $b' "c \"d\" \x" e\ f '' g"h"i"#,
            &["echo", "a  $b", r#"c "d" \x"#, "e f", "", "ghi"],
        );
        check(
            "exec server --name=a#b {x} ]",
            &["server", "--name=a#b", "{x}", "]"],
        );
        check("exec", &["exec"]);
    }

    #[test]
    fn the_exec_form_is_taken_as_it_is() {
        check(r#"["server", "$PORT", "a;b"]"#, &["server", "$PORT", "a;b"]);
        check("[]", &[]);
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for text in [
            "a | b", "a && b", "a;b", "a > b", "a $B", "a \"$B\"", "a `b`", "a *.c", "(a)", "a #b",
            "cd ~", "if a", "A=1 b", "", "['a']", "a 'b", "[\"\"]",
        ] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
