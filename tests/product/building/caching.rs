//! What makes a step be done again, read from `--progress json`.
//!
//! A step that changes files depends on the layers below it, on its instruction with variables replaced, and on the files that
//! it selects: names, contents, permissions, not times. A step that is done again and makes what it made before leaves those
//! after it as they are. Spec: Docker's manual, "Build cache invalidation".

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{context, set_mode};
use crate::home::{Home, guest};

const FILE: &str = r#"
FROM base:1 AS tools
COPY tool /t/
COPY beside /beside/
RUN ["probe", "write", "/t/made", "x"]
FROM base:1 AS unrelated
COPY unrelated /u/
FROM base:1
ARG USED=1
ARG SEEN
WORKDIR /w
COPY dir /w/dir
COPY --from=tools /t /t
ADD pattern/*.txt /p/
RUN --mount=type=secret,id=s ["probe", "write", "/ran", "x"]
ARG LATE
LABEL used=$USED
COPY --link linked /
COPY last /last-$USED
"#;

const TOOL: &str = "COPY tool /t/";
const BESIDE: &str = "COPY beside /beside/";
const TOOLS_RUN: &str = r#"RUN ["probe", "write", "/t/made", "x"]"#;
const WORKDIR: &str = "WORKDIR /w";
const DIR: &str = "COPY dir /w/dir";
const FROM_TOOLS: &str = "COPY --from=tools /t /t";
const ADD: &str = "ADD pattern/*.txt /p/";
const RUN: &str = r#"RUN --mount=type=secret,id=s ["probe", "write", "/ran", "x"]"#;
const LINKED: &str = "COPY --link linked /";
const LAST: &str = "COPY last /last-$USED";

const ALL: &[&str] = &[
    TOOL, BESIDE, TOOLS_RUN, WORKDIR, DIR, FROM_TOOLS, ADD, RUN, LINKED, LAST,
];

const ALL_ON_THE_BASE: &[&str] = &[
    TOOL, BESIDE, TOOLS_RUN, WORKDIR, DIR, FROM_TOOLS, ADD, RUN, LAST,
];

/// What is changed before a build.
type Change = fn(&Home);

/// What is changed, the arguments of the build, and the steps that are done again.
type Row = (
    &'static str,
    Change,
    &'static [&'static str],
    &'static [&'static str],
);

const ROWS: &[Row] = &[
    ("nothing", |_| {}, &[], &[]),
    (
        "a content",
        |home| write(home, "dir/a", "2"),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    ("a time", |home| age(home, "dir/a", 1_000_000_000), &[], &[]),
    (
        "a time to come",
        |home| age(home, "dir/a", 4_000_000_000),
        &[],
        &[],
    ),
    (
        "a mode",
        |home| mode(home, "dir/a", 0o755),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "a mode of a directory",
        |home| mode(home, "dir/sub", 0o700),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "a file more",
        |home| write(home, "dir/sub/new", "n"),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    ("a file less", |home| remove(home, "dir/sub/new"), &[], &[]),
    (
        "another name",
        |home| rename(home, "dir/a", "dir/b"),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "a link",
        |home| link(home, "one", "dir/link"),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "a link's target",
        |home| link(home, "two", "dir/link"),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "what is selected by a pattern",
        |home| write(home, "pattern/b.txt", "b"),
        &[],
        &[ADD, RUN, LAST],
    ),
    (
        "what is not selected by a pattern",
        |home| write(home, "pattern/b.md", "b"),
        &[],
        &[],
    ),
    (
        "what no step copies",
        |home| write(home, "elsewhere", "e"),
        &[],
        &[],
    ),
    (
        "what is ignored",
        |home| write(home, "dir/x.log", "l"),
        &[],
        &[],
    ),
    (
        "what is no longer ignored",
        |home| write(home, ".dockerignore", "*.none\n"),
        &[],
        &[DIR, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "what is ignored from now on",
        |home| write(home, ".dockerignore", "**/*.log\n"),
        &[],
        &[],
    ),
    (
        "the last step's file",
        |home| write(home, "last", "2"),
        &[],
        &[LAST],
    ),
    (
        "a linked file, on which nothing stands but what is above",
        |home| write(home, "linked", "2"),
        &[],
        &[LINKED, LAST],
    ),
    (
        "a stage that is copied from",
        |home| write(home, "tool", "2"),
        &[],
        &[TOOL, BESIDE, TOOLS_RUN, FROM_TOOLS, ADD, RUN, LAST],
    ),
    (
        "a stage, but nothing that is copied of it",
        |home| write(home, "beside", "2"),
        &[],
        &[BESIDE, TOOLS_RUN],
    ),
    (
        "a stage that nothing needs",
        |home| write(home, "unrelated", "2"),
        &[],
        &[],
    ),
    (
        "an argument that a word has",
        |_| {},
        &["--build-arg", "USED=2"],
        &[RUN, LAST],
    ),
    (
        "an argument that only programs see",
        |_| {},
        &["--build-arg", "SEEN=2"],
        &[RUN],
    ),
    (
        "an argument after all programs",
        |_| {},
        &["--build-arg", "LATE=2"],
        &[],
    ),
    (
        "an argument that nobody declares",
        |_| {},
        &["--build-arg", "NOBODY=2"],
        &[],
    ),
    ("a label", |_| {}, &["--label", "a=b"], &[]),
    ("a tag", |_| {}, &["-t", "another:1"], &[]),
    ("a secret", |home| drop(home.write("secret", "2")), &[], &[]),
    (
        "a comment",
        |home| edit(home, "WORKDIR", "# more\n\nWORKDIR"),
        &[],
        &[],
    ),
    (
        "a label in the file",
        |home| edit(home, "LABEL", "LABEL x=y\nLABEL"),
        &[],
        &[],
    ),
    (
        "a variable after all programs",
        |home| edit(home, "LABEL used", "ENV A=1\nLABEL used"),
        &[],
        &[],
    ),
    (
        "a variable before a program",
        |home| edit(home, "ADD", "ENV B=1\nADD"),
        &[],
        &[RUN],
    ),
    (
        "a user",
        |home| edit(home, "ENV B=1", "ENV B=1\nUSER 0"),
        &[],
        &[RUN],
    ),
    (
        "the base, whose name moves to the same",
        build_base,
        &[],
        &[],
    ),
    (
        "the base",
        |home| {
            drop(home.write(
                "base",
                "FROM scratch\nCOPY probe.wasm /bin/\nCOPY tool /base\n",
            ));
            build_base(home);
        },
        &[],
        ALL_ON_THE_BASE,
    ),
    ("no cache", |_| {}, &["--no-cache"], ALL),
    ("nothing after that", |_| {}, &[], &[]),
];

fn path(home: &Home, name: &str) -> std::path::PathBuf {
    home.files().join("context").join(name)
}

fn write(home: &Home, name: &str, content: &str) {
    let to = home.write(&format!("context/{name}"), content);
    set_mode(&to, 0o644);
}

fn age(home: &Home, name: &str, seconds: u64) {
    let file = fs::File::options()
        .append(true)
        .open(path(home, name))
        .expect("it is there");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_modified(time).expect("ours");
}

fn mode(home: &Home, name: &str, mode: u32) {
    set_mode(&path(home, name), mode);
}

fn remove(home: &Home, name: &str) {
    fs::remove_file(path(home, name)).expect("it is there");
}

fn rename(home: &Home, from: &str, to: &str) {
    fs::rename(path(home, from), path(home, to)).expect("it is there");
}

fn link(home: &Home, target: &str, name: &str) {
    let link = path(home, name);
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(target, link).expect("a link");
}

fn edit(home: &Home, from: &str, to: &str) {
    let file = home.files().join("Balenafile");
    let text = fs::read_to_string(&file).expect("it is there");
    assert!(text.contains(from), "{from}");
    home.write("Balenafile", text.replacen(from, to, 1));
}

fn build_base(home: &Home) {
    home.ok(&["build", "-q", "-t", "base:1", "-f", "base", "context"]);
}

/// A home with a context, the base image and a secret.
fn home() -> Home {
    let home = context(&[
        ("tool", "1"),
        ("beside", "1"),
        ("unrelated", "1"),
        ("dir/a", "1"),
        ("dir/sub/c", "1"),
        ("dir/old.log", "1"),
        ("pattern/a.txt", "1"),
        ("linked", "1"),
        ("last", "1"),
        (".dockerignore", "**/*.log\n"),
    ]);
    fs::copy(guest("probe.wasm"), path(&home, "probe.wasm")).expect("copied");
    mode(&home, "probe.wasm", 0o644);
    for name in [
        "tool",
        "beside",
        "dir/a",
        "dir/sub/c",
        "pattern/a.txt",
        "linked",
        "last",
        "probe.wasm",
    ] {
        age(&home, name, 1_700_000_000);
    }
    age_directory(&path(&home, "dir/sub"));
    home.write("base", "FROM scratch\nCOPY probe.wasm /bin/\n");
    home.write("secret", "1");
    home.write("Balenafile", FILE);
    build_base(&home);
    home
}

/// Builds, and returns the steps that had to be done, in the order of the file.
#[track_caller]
fn done(home: &Home, arguments: &[&str], epoch: Option<&str>) -> Vec<String> {
    let own = [
        "build",
        "--progress",
        "json",
        "-t",
        "made",
        "-f",
        "Balenafile",
        "--secret",
        "id=s,src=secret",
    ];
    let mut command = home.command(&[&own, arguments, &["context"]].concat());
    command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
    let output = command.output().expect("minke starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let events = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let changes_files = |text: &str| {
        let name = text.split(' ').next().unwrap_or_default();
        ["ADD", "COPY", "RUN", "WORKDIR"].contains(&name)
    };
    let mut done: Vec<(u64, u64, String)> = events
        .filter(|event: &Value| event["event"] == "done")
        .map(|event| {
            let number = |field: &str| event[field].as_u64().unwrap_or_default();
            let text = event["text"].as_str().unwrap_or_default().to_owned();
            (number("stage_index"), number("step"), text)
        })
        .filter(|(_, _, text)| changes_files(text))
        .collect();
    done.sort();
    done.into_iter().map(|(_, _, text)| text).collect()
}

#[test]
fn what_changes_makes_its_step_and_those_after_it_be_done_again() {
    let home = home();
    assert_eq!(done(&home, &[], None), ALL, "the first build");
    for (what, change, arguments, expected) in ROWS {
        change(&home);
        assert_eq!(done(&home, arguments, None), *expected, "{what}");
    }
    // One time for everything is in everything.
    assert_eq!(
        done(&home, &[], Some("1700000000")),
        ALL,
        "SOURCE_DATE_EPOCH"
    );
    assert_eq!(
        done(&home, &[], Some("1700000000")),
        [""; 0],
        "the same again"
    );
}

/// Returns the digest of what a home makes.
fn digest(home: &Home, epoch: Option<&str>) -> Value {
    done(home, &[], epoch);
    home.inspect("made")["RepoDigests"].clone()
}

#[test]
fn equal_inputs_make_equal_images_in_any_home() {
    let (one, other) = (home(), home());
    assert_eq!(digest(&one, None), digest(&other, None));
    assert_eq!(digest(&one, Some("5")), digest(&other, Some("5")));
    // What was built before it makes no difference.
    write(&one, "dir/a", "other");
    digest(&one, None);
    write(&one, "dir/a", "1");
    age(&one, "dir/a", 1_700_000_000);
    assert_eq!(digest(&one, None), digest(&other, None));
}

fn age_directory(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::open(path)
        .expect("it is there")
        .set_modified(time)
        .expect("ours");
}
