//! Commands: what `CMD`, `ENTRYPOINT`, `HEALTHCHECK` and `RUN` run.
//!
//! Docker gives the shell form to the image's shell. Images here need not have one, so the words of a simple command
//! are split as a shell would, to be run as they are where there is no shell; what only a shell can do is told apart.
//!
//! Spec: POSIX 2.2 Quoting, 2.3 Token Recognition, 2.4 Reserved Words; Dockerfile reference, "Shell and exec form".

use std::iter::Peekable;
use std::str::CharIndices;

use crate::json::{self, JsonError};
use crate::line::{Line, Piece, Problem};
use crate::source::{Complaint, Span};

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `["PROGRAM", "ARGUMENT"...]`. Empty for `[]`, which takes a base image's command away.
    Exec(Vec<String>),
    /// `PROGRAM ARGUMENT...`
    Shell(ShellCommand),
}

/// A text for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    /// What the shell is to read.
    pub text: String,
    pub span: Span,
    /// The words of a simple command, the program first, which needs no shell; else what of it needs one.
    pub words: Result<Vec<String>, Box<Complaint>>,
}

/// Words that begin something which only a shell can run. POSIX: 2.4 Reserved Words.
const RESERVED: [&str; 14] = [
    "!", "{", "}", "case", "do", "done", "elif", "else", "fi", "for", "if", "then", "until",
    "while",
];

const HINT: &str = "give the image a shell and name it with `SHELL`, write a simple command, or write the exec form `[\"program\", \"argument\"]`, where nothing is special";

/// Reads a command. What looks like JSON and is not, is a text for the shell, as in BuildKit's parseMaybeJSON().
pub(crate) fn parse(line: &Line, piece: Piece<'_>) -> Result<Command, Problem> {
    if piece.text.starts_with('[') {
        match json::parse(piece.text) {
            Ok(words) => return exec(piece, words),
            Err(JsonError::NotTexts) => return Err(not_texts(piece)),
            Err(JsonError::Malformed(_)) => {}
        }
    }
    Ok(Command::Shell(shell(line, piece, piece.text.to_owned())))
}

/// Returns the complaint about a JSON array that has something else than texts.
pub(crate) fn not_texts(piece: Piece<'_>) -> Problem {
    Problem::new(piece, "the exec form is an array of texts only")
        .hint("write each in double quotes: `[\"program\", \"1\"]`")
}

/// Returns the shell form that stands in `piece` and whose whole text is `text`.
pub(crate) fn shell(line: &Line, piece: Piece<'_>, text: String) -> ShellCommand {
    let words = simple_words(piece).map_err(|problem| Box::new(problem.located(line)));
    ShellCommand {
        text,
        span: line.span_of(piece),
        words,
    }
}

fn exec(piece: Piece<'_>, words: Vec<String>) -> Result<Command, Problem> {
    if words.first().is_some_and(String::is_empty) {
        return Err(Problem::new(piece, "the program's name is empty")
            .hint("name a program of the image first"));
    }
    Ok(Command::Exec(words))
}

fn simple_words(piece: Piece<'_>) -> Result<Vec<String>, Problem> {
    if piece.text.starts_with('[')
        && let Err(JsonError::Malformed(problem)) = json::parse(piece.text)
    {
        let message = format!("the exec form is a JSON array: {problem}");
        return Err(Problem::new(piece, message)
            .hint("write `[\"program\", \"argument\"]` with double quotes"));
    }
    let mut words = split(piece)?;
    // `exec program` asks the shell to get out of the way, which it is already.
    if words.len() > 1 && words[0] == "exec" {
        words.remove(0);
    }
    let problem = |message: String| Problem::new(piece, message).hint(HINT);
    match words.first() {
        None => Err(problem("a command is missing".to_owned())),
        Some(first) if RESERVED.contains(&first.as_str()) => {
            Err(problem(format!("`{first}` is the shell's own word")))
        }
        Some(first) if is_assignment(first) => {
            let message = format!("`{first}` would set a variable for the command");
            Err(Problem::new(piece, message).hint("set it with `ENV` before"))
        }
        Some(_) => Ok(words),
    }
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
            '\'' | '"' => {
                quoted(&mut characters, word.get_or_insert_default(), here, piece)?;
            }
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

fn quoted(
    characters: &mut Peekable<CharIndices<'_>>,
    word: &mut String,
    opening: Piece<'_>,
    piece: Piece<'_>,
) -> Result<(), Problem> {
    let is_double = opening.text == "\"";
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if !is_double => return Ok(()),
            '"' if is_double => return Ok(()),
            '$' | '`' if is_double => return Err(needs_shell(piece.part(at, at + 1))),
            '\\' if is_double => {
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
        let line = Line::default();
        match parse(&line, Piece { text, start: 0 }) {
            Ok(Command::Exec(words)) => Ok(words),
            Ok(Command::Shell(shell)) => shell.words.map_err(|complaint| complaint.message),
            Err(problem) => Err(problem.message),
        }
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
    fn what_needs_a_shell_is_told_apart() {
        for text in [
            "a | b", "a && b", "a;b", "a > b", "a $B", "a \"$B\"", "a `b`", "a *.c", "(a)", "a #b",
            "cd ~", "if a", "A=1 b", "", "['a']", "a 'b", "[\"\"]", "[1]",
        ] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
