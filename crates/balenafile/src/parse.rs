//! Lines to instructions: the second half of reading a file.

use crate::command;
use crate::instruction::{ArgDeclaration, Balenafile, Copy, From, Instruction, Pair, Stage, Step};
use crate::json;
use crate::line::{self, Line, Piece, Problem};
use crate::source::{Diagnostic, Severity, Source};
use crate::table::{self, InstructionRow, Support};
use crate::word::Word;

/// Bounds the instructions of a file, each of which may become a layer or a line of history.
const INSTRUCTIONS_MAX: usize = 1000;

/// What follows an instruction's name.
#[derive(Debug)]
pub(crate) struct Arguments<'line> {
    row: &'static InstructionRow,
    line: &'line Line,
    /// The whole instruction without its name and flags, trimmed.
    rest: Piece<'line>,
    flags: Vec<(&'static str, Piece<'line>)>,
    escape: char,
}

impl Balenafile {
    /// Reads a file. `name` is what messages call it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Diagnostic> {
        let source = Source::new(name, bytes)?;
        let lines = line::split(&source)?;
        if lines.lines.len() > INSTRUCTIONS_MAX {
            let span = lines.lines[INSTRUCTIONS_MAX].span(0, 1);
            return Err(source.error(
                span,
                format!("more than {INSTRUCTIONS_MAX} instructions"),
                Some("join `ENV`, `LABEL` and `COPY` lines"),
            ));
        }
        let mut file = Self {
            source,
            global_arguments: Vec::new(),
            stages: Vec::new(),
            warnings: lines.warnings,
        };
        for line in &lines.lines {
            file.push(line, lines.escape).map_err(|problem| {
                let span = line.span(problem.start, problem.end);
                file.source
                    .diagnostic(Severity::Error, span, problem.message, problem.hint)
            })?;
        }
        if file.stages.is_empty() {
            let span = lines
                .lines
                .first()
                .map(|line| line.span(0, 1))
                .unwrap_or_default();
            let message = if lines.lines.is_empty() {
                "the file has no instructions"
            } else {
                "there is no `FROM`"
            };
            return Err(file.source.error(
                span,
                message,
                Some("begin with `FROM scratch` or `FROM IMAGE`"),
            ));
        }
        Ok(file)
    }

    fn push(&mut self, line: &Line, escape: char) -> Result<(), Problem> {
        let (name, _) = line.piece().split_word();
        let instruction = instruction(line, escape)?;
        let span = line.span(0, line.text.len());
        let text = line.text.clone();
        match (instruction, self.stages.last_mut()) {
            (Instruction::From(from), None) => self.stages.push(Stage {
                from,
                span,
                text,
                steps: Vec::new(),
            }),
            (Instruction::From(_), Some(_)) => {
                return Err(Problem::new(name, "a second `FROM` is not supported yet")
                    .hint("build each image with its own file, and use its name in `FROM`"));
            }
            (Instruction::Arg(declarations), None) => self.global_arguments.extend(declarations),
            (_, None) => {
                return Err(Problem::new(
                    name,
                    format!("`{}` stands before `FROM`", name.text.to_ascii_uppercase()),
                )
                .hint("begin with `FROM scratch` or `FROM IMAGE`; only `ARG` may come before"));
            }
            (instruction, Some(stage)) => {
                warn_of_second(&self.source, &mut self.warnings, stage, &instruction, span);
                stage.steps.push(Step {
                    instruction,
                    span,
                    text,
                });
            }
        }
        Ok(())
    }
}

/// BuildKit: rule `MultipleInstructionsDisallowed`.
fn warn_of_second(
    source: &Source,
    warnings: &mut Vec<Diagnostic>,
    stage: &Stage,
    instruction: &Instruction,
    span: crate::Span,
) {
    let name = match instruction {
        Instruction::Cmd(_) => "CMD",
        Instruction::Entrypoint(_) => "ENTRYPOINT",
        _ => return,
    };
    let is_same = |step: &&Step| {
        std::mem::discriminant(&step.instruction) == std::mem::discriminant(instruction)
    };
    if let Some(first) = stage.steps.iter().find(is_same) {
        let message = format!(
            "the `{name}` in line {} has no effect: this one replaces it",
            source.line_number(first.span.start)
        );
        warnings.push(source.warning(span, message, Some("keep one of them")));
    }
}

fn instruction(line: &Line, escape: char) -> Result<Instruction, Problem> {
    let (name, rest) = line.piece().split_word();
    let Some(row) = table::find(name.text) else {
        return Err(unknown(name));
    };
    if row.support == Support::NotYet {
        return Err(
            Problem::new(name, format!("`{}` is not supported yet", row.name)).hint(row.doc),
        );
    }
    let (flags, rest) = flags(row, rest)?;
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

fn unknown(name: Piece<'_>) -> Problem {
    let typed = name.text.to_ascii_uppercase();
    let shown: String = name.text.chars().take(40).collect();
    let problem = Problem::new(name, format!("unknown instruction `{shown}`"));
    match table::nearest(&typed, table::INSTRUCTIONS.iter().map(|row| row.name)) {
        Some(nearest) => problem.hint(format!("did you mean `{nearest}`?")),
        None => problem.hint(
            "begin the line with an instruction, such as `COPY`, or end the one before in `\\`",
        ),
    }
}

fn missing(row: &InstructionRow, place: Piece<'_>) -> Problem {
    let problem = Problem::new(place, format!("`{}` needs more than this", row.name));
    problem.hint(format!("write `{}`", row.forms.join("` or `")))
}

type Flags<'line> = Vec<(&'static str, Piece<'line>)>;

/// Splits off `--name=value` words. BuildKit: `parser/split_command.go` extractBuilderFlags().
fn flags<'line>(
    row: &'static InstructionRow,
    mut rest: Piece<'line>,
) -> Result<(Flags<'line>, Piece<'line>), Problem> {
    let mut flags = Flags::new();
    // Commands may begin with dashes too; they have no flags of ours.
    while !row.flags.is_empty() && rest.text.starts_with("--") {
        let (word, after) = rest.split_word();
        rest = after;
        if word.text == "--" {
            break;
        }
        let name_end = word.text.find('=').unwrap_or(word.text.len());
        let typed = &word.text[2..name_end];
        let Some(flag) = row.flags.iter().find(|flag| flag.name == typed) else {
            return Err(unknown_flag(row, word, typed));
        };
        if flag.support == Support::NotYet {
            return Err(Problem::new(
                word,
                format!("`{} --{}` is not supported yet", row.name, flag.name),
            )
            .hint(flag.doc));
        }
        if flags.iter().any(|(name, _)| *name == flag.name) {
            return Err(
                Problem::new(word, format!("`--{}` is given twice", flag.name))
                    .hint("remove one of them"),
            );
        }
        if name_end + 1 >= word.text.len() {
            return Err(
                Problem::new(word, format!("`--{}` needs a value", flag.name))
                    .hint(format!("write `--{}=VALUE`", flag.name)),
            );
        }
        flags.push((flag.name, word.part(name_end + 1, word.text.len())));
    }
    Ok((flags, rest))
}

fn unknown_flag(row: &InstructionRow, word: Piece<'_>, typed: &str) -> Problem {
    let shown: String = typed.chars().take(40).collect();
    let problem = Problem::new(word, format!("`{}` has no flag `--{shown}`", row.name));
    match table::nearest(typed, row.flags.iter().map(|flag| flag.name)) {
        Some(nearest) => problem.hint(format!("did you mean `--{nearest}`?")),
        None => problem.hint(format!("write `{}`", row.forms.join("` or `"))),
    }
}

impl<'line> Arguments<'line> {
    fn word(&self, piece: Piece<'_>) -> Result<Word, Problem> {
        Word::parse(self.line, piece, self.escape)
    }

    fn flag(&self, name: &str) -> Result<Option<Word>, Problem> {
        let flag = self.flags.iter().find(|(flag, _)| *flag == name);
        flag.map(|(_, value)| self.word(*value)).transpose()
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

    /// Reads `NAME=VALUE...` or `NAME VALUE`. BuildKit: `parser/line_parsers.go` parseNameVal().
    fn pairs(&self) -> Result<Vec<Pair>, Problem> {
        let words = self.quoted_words();
        let first = words.first().copied().unwrap_or(self.rest);
        if !first.text.contains('=') {
            let (name, value) = self.rest.split_word();
            if value.text.is_empty() {
                return Err(missing(self.row, self.rest));
            }
            return Ok(vec![Pair {
                name: self.word(name)?,
                value: self.word(value)?,
            }]);
        }
        words.into_iter().map(|word| self.pair(word)).collect()
    }

    fn pair(&self, word: Piece<'_>) -> Result<Pair, Problem> {
        match word.text.find('=') {
            None => Err(
                Problem::new(word, format!("`{}` has no `=`", word.text)).hint(format!(
                    "put values with spaces in double quotes: `{}`",
                    self.row.forms[0]
                )),
            ),
            Some(0) => Err(Problem::new(word, "a name is empty")
                .hint(format!("write `{}`", self.row.forms[0]))),
            Some(at) => Ok(Pair {
                name: self.word(word.part(0, at))?,
                value: self.word(word.part(at + 1, word.text.len()))?,
            }),
        }
    }

    /// Reads the one word of an instruction that may have white space, such as a path.
    fn single(&self) -> Result<Word, Problem> {
        self.word(self.rest)
    }
}

pub(crate) fn not_yet(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    Err(Problem::new(
        arguments.rest,
        format!("`{}` is not supported yet", arguments.row.name),
    )
    .hint(arguments.row.doc))
}

pub(crate) fn from(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let words: Vec<Piece<'_>> = arguments.rest.words().collect();
    let (image, name) = match words[..] {
        [image] => (image, None),
        [image, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => (image, Some(name)),
        _ => return Err(missing(arguments.row, arguments.rest)),
    };
    // Spec: Dockerfile reference; BuildKit `instructions/parse.go` parseBuildStageName().
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|character| {
                character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
            })
    };
    if let Some(name) = name.filter(|name| !is_name(name.text)) {
        return Err(
            Problem::new(name, format!("`{}` cannot name a stage", name.text))
                .hint("begin with a letter, and use letters, digits, `-`, `_` and `.`"),
        );
    }
    Ok(Instruction::From(From {
        image: arguments.word(image)?,
        platform: arguments.flag("platform")?,
        name: name.map(|name| name.text.to_ascii_lowercase()),
    }))
}

pub(crate) fn arg(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let declaration = |word: Piece<'_>| {
        let (name, default) = match word.text.find('=') {
            Some(at) => (word.part(0, at), Some(word.part(at + 1, word.text.len()))),
            None => (word, None),
        };
        let name_word = arguments.word(name)?;
        let name = name_word
            .literal()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Problem::new(word, "a variable's name is empty, or has a variable in it")
                    .hint("write `ARG NAME` or `ARG NAME=DEFAULT`")
            })?;
        let default = default.map(|default| arguments.word(default)).transpose()?;
        Ok(ArgDeclaration {
            name,
            default,
            span: name_word.span,
        })
    };
    arguments
        .quoted_words()
        .into_iter()
        .map(declaration)
        .collect::<Result<_, _>>()
        .map(Instruction::Arg)
}

pub(crate) fn env(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.pairs().map(Instruction::Env)
}

pub(crate) fn label(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.pairs().map(Instruction::Label)
}

pub(crate) fn copy(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let mut words = copy_words(arguments)?;
    let destination = words.pop();
    let Some(destination) = destination.filter(|_| !words.is_empty()) else {
        return Err(missing(arguments.row, arguments.rest));
    };
    Ok(Instruction::Copy(Copy {
        sources: words,
        destination,
        chown: arguments.flag("chown")?,
        chmod: arguments.flag("chmod")?,
    }))
}

/// What looks like JSON and is not, may be a pattern: `COPY [ab]* /`. Docker: parseMaybeJSONToList().
fn copy_words(arguments: &Arguments<'_>) -> Result<Vec<Word>, Problem> {
    let rest = arguments.rest;
    if rest.text.starts_with('[')
        && let Ok(texts) = json::parse(rest.text)
    {
        let span = arguments
            .line
            .span(rest.start, rest.start + rest.text.len());
        return texts
            .iter()
            .map(|text| Word::parse_text(text, span, rest, arguments.escape))
            .collect();
    }
    if let Some(heredoc) = rest.words().find(|word| word.text.starts_with("<<")) {
        return Err(
            Problem::new(heredoc, "here-documents are not supported yet")
                .hint("put the text into a file and `COPY` it"),
        );
    }
    rest.words().map(|word| arguments.word(word)).collect()
}

pub(crate) fn workdir(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.single().map(Instruction::Workdir)
}

pub(crate) fn user(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.single().map(Instruction::User)
}

pub(crate) fn expose(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments
        .rest
        .words()
        .map(|word| arguments.word(word))
        .collect::<Result<_, _>>()
        .map(Instruction::Expose)
}

pub(crate) fn cmd(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    command::parse(arguments.rest).map(Instruction::Cmd)
}

pub(crate) fn entrypoint(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    command::parse(arguments.rest).map(Instruction::Entrypoint)
}
