//! Options of `minke build`.
//!
//! Spec: Docker's reference, `docker buildx build`.

use std::fs;

use serde_json::json;

use super::context;
use crate::home::{Home, guest};

const FILE: &str = "FROM scratch AS first\nCOPY probe.wasm /bin/\nARG WHO=nobody\nLABEL who=$WHO\nCMD [\"probe\", \"print\", \"ran\"]\nFROM first\nLABEL last=yes\n";

fn home() -> Home {
    let home = context(&[("a", "a")]);
    fs::copy(guest("probe.wasm"), home.files().join("context/probe.wasm")).expect("copied");
    home.write("context/Balenafile", FILE);
    home
}

/// Builds the context with these options, which must work; returns what it printed.
#[track_caller]
fn built(home: &Home, options: &[&str]) -> String {
    home.ok(&[&["build"], options, &["context"]].concat())
}

fn labels(home: &Home) -> serde_json::Value {
    home.inspect("made")["Config"]["Labels"].clone()
}

#[test]
fn an_image_gets_all_its_names() {
    let home = home();
    built(
        &home,
        &[
            "-q",
            "-t",
            "made",
            "-t",
            "made:2",
            "--tag",
            "Other/Name:3",
            "-t",
            "made",
        ],
    );
    let listed = home.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["made:2", "made:latest", "other/name:3"]);
    let ids = home.ok(&["images", "-q"]);
    assert_eq!(
        ids.lines().collect::<std::collections::BTreeSet<_>>().len(),
        1,
        "{ids}"
    );
    for name in ["a b", "made:", ":1", "a/", "made:x y", "-x", ""] {
        let ended = home.run(&["build", "-t", name, "context"]);
        assert!([1, 125].contains(&ended.code), "{name}: {ended:?}");
        assert!(ended.stderr.contains("hint: "), "{name}: {ended:?}");
    }
}

#[test]
fn arguments_come_from_the_command_or_the_environment() {
    let home = home();
    for (options, expected) in [
        (&[][..], "nobody"),
        (&["--build-arg", "WHO=me"], "me"),
        (&["--build-arg", "WHO="], ""),
        (&["--build-arg", "WHO=a=b"], "a=b"),
        (&["--build-arg", "WHO=one", "--build-arg", "WHO=two"], "two"),
        (&["--build-arg", "WHO"], "nobody"),
    ] {
        built(&home, &[&["-q", "-t", "made"], options].concat());
        assert_eq!(
            labels(&home),
            json!({"who": expected, "last": "yes"}),
            "{options:?}"
        );
    }
    let mut command = home.command(&["build", "-q", "-t", "made", "--build-arg", "WHO", "context"]);
    let status = command
        .env("WHO", "environment")
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("minke starts").success());
    assert_eq!(labels(&home)["who"], "environment");
}

#[test]
fn arguments_that_nothing_asks_for_are_told_in_dockers_words() {
    let home = home();
    let asked = ["build", "--build-arg", "WOH=1", "--build-arg", "WHO=me"];
    let ended = home.run(&[&asked[..], &["context"]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let said = "One or more build-args [WOH] were not consumed";
    let text = format!("warning: {said}\nhint: did you mean `WHO`?\n");
    assert!(ended.stderr.contains(&text), "{ended:?}");
    let ended = home.run(&[&asked[..], &["--progress", "json", "context"]].concat());
    let mut events = ended
        .stderr
        .lines()
        .map(serde_json::from_str::<serde_json::Value>);
    assert!(
        events.any(|event| event.is_ok_and(|it| it["event"] == "warning" && it["message"] == said)),
        "{ended:?}"
    );
    let ended = home.run(&["build", "--build-arg", "HTTP_PROXY=x", "context"]);
    assert!(!ended.stderr.contains("build-args"), "{ended:?}");
}

#[test]
fn labels_targets_and_quiet() {
    let home = home();
    built(
        &home,
        &[
            "-q", "-t", "made", "--label", "last=no", "--label", "more", "--target", "first",
        ],
    );
    assert_eq!(
        labels(&home),
        json!({"who": "nobody", "last": "no", "more": ""})
    );
    built(&home, &["-q", "-t", "made", "--label", "last=no"]);
    assert_eq!(
        labels(&home)["last"],
        "no",
        "the option goes before the file"
    );
    let ended = home.run(&["build", "-q", "context"]);
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.starts_with("sha256:"), "{ended:?}");
    let id = built(&home, &["-q", "-t", "made"]);
    assert_eq!(home.inspect("made")["Id"], json!(id));
}

#[test]
fn without_the_cache_everything_is_done_again_and_kept_for_the_next() {
    let home = home();
    built(&home, &["-q", "-t", "made"]);
    let count = |options: &[&str]| {
        let ended = home.run(&[&["build"], options, &["context"]].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stderr.matches("CACHED").count()
    };
    assert_eq!(count(&["--no-cache"]), 0);
    assert_eq!(count(&[]), 1);
    let ended = home.run(&["build", "--pull", "context"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.contains("`--pull` has no registry to ask yet"),
        "{ended:?}"
    );
}

#[test]
fn a_check_builds_nothing() {
    let home = home();
    let said = home.ok(&["build", "--check", "-t", "made", "context"]);
    assert_eq!(said, "Check complete, no warnings found.");
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.write("context/Balenafile", "FROM none:1\nCOPY missing /\n");
    let ended = home.run(&["build", "--check", "context"]);
    ended.assert_fails(1, &["no such image: `none:1`", "hint: "]);
    home.assert_nothing_left();
}

#[test]
fn a_result_goes_where_it_is_asked() {
    let home = home();
    for (output, file) in [
        ("type=oci,dest=oci.tar", "oci.tar"),
        ("type=docker,dest=docker.tar", "docker.tar"),
    ] {
        built(&home, &["-q", "-o", output]);
        assert_eq!(home.ok(&["images", "-q"]), "");
        let other = Home::new();
        let path = home.files().join(file);
        let loaded = other.ok(&["load", "-i", path.to_str().expect("a text")]);
        let id = loaded.trim_start_matches("Loaded image ID: ");
        assert_eq!(other.ok(&["run", "--rm", id]), "ran", "{output}: {loaded}");
    }
    built(
        &home,
        &["-q", "-o", "type=oci,dest=named.tar", "-t", "made:7"],
    );
    let other = Home::new();
    let path = home.files().join("named.tar");
    let loaded = other.ok(&["load", "-i", path.to_str().expect("a text")]);
    assert_eq!(loaded, "Loaded image: made:7");
    assert_eq!(home.ok(&["run", "--rm", "made:7"]), "ran");
    built(
        &home,
        &[
            "-q",
            "-o",
            "type=tar,dest=root.tar",
            "-o",
            "type=local,dest=root",
        ],
    );
    assert!(home.files().join("root/bin/probe.wasm").is_file());
    let bytes = fs::read(home.files().join("root.tar")).expect("it is there");
    let mut archive = tar::Archive::new(&bytes[..]);
    let names = archive.entries().expect("a tar").map(|entry| {
        let entry = entry.expect("an entry");
        String::from_utf8_lossy(&entry.path_bytes()).into_owned()
    });
    assert_eq!(names.collect::<Vec<_>>(), ["bin/", "bin/probe.wasm"]);
    home.assert_nothing_left();
}

#[test]
fn a_place_that_is_none_is_refused() {
    let home = home();
    home.write("file", "");
    for (output, texts) in [
        ("type=zip,dest=x", &["`zip`"][..]),
        ("type=local", &["dest"]),
        ("type=oci,dest=nowhere/x.tar", &["nowhere"]),
        ("type=local,dest=file/x", &["file/x"]),
        ("type=tar,dest=context", &["context"]),
        ("type=tar,color=red,dest=x", &["color"]),
    ] {
        let ended = home.run(&["build", "-o", output, "context"]);
        assert!([1, 125].contains(&ended.code), "{output}: {ended:?}");
        for text in [texts, &["hint: "]].concat() {
            assert!(
                ended.stderr.contains(text),
                "{output}: no {text:?} in {ended:?}"
            );
        }
        assert_eq!(home.ok(&["images", "-q"]), "");
        assert_eq!(home.ok(&["system", "check"]), "", "{output}");
        home.assert_nothing_left();
    }
}

#[test]
fn secrets_come_from_files_and_the_environment() {
    let home = home();
    home.write(
        "context/Balenafile",
        "FROM scratch\nCOPY probe.wasm /bin/\nRUN --mount=type=secret,id=s,target=/s [\"probe\", \"cat\", \"/s\"]\n",
    );
    home.write("secret.txt", "from a file");
    for (secret, expected) in [
        ("id=s,src=secret.txt", "from a file"),
        ("type=file,id=s,source=secret.txt", "from a file"),
        ("id=s,env=TOKEN", "from the environment"),
        ("type=env,id=s,src=TOKEN", "from the environment"),
    ] {
        let mut command = home.command(&["build", "--no-cache", "--secret", secret, "context"]);
        let output = command
            .env("TOKEN", "from the environment")
            .output()
            .expect("minke starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains(expected),
            "{secret}: {said}"
        );
    }
    for (secret, texts) in [
        ("src=secret.txt", &["it has no `id`"][..]),
        ("id=s,colour=red", &["unexpected `colour`"]),
        ("id=s,src=missing.txt", &["cannot read the secret `s`"]),
    ] {
        let ended = home.run(&["build", "--no-cache", "--secret", secret, "context"]);
        assert!([1, 125].contains(&ended.code), "{secret}: {ended:?}");
        for text in [texts, &["hint: "]].concat() {
            assert!(
                ended.stderr.contains(text),
                "{secret}: no {text:?} in {ended:?}"
            );
        }
        home.assert_nothing_left();
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_told_before_anything_is_built() {
    let home = home();
    // A step before the one that wants it, and one that wants none.
    for last in [
        "RUN --mount=type=secret,id=s [\"probe\", \"print\", \"x\"]\n",
        "",
    ] {
        home.write(
            "context/Balenafile",
            format!(
                "FROM scratch\nCOPY probe.wasm /bin/\nRUN [\"probe\", \"print\", \"begun\"]\n{last}"
            ),
        );
        home.fails(
            &["build", "--secret", "id=s,src=missing.txt", "context"],
            1,
            "error: cannot read the secret `s` from `missing.txt`: No such file or directory (os error 2)\n\
             hint: name a file that is there: `--secret id=s,src=FILE`, from where the command is run",
        );
        home.fails(
            &["build", "--secret", "id=s,src=context", "context"],
            1,
            "error: cannot read the secret `s` from `context`: is a directory\n\
             hint: check `--secret` and the file's permissions",
        );
        home.write("large", vec![0; (500 << 10) + 1]);
        home.fails(
            &["build", "--secret", "id=s,src=large", "context"],
            1,
            "error: the secret `s` has more than 512000 bytes\n\
             hint: give files of that size by a bind mount",
        );
        home.assert_nothing_left();
    }
}

#[test]
fn the_id_goes_to_a_file_that_no_earlier_build_is_taken_from() {
    let home = home();
    let id = built(&home, &["-q", "--iidfile", "id"]);
    let file = home.files().join("id");
    assert_eq!(fs::read_to_string(&file).expect("written"), id);
    home.write("broken", "FROM nothing-here");
    let ended = home.run(&["build", "--iidfile", "id", "-f", "broken", "context"]);
    assert_eq!((ended.code, file.exists()), (1, false), "{ended:?}");
    let ended = home.run(&["build", "-q", "--iidfile", "no/such/id", "context"]);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("cannot write the image's id to `no/such/id`"),
        "{ended:?}"
    );
}

#[test]
fn stages_that_are_named_are_built_anew_and_others_are_not() {
    let home = home();
    let file =
        "FROM scratch AS one\nCOPY a /one\nFROM scratch\nCOPY a /two\nCOPY --from=one /one /\n";
    home.write("context/Balenafile", file);
    let cached = |options: &[&str]| {
        let ended = home.run(&[&["build", "--progress", "plain"], options, &["context"]].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stderr.matches("CACHED").count()
    };
    cached(&[]);
    assert_eq!(cached(&[]), 3);
    assert_eq!(cached(&["--no-cache-filter", "one"]), 2);
    assert_eq!(cached(&["--no-cache-filter", "ONE,1"]), 0);
    assert_eq!(cached(&["--no-cache-filter", "none"]), 3);
}

#[test]
fn only_platforms_of_webassembly_are_built_and_run() {
    let home = home();
    built(&home, &["-q", "-t", "made", "--platform", "wasi/wasm"]);
    built(&home, &["-q", "-t", "made", "--platform=wasi/wasm32"]);
    assert_eq!(
        home.ok(&["run", "--rm", "--platform", "wasi/wasm", "made"]),
        "ran"
    );
    for command in [["build", "context"], ["run", "made"], ["create", "made"]] {
        let ended = home.run(&[command[0], "--platform", "linux/amd64", command[1]]);
        ended.assert_fails(
            125,
            &["error: platform `linux/amd64` cannot run here\nhint: "],
        );
    }
}
