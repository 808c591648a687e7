//! The table of instructions: names, forms, flags and whether minke does them.
//!
//! It is the only place where an instruction is declared. The parser dispatches by it, messages find the nearest name
//! in it, and the support page is made from it.

mod rows;

use std::fmt::Write;

pub use rows::INSTRUCTIONS;

use crate::instruction::Instruction;
use crate::line::Problem;
use crate::parse::Arguments;

/// An instruction of the language.
#[derive(Debug)]
pub struct InstructionRow {
    pub name: &'static str,
    /// Its forms, as a manual writes them.
    pub forms: &'static [&'static str],
    pub flags: &'static [FlagRow],
    pub support: Support,
    /// One sentence on what it does.
    pub doc: &'static str,
    pub(crate) parse: fn(&Arguments<'_>) -> Result<Instruction, Problem>,
}

/// A flag of an instruction.
#[derive(Debug, Clone, Copy)]
pub struct FlagRow {
    pub name: &'static str,
    pub form: FlagForm,
    pub support: Support,
    pub doc: &'static str,
}

/// How a flag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagForm {
    /// `--name` or `--name=true`
    Switch,
    /// `--name=value`
    Value,
    /// `--name=value`, any number of times
    Values,
}

/// Whether minke does it. What it does not is read and checked all the same; the build refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Now,
    Partly {
        /// What is done of it.
        what: &'static str,
    },
    NotYet {
        /// What to do for now.
        instead: &'static str,
    },
}

impl FlagForm {
    /// Returns how a flag of this form is written.
    pub fn usage(self, name: &str) -> String {
        match self {
            Self::Switch => format!("--{name}"),
            Self::Value => format!("--{name}=VALUE"),
            Self::Values => format!("--{name}=VALUE..."),
        }
    }
}

/// Returns an instruction's row, whatever the case of its name.
pub fn find(name: &str) -> Option<&'static InstructionRow> {
    INSTRUCTIONS
        .iter()
        .find(|row| row.name.eq_ignore_ascii_case(name))
}

/// Returns the name most like a mistyped one. Long names have none: comparing costs the product of their lengths.
pub(crate) fn nearest<'name>(
    typed: &str,
    names: impl Iterator<Item = &'name str>,
) -> Option<&'name str> {
    /// More typing mistakes than this make another word.
    const MISTAKES_MAX: usize = 2;
    const NAME_BYTES_MAX: usize = 100;
    let mistakes = |name: &&str| strsim::damerau_levenshtein(typed, name);
    let mut names = names.filter(|name| name.len().max(typed.len()) <= NAME_BYTES_MAX);
    let best = names.by_ref().min_by_key(mistakes)?;
    (mistakes(&best) <= MISTAKES_MAX.min(best.len() / 2)).then_some(best)
}

/// Returns the support page: the table in Markdown.
pub fn to_markdown() -> String {
    let mut page = String::from("| instruction | forms | supported | |\n|---|---|---|---|\n");
    for row in INSTRUCTIONS {
        let forms: Vec<String> = row.forms.iter().map(|form| format!("`{form}`")).collect();
        write_row(
            &mut page,
            row.name,
            &forms.join("<br>"),
            row.support,
            row.doc,
        );
        for flag in row.flags {
            let name = format!("{} --{}", row.name, flag.name);
            let form = format!("`{}`", flag.form.usage(flag.name));
            write_row(&mut page, &name, &form, flag.support, flag.doc);
        }
    }
    page
}

fn write_row(page: &mut String, name: &str, forms: &str, support: Support, doc: &str) {
    let support = match support {
        Support::Now => "yes".to_owned(),
        Support::Partly { what } => format!("in part: {what}"),
        Support::NotYet { instead } => format!("not yet: {instead}"),
    };
    writeln!(page, "| `{name}` | {forms} | {support} | {doc} |")
        .expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique() {
        assert!(INSTRUCTIONS.is_sorted_by(|left, right| left.name < right.name));
    }

    #[test]
    fn every_row_is_on_the_support_page() {
        let page = to_markdown();
        for row in INSTRUCTIONS {
            assert!(
                page.contains(&format!("| `{}` |", row.name)),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn nearest_names_are_those_of_a_slip() {
        let names = || INSTRUCTIONS.iter().map(|row| row.name);
        assert_eq!(nearest("COPPY", names()), Some("COPY"));
        assert_eq!(nearest("FORM", names()), Some("FROM"));
        assert_eq!(nearest("QWERTZ", names()), None);
    }
}
