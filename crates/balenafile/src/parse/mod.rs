//! Lines to instructions: the second half of reading a file.

pub(crate) mod copy;
mod flags;
pub(crate) mod healthcheck;
mod mount;
pub(crate) mod onbuild;
pub(crate) mod pairs;
pub(crate) mod run;
pub(crate) mod settings;
pub(crate) mod stage;

use crate::directive;
use crate::instruction::{Balenafile, Instruction, Literal, Stage, Step};
use crate::line::{Line, Piece, Problem};
use crate::lint::{self, LintOptions, Linter};
use crate::source::{Diagnostic, Source};
use crate::split;
use crate::table::{self, InstructionRow};
use crate::word::Word;

use self::flags::Flag;

/// Bounds the instructions of a file, each of which may become a layer or a line of history.
const INSTRUCTIONS_MAX: usize = 1000;

/// What follows an instruction's name.
#[derive(Debug)]
pub(crate) struct Arguments<'line> {
    row: &'static InstructionRow,
    line: &'line Line,
    /// The whole instruction without its name and flags, trimmed. Not empty.
    rest: Piece<'line>,
    flags: Vec<Flag<'line>>,
    escape: char,
}

impl Balenafile {
    /// Reads a file. `name` is what messages call it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Diagnostic> {
        Self::parse_with_lint(name, bytes, None)
    }

    /// Reads a file with other options than its `# check=`, if there are any.
    pub fn parse_with_lint(
        name: &str,
        bytes: &[u8],
        lint: Option<LintOptions>,
    ) -> Result<Self, Diagnostic> {
        let source = Source::new(name, bytes)?;
        let directives = directive::read(&source)?;
        let lines = split::split(&source, &directives)?;
        check_count(&source, &lines)?;
        let mut file = Self {
            source,
            global_arguments: Vec::new(),
            stages: Vec::new(),
            warnings: Vec::new(),
            lint: lint.unwrap_or(directives.check),
            syntax: directives.syntax,
        };
        for line in &lines {
            file.push(line, directives.escape)
                .map_err(|problem| file.source.complain(problem.located(line)))?;
        }
        if file.stages.is_empty() {
            return Err(no_stage(&file.source, lines.first()));
        }
        file.check_stages()?;
        let mut linter = Linter::new(&file.source, &file.lint);
        lint::check_style(&mut linter, &lines, &file);
        file.warnings = linter.finish();
        Ok(file)
    }

    fn push(&mut self, line: &Line, escape: char) -> Result<(), Problem> {
        let (name, _) = line.piece().split_word();
        let instruction = instruction(line, line.piece(), escape)?;
        let span = line.span(0, line.text.len());
        let (text, comments) = (line.text.clone(), line.comments.clone());
        match (instruction, self.stages.last_mut()) {
            (Instruction::From(from), _) => self.stages.push(Stage {
                from,
                span,
                text,
                comments,
                steps: Vec::new(),
            }),
            (Instruction::Arg(declarations), None) => self.global_arguments.extend(declarations),
            (_, None) => return Err(before_from(name)),
            (instruction, Some(stage)) => stage.steps.push(Step {
                instruction,
                span,
                text,
                comments,
            }),
        }
        Ok(())
    }
}

fn check_count(source: &Source, lines: &[Line]) -> Result<(), Diagnostic> {
    let Some(line) = lines.get(INSTRUCTIONS_MAX) else {
        return Ok(());
    };
    let message = format!("more than {INSTRUCTIONS_MAX} instructions");
    let hint = "join `ENV`, `LABEL` and `COPY` lines";
    Err(source.error(line.span(0, 1), message, Some(hint)))
}

fn no_stage(source: &Source, first: Option<&Line>) -> Diagnostic {
    let span = first.map(|line| line.span(0, 1)).unwrap_or_default();
    let message = match first {
        None => "the file has no instructions",
        Some(_) => "there is no `FROM`",
    };
    let hint = "begin with `FROM scratch` or `FROM IMAGE`";
    source.error(span, message, Some(hint))
}

fn before_from(name: Piece<'_>) -> Problem {
    let message = format!("`{}` stands before `FROM`", name.text.to_ascii_uppercase());
    Problem::new(name, message)
        .hint("begin with `FROM scratch` or `FROM IMAGE`; only `ARG` may come before")
}

/// Reads the instruction that stands in a part of a line.
pub(crate) fn instruction(
    line: &Line,
    piece: Piece<'_>,
    escape: char,
) -> Result<Instruction, Problem> {
    let (name, rest) = piece.split_word();
    let Some(row) = table::find(name.text) else {
        return Err(unknown(name));
    };
    let (flags, rest) = flags::read(row, rest, escape)?;
    if rest.text.is_empty() {
        return Err(missing(row, name));
    }
    (row.parse)(&Arguments {
        row,
        line,
        rest,
        flags,
        escape,
    })
}

/// Returns the beginning of a text that someone typed, for a message.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

fn unknown(name: Piece<'_>) -> Problem {
    let typed = name.text.to_ascii_uppercase();
    let problem = Problem::new(name, format!("unknown instruction `{}`", shown(name.text)));
    match table::nearest(&typed, table::INSTRUCTIONS.iter().map(|row| row.name)) {
        Some(nearest) => problem.hint(format!("did you mean `{nearest}`?")),
        None => problem.hint(
            "begin the line with an instruction, such as `COPY`, or end the one before in `\\`",
        ),
    }
}

fn missing(row: &InstructionRow, place: Piece<'_>) -> Problem {
    let problem = Problem::new(place, format!("`{}` needs more than this", row.name));
    problem.hint(usage(row))
}

fn usage(row: &InstructionRow) -> String {
    format!("write `{}`", row.forms.join("` or `"))
}

impl<'line> Arguments<'line> {
    fn word(&self, piece: Piece<'_>) -> Result<Word, Problem> {
        Word::parse(self.line, piece, self.escape)
    }

    fn literal(&self, piece: Piece<'_>) -> Literal {
        Literal {
            text: piece.text.to_owned(),
            span: self.line.span_of(piece),
        }
    }

    /// Reads the words of an array, each of which has the array's place.
    fn array_words(&self, texts: &[String]) -> Result<Vec<Word>, Problem> {
        let span = self.line.span_of(self.rest);
        let word = |text: &String| Word::parse_text(text, span, self.rest, self.escape);
        texts.iter().map(word).collect()
    }

    fn words(&self) -> Result<Vec<Word>, Problem> {
        self.rest.words().map(|word| self.word(word)).collect()
    }

    /// Splits at white space outside quotes. BuildKit: `parser/line_parsers.go` parseWords().
    fn quoted_words(&self) -> Vec<Piece<'line>> {
        let mut words = Vec::new();
        let (mut start, mut quote, mut is_escaped) = (None, None, false);
        for (at, character) in self.rest.text.char_indices() {
            if start.is_none() && !character.is_whitespace() {
                start = Some(at);
            }
            match (character, quote) {
                _ if is_escaped => is_escaped = false,
                // Nothing is special within single quotes but their end.
                (_, Some('\'')) if character != '\'' => {}
                _ if character == self.escape => is_escaped = true,
                (_, Some(open)) if character == open => quote = None,
                ('\'' | '"', None) => quote = Some(character),
                (_, None) if character.is_whitespace() => {
                    words.extend(start.take().map(|start| self.rest.part(start, at)));
                }
                _ => {}
            }
        }
        words.extend(start.map(|start| self.rest.part(start, self.rest.text.len())));
        words
    }
}
