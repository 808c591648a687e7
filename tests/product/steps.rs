//! `RUN`: programs of a build, in a sandbox of their own.

use std::fs;

use crate::home::{Ended, Home, guest};

/// A home whose context has the probe.
fn home() -> Home {
    let home = Home::new();
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home
}

/// Builds instructions on an image with the probe.
fn build(home: &Home, instructions: &str) -> Ended {
    let base = "FROM scratch\nCOPY probe.wasm /bin/\n";
    home.write("Balenafile", format!("{base}{instructions}"));
    home.run(&["build", "-t", "made", "."])
}

/// Builds instructions, which must work.
#[track_caller]
fn built(home: &Home, instructions: &str) -> Ended {
    let ended = build(home, instructions);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

/// Runs the probe in what was built.
#[track_caller]
fn probe(home: &Home, arguments: &[&str]) -> String {
    home.ok(&[&["run", "--rm", "made", "probe"], arguments].concat())
}

#[test]
fn what_a_program_makes_is_in_the_image() {
    let home = home();
    built(
        &home,
        "WORKDIR /here\nRUN [\"probe\", \"write\", \"a\", \"first\"]\nRUN probe rename a b\nRUN [\"probe\", \"mkdir\", \"/made\"]\n\
         RUN probe link b /made/c\nRUN [\"probe\", \"symlink\", \"/here/b\", \"/link\"]\n",
    );
    assert_eq!(
        probe(&home, &["cat", "/here/b", "/made/c", "/link"]),
        "firstfirstfirst"
    );
    let gone = home.run(&["run", "--rm", "made", "probe", "cat", "/here/a"]);
    gone.assert_fails(1, &["ENOENT"]);
}

#[test]
fn what_a_program_removes_is_gone() {
    let home = home();
    home.write("data/file", "content");
    home.write("data/other", "content");
    built(
        &home,
        "COPY data /data\nRUN probe unlink /data/file\nRUN [\"probe\", \"append\", \"/data/other\", \" more\"]\n",
    );
    assert_eq!(probe(&home, &["ls", "/data"]), "other");
    assert_eq!(probe(&home, &["cat", "/data/other"]), "content more");
}

#[test]
fn a_program_s_root_is_a_disk_over_the_image_s() {
    let home = home();
    let ended = built(
        &home,
        "RUN [\"probe\", \"write\", \"/a\", \"first\"]\nRUN [\"probe\", \"cat\", \"/a\", \"/proc/mounts\"]\n",
    );
    assert!(ended.stderr.contains("first/dev/root / ext4"), "{ended:?}");
    home.assert_nothing_left();
}

#[test]
fn a_program_leaves_only_what_it_made() {
    let home = home();
    built(&home, "RUN [\"probe\", \"print\", \"nothing\"]\n");
    let layers = home.inspect("made")["RootFS"]["Layers"].clone();
    assert_eq!(layers.as_array().map(Vec::len), Some(1), "{layers}");
}

#[test]
fn a_program_that_fails_ends_the_build_with_its_output_and_code() {
    let home = home();
    let ended = build(
        &home,
        "RUN [\"probe\", \"stderr\", \"said before\"]\nRUN [\"probe\", \"exit\", \"7\"]\n",
    );
    ended.assert_fails(
        1,
        &[
            "said before",
            "Balenafile:4:1",
            "process \"probe exit 7\" did not complete successfully: exit code: 7",
        ],
    );
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_trap_is_told_with_its_reason() {
    let ended = build(&home(), "RUN [\"probe\", \"trap\", \"divide\"]\n");
    ended.assert_fails(1, &["exit code: 134", "divide by zero"]);
}

#[test]
fn a_program_sees_the_image_s_environment_and_declared_arguments() {
    let home = home();
    let ended = built(
        &home,
        "ARG NAME=ahoy\nENV OTHER=there\nUSER 1000\nRUN [\"probe\", \"env\", \"NAME\"]\nRUN [\"probe\", \"env\", \"OTHER\"]\n",
    );
    for text in ["ahoy", "there"] {
        assert!(ended.stderr.contains(text), "{ended:?}");
    }
    assert!(!probe(&home, &["env"]).contains("NAME=ahoy"));
}

#[test]
fn a_step_is_done_again_when_what_it_depends_on_changes() {
    let home = home();
    let run = |instructions: &str| {
        let ended = built(&home, instructions);
        ended.stderr.matches("CACHED").count()
    };
    let step = "RUN [\"probe\", \"print\", \"x\"]\n";
    assert_eq!(run(step), 0);
    assert_eq!(run(step), 2, "nothing changed");
    assert_eq!(
        run("RUN [\"probe\", \"print\", \"y\"]\n"),
        1,
        "another argument"
    );
    assert_eq!(run(&format!("ENV A=1\n{step}")), 1, "another environment");
    assert_eq!(run(&format!("ARG A=1\n{step}")), 2, "the same environment");
    assert_eq!(run(&format!("ARG B=1\n{step}")), 1, "another argument");
    assert_eq!(run(&format!("USER 1\n{step}")), 1, "another user");
    assert_eq!(run(&format!("LABEL a=b\n{step}")), 2, "a label is no input");
}

#[test]
fn equal_builds_give_equal_images() {
    let home = home();
    let steps = "RUN [\"probe\", \"write\", \"/a\", \"x\"]\nRUN [\"probe\", \"mkdir\", \"/b\"]\n";
    let first = built(&home, steps).stdout;
    let again = home.run(&["build", "--no-cache", "."]);
    assert!(!again.stderr.contains("CACHED"), "{again:?}");
    assert_eq!(again.stdout, first);
}

#[test]
fn mounts_are_there_while_the_program_runs_and_not_in_the_image() {
    let home = home();
    home.write("data/file", "of the context");
    home.write("data/hidden", "ignored");
    home.write(".dockerignore", "data/hidden\n");
    let ended = built(
        &home,
        "WORKDIR /w\nRUN --mount=type=bind,source=data,target=/mnt [\"probe\", \"ls\", \"/mnt\"]\n\
         RUN --mount=type=bind,source=data/file,target=/one [\"probe\", \"cat\", \"/one\"]\n\
         RUN --mount=type=tmpfs,target=/scratch [\"probe\", \"write\", \"/scratch/x\", \"y\"]\n",
    );
    assert!(ended.stderr.contains("of the context"), "{ended:?}");
    assert!(!ended.stderr.contains("hidden\n"), "{ended:?}");
    let names = probe(&home, &["ls", "/"]);
    for name in ["mnt", "one", "scratch"] {
        assert!(!names.lines().any(|line| line == name), "{names}");
    }
}

#[test]
fn a_cache_is_kept_for_later_builds_and_in_no_image() {
    let home = home();
    built(
        &home,
        "RUN --mount=type=cache,target=/cache [\"probe\", \"write\", \"/cache/kept\", \"from before\"]\n",
    );
    let ended = built(
        &home,
        "RUN --mount=type=cache,target=/cache [\"probe\", \"cat\", \"/cache/kept\"]\n",
    );
    assert!(ended.stderr.contains("from before"), "{ended:?}");
    assert!(!probe(&home, &["ls", "/"]).contains("cache"));
}

#[test]
fn a_secret_is_seen_by_its_step_alone() {
    let home = home();
    home.write("token.txt", "a secret");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /bin/\nRUN --mount=type=secret,id=token [\"probe\", \"copy\", \"/run/secrets/token\", \"/copy\"]\n\
         RUN --mount=type=secret,id=token,env=TOKEN [\"probe\", \"env\", \"TOKEN\"]\nRUN [\"probe\", \"unlink\", \"/copy\"]\n",
    );
    let ended = home.run(&[
        "build",
        "-t",
        "made",
        "--secret",
        "id=token,src=token.txt",
        ".",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("a secret"), "{ended:?}");
    let missing = home.run(&["run", "--rm", "made", "probe", "cat", "/run/secrets/token"]);
    missing.assert_fails(1, &["ENOENT"]);
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /bin/\nRUN --mount=type=secret,id=other,required=true [\"probe\", \"print\", \"x\"]\n",
    );
    let ended = home.run(&["build", "."]);
    ended.assert_fails(1, &["secret other: not found", "hint: give it"]);
}

#[test]
fn a_shell_form_that_needs_a_shell_says_so() {
    let ended = build(&home(), "RUN probe print a && probe print b\n");
    ended.assert_fails(1, &["Balenafile:3:", "shell", "hint: "]);
    let home = home();
    let ended = built(
        &home,
        "SHELL [\"probe\", \"print\"]\nRUN anything && at all\n",
    );
    assert!(ended.stderr.contains("anything && at all"), "{ended:?}");
}

#[test]
fn no_network_is_no_network() {
    let home = home();
    let ended = built(
        &home,
        "RUN --network=none [\"probe\", \"print\", \"ran\"]\n",
    );
    assert!(ended.stderr.contains("ran"), "{ended:?}");
}
