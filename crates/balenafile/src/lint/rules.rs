//! The rules: what `minke build --check` looks for.
//!
//! Spec: Dockerfile reference, "Build checks"; BuildKit `frontend/dockerfile/linter/ruleset.go`. A user of Docker has
//! their names in `# check=skip=…`.

use super::{Reach, Rule};

const fn rule(name: &'static str, description: &'static str) -> Rule {
    Rule {
        name,
        description,
        reach: Reach::Build,
        is_experimental: false,
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $constant:ident = $rule:expr;)*) => {
        $($(#[$doc])* pub(crate) static $constant: Rule = $rule;)*

        /// Every rule, by name.
        pub static RULES: &[&Rule] = &[$(&$constant,)*];
    };
}

rules! {
    CONSISTENT_INSTRUCTION_CASING = rule(
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    );
    COPY_IGNORED_FILE = rule(
        "CopyIgnoredFile",
        "Attempting to Copy file that is excluded by .dockerignore",
    );
    DUPLICATE_STAGE_NAME = rule("DuplicateStageName", "Stage names should be unique");
    EXPOSE_INVALID_FORMAT = rule(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction",
    );
    EXPOSE_PROTO_CASING = rule(
        "ExposeProtoCasing",
        "Protocol in EXPOSE instruction should be lowercase",
    );
    FROM_AS_CASING = rule(
        "FromAsCasing",
        "The 'as' keyword should match the case of the 'from' keyword",
    );
    FROM_PLATFORM_FLAG_CONST_DISALLOWED = rule(
        "FromPlatformFlagConstDisallowed",
        "FROM --platform flag should not use a constant value",
    );
    INVALID_DEFAULT_ARG_IN_FROM = rule(
        "InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
    );
    INVALID_DEFINITION_DESCRIPTION = Rule {
        is_experimental: true,
        ..rule(
            "InvalidDefinitionDescription",
            "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`",
        )
    };
    // A simple command runs without a shell here, and so gets its signals in either form.
    JSON_ARGS_RECOMMENDED = Rule {
        reach: Reach::Check,
        ..rule(
            "JSONArgsRecommended",
            "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
        )
    };
    LEGACY_KEY_VALUE_FORMAT = rule(
        "LegacyKeyValueFormat",
        "Legacy key/value format with whitespace separator should not be used",
    );
    MAINTAINER_DEPRECATED = rule(
        "MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    );
    MULTIPLE_INSTRUCTIONS_DISALLOWED = rule(
        "MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
    );
    NO_EMPTY_CONTINUATION = rule(
        "NoEmptyContinuation",
        "Empty continuation lines will become errors in a future release",
    );
    REDUNDANT_TARGET_PLATFORM = rule(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    );
    RESERVED_STAGE_NAME = rule(
        "ReservedStageName",
        "Reserved words should not be used as stage names",
    );
    SECRETS_USED_IN_ARG_OR_ENV = rule(
        "SecretsUsedInArgOrEnv",
        "Sensitive data should not be used in the ARG or ENV commands",
    );
    STAGE_NAME_CASING = rule("StageNameCasing", "Stage names should be lowercase");
    UNDEFINED_ARG_IN_FROM = rule("UndefinedArgInFrom", "FROM command must use declared ARGs");
    UNDEFINED_VAR = rule("UndefinedVar", "Variables should be defined before their use");
    WORKDIR_RELATIVE_PATH = rule(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    );
}
