//! Text in, text out: what files mean, and what is said about those that mean nothing.

mod plan;

use minke_balenafile::{Balenafile, BaseFacts, Facts, Instruction, Span, Step};
use proptest::prelude::*;

use crate::plan::{describe, plan};

#[test]
fn the_file_that_the_project_began_with_is_understood() {
    insta::assert_snapshot!(plan("FROM BalenaOS/python\n\nCOPY src .\n\nEXPOSE 3000\n\nCMD python server.py -p 3000\n"), @r#"
    FROM ‹BalenaOS/python› as None
    COPY ‹src› -> ‹.›
    EXPOSE ‹3000›
    CMD shell "python server.py -p 3000" = ["python", "server.py", "-p", "3000"]
    "#);
}

#[test]
fn every_instruction_is_read() {
    let text = r#"# escape=\
# A comment
ARG BASE=scratch OTHER
from $BASE as Server
arg A B="b c"
ENV K=v "QUOTED NAME"="two words" ESC=a\ b
ENV OLD form with  spaces $V
LABEL a.b=c d="e f"
COPY --chown=1000:${V} --chmod=644 a "b" ${V}/*.c /dst/
COPY ["with space", "$V", "/d d/"]
COPY [ab]* /
WORKDIR /a b/$V
USER ${V:-nobody}
EXPOSE 3000 53/udp $V
ENTRYPOINT ["server", "-v"]
CMD exec server 'a b'
"#;
    insta::assert_snapshot!(plan(text), @r#"
    global BASE‹scratch›
    global OTHER
    FROM ‹› as Some("server")
    ARG A, B‹b c›
    ENV ‹K›=‹v›, ‹QUOTED NAME›=‹two words›, ‹ESC›=‹a b›
    ENV ‹OLD›=‹form with  spaces value›
    LABEL ‹a.b›=‹c›, ‹d›=‹e f›
    COPY ‹a› ‹b› ‹value/*.c› -> ‹/dst/› chown=‹1000:value› chmod=‹644›
    COPY ‹with space› ‹value› -> ‹/d d/›
    COPY ‹[ab]*› -> ‹/›
    WORKDIR ‹/a b/value›
    USER ‹value›
    EXPOSE ‹3000› ‹53/udp› ‹value›
    ENTRYPOINT exec ["server", "-v"]
    CMD shell "exec server 'a b'" = ["server", "a b"]
    warning: Balenafile:4:1: Command 'from' should match the case of the command majority (uppercase)
     4 | from $BASE as Server
       | ^^^^
    warning: Balenafile:4:15: Stage name 'Server' should be lowercase
     4 | from $BASE as Server
       |               ^^^^^^
    warning: Balenafile:5:1: Command 'arg' should match the case of the command majority (uppercase)
     5 | arg A B="b c"
       | ^^^
    "#);
}

#[test]
fn variables_have_dockers_forms() {
    let text = "FROM scratch\nENV A=${V:-d} B=${EMPTY:-d} C=${EMPTY-d} D=${NONE-d} E=${V:+alt} F=${NONE:+alt} \
        G=\"$V\" H='$V' I=\\$V J=$V.x K=${NONE:-${V}-${NONE:-n}} L=$ M=\"\\x\\\"\" N=${NONE:?why} O=$1\n";
    insta::assert_snapshot!(plan(text).replace(", ", "\n"), @r#"
    FROM ‹scratch› as None
    ENV ‹A›=‹value›
    ‹B›=‹d›
    ‹C›=‹›
    ‹D›=‹d›
    ‹E›=‹alt›
    ‹F›=‹›
    ‹G›=‹value›
    ‹H›=‹$V›
    ‹I›=‹$V›
    ‹J›=‹value.x›
    ‹K›=‹value-n›
    ‹L›=‹$›
    ‹M›=‹\x"›
    ‹N›=error: variable `NONE` is not set: why
    ‹O›=‹›
    "#);
}

#[test]
fn lines_are_joined_over_comments_and_empty_lines() {
    let text = "\u{feff}FROM scratch\r\nENV A=1 \\\r\n    # a comment inside\r\n\r\n\r\n  B=2\\\r\nX\r\nCMD a \\\\\r\n";
    insta::assert_snapshot!(plan(text), @r#"
    FROM ‹scratch› as None
    ENV ‹A›=‹1›, ‹B›=‹2X›
    CMD shell "a \\\\" = ["a", "\\"]
    warning: Balenafile:4:1: Empty continuation line
    "#);
}

#[test]
fn another_escape_character_leaves_backslashes_alone() {
    insta::assert_snapshot!(plan("# escape=`\n# syntax=docker/dockerfile:1\nFROM scratch\nENV A=c:\\x `\n B=`$V\n"), @r"
    FROM ‹scratch› as None
    ENV ‹A›=‹c:\x›, ‹B›=‹$V›
    ");
}

macro_rules! complaints {
    ($($name:ident: $text:expr, @$snapshot:literal;)*) => {
        $(#[test] fn $name() { insta::assert_snapshot!(plan($text), @$snapshot); })*
    };
}

complaints! {
    an_empty_file_is_refused: "# nothing\n\n", @r"
    Balenafile:1:1: the file has no instructions
     1 | # nothing
       | ^
     hint: begin with `FROM scratch` or `FROM IMAGE`
    ";
    a_file_without_from_is_refused: "ARG A\n", @r"
    Balenafile:1:1: there is no `FROM`
     1 | ARG A
       | ^
     hint: begin with `FROM scratch` or `FROM IMAGE`
    ";
    an_instruction_before_from_is_refused: "ARG A\nCOPY a b\nFROM scratch", @r"
    Balenafile:2:1: `COPY` stands before `FROM`
     2 | COPY a b
       | ^^^^
     hint: begin with `FROM scratch` or `FROM IMAGE`; only `ARG` may come before
    ";
    an_unknown_instruction_names_the_nearest: "FROM scratch\n  COPPY a /b\n", @r"
    Balenafile:2:3: unknown instruction `COPPY`
     2 |   COPPY a /b
       |   ^^^^^
     hint: did you mean `COPY`?
    ";
    an_unknown_instruction_like_no_other_has_a_hint: "FROM scratch\nENV A=1\n\tB=2\n", @r"
    Balenafile:3:2: unknown instruction `B=2`
     3 |  B=2
       |  ^^^
     hint: begin the line with an instruction, such as `COPY`, or end the one before in `\`
    ";
    an_unknown_flag_names_the_nearest: "FROM scratch\nCOPY --chwon=1 x /y\n", @r"
    Balenafile:2:6: `COPY` has no flag `--chwon`
     2 | COPY --chwon=1 x /y
       |      ^^^^^^^^^
     hint: did you mean `--chown`?
    ";
    a_flag_without_value_is_refused: "FROM scratch\nCOPY --chown= x /y\n", @r"
    Balenafile:2:6: `--chown` needs a value
     2 | COPY --chown= x /y
       |      ^^^^^^^^
     hint: write `--chown=VALUE`
    ";
    a_missing_destination_is_refused: "FROM scratch\nCOPY src\n", @r#"
    Balenafile:2:6: `COPY` needs more than this
     2 | COPY src
       |      ^^^
     hint: write `COPY [FLAG...] SOURCE... DESTINATION` or `COPY [FLAG...] ["SOURCE"..., "DESTINATION"]`
    "#;
    an_instruction_without_arguments_is_refused: "FROM scratch\nENV\n", @r"
    Balenafile:2:1: `ENV` needs more than this
     2 | ENV
       | ^^^
     hint: write `ENV NAME=VALUE...` or `ENV NAME VALUE`
    ";
    an_open_quote_is_refused: "FROM scratch\nENV A=\"b\n", @r#"
    Balenafile:2:7: a " quote is not closed
     2 | ENV A="b
       |       ^^
     hint: close it, or write `\"` for the character itself
    "#;
    a_pair_without_value_is_refused: "FROM scratch\nENV A=b c\n", @r"
    Balenafile:2:9: `c` has no `=`
     2 | ENV A=b c
       |         ^
     hint: put values with spaces in double quotes: `ENV NAME=VALUE...`
    ";
    an_open_variable_is_refused: "FROM scratch\nWORKDIR /${A\n", @r"
    Balenafile:2:9: a `${` is not closed
     2 | WORKDIR /${A
       |         ^^^^
     hint: close it with `}`, or write `\$` for a dollar sign
    ";
    a_wrong_escape_is_refused: "# escape=x\nFROM scratch\n", @r"
    Balenafile:1:1: `x` cannot be the escape character
     1 | # escape=x
       | ^^^^^^^^^^
     hint: write # escape=` or # escape=\
    ";
    a_directive_given_twice_is_refused: "# escape=`\n# escape=`\nFROM scratch\n", @r"
    Balenafile:2:1: directive `escape` is given twice
     2 | # escape=`
       | ^^^^^^^^^^
     hint: remove one of them
    ";
    a_wrong_stage_name_is_refused: "FROM scratch AS 1a\n", @r"
    Balenafile:1:17: `1a` cannot name a stage
     1 | FROM scratch AS 1a
       |                 ^^
     hint: begin with a letter, and use letters, digits, `-`, `_` and `.`
    ";
}

#[test]
fn binary_files_are_refused_with_their_place() {
    let complaint = |bytes: &[u8]| {
        Balenafile::parse("Balenafile", bytes)
            .expect_err("it is binary")
            .to_string()
    };
    insta::assert_snapshot!(complaint(b"FROM scratch\n\x00asm"), @r"
    Balenafile:2:1: the file is binary: this byte cannot be part of a text
     2 |  asm
       | ^
    ");
    insta::assert_snapshot!(complaint(b"\x7fELF\xff"), @r"
    Balenafile:1:5: the file is binary: this byte cannot be part of a text
     1 |  ELF
       |     ^
    ");
}

#[test]
fn sizes_are_bounded() {
    let complaint = |text: String| {
        Balenafile::parse("Balenafile", text.as_bytes())
            .expect_err("it is too large")
            .to_string()
    };
    insta::assert_snapshot!(complaint("#".repeat(2 << 20)), @"Balenafile:1:1: the file has more than 1048576 bytes");
    insta::assert_snapshot!(complaint(format!("FROM scratch\nENV A={}", "a".repeat(70_000))), @r"
    Balenafile:2:1: the instruction has more than 65536 bytes
     2 | ENV A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
       | ^
    ");
    insta::assert_snapshot!(complaint(format!("FROM scratch\n{}", "ENV A=1\n".repeat(1001))), @r"
    Balenafile:1001:1: more than 1000 instructions
     1001 | ENV A=1
          | ^
    ");
    insta::assert_snapshot!(complaint(format!("FROM scratch\nENV A={}b{}", "${a:-".repeat(20), "}".repeat(20))), @r"
    Balenafile:2:7: more than 16 variables inside each other
     2 | ENV A=${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn an_expansion_is_bounded() {
    let file = Balenafile::parse("Balenafile", b"FROM scratch\nWORKDIR $A$A").expect("it is valid");
    let Instruction::Workdir(word) = &file.stages[0].steps[0].instruction else {
        panic!("it is a WORKDIR")
    };
    let long = "a".repeat(minke_balenafile::EXPANSION_BYTES_MAX / 2 + 1);
    assert!(word.expand(&mut |_| Some(long.clone())).is_err());
}

/// Checks that everything of a file points into it.
fn check_spans(file: &Balenafile) {
    let text = file.source.text();
    let check = |span: Span| {
        assert!(
            span.start <= span.end && span.end <= text.len(),
            "{span:?} of {text:?}"
        );
        assert!(
            text.is_char_boundary(span.start) && text.is_char_boundary(span.end),
            "{span:?} of {text:?}"
        );
    };
    for stage in &file.stages {
        check(stage.span);
        check(stage.from.image.span);
        for step in &stage.steps {
            check(step.span);
            let words = step.instruction.expanded_words().into_iter();
            words.for_each(|word| check(word.span));
            step.origins().into_iter().for_each(|from| check(from.span));
        }
    }
}

/// Reads a text as a file and does all that can be done with it.
fn exercise(text: &[u8]) {
    let Ok(file) = Balenafile::parse("Balenafile", text) else {
        return;
    };
    check_spans(&file);
    let facts = Facts {
        base: &|_| Some(BaseFacts::default()),
        arguments: &|_| None,
        ignore: None,
    };
    if let Ok(graph) = file.graph(&mut |_| None) {
        for finding in file.review(&graph, &facts) {
            assert!(finding.line <= text.len() + 1, "{finding}");
        }
    }
    for step in file.stages.iter().flat_map(|stage| &stage.steps) {
        let shown = describe(&step.instruction, &mut |word| {
            word.expand(&mut |_| None).unwrap_or_default()
        });
        assert!(!shown.is_empty());
        if let Instruction::Onbuild(onbuild) = &step.instruction {
            let _ = Step::parse_trigger(&onbuild.text);
        }
    }
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        exercise(format!("FROM scratch\n{text}").as_bytes());
    }

    #[test]
    fn no_instruction_makes_it_panic(
        name in "ENV|LABEL|COPY|ADD|ARG|CMD|ENTRYPOINT|EXPOSE|WORKDIR|USER|FROM|RUN|VOLUME|SHELL|STOPSIGNAL|MAINTAINER|ONBUILD RUN|ONBUILD COPY|HEALTHCHECK|HEALTHCHECK CMD",
        text in r#"[ a=\[\],"'$\{\}:+?\\`#é%/<\n\t-]{0,60}"#,
    ) {
        exercise(format!("FROM scratch\n{name} {text}").as_bytes());
    }

    #[test]
    fn no_flag_makes_it_panic(
        name in "COPY|ADD|RUN|HEALTHCHECK|FROM",
        flag in "from|chown|chmod|link|parents|exclude|checksum|unpack|keep-git-dir|mount|network|security|interval|retries|platform",
        value in r#"[a=,"'$\{\}0-9:é\\ ]{0,20}|type=(bind|cache|tmpfs|secret|ssh)(,(target|source|id|size|mode|from|ro|env)(=[$a/0-9m"]{0,4})?){0,3}"#,
        rest in r#"a b|CMD a|<<A /\nA|<<-A <<"B" /\n\t\$x\n\tA\nB"#,
    ) {
        exercise(format!("FROM scratch\n{name} --{flag}={value} {rest}").as_bytes());
    }

    #[test]
    fn lines_and_directives_make_it_never_panic(
        directives in "(# ?(escape|check|syntax) ?= ?[`\\\\a-z=;,]{0,12}\r?\n){0,3}",
        lines in r#"((#.{0,5}|FROM a AS [a-c]|COPY --from=[a-d0-3] a b|RUN <<[-A"]{1,3}|A|\tA|ENV A=\\|ENV A=`|[ \t\\]{0,3})\r?\n){0,20}"#,
    ) {
        exercise(format!("{directives}{lines}").as_bytes());
    }
}

#[test]
fn what_a_file_costs_is_bounded() {
    // Each is worst for something: comparing names, cloning texts, looking for words.
    let long = "a".repeat(60_000);
    let names: String = (0..60_000).map(|index| format!("$N{index} ")).collect();
    let heredocs = "<<A ".repeat(10_000);
    for text in [
        format!("FROM scratch\nENV {long}=1\nUSER ${long}b\n"),
        format!("FROM scratch\nENV A=1\nCOPY <<E /\n{names}\nE\n"),
        format!(
            "FROM scratch\nCOPY {heredocs} /\n{}{}\nA\n",
            "A\n".repeat(9_999),
            "x".repeat(500_000)
        ),
        format!("FROM scratch\n{}", "#\n".repeat(500_000)),
        format!("FROM scratch\nRUN a {}\n", "\\\n".repeat(500_000)),
    ] {
        exercise(text.as_bytes());
    }
}
