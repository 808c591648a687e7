//! Balenafiles that break a rule of the language: each is shown with its place and what to do, and leaves nothing.

use crate::home::Home;

/// Builds a context whose Balenafile is this; it must fail with these texts and leave no image.
#[track_caller]
fn check(balenafile: impl AsRef<[u8]>, texts: &[&str]) {
    let home = Home::new();
    home.write("context/Balenafile", balenafile);
    home.write("context/file", "");
    let ended = home.run(&["build", "-t", "x:1", "context"]);
    ended.assert_fails(1, texts);
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_cycle_of_stages_is_refused() {
    check(
        "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\n",
        &[
            "Balenafile:2:13",
            "circular dependency detected on stage: `a`",
            "hint: ",
        ],
    );
    check(
        "FROM scratch AS own\nCOPY --from=OWN / /\n",
        &[
            "Balenafile:2:13",
            "circular dependency detected on stage: `own`",
        ],
    );
}

#[test]
fn a_stage_that_comes_later_is_refused_and_an_empty_one_has_no_files() {
    check(
        "FROM scratch AS first\nCOPY --from=later / /\nFROM scratch AS later\nFROM first\n",
        &[
            "Balenafile:2:13",
            "cannot copy from stage `later`, it needs to be defined before current stage `first`",
            "hint: move stage `later` up",
        ],
    );
    check(
        "FROM scratch\nCOPY --from=scratch /file /\n",
        &["Balenafile:2:", "`/file` is not in `scratch`"],
    );
}

#[test]
fn a_stage_that_no_number_has_is_refused() {
    check(
        "FROM scratch\nCOPY --from=3 / /\n",
        &[
            "Balenafile:2:13",
            "there is no stage number 3",
            "hint: the only stage is number 0",
        ],
    );
}

#[test]
fn a_stage_that_there_is_not_names_the_nearest() {
    check(
        "FROM scratch AS base\nFROM scratch\nCOPY --from=bsae /file /\n",
        &[
            "Balenafile:3:13",
            "bsae",
            "hint: did you mean stage `base`?",
        ],
    );
    let home = Home::new();
    home.write("context/Balenafile", "FROM scratch AS base\n");
    let ended = home.run(&["build", "--target", "bsae", "context"]);
    ended.assert_fails(
        1,
        &[
            "target stage `bsae` could not be found",
            "hint: did you mean `base`?",
        ],
    );
}

#[test]
fn a_heredoc_that_is_not_closed_is_shown_where_it_begins() {
    check(
        "FROM scratch\nCOPY file <<EOF /d/\ntext\n EOF\n",
        &[
            "Balenafile:2:11",
            "here-document `EOF` is not closed",
            "hint: end it with a line that is `EOF`",
        ],
    );
}

#[test]
fn an_owner_that_is_none_is_refused() {
    for owner in ["a:b:c", ":1", "1:", "nobody-here", "99999999999"] {
        check(
            format!("FROM scratch\nCOPY --chown={owner} file /\n"),
            &["Balenafile:2:14", owner, "hint: "],
        );
    }
}

#[test]
fn a_flag_that_is_none_names_the_nearest() {
    check(
        "FROM scratch\nCOPY --chwon=1 file /\n",
        &[
            "Balenafile:2:6",
            "`COPY` has no flag `--chwon`",
            "hint: did you mean `--chown`?",
        ],
    );
}

#[test]
fn a_file_of_fifty_megabytes_is_refused() {
    let mut text = String::from("FROM scratch\n");
    text.push_str(&"# nothing but comments\n".repeat((50 << 20) / 23));
    check(text, &["Balenafile", "more than 1048576 bytes", "hint: "]);
}

#[test]
fn a_directive_that_is_none_is_refused() {
    check(
        "# check=skip=A;strict=yes\nFROM scratch\n",
        &["Balenafile:1:1", "`check` has no option `strict`", "hint: "],
    );
    check(
        "# escape=x\nFROM scratch\n",
        &["Balenafile:1:1", "`x` cannot be the escape character"],
    );
}

#[test]
fn a_substitution_that_is_none_is_refused() {
    check(
        "FROM scratch\nWORKDIR /${A:=b}\n",
        &["Balenafile:2:9", "`:=` does not follow a name", "hint: "],
    );
    check(
        "FROM scratch\nARG A\nWORKDIR /${A:?tell me A}\n",
        &[
            "Balenafile:3:9",
            "variable `A` is not set: tell me A",
            "hint: ",
        ],
    );
}
