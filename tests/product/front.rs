//! The front door: help, manual, completion, the machine's check, colours.

use serde_json::Value;

use crate::home::Home;

#[test]
fn shells_get_scripts_that_know_commands_and_options() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.ok(&["completion", shell]);
        for word in ["inspect", "no-stream", "build"] {
            assert!(script.contains(word), "no {word} for {shell}");
        }
    }
    let ended = home.run(&["completion", "tcsh"]);
    ended.assert_fails(125, &["invalid value 'tcsh'", "hint: "]);
}

#[test]
fn each_command_has_a_page_of_the_manual() {
    let home = Home::new();
    home.ok(&["manual", "pages"]);
    let page = |name: &str| {
        let path = home.files().join("pages").join(name);
        // In a page a backslash keeps a hyphen from being broken.
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .replace('\\', "")
    };
    assert!(page("minke.1").contains("minke-run(1)"));
    assert!(page("minke-run.1").contains("ulimit"));
    assert!(page("minke-run.1").contains("minke run --rm app:1"));
}

#[test]
fn help_is_data_and_coloured_only_where_that_is_wanted() {
    let home = Home::new();
    let help = |variables: &[(&str, &str)]| {
        let mut command = home.command(&["run", "--help"]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command.envs(variables.iter().copied());
        let output = command.output().expect("minke starts");
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).expect("help is text")
    };
    assert!(help(&[]).contains("Examples:\n  minke run "));
    assert!(!help(&[]).contains('\x1b'), "a pipe gets no colours");
    assert!(help(&[("CLICOLOR_FORCE", "1")]).contains('\x1b'));
    assert!(!help(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\x1b'));
}

#[test]
fn mistakes_in_arguments_are_told_like_all_failures() {
    let home = Home::new();
    for (arguments, texts) in [
        (
            &["inspct"][..],
            [
                "error: unrecognized subcommand 'inspct'\nhint: ",
                "'inspect'",
            ],
        ),
        (
            &["ps", "--al"],
            ["error: unexpected argument '--al' found\nhint: ", "'--all'"],
        ),
        (
            &["rename", "one"],
            [
                "error: the following required arguments were not provided: <NEW_NAME>\nhint: ",
                "`minke rename --help` tells more",
            ],
        ),
    ] {
        home.run(arguments).assert_fails(125, &texts);
    }
}

#[test]
fn the_machine_is_checked() {
    let home = Home::new();
    let text = home.ok(&["doctor"]);
    assert!(text.contains("seccomp"), "{text}");
    let rows = home.ok(&["doctor", "--format", "json"]);
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object per line"))
        .collect();
    let row = |name: &str| rows.iter().find(|row| row["Name"] == name);
    assert_eq!(row("kernel").expect("checked")["State"], "ok");
    // What is missing comes with what that costs and what to do.
    for row in &rows {
        let is_missed = row["State"] != "ok";
        assert_eq!(is_missed, row["Hint"] != "", "{row}");
        assert_eq!(is_missed, row["Cost"] != "", "{row}");
    }
    assert!(!home.path().exists(), "looking makes nothing");
}

#[test]
fn a_machine_without_a_home_is_not_fit() {
    let home = Home::new();
    let file = home.write("file", "no directory");
    let mut command = home.command(&["doctor"]);
    command.env("MINKE_HOME", file.join("home"));
    let output = command.output().expect("minke starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("set `MINKE_HOME`"), "{text}");
}

#[test]
fn info_counts_what_there_is() {
    let home = Home::new();
    assert_eq!(
        home.ok(&["info", "-f", "{{.Containers}} {{.Images}}"]),
        "0 0"
    );
    let text = home.ok(&["info"]);
    assert!(text.contains("Containers: 0\n Running: 0"), "{text}");
    let value: Value = serde_json::from_str(&home.ok(&["info", "-f", "json"])).expect("an object");
    assert_eq!(value["DockerRootDir"], home.path().to_str().expect("text"));
}
