//! `ONBUILD`, and the instructions that it left in an image.

use super::{Arguments, instruction};
use crate::directive;
use crate::instruction::{Instruction, Onbuild, Step};
use crate::line::{Piece, Problem};
use crate::source::{Diagnostic, Source, Span};
use crate::split;

/// What messages call the text of a trigger.
const TRIGGER_NAME: &str = "ONBUILD";

pub(crate) fn onbuild(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let (name, _) = arguments.rest.split_word();
    check_name(name)?;
    let instruction = instruction(arguments.line, arguments.rest, arguments.escape)?;
    let mut text = arguments.rest.text.to_owned();
    for heredoc in &arguments.line.heredocs {
        text.push('\n');
        text.push_str(&heredoc.text);
        text.push_str(&heredoc.name);
    }
    Ok(Instruction::Onbuild(Onbuild {
        text,
        instruction: Box::new(instruction),
    }))
}

/// BuildKit: `instructions/parse.go` parseOnBuild().
fn check_name(name: Piece<'_>) -> Result<(), Problem> {
    let shown = name.text.to_ascii_uppercase();
    match shown.as_str() {
        "ONBUILD" => Err(Problem::new(name, "`ONBUILD ONBUILD` is not allowed")
            .hint("write the instruction itself")),
        "FROM" | "MAINTAINER" => Err(Problem::new(
            name,
            format!("`{shown}` is not allowed as an `ONBUILD` trigger"),
        )
        .hint("write it in the files that build on this image")),
        _ => Ok(()),
    }
}

impl Step {
    /// Reads an instruction that `ONBUILD` left in an image. The source is what its spans point into.
    pub fn parse_trigger(text: &str) -> Result<(Source, Self), Diagnostic> {
        let source = Source::new(TRIGGER_NAME, text.as_bytes())?;
        let lines = split::split(&source, &directive::read(&source)?)?;
        let [line] = &lines[..] else {
            let message = "an `ONBUILD` trigger is one instruction";
            return Err(source.error(Span::default(), message, Some("build the base image again")));
        };
        let read = || {
            check_name(line.piece().split_word().0)?;
            instruction(line, line.piece(), '\\')
        };
        let instruction = read().map_err(|problem| source.complain(problem.located(line)))?;
        let span = line.span(0, line.text.len());
        let text = line.text.clone();
        Ok((
            source,
            Self {
                instruction,
                span,
                text,
                comments: Vec::new(),
            },
        ))
    }
}
