//! Commands against the real shell: what is accepted has the words that `sh` would find.

use std::process::{self, Stdio};

use minke_balenafile::{Balenafile, Command, Instruction};
use proptest::prelude::*;

/// Returns the words of a `CMD` in its shell form, if it is accepted.
fn words(text: &str) -> Option<Vec<String>> {
    let file =
        Balenafile::parse("Balenafile", format!("FROM scratch\nCMD {text}").as_bytes()).ok()?;
    match &file.stages[0].steps[0].instruction {
        Instruction::Cmd(Command::Exec(words)) => Some(words.clone()),
        Instruction::Cmd(Command::Shell(shell)) => shell.words.clone().ok(),
        _ => None,
    }
}

/// Returns the words that a shell gives to the program of a command.
fn shell_words(text: &str) -> Vec<String> {
    // The words become arguments of `printf`, which ends each with NUL.
    let output = process::Command::new("sh")
        .args(["-c", &format!("printf '%s\\0' {text}")])
        .stderr(Stdio::null())
        .output()
        .expect("a shell is installed");
    assert!(output.status.success(), "the shell refuses `{text}`");
    let text = String::from_utf8(output.stdout).expect("the words are text");
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[track_caller]
fn check(text: &str) {
    if let Some(words) = words(text) {
        assert_eq!(words, shell_words(text), "{text}");
    }
}

#[test]
fn quotes_and_escapes_split_as_in_a_shell() {
    for text in [
        "python server.py -p 3000",
        r#"a 'b  c' "d  e" f\ g '' "" h"i"'j'"#,
        r#"a \\ \" \' "\\" "\"" "\x" "\`" '\' x"#,
        r"a b=c {d} --e=f,g :h @i %j +k ! ] ^",
        "a\tb \t c",
        r"\x a\b \#c d#e f~",
    ] {
        assert!(words(text).is_some(), "{text}");
        check(text);
    }
}

proptest! {
    // Each case starts a shell.
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_command_that_is_accepted_splits_as_in_a_shell(text in r#"[a-c \\"'=~#{}!$;|*-]{1,16}"#) {
        // A trailing escape continues the line in a Balenafile.
        prop_assume!(!text.trim_end().ends_with('\\'));
        check(text.trim());
    }
}
