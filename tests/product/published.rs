//! Real programs that nobody here wrote.
//!
//! They are large: their tests share one installation, so that each is compiled once, and only
//! after it or minke changed.

use crate::home::{Home, guest};

#[test]
fn python_runs_a_command_with_its_whole_library() {
    let home = Home::shared();
    let program =
        "import json, re, hashlib; print(json.dumps(hashlib.sha256(b'x').hexdigest()[:8]))";
    assert_eq!(
        home.ok(&["run", "--rm", &guest("python.wasm"), "-c", program]),
        "\"2d711642\""
    );
}

#[test]
fn python_runs_a_script_from_a_volume_and_writes_beside_it() {
    let home = Home::shared();
    let script = "import os, sys\n\
                  names = sorted(os.listdir('/app'))\n\
                  with open('/app/out.txt', 'w') as out: out.write(' '.join(names + sys.argv[1:]))\n";
    home.write("script.py", script);
    let volume = format!("{}:/app", home.files().display());
    home.ok(&[
        "run",
        "--rm",
        "-v",
        &volume,
        &guest("python.wasm"),
        "/app/script.py",
        "one",
        "two",
    ]);
    let written =
        std::fs::read_to_string(home.files().join("out.txt")).expect("the script wrote it");
    assert_eq!(written, "script.py one two");
}

#[test]
fn python_ends_with_its_own_exit_code_and_traceback() {
    let home = Home::shared();
    assert_eq!(
        home.run(&[
            "run",
            "--rm",
            &guest("python.wasm"),
            "-c",
            "raise SystemExit(7)"
        ])
        .code,
        7
    );
    let failed = home.run(&["run", "--rm", &guest("python.wasm"), "-c", "1 / 0"]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.stderr.contains("ZeroDivisionError"),
        "{}",
        failed.stderr
    );
}

#[test]
fn php_tells_its_version_and_runs_a_script() {
    let home = Home::shared();
    let php = guest("php-cgi.wasm");
    assert!(
        home.ok(&["run", "--rm", &php, "--version"])
            .starts_with("PHP 8.2.0")
    );
    home.write(
        "page.php",
        "<?php echo json_encode(array_map(fn($n) => $n * $n, [1, 2, 3]));",
    );
    let volume = format!("{}:/app:ro", home.files().display());
    let page = home.ok(&["run", "--rm", "-v", &volume, &php, "-q", "/app/page.php"]);
    assert!(page.ends_with("[1,4,9]"), "{page}");
}

#[test]
fn ruby_runs_a_command_with_its_library() {
    let home = Home::shared();
    let program = "require 'json'; puts JSON.generate({version: RUBY_VERSION, sum: (1..10).sum})";
    assert_eq!(
        home.ok(&["run", "--rm", &guest("ruby.wasm"), "-e", program]),
        "{\"version\":\"3.2.0\",\"sum\":55}"
    );
}

#[test]
fn sqlite_answers_a_query_through_the_unstable_interface() {
    let home = Home::shared();
    let query = "create table t(a); insert into t values (1), (2), (39); select sum(a) from t;\n";
    let answer = home.run_with_input(
        &["run", "--rm", "-i", &guest("sqlite.wasm")],
        query.as_bytes(),
    );
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("42"), "{answer:?}");
}

#[test]
fn quickjs_runs_a_script() {
    let home = Home::shared();
    home.write(
        "script.js",
        "print([3, 1, 2].sort().map((n) => n * 2).join(' '));",
    );
    let volume = format!("{}:/app:ro", home.files().display());
    let printed = home.ok(&[
        "run",
        "--rm",
        "-v",
        &volume,
        &guest("quickjs.wasm"),
        "/app/script.js",
    ]);
    assert_eq!(printed, "2 4 6");
}
