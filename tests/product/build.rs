//! `minke build` and what its images run.

use std::fs;

use serde_json::json;

use crate::home::{Home, guest};

/// Makes a context with a Balenafile and the probe.
fn context(home: &Home, balenafile: &str) {
    home.write("Balenafile", balenafile);
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
}

#[test]
fn instructions_make_the_container() {
    let home = Home::new();
    context(
        &home,
        "FROM scratch\nARG GREETING=hello\nENV TEXT=$GREETING\nLABEL a=b\nWORKDIR /srv\nCOPY probe.wasm /bin/\nCOPY data.txt .\n\
         EXPOSE 3000\nUSER 1000:1000\nENTRYPOINT [\"probe\"]\nCMD [\"env\", \"TEXT\"]\n",
    );
    home.write("data.txt", "some data");
    home.ok(&["build", "-q", "-t", "made:1", "."]);
    assert!(home.ok(&["run", "--rm", "made:1"]).contains("hello"));
    home.ok(&[
        "build",
        "-q",
        "-t",
        "made:2",
        "--build-arg",
        "GREETING=ahoy",
        ".",
    ]);
    assert!(home.ok(&["run", "--rm", "made:2"]).contains("ahoy"));
    assert_eq!(
        home.ok(&["run", "--rm", "made:1", "cat", "/srv/data.txt"]),
        "some data"
    );
    let config = &home.inspect("made:1")["Config"];
    assert_eq!(config["WorkingDir"], json!("/srv"));
    assert_eq!(config["User"], json!("1000:1000"));
    assert_eq!(config["Labels"], json!({"a": "b"}));
    let denied = home.run(&["run", "--rm", "made:1", "write", "/srv/data.txt", "x"]);
    assert_eq!(denied.code, 1, "the file is root's: {denied:?}");
}

#[test]
fn a_program_in_an_image_is_found_compiled_by_its_layer() {
    let home = Home::new();
    context(
        &home,
        "FROM scratch\nCOPY probe.wasm /bin/\nENTRYPOINT [\"probe\"]\n",
    );
    home.ok(&["build", "-q", "-t", "made", "."]);
    let print = |flags: &[&str]| {
        let run = [&["run", "--rm"], flags, &["made", "print", "x"]].concat();
        home.ok(&run)
    };
    let notes = || {
        let entries = fs::read_dir(home.path().join("modules")).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".stamp"))
            .count()
    };
    assert_eq!(print(&[]), "x");
    assert_eq!(
        notes(),
        1,
        "the layer's identity leads to the compiled module"
    );
    assert_eq!(print(&[]), "x");
    assert_eq!(notes(), 1);
    // What lies over the layer's file is what runs.
    let other = format!("{}:/bin/probe.wasm", guest("hello.wasm"));
    assert_eq!(print(&["-v", &other]), "hello");
}

#[test]
fn an_image_is_built_on_a_local_one() {
    let home = Home::new();
    context(&home, "FROM scratch\nCOPY probe.wasm /bin/\n");
    home.ok(&["build", "-q", "-t", "base", "."]);
    home.write("Balenafile", "FROM base\nCMD probe print derived\n");
    home.ok(&["build", "-q", "-t", "derived", "."]);
    assert_eq!(home.ok(&["run", "--rm", "derived"]), "derived");
    assert_eq!(
        home.ok(&[
            "run",
            "--rm",
            "--entrypoint",
            "probe",
            "derived",
            "print",
            "entered"
        ]),
        "entered"
    );
}

#[test]
fn another_file_is_named_with_f() {
    let home = Home::new();
    context(&home, "not read");
    home.write(
        "other",
        "FROM scratch\nCOPY probe.wasm /\nCMD [\"/probe.wasm\", \"print\", \"other\"]\n",
    );
    home.ok(&["build", "-q", "-t", "other", "-f", "other", "."]);
    assert_eq!(home.ok(&["run", "--rm", "other"]), "other");
}

#[test]
fn a_build_says_its_steps_on_standard_error_and_its_id_on_standard_output() {
    let home = Home::new();
    context(&home, "FROM scratch\nCOPY probe.wasm /\n");
    let built = home.run(&["build", "."]);
    assert!(
        built.stdout.starts_with("sha256:") && built.stdout.lines().count() == 1,
        "{built:?}"
    );
    assert!(
        built.stderr.contains("[2/2] COPY probe.wasm /"),
        "{built:?}"
    );
    let again = home.run(&["build", "."]);
    assert_eq!(again.stdout, built.stdout);
    assert!(again.stderr.contains("CACHED"), "{again:?}");
}
