//! Style: rules about how a file is written, which need no more than its text.
//!
//! Spec: BuildKit `instructions/parse.go`, `dockerfile2llb/validations.go`.

use super::{Linter, rules};
use crate::instruction::{Balenafile, Stage};
use crate::line::{Line, Piece};
use crate::source::Span;

/// Names that mean something else than a stage.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Applies the rules to the lines and to what they were read as.
pub(crate) fn check_style(linter: &mut Linter<'_>, lines: &[Line], file: &Balenafile) {
    for line in lines {
        check_line(linter, line);
    }
    check_casing(linter, lines);
    check_stage_names(linter, &file.stages);
}

fn check_line(linter: &mut Linter<'_>, line: &Line) {
    if let Some(span) = line.empty_line {
        let message = "Empty continuation line".to_owned();
        let hint = "remove it, or begin it with `#`";
        let rule = &rules::NO_EMPTY_CONTINUATION;
        linter.report(rule, &line.comments, span, message, hint);
    }
    let (name, rest) = line.piece().split_word();
    match name.text.to_ascii_uppercase().as_str() {
        "MAINTAINER" => {
            let message = "Maintainer instruction is deprecated in favor of using label";
            let hint = "write `LABEL org.opencontainers.image.authors=NAME`";
            let rule = &rules::MAINTAINER_DEPRECATED;
            let span = line.span_of(name);
            linter.report(rule, &line.comments, span, message.to_owned(), hint);
        }
        "FROM" => check_from(linter, line, name, rest),
        "ARG" => check_argument(linter, line, rest),
        _ => {}
    }
}

fn check_from(linter: &mut Linter<'_>, line: &Line, from: Piece<'_>, rest: Piece<'_>) {
    let words = rest.words().skip_while(|word| word.text.starts_with("--"));
    let words: Vec<Piece<'_>> = words.collect();
    let [_, keyword, stage] = words[..] else {
        return;
    };
    let lower = stage.text.to_lowercase();
    if stage.text != lower {
        let message = format!("Stage name '{}' should be lowercase", stage.text);
        let hint = format!("write `{lower}`");
        let rule = &rules::STAGE_NAME_CASING;
        linter.report(rule, &line.comments, line.span_of(stage), message, &hint);
    }
    let expected = match from.text {
        text if text == text.to_lowercase() => keyword.text.to_lowercase(),
        text if text == text.to_uppercase() => keyword.text.to_uppercase(),
        _ => return,
    };
    if keyword.text != expected {
        let message = format!(
            "'{}' and '{}' keywords' casing do not match",
            keyword.text, from.text
        );
        let hint = format!("write `{expected}`");
        let rule = &rules::FROM_AS_CASING;
        linter.report(rule, &line.comments, line.span_of(keyword), message, &hint);
    }
}

/// The majority of the names decides; names in mixed case have no vote. Global `ARG`s are not counted.
fn check_casing(linter: &mut Linter<'_>, lines: &[Line]) {
    let name = |line: &'_ Line| line.piece().split_word().0.text.to_owned();
    let is_from = |line: &&Line| name(line).eq_ignore_ascii_case("FROM");
    let lines: Vec<&Line> = lines.iter().skip_while(|line| !is_from(line)).collect();
    let count = |change: fn(&str) -> String| {
        let is_same = |line: &&&Line| name(line) == change(&name(line));
        lines.iter().filter(is_same).count()
    };
    let is_lower = count(str::to_lowercase) > count(str::to_uppercase);
    let (change, casing): (fn(&str) -> String, _) = match is_lower {
        true => (str::to_lowercase, "lowercase"),
        false => (str::to_uppercase, "uppercase"),
    };
    for line in &lines {
        let (typed, expected) = (name(line), change(&name(line)));
        if typed != expected {
            let message = format!(
                "Command '{typed}' should match the case of the command majority ({casing})"
            );
            let span = line.span(0, typed.len());
            let rule = &rules::CONSISTENT_INSTRUCTION_CASING;
            let hint = format!("write `{expected}`");
            linter.report(rule, &line.comments, span, message, &hint);
        }
    }
}

fn check_stage_names(linter: &mut Linter<'_>, stages: &[Stage]) {
    for (index, stage) in stages.iter().enumerate() {
        let Some(name) = &stage.from.name else {
            continue;
        };
        if RESERVED.contains(&name.as_str()) {
            let message =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            let rule = &rules::RESERVED_STAGE_NAME;
            linter.report(
                rule,
                &stage.comments,
                stage.span,
                message,
                "choose another name",
            );
        }
        let mut earlier = stages.iter().take(index);
        if earlier.any(|earlier| earlier.from.name.as_ref() == Some(name)) {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            let rule = &rules::DUPLICATE_STAGE_NAME;
            linter.report(
                rule,
                &stage.comments,
                stage.span,
                message,
                "choose another name",
            );
        }
        check_description(linter, "FROM", &[name], &stage.comments, stage.span);
    }
}

fn check_argument(linter: &mut Linter<'_>, line: &Line, rest: Piece<'_>) {
    let name = |word: Piece<'_>| word.text.split('=').next().unwrap_or_default().to_owned();
    let names: Vec<String> = rest.words().map(name).collect();
    check_description(linter, "ARG", &names, &line.comments, line.span_of(rest));
}

fn check_description(
    linter: &mut Linter<'_>,
    instruction: &str,
    names: &[impl AsRef<str>],
    comments: &[String],
    span: Span,
) {
    let Some(last) = comments.last() else {
        return;
    };
    let first_word = last.split(' ').next().unwrap_or_default();
    if names.iter().any(|name| name.as_ref() == first_word) {
        return;
    }
    let name = match names {
        [name] => name.as_ref(),
        _ => "<arg_key>",
    };
    let message =
        format!("Comment for {instruction} should follow the format: `# {name} <description>`");
    let hint = "add an empty comment, `#`, between the two if it is no description";
    let rule = &rules::INVALID_DEFINITION_DESCRIPTION;
    linter.report(rule, comments, span, message, hint);
}
