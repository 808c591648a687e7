//! Instructions that set one thing: `WORKDIR`, `USER`, `EXPOSE`, `VOLUME`, `STOPSIGNAL`, `MAINTAINER`.

use super::Arguments;
use crate::command;
use crate::instruction::Instruction;
use crate::json::{self, JsonError};
use crate::line::Problem;

pub(crate) fn workdir(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.word(arguments.rest).map(Instruction::Workdir)
}

pub(crate) fn user(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.word(arguments.rest).map(Instruction::User)
}

pub(crate) fn stopsignal(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.word(arguments.rest).map(Instruction::Stopsignal)
}

pub(crate) fn maintainer(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    Ok(Instruction::Maintainer(arguments.literal(arguments.rest)))
}

pub(crate) fn expose(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    arguments.words().map(Instruction::Expose)
}

pub(crate) fn volume(arguments: &Arguments<'_>) -> Result<Instruction, Problem> {
    let rest = arguments.rest;
    let words = match json::parse(rest.text) {
        Ok(texts) if texts.is_empty() => return Err(arguments.missing()),
        Ok(texts) if texts.iter().any(|text| text.trim().is_empty()) => {
            return Err(
                Problem::new(rest, "a volume's path is empty").hint("write a path: `VOLUME /data`")
            );
        }
        Ok(texts) => arguments.array_words(&texts),
        Err(JsonError::NotTexts) => return Err(command::not_texts(rest)),
        Err(JsonError::Malformed(_)) => arguments.words(),
    };
    words.map(Instruction::Volume)
}
