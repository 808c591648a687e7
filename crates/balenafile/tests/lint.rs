//! The rules, each with what breaks it and what does not.

use minke_balenafile::{Balenafile, BaseFacts, Facts, IgnoreFile, LintOptions, RULES, Source};

/// Returns `RULE line:column message` for each finding. The base image has `BASE_ENV` and no shell, the ignore file has
/// `*.log`, and `--build-arg GIVEN=1` is given.
fn lint_with(text: &str, base: Option<&BaseFacts>) -> Vec<String> {
    let file = Balenafile::parse("Balenafile", text.as_bytes()).expect("the file is valid");
    let graph = file.graph(&mut |_| Some("base".into())).expect("no cycle");
    let ignore = Source::new(".dockerignore", b"*.log\n").expect("it is a text");
    let ignore = IgnoreFile::parse(&ignore).expect("the pattern is valid");
    let facts = Facts {
        base: &|_| base.cloned(),
        arguments: &|name| (name == "GIVEN").then(|| "1".to_owned()),
        ignore: Some(&ignore),
    };
    let mut found = file.warnings.clone();
    found.extend(file.review(&graph, &facts));
    let line = |finding: &minke_balenafile::Diagnostic| {
        let rule = finding.rule.expect("a rule found it").name;
        assert!(finding.hint.is_some(), "{rule} has no hint");
        format!(
            "{rule} {}:{} {}",
            finding.line, finding.column, finding.message
        )
    };
    found.iter().map(line).collect()
}

fn lint(text: &str) -> Vec<String> {
    let variables = vec![("BASE_ENV".to_owned(), "x".to_owned())];
    lint_with(
        text,
        Some(&BaseFacts {
            variables,
            has_shell: false,
        }),
    )
}

/// A rule, files that break it with what is said of them, and files that do not.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (
        "ConsistentInstructionCasing",
        &[
            (
                "FROM scratch\nUSER a\nuser b",
                "3:1 Command 'user' should match the case of the command majority (uppercase)",
            ),
            (
                "from scratch\nuser a\nUser b",
                "3:1 Command 'User' should match the case of the command majority (lowercase)",
            ),
        ],
        &["from scratch\nuser a", "arg A\nFROM scratch\nUSER a"],
    ),
    (
        "CopyIgnoredFile",
        &[
            (
                "FROM scratch\nCOPY a.log b /c/",
                "2:6 Attempting to Copy file \"a.log\" that is excluded by .dockerignore",
            ),
            (
                "FROM scratch\nENV A=a\nADD ./$A.log /c",
                "3:5 Attempting to Add file \"a.log\" that is excluded by .dockerignore",
            ),
        ],
        &[
            "FROM scratch AS a\nFROM scratch\nCOPY --from=a a.log /",
            "FROM scratch\nCOPY . /",
        ],
    ),
    (
        "DuplicateStageName",
        &[(
            "FROM scratch AS a\nFROM scratch AS A",
            "2:1 Duplicate stage name \"a\", stage names should be unique",
        )],
        &["FROM scratch AS a\nFROM scratch AS b"],
    ),
    (
        "ExposeInvalidFormat",
        &[(
            "FROM scratch\nEXPOSE 80:8080",
            "2:8 EXPOSE instruction should not define an IP address or host-port mapping, found '80:8080'",
        )],
        &["FROM scratch\nEXPOSE 80"],
    ),
    (
        "ExposeProtoCasing",
        &[(
            "FROM scratch\nENV P=80/UDP\nEXPOSE $P",
            "3:8 Defined protocol '80/UDP' in EXPOSE instruction should be lowercase",
        )],
        &["FROM scratch\nEXPOSE 80/udp 81"],
    ),
    (
        "FromAsCasing",
        &[
            (
                "FROM scratch as a",
                "1:14 'as' and 'FROM' keywords' casing do not match",
            ),
            (
                "from --platform=$BUILDPLATFORM scratch AS a",
                "1:40 'AS' and 'from' keywords' casing do not match",
            ),
        ],
        &[
            "from scratch as a",
            "FROM scratch AS a",
            "From scratch as a",
        ],
    ),
    (
        "FromPlatformFlagConstDisallowed",
        &[(
            "FROM --platform=wasi/wasm a",
            "1:17 FROM --platform flag should not use constant value \"wasi/wasm\"",
        )],
        &[
            "FROM --platform=wasi/wasm a AS for_wasm",
            "FROM --platform=$BUILDPLATFORM a",
        ],
    ),
    (
        "InvalidDefaultArgInFrom",
        &[
            (
                "ARG TAG\nFROM a:${TAG}",
                "2:6 Default value for ARG a:${TAG} results in empty or invalid base image name",
            ),
            (
                "ARG GIVEN\nFROM $GIVEN",
                "2:6 Default value for ARG $GIVEN results in empty or invalid base image name",
            ),
        ],
        &[
            "ARG TAG=1\nFROM a:${TAG}",
            "FROM BalenaOS/python",
            "FROM localhost:5000/a/b_c:1@sha256:0123456789abcdef0123456789abcdef",
        ],
    ),
    (
        "InvalidDefinitionDescription",
        &[
            (
                "# check=experimental=all\n# b The base.\nFROM scratch AS a",
                "3:1 Comment for FROM should follow the format: `# a <description>`",
            ),
            (
                "# check=experimental=InvalidDefinitionDescription\n# x\nARG A=1\nFROM scratch",
                "3:5 Comment for ARG should follow the format: `# A <description>`",
            ),
            (
                "# check=experimental=all\nFROM scratch\n# x\nARG A B",
                "4:5 Comment for ARG should follow the format: `# <arg_key> <description>`",
            ),
        ],
        &[
            "# b The base.\nFROM scratch AS a",
            "# check=experimental=all\n# a The base.\nFROM scratch AS a",
            "# check=experimental=all\n# b\n#\nFROM scratch AS a",
        ],
    ),
    (
        "JSONArgsRecommended",
        &[(
            "FROM a\nCMD b c",
            "2:1 JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        )],
        &[
            "FROM a\nCMD [\"b\"]",
            "FROM a\nSHELL [\"sh\", \"-c\"]\nENTRYPOINT b",
        ],
    ),
    (
        "LegacyKeyValueFormat",
        &[(
            "FROM scratch\nENV A b",
            "2:1 \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
        )],
        &["FROM scratch\nENV A=b\nLABEL c=d"],
    ),
    (
        "MaintainerDeprecated",
        &[(
            "FROM scratch\nMAINTAINER a",
            "2:1 Maintainer instruction is deprecated in favor of using label",
        )],
        &["FROM scratch\nLABEL org.opencontainers.image.authors=a"],
    ),
    (
        "MultipleInstructionsDisallowed",
        &[
            (
                "FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]",
                "2:1 Multiple CMD instructions should not be used in the same stage because only the last one will be used",
            ),
            (
                "FROM scratch\nHEALTHCHECK NONE\nHEALTHCHECK CMD a",
                "2:1 Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used",
            ),
        ],
        &[
            "FROM scratch\nCMD [\"a\"]\nFROM scratch\nCMD [\"b\"]",
            "FROM scratch\nUSER a\nUSER b",
        ],
    ),
    (
        "NoEmptyContinuation",
        &[(
            "FROM scratch\nENV A=1 \\\n\n\n  B=2",
            "3:1 Empty continuation line",
        )],
        &["FROM scratch\nENV A=1 \\\n  # why\n  B=2"],
    ),
    (
        "RedundantTargetPlatform",
        &[(
            "FROM --platform=${TARGETPLATFORM} a",
            "1:17 Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior",
        )],
        &[
            "FROM --platform=$TARGETPLATFORM/x a",
            "FROM --platform=$BUILDPLATFORM a",
        ],
    ),
    (
        "ReservedStageName",
        &[(
            "FROM scratch AS context",
            "1:1 Stage name should not use the same name as reserved stage \"context\"",
        )],
        &["FROM scratch AS contexts"],
    ),
    (
        "SecretsUsedInArgOrEnv",
        &[
            (
                "FROM scratch\nARG API_TOKEN",
                "2:5 Do not use ARG or ENV instructions for sensitive data (ARG \"API_TOKEN\")",
            ),
            (
                "FROM scratch\nENV password=x",
                "2:5 Do not use ARG or ENV instructions for sensitive data (ENV \"password\")",
            ),
        ],
        &["FROM scratch\nENV TOKEN_FILE=a TOKENS=b PUBLIC_KEY=c KEYBOARD=d"],
    ),
    (
        "StageNameCasing",
        &[(
            "FROM scratch AS Base",
            "1:17 Stage name 'Base' should be lowercase",
        )],
        &["FROM scratch AS base"],
    ),
    (
        "UndefinedArgInFrom",
        &[
            (
                "ARG VERSION=1\nFROM a:${VERSIN:-2}",
                "2:6 FROM argument 'VERSIN' is not declared (did you mean VERSION?)",
            ),
            (
                "FROM --platform=$NONE a",
                "1:17 FROM argument 'NONE' is not declared",
            ),
        ],
        &["ARG VERSION=1\nFROM --platform=$BUILDPLATFORM a:$VERSION-$TARGETARCH$TARGETSTAGE"],
    ),
    (
        "UndefinedVar",
        &[
            (
                "FROM scratch\nENV COLOR=red\nWORKDIR /$COLOUR",
                "3:9 Usage of undefined variable '$COLOUR' (did you mean $COLOR?)",
            ),
            (
                "ARG GLOBAL=1\nFROM scratch\nUSER $GLOBAL",
                "3:6 Usage of undefined variable '$GLOBAL'",
            ),
            (
                "FROM scratch\nENV AAAA=1 B=$AAAA",
                "2:14 Usage of undefined variable '$AAAA'",
            ),
            (
                "FROM scratch\nCOPY <<E /\n$NOTHING\nE",
                "3:1 Usage of undefined variable '$NOTHING'",
            ),
            (
                "FROM scratch\nARG A=${NOTHING:-1}",
                "2:7 Usage of undefined variable '$NOTHING'",
            ),
            (
                "FROM scratch\nRUN --mount=type=cache,target=/$NOTHING a",
                "2:24 Usage of undefined variable '$NOTHING'",
            ),
        ],
        &[
            "ARG GLOBAL=1\nFROM scratch\nARG GLOBAL TARGETOS\nUSER $GLOBAL$TARGETOS$PATH",
            "FROM a\nUSER $BASE_ENV",
            "FROM scratch AS a\nENV A=1\nARG B\nFROM a\nUSER $A$B",
            "FROM scratch\nRUN echo $NOTHING",
            "FROM scratch\nCOPY <<\"E\" /\n$NOTHING\nE",
            "FROM scratch\nARG A=1 B=$A",
        ],
    ),
    (
        "WorkdirRelativePath",
        &[(
            "FROM a\nENV W=app\nWORKDIR $W",
            "3:9 Relative workdir \"app\" can have unexpected results if the base image changes",
        )],
        &[
            "FROM a\nWORKDIR /a\nWORKDIR b",
            "FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b",
        ],
    ),
];

#[test]
fn every_rule_has_cases() {
    let cases: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(cases, rules);
}

#[test]
fn every_rule_finds_what_breaks_it_and_nothing_else() {
    for (name, broken, kept) in CASES {
        for (text, expected) in *broken {
            let found = lint(text);
            let expected = format!("{name} {expected}");
            assert!(
                found.contains(&expected),
                "{text:?}: {found:#?} has no {expected:?}"
            );
        }
        for text in *kept {
            let found = lint(text);
            let is_other = |line: &String| !line.starts_with(&format!("{name} "));
            assert!(found.iter().all(is_other), "{text:?}: {found:#?}");
        }
    }
}

#[test]
fn every_rule_can_be_skipped() {
    let rules = RULES
        .iter()
        .zip(CASES)
        .filter(|(rule, _)| !rule.is_experimental);
    for (rule, (name, broken, _)) in rules {
        let (text, _) = broken[0];
        for skip in [
            *name,
            "all",
            &format!("FromAsCasing, {name}").replace(' ', ""),
        ] {
            let found = lint(&format!("# check=skip={skip}\n{text}"));
            assert!(
                !found.iter().any(|line| line.starts_with(rule.name)),
                "{name}: {found:#?}"
            );
        }
    }
}

#[test]
fn a_comment_above_an_instruction_skips_for_that_one() {
    let found = lint("FROM scratch\n# check=skip=LegacyKeyValueFormat why\nENV A b\nENV C d\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("LegacyKeyValueFormat 4:1"));
}

#[test]
fn nothing_is_undefined_on_a_base_that_nobody_knows() {
    assert_eq!(
        lint_with("FROM a\nUSER $X\nCMD a", None),
        Vec::<String>::new()
    );
}

#[test]
fn an_ignore_file_with_exceptions_decides_nothing() {
    let file = Balenafile::parse("Balenafile", b"FROM scratch\nCOPY a /").expect("it is valid");
    let graph = file.graph(&mut |_| None).expect("no cycle");
    let ignore = Source::new(".dockerignore", b"*\n!a\n").expect("it is a text");
    let ignore = IgnoreFile::parse(&ignore).expect("the patterns are valid");
    let facts = Facts {
        base: &|_| None,
        arguments: &|_| None,
        ignore: Some(&ignore),
    };
    assert_eq!(file.review(&graph, &facts), []);
}

#[test]
fn findings_are_bounded() {
    let text = format!("FROM scratch\n{}", "ENV A b\n".repeat(900));
    assert_eq!(lint(&text).len(), 100);
}

#[test]
fn other_options_take_the_place_of_the_files() {
    let text = b"# check=skip=all;error=true\nFROM scratch AS A\n";
    let parse = |options| Balenafile::parse_with_lint("Balenafile", text, options);
    assert_eq!(parse(None).expect("it is valid").warnings, []);
    let file = parse(Some(LintOptions::default())).expect("it is valid");
    assert_eq!(file.warnings.len(), 1);
    assert!(!file.lint.is_error);
}

#[test]
fn options_are_read() {
    let options = LintOptions::parse(" skip=A, B ; error=TRUE;experimental=all").expect("valid");
    assert!(options.is_error);
    for text in ["x", "x=y", "error=maybe", "skip=A;;"] {
        assert!(LintOptions::parse(text).is_err(), "{text}");
    }
    let complaint = |text: &str| {
        Balenafile::parse("Balenafile", text.as_bytes())
            .expect_err("it is wrong")
            .to_string()
    };
    insta::assert_snapshot!(complaint("# check=skpi=A\nFROM scratch\n"), @r"
    Balenafile:1:1: `check` has no option `skpi`
     1 | # check=skpi=A
       | ^^^^^^^^^^^^^^
    ");
}
