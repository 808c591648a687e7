//! The table of instructions: names, forms, flags and whether minke does them.
//!
//! It is the only place where an instruction is declared. The parser dispatches by it, messages find the nearest name
//! in it, and the support page is made from it.

use std::fmt::Write;

use crate::instruction::Instruction;
use crate::line::Problem;
use crate::parse::{self, Arguments};

/// An instruction of the language.
#[derive(Debug)]
pub struct InstructionRow {
    pub name: &'static str,
    /// Its forms, as a manual writes them.
    pub forms: &'static [&'static str],
    pub flags: &'static [FlagRow],
    pub support: Support,
    /// One sentence on what it does; for one that is not supported, what to do instead.
    pub doc: &'static str,
    pub(crate) parse: fn(&Arguments<'_>) -> Result<Instruction, Problem>,
}

/// A flag of an instruction: `--name=value`.
#[derive(Debug)]
pub struct FlagRow {
    pub name: &'static str,
    pub support: Support,
    pub doc: &'static str,
}

/// Whether minke does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Now,
    /// A clear error for now.
    NotYet,
}

const fn flag(name: &'static str, doc: &'static str) -> FlagRow {
    FlagRow {
        name,
        support: Support::Now,
        doc,
    }
}

const fn flag_later(name: &'static str, doc: &'static str) -> FlagRow {
    FlagRow {
        name,
        support: Support::NotYet,
        doc,
    }
}

const fn later(name: &'static str, doc: &'static str) -> InstructionRow {
    InstructionRow {
        name,
        forms: &[],
        flags: &[],
        support: Support::NotYet,
        doc,
        parse: parse::not_yet,
    }
}

/// Every instruction, by name.
pub const INSTRUCTIONS: &[InstructionRow] = &[
    later(
        "ADD",
        "copy local files with `COPY`; unpack archives and fetch addresses before the build",
    ),
    InstructionRow {
        name: "ARG",
        forms: &["ARG NAME[=DEFAULT]..."],
        flags: &[],
        support: Support::Now,
        doc: "Declares variables that `--build-arg` sets and the instructions below see.",
        parse: parse::arg,
    },
    InstructionRow {
        name: "CMD",
        forms: &[
            "CMD [\"PROGRAM\", \"ARGUMENT\"...]",
            "CMD PROGRAM ARGUMENT...",
        ],
        flags: &[],
        support: Support::Now,
        doc: "Sets what a container runs, or the default arguments of `ENTRYPOINT`.",
        parse: parse::cmd,
    },
    InstructionRow {
        name: "COPY",
        forms: &[
            "COPY [FLAG...] SOURCE... DESTINATION",
            "COPY [FLAG...] [\"SOURCE\"..., \"DESTINATION\"]",
        ],
        flags: &[
            flag(
                "chown",
                "Owner and group in the image, as names or numbers.",
            ),
            flag("chmod", "Permissions in the image, as an octal number."),
            flag_later(
                "from",
                "build the other image separately and use it in `FROM`",
            ),
            flag_later("link", "remove it: the result is the same"),
            flag_later("parents", "name the destination of each source"),
            flag_later("exclude", "write the pattern into `.dockerignore`"),
        ],
        support: Support::Now,
        doc: "Copies files of the context into the image.",
        parse: parse::copy,
    },
    InstructionRow {
        name: "ENTRYPOINT",
        forms: &[
            "ENTRYPOINT [\"PROGRAM\", \"ARGUMENT\"...]",
            "ENTRYPOINT PROGRAM ARGUMENT...",
        ],
        flags: &[],
        support: Support::Now,
        doc: "Sets what a container runs before its arguments.",
        parse: parse::entrypoint,
    },
    InstructionRow {
        name: "ENV",
        forms: &["ENV NAME=VALUE...", "ENV NAME VALUE"],
        flags: &[],
        support: Support::Now,
        doc: "Sets variables for the container and the instructions below.",
        parse: parse::env,
    },
    InstructionRow {
        name: "EXPOSE",
        forms: &["EXPOSE PORT[-PORT][/PROTOCOL]..."],
        flags: &[],
        support: Support::Now,
        doc: "Says on which ports the container listens.",
        parse: parse::expose,
    },
    InstructionRow {
        name: "FROM",
        forms: &["FROM [FLAG...] IMAGE [AS NAME]", "FROM scratch"],
        flags: &[flag(
            "platform",
            "The platform of the image; its architecture must be `wasm`.",
        )],
        support: Support::Now,
        doc: "Names the image to build on; `scratch` is the empty one.",
        parse: parse::from,
    },
    later("HEALTHCHECK", "remove it: health checks are not kept yet"),
    InstructionRow {
        name: "LABEL",
        forms: &["LABEL NAME=VALUE...", "LABEL NAME VALUE"],
        flags: &[],
        support: Support::Now,
        doc: "Adds text for people and tools to the image.",
        parse: parse::label,
    },
    later(
        "MAINTAINER",
        "write `LABEL org.opencontainers.image.authors=NAME` instead",
    ),
    later("ONBUILD", "write the instruction where it is to run"),
    later(
        "RUN",
        "run the command before the build and `COPY` what it makes",
    ),
    later(
        "SHELL",
        "write commands in the exec form, `[\"PROGRAM\", \"ARGUMENT\"]`",
    ),
    later(
        "STOPSIGNAL",
        "remove it: containers are stopped with `SIGTERM`",
    ),
    InstructionRow {
        name: "USER",
        forms: &["USER USER[:GROUP]"],
        flags: &[],
        support: Support::Now,
        doc: "Sets as whom the container runs, by name or number.",
        parse: parse::user,
    },
    later(
        "VOLUME",
        "give the volume when the container is run: `minke run -v HOST:GUEST`",
    ),
    InstructionRow {
        name: "WORKDIR",
        forms: &["WORKDIR DIRECTORY"],
        flags: &[],
        support: Support::Now,
        doc: "Sets the directory in which the container and the instructions below work, and makes it.",
        parse: parse::workdir,
    },
];

/// Returns an instruction's row, whatever the case of its name.
pub fn find(name: &str) -> Option<&'static InstructionRow> {
    INSTRUCTIONS
        .iter()
        .find(|row| row.name.eq_ignore_ascii_case(name))
}

/// Returns the name most like a mistyped one.
pub(crate) fn nearest<'name>(
    typed: &str,
    names: impl Iterator<Item = &'name str>,
) -> Option<&'name str> {
    /// More typing mistakes than this make another word.
    const MISTAKES_MAX: usize = 2;
    let mistakes = |name: &str| strsim::damerau_levenshtein(typed, name);
    let best = names.min_by_key(|name| mistakes(name))?;
    (mistakes(best) <= MISTAKES_MAX.min(best.len() / 2)).then_some(best)
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
            write_row(
                &mut page,
                &format!("{} --{}", row.name, flag.name),
                "",
                flag.support,
                flag.doc,
            );
        }
    }
    page
}

fn write_row(page: &mut String, name: &str, forms: &str, support: Support, doc: &str) {
    let support = match support {
        Support::Now => "yes",
        Support::NotYet => "not yet",
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
