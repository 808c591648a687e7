//! The front door: help, manual, completion, the machine's check, colours.

use serde_json::Value;

use crate::home::{Home, guest};

/// What bash offers for a line that ends where the cursor is.
fn completed(home: &Home, line: &str) -> Vec<String> {
    /// `$1` is the line. bash makes the words of a line so too: at blanks, `:` and `=`, which are words themselves.
    const SCRIPT: &str = r#"
        source <(minke completion bash)
        COMP_LINE=$1
        COMP_POINT=${#1}
        mapfile -t COMP_WORDS < <(grep -oE '[:=]+|[^:=[:space:]]+' <<< "$1")
        [[ $1 == *[[:space:]] ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        $(complete -p minke | sed 's/.*-F \([^ ]*\) .*/\1/')
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let minke = std::path::Path::new(env!("CARGO_BIN_EXE_minke"));
    let directory = minke.parent().expect("it is in a directory").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new("bash")
        .args(["-c", SCRIPT, "bash", line])
        .env("PATH", format!("{directory}:{path}"))
        .env("MINKE_HOME", home.path())
        .output()
        .expect("bash starts");
    assert!(output.stderr.is_empty(), "{output:?}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = lines.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_names_that_there_are() {
    let home = Home::new();
    assert_eq!(completed(&home, "minke insp"), ["inspect"]);
    assert_eq!(completed(&home, "minke ps --no-t"), ["--no-trunc"]);
    assert_eq!(completed(&home, "minke man"), [""; 0], "it is hidden");
    assert_eq!(completed(&home, "minke start w"), [""; 0]);
    assert!(!home.path().exists(), "looking makes nothing");
    let probe = guest("probe.wasm");
    home.ok(&["create", "--name", "web", &probe, "wait"]);
    home.ok(&["run", "-d", "--name", "worker", &probe, "wait"]);
    assert_eq!(completed(&home, "minke start w"), ["web"]);
    assert_eq!(completed(&home, "minke stop -t 3 w"), ["worker"]);
    let mut all = completed(&home, "minke logs -f ");
    all.sort();
    assert_eq!(all, ["web", "worker"]);
    home.write("app/Balenafile", "FROM scratch\nLABEL a=b\n");
    home.ok(&["build", "-q", "-t", "app:1", "-t", "app:2", "app"]);
    let mut images = completed(&home, "minke rmi ap");
    images.sort();
    assert_eq!(images, ["app:1", "app:2"]);
    // bash replaces what comes after the colon alone.
    assert_eq!(completed(&home, "minke rmi app:"), ["1", "2"]);
    assert_eq!(
        completed(&home, "minke run --rm --network=pri"),
        ["private"]
    );
}

#[test]
fn fish_completes_too() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    let minke = std::path::Path::new(env!("CARGO_BIN_EXE_minke"));
    let directory = minke.parent().expect("it is in a directory").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let script =
        "minke completion fish | source; complete -C 'minke insp'; complete -C 'minke stop w'";
    let mut fish = std::process::Command::new("fish");
    fish.args(["--no-config", "-c", script])
        .env("PATH", format!("{directory}:{path}"))
        .env("HOME", home.files())
        .env("MINKE_HOME", home.path());
    let Ok(output) = fish.output() else {
        return skipped("fish");
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = text
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(words, ["inspect", "web"], "{output:?}");
}

#[test]
fn zsh_gets_a_script_that_asks_minke() {
    let home = Home::new();
    let script = home.ok(&["completion", "zsh"]);
    assert!(
        script.starts_with("#compdef minke\n") && script.contains("minke __complete"),
        "{script}"
    );
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
    let mut names = vec!["minke".to_owned()];
    let mut seen = 0;
    // Each page names those below it.
    while let Some(name) = names.pop() {
        let text = page(&format!("{name}.1"));
        assert!(text.contains(".SH NAME"), "no page of `{name}`");
        let words = text.split(|it: char| !(it.is_ascii_lowercase() || "-+()1".contains(it)));
        let below = words.filter_map(|word| word.strip_suffix("(1)"));
        names.extend(
            below
                .filter(|it| it.starts_with(&format!("{name}-")))
                .map(str::to_owned),
        );
        seen += 1;
    }
    let pages = std::fs::read_dir(home.files().join("pages")).expect("readable");
    assert_eq!(
        seen,
        pages.count(),
        "every page is reached, and nothing else is there"
    );
    assert!(seen > 50, "{seen}");
}

#[test]
fn man_reads_the_pages_without_a_complaint() {
    let home = Home::new();
    home.ok(&["manual", "pages"]);
    for name in ["minke", "minke-run", "minke-build", "minke-system-prune"] {
        let page = home.files().join("pages").join(format!("{name}.1"));
        let mut man = std::process::Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(page);
        let Ok(output) = man.env("MANWIDTH", "100").output() else {
            return skipped("man");
        };
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(&name.replace('-', "‐")) || text.contains(name),
            "{text}"
        );
        assert!(name == "minke" || text.contains("Examples:"), "{text}");
    }
}

/// Says that a test ends here for want of a program.
#[expect(
    clippy::print_stderr,
    reason = "who reads the tests' output must know what was not tested"
)]
fn skipped(program: &str) {
    eprintln!("skipped: `{program}` is not installed: run `cargo xtask setup`");
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
    assert!(
        text.contains("Containers: 0\n Running: 0\n Paused: 0"),
        "{text}"
    );
    let value: Value = serde_json::from_str(&home.ok(&["info", "-f", "json"])).expect("an object");
    assert_eq!(value["DockerRootDir"], home.path().to_str().expect("text"));
}
