//! `minke build --check`: the rules of the language, told without building.

use crate::home::Home;

/// A file that breaks three rules, one of which has no effect on what runs.
const LOOSE: &str = "FROM scratch AS Base\nCOPY a.log b /\nCMD server --port=1\n";

fn home_with(balenafile: &str) -> Home {
    let home = Home::new();
    home.write("context/Balenafile", balenafile);
    home.write("context/.dockerignore", "*.log\n");
    home.write("context/a.log", "");
    home.write("context/b", "");
    home
}

#[test]
fn a_check_tells_what_breaks_a_rule_with_its_place_and_builds_nothing() {
    let home = home_with(LOOSE);
    let ended = home.run(&["build", "-t", "x:1", "--check", "context"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    for text in [
        "WARNING: StageNameCasing\nBalenafile:1:17: Stage name 'Base' should be lowercase\n",
        "hint: write `base`",
        "WARNING: CopyIgnoredFile\nBalenafile:2:6: Attempting to Copy file \"a.log\"",
        "WARNING: JSONArgsRecommended\nBalenafile:3:1: ",
        "Check complete, 3 warnings have been found!",
    ] {
        assert!(ended.stdout.contains(text), "{text:?} in {ended:?}");
    }
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_check_of_a_tidy_file_finds_nothing() {
    let home = home_with("FROM scratch AS base\nCOPY b /\nCMD [\"server\"]\n");
    let said = home.ok(&["build", "--check", "context"]);
    assert_eq!(said, "Check complete, no warnings found.");
}

#[test]
fn a_check_of_a_broken_file_fails_as_a_build_does() {
    let home = home_with("FROM scratch\nCOPPY a b\n");
    let ended = home.run(&["build", "--check", "context"]);
    ended.assert_fails(1, &["Balenafile:2:1", "unknown instruction `COPPY`"]);
}

#[test]
fn a_build_warns_of_what_concerns_what_runs() {
    let home = home_with("FROM scratch AS Base\nCOPY b /server\nENV A b\nCMD server --port=1\n");
    let ended = home.run(&["build", "-t", "x:1", "context"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for text in ["should be lowercase", "legacy \"ENV key value\" format"] {
        assert!(ended.stderr.contains(text), "{text:?} in {ended:?}");
    }
    assert!(!ended.stderr.contains("JSON arguments"), "{ended:?}");
}

#[test]
fn a_file_may_ask_that_findings_fail_its_build() {
    let home = home_with("# check=error=true\nFROM scratch AS Base\nENV A b\n");
    let ended = home.run(&["build", "-t", "x:1", "context"]);
    ended.assert_fails(
        1,
        &[
            "lint violation found for rules: StageNameCasing, LegacyKeyValueFormat",
            "hint: ",
        ],
    );
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.write(
        "context/Balenafile",
        "# check=skip=StageNameCasing;error=true\nFROM scratch AS Base\n",
    );
    home.ok(&["build", "-t", "x:1", "context"]);
}

#[test]
fn an_argument_takes_the_place_of_the_files_options() {
    let home = home_with("# check=error=true\nFROM scratch AS Base\n");
    let skip = "BUILDKIT_DOCKERFILE_CHECK=skip=all";
    let said = home.ok(&["build", "--check", "--build-arg", skip, "context"]);
    assert_eq!(said, "Check complete, no warnings found.");
    let ended = home.run(&[
        "build",
        "--check",
        "--build-arg",
        "BUILDKIT_DOCKERFILE_CHECK=x",
        "context",
    ]);
    ended.assert_fails(1, &["`x` is no option of `check`", "hint: "]);
}
