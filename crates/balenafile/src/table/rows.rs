//! The rows of the table.

use super::{FlagForm, FlagRow, InstructionRow, Support};
use crate::parse::{copy, healthcheck, onbuild, pairs, run, settings, stage};

const fn flag(name: &'static str, form: FlagForm, doc: &'static str) -> FlagRow {
    FlagRow {
        name,
        form,
        support: Support::Now,
        doc,
    }
}

const fn not_yet(row: FlagRow, instead: &'static str) -> FlagRow {
    FlagRow {
        support: Support::NotYet { instead },
        ..row
    }
}

/// Every instruction, by name.
pub const INSTRUCTIONS: &[InstructionRow] = &[
    InstructionRow {
        name: "ADD",
        forms: &[
            "ADD [FLAG...] SOURCE... DESTINATION",
            "ADD [FLAG...] [\"SOURCE\"..., \"DESTINATION\"]",
        ],
        flags: &[
            flag(
                "chown",
                FlagForm::Value,
                "Owner and group in the image, as names or numbers.",
            ),
            flag(
                "chmod",
                FlagForm::Value,
                "Permissions in the image: an octal number, or changes such as `u+x`.",
            ),
            flag(
                "link",
                FlagForm::Switch,
                "Makes a layer that does not depend on those below.",
            ),
            flag(
                "exclude",
                FlagForm::Values,
                "Leaves out what matches a pattern.",
            ),
            not_yet(
                flag(
                    "keep-git-dir",
                    FlagForm::Switch,
                    "Keeps `.git` of a git source.",
                ),
                "fetch it into the context before the build",
            ),
            not_yet(
                flag(
                    "checksum",
                    FlagForm::Value,
                    "The digest that what an address gives must have.",
                ),
                "fetch it into the context before the build",
            ),
            flag(
                "unpack",
                FlagForm::Switch,
                "Whether archives are unpacked, wherever they are from.",
            ),
        ],
        support: Support::Partly {
            what: "files of the context and of the file itself; addresses are refused",
        },
        doc: "Adds files of the context, of addresses or of the file itself; unpacks archives.",
        parse: copy::add,
    },
    InstructionRow {
        name: "ARG",
        forms: &["ARG NAME[=DEFAULT]..."],
        flags: &[],
        support: Support::Now,
        doc: "Declares variables that `--build-arg` sets and the instructions below see.",
        parse: stage::arg,
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
        parse: run::cmd,
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
                FlagForm::Value,
                "Owner and group in the image, as names or numbers.",
            ),
            flag(
                "chmod",
                FlagForm::Value,
                "Permissions in the image: an octal number, or changes such as `u+x`.",
            ),
            flag(
                "from",
                FlagForm::Value,
                "Takes the files from a stage or an image.",
            ),
            flag(
                "link",
                FlagForm::Switch,
                "Makes a layer that does not depend on those below.",
            ),
            flag(
                "parents",
                FlagForm::Switch,
                "Keeps the directories of each source.",
            ),
            flag(
                "exclude",
                FlagForm::Values,
                "Leaves out what matches a pattern.",
            ),
        ],
        support: Support::Now,
        doc: "Copies files of the context, of a stage or of the file itself into the image.",
        parse: copy::copy,
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
        parse: run::entrypoint,
    },
    InstructionRow {
        name: "ENV",
        forms: &["ENV NAME=VALUE...", "ENV NAME VALUE"],
        flags: &[],
        support: Support::Now,
        doc: "Sets variables for the container and the instructions below.",
        parse: pairs::env,
    },
    InstructionRow {
        name: "EXPOSE",
        forms: &["EXPOSE PORT[-PORT][/PROTOCOL]..."],
        flags: &[],
        support: Support::Now,
        doc: "Says on which ports the container listens.",
        parse: settings::expose,
    },
    InstructionRow {
        name: "FROM",
        forms: &["FROM [FLAG...] IMAGE [AS NAME]", "FROM scratch"],
        flags: &[flag(
            "platform",
            FlagForm::Value,
            "The platform of the image; its architecture must be `wasm`.",
        )],
        support: Support::Now,
        doc: "Begins a stage, on an image, on an earlier stage or on `scratch`, the empty image.",
        parse: stage::from,
    },
    InstructionRow {
        name: "HEALTHCHECK",
        forms: &["HEALTHCHECK [FLAG...] CMD COMMAND", "HEALTHCHECK NONE"],
        flags: &[
            flag("interval", FlagForm::Value, "Time between two checks."),
            flag(
                "timeout",
                FlagForm::Value,
                "Time after which a check has failed.",
            ),
            flag(
                "start-period",
                FlagForm::Value,
                "Time in which failures do not count.",
            ),
            flag(
                "start-interval",
                FlagForm::Value,
                "Time between two checks in the start period.",
            ),
            flag(
                "retries",
                FlagForm::Value,
                "Failures in a row that make a container unhealthy.",
            ),
        ],
        support: Support::Partly {
            what: "kept in the image and shown; containers are not checked",
        },
        doc: "Sets how a container is found to be well.",
        parse: healthcheck::healthcheck,
    },
    InstructionRow {
        name: "LABEL",
        forms: &["LABEL NAME=VALUE...", "LABEL NAME VALUE"],
        flags: &[],
        support: Support::Now,
        doc: "Adds text for people and tools to the image.",
        parse: pairs::label,
    },
    InstructionRow {
        name: "MAINTAINER",
        forms: &["MAINTAINER NAME"],
        flags: &[],
        support: Support::Now,
        doc: "Names the image's author.",
        parse: settings::maintainer,
    },
    InstructionRow {
        name: "ONBUILD",
        forms: &["ONBUILD INSTRUCTION"],
        flags: &[],
        support: Support::Now,
        doc: "Leaves an instruction for builds on this image.",
        parse: onbuild::onbuild,
    },
    InstructionRow {
        name: "RUN",
        forms: &[
            "RUN [FLAG...] [\"PROGRAM\", \"ARGUMENT\"...]",
            "RUN [FLAG...] COMMAND",
        ],
        flags: &[
            flag(
                "mount",
                FlagForm::Values,
                "Shows the command files, a cache, a secret or an agent.",
            ),
            flag("network", FlagForm::Value, "`default`, `none` or `host`."),
            flag(
                "security",
                FlagForm::Value,
                "`sandbox`; `insecure` is refused.",
            ),
        ],
        support: Support::Now,
        doc: "Runs a program of the image and keeps the files that it changes.",
        parse: run::run,
    },
    InstructionRow {
        name: "SHELL",
        forms: &["SHELL [\"PROGRAM\", \"ARGUMENT\"...]"],
        flags: &[],
        support: Support::Now,
        doc: "Names the program that reads commands in the shell form.",
        parse: run::shell,
    },
    InstructionRow {
        name: "STOPSIGNAL",
        forms: &["STOPSIGNAL SIGNAL"],
        flags: &[],
        support: Support::Now,
        doc: "Sets the signal that stops a container.",
        parse: settings::stopsignal,
    },
    InstructionRow {
        name: "USER",
        forms: &["USER USER[:GROUP]"],
        flags: &[],
        support: Support::Now,
        doc: "Sets as whom the container runs, by name or number.",
        parse: settings::user,
    },
    InstructionRow {
        name: "VOLUME",
        forms: &["VOLUME PATH...", "VOLUME [\"PATH\"...]"],
        flags: &[],
        support: Support::Now,
        doc: "Names directories whose files outlive the container.",
        parse: settings::volume,
    },
    InstructionRow {
        name: "WORKDIR",
        forms: &["WORKDIR DIRECTORY"],
        flags: &[],
        support: Support::Now,
        doc: "Sets the directory in which the container and the instructions below work, and makes it.",
        parse: settings::workdir,
    },
];
