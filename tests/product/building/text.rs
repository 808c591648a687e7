//! The text of a file: directives, lines, variables.
//!
//! Spec: Dockerfile reference, "Parser directives", "Environment replacement", "Format".

use serde_json::json;

use super::context;
use crate::home::Home;

/// Builds a file's bytes as they are, which must work.
#[track_caller]
fn built(home: &Home, balenafile: impl AsRef<[u8]>) -> String {
    home.write("Balenafile", balenafile.as_ref());
    let ended = home.run(&["build", "-t", "made", "-f", "Balenafile", "context"]);
    let text = String::from_utf8_lossy(balenafile.as_ref());
    assert_eq!(ended.code, 0, "{text}: {ended:?}");
    ended.stderr
}

fn label(home: &Home, name: &str) -> String {
    let labels = &home.inspect("made")["Config"]["Labels"];
    labels[name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn lines_are_read_as_docker_reads_them() {
    let home = context(&[("a", "a")]);
    for text in [
        "FROM scratch\nLABEL a=\"b c\"\n",
        "from scratch\nlabel a=\"b c\"",
        "  FROM scratch\n\t LABEL   a=\"b c\"  \n",
        "FROM scratch\r\nLABEL a=\"b c\"\r\n",
        "\u{feff}FROM scratch\nLABEL a=\"b c\"\n",
        "# a comment\n\nFROM scratch\n # another\nLABEL a=\"b c\"\n",
        "FROM \\\n scratch\nLABEL \\\n# between\n\n  a=\"b \\\n# more\nc\"\n",
        "FROM scratch\nLABEL a=\"b c\" \\\n",
        "# syntax=docker/dockerfile:1\nFROM scratch\nLABEL a=\"b c\"\n",
        "#syntax = registry.invalid/none:9\n# escape=`\nFROM scratch\nLABEL a=\"b`\n c\"\n",
        "# escape=\\\nFROM scratch\nLABEL a=b\\ c\n",
        "# ESCAPE=`\nFROM scratch\nLABEL a=b` c\n",
        "# check=skip=all\nFROM scratch\nLABEL a=\"b c\"\n",
        // After a comment, an empty line or an instruction, a directive is a comment.
        "# comment\n# escape=`\nFROM scratch\nLABEL a=b\\ c\n",
        "\n# escape=`\nFROM scratch\nLABEL a=b\\ c\n",
        "# unknown=x\n# escape=`\nFROM scratch\nLABEL a=b\\ c\n",
        // `#` begins a comment at the beginning of a line only.
        "FROM scratch\nLABEL a=\"b c\" d=#e\n",
    ] {
        built(&home, text);
        assert_eq!(label(&home, "a"), "b c", "{text}");
    }
}

#[test]
fn a_repeated_directive_is_refused() {
    let home = context(&[]);
    home.write("Balenafile", "# escape=`\n# escape=`\nFROM scratch\n");
    let ended = home.run(&["build", "-f", "Balenafile", "context"]);
    ended.assert_fails(1, &["Balenafile:2:1", "escape", "hint: "]);
    home.assert_nothing_left();
}

#[test]
fn substitutions_are_those_of_the_reference() {
    let home = context(&[]);
    let rows = [
        // Set, empty and not set.
        ("${S:-w}", "s"),
        ("${E:-w}", "w"),
        ("${N:-w}", "w"),
        ("${S-w}", "s"),
        ("${E-w}", ""),
        ("${N-w}", "w"),
        ("${S:+w}", "w"),
        ("${E:+w}", ""),
        ("${N:+w}", ""),
        ("${S+w}", "w"),
        ("${E+w}", "w"),
        ("${N+w}", ""),
        ("${S:?w}", "s"),
        ("${E?w}", ""),
        ("${N:-${S}}", "s"),
        ("${N:-${N:-deep}}", "deep"),
        ("$S$S-$Sx.${S}x", "ss-.sx"),
        // Patterns, as the reference has them.
        ("${P#f*b}", "arbaz"),
        ("${P##f*b}", "az"),
        ("${P%b*}", "foobar"),
        ("${P%%b*}", "foo"),
        ("${P/ba/fo}", "fooforbaz"),
        ("${P//ba/fo}", "fooforfoz"),
        ("${P#x}", "foobarbaz"),
        ("${P%?az}", "foobar"),
        // Nothing else is special.
        ("${P/[a-b]/_}", "foobarbaz"),
        // Quotes and escapes.
        ("\\$S", "$S"),
        ("\\${S}", "${S}"),
        ("'$S'", "$S"),
        ("\"$S '$S'\"", "s 's'"),
        ("a\\ b", "a b"),
        ("\"a\\\"b\"", "a\"b"),
    ];
    let mut text = String::from("FROM scratch\nENV S=s E= P=foobarbaz\n");
    for (index, (word, _)) in rows.iter().enumerate() {
        text.push_str(&format!("LABEL l{index}={word}\n"));
    }
    built(&home, text);
    for (index, (word, expected)) in rows.iter().enumerate() {
        assert_eq!(label(&home, &format!("l{index}")), *expected, "{word}");
    }
}

#[test]
fn a_variable_that_must_be_set_ends_the_build_with_its_word() {
    let home = context(&[]);
    for (word, text) in [
        ("${N:?set N}", "variable `N` is not set: set N"),
        ("${N?}", "variable `N` is not set"),
        ("${E:?}", "`E`"),
    ] {
        home.write(
            "Balenafile",
            format!("FROM scratch\nENV E=\nLABEL a=\"{word}\"\n"),
        );
        let ended = home.run(&["build", "-t", "x", "-f", "Balenafile", "context"]);
        ended.assert_fails(1, &["Balenafile:3:9", text, "hint: "]);
        assert_eq!(home.ok(&["images", "-q"]), "");
        home.assert_nothing_left();
    }
}

#[test]
fn variables_are_replaced_where_the_reference_says_and_nowhere_else() {
    let home = context(&[("a", "a")]);
    built(
        &home,
        "ARG BASE=scratch\nARG GLOBAL=g\nFROM $BASE\nARG GLOBAL\nARG V=1\nENV A=$V\nLABEL l=$A$GLOBAL\nWORKDIR /w$V\nUSER $V\n\
         EXPOSE 8$V\nVOLUME /v$V\nSTOPSIGNAL $V\nCOPY a$NONE /c$V\nCMD [\"$V\"]\nHEALTHCHECK CMD [\"$V\"]\nSHELL [\"$V\"]\nMAINTAINER $V\nONBUILD LABEL o=$V\n",
    );
    let image = home.inspect("made");
    let config = &image["Config"];
    assert_eq!(config["Labels"], json!({"l": "1g"}));
    assert_eq!(config["WorkingDir"], json!("/w1"));
    assert_eq!(config["User"], json!("1"));
    assert_eq!(config["ExposedPorts"], json!({"81/tcp": {}}));
    assert_eq!(config["Volumes"], json!({"/v1": {}}));
    assert_eq!(config["StopSignal"], json!("1"));
    assert_eq!(config["Cmd"], json!(["$V"]));
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "$V"]));
    assert_eq!(config["Shell"], json!(["$V"]));
    assert_eq!(config["OnBuild"], json!(["LABEL o=$V"]));
    assert_eq!(image["Author"], json!("$V"));
}

#[test]
fn arguments_have_the_scope_of_their_stage() {
    let home = context(&[]);
    built(
        &home,
        "ARG G=global\nFROM scratch AS one\nARG A=1\nARG G\nLABEL one=$A$G\nFROM one AS two\nLABEL two=\"$A$G|$one\"\nFROM scratch\nARG G=own\nLABEL three=\"$A$G\"\n",
    );
    assert_eq!(label(&home, "three"), "own");
    home.ok(&[
        "build",
        "-q",
        "-t",
        "made",
        "--target",
        "two",
        "-f",
        "Balenafile",
        "context",
    ]);
    assert_eq!(
        (label(&home, "one"), label(&home, "two")),
        ("1global".into(), "1global|".into())
    );
}
