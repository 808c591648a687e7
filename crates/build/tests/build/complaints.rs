//! Builds that fail, and what they say.

use std::fs;
use std::os::unix::fs::symlink;

use minke_build::{BuildOptions, ContextSource, Input};

use crate::{Bench, complaint_of};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("server.py", "x").write("src/main.py", "x");
    bench
}

#[track_caller]
fn complaint(instructions: &str) -> String {
    bench().complaint(&format!("FROM scratch\n{instructions}"))
}

#[test]
fn a_missing_source_names_the_nearest() {
    insta::assert_snapshot!(complaint("COPY src \\\n  sever.py /app/"), @r"
    Balenafile:3:3: `sever.py` is not in the context
     3 |   sever.py /app/
       |   ^^^^^^^^
     hint: did you mean `server.py`?
    ");
    insta::assert_snapshot!(complaint("COPY src/mian.py /app/"), @r"
    Balenafile:2:6: `src/mian.py` is not in the context
     2 | COPY src/mian.py /app/
       |      ^^^^^^^^^^^
     hint: did you mean `src/main.py`?
    ");
}

#[test]
fn a_source_out_of_the_context_is_refused() {
    insta::assert_snapshot!(complaint("COPY ../secret /"), @r"
    Balenafile:2:6: `../secret` leads out of the context
     2 | COPY ../secret /
       |      ^^^^^^^^^
     hint: copy the file into the context first, or build with a directory above it as the context
    ");
    insta::assert_snapshot!(complaint("COPY src/../../secret /"), @r"
    Balenafile:2:6: `src/../../secret` leads out of the context
     2 | COPY src/../../secret /
       |      ^^^^^^^^^^^^^^^^
     hint: copy the file into the context first, or build with a directory above it as the context
    ");
}

#[test]
fn a_link_out_of_the_context_is_refused() {
    let bench = bench();
    fs::write(bench.directory.path().join("secret"), "secret").expect("a file can be written");
    symlink("../secret", bench.context().join("relative")).expect("a link can be made");
    symlink("/etc/passwd", bench.context().join("absolute")).expect("a link can be made");
    symlink("..", bench.context().join("up")).expect("a link can be made");
    insta::assert_snapshot!(bench.complaint("FROM scratch\nCOPY relative /"), @r"
    Balenafile:2:6: `relative` leads out of the context
     2 | COPY relative /
       |      ^^^^^^^^
     hint: copy the file into the context first, or build with a directory above it as the context
    ");
    insta::assert_snapshot!(bench.complaint("FROM scratch\nCOPY absolute /"), @r"
    Balenafile:2:6: `absolute` leads out of the context
     2 | COPY absolute /
       |      ^^^^^^^^
     hint: copy the file into the context first, or build with a directory above it as the context
    ");
    insta::assert_snapshot!(bench.complaint("FROM scratch\nCOPY up/secret /"), @r"
    Balenafile:2:6: `up/secret` leads out of the context
     2 | COPY up/secret /
       |      ^^^^^^^^^
     hint: copy the file into the context first, or build with a directory above it as the context
    ");
    insta::assert_snapshot!(bench.complaint("FROM scratch\nCOPY up/* /"), @r"
    Balenafile:2:6: `up/*` leads out of the context
     2 | COPY up/* /
       |      ^^^^
     hint: copy the file into the context first, or build with a directory above it as the context
    ");
}

#[test]
fn a_circle_of_links_is_refused() {
    let bench = bench();
    symlink("b", bench.context().join("a")).expect("a link can be made");
    symlink("a", bench.context().join("b")).expect("a link can be made");
    insta::assert_snapshot!(bench.complaint("FROM scratch\nCOPY a /"), @r"
    Balenafile:2:6: cannot read `a` of the context: its symbolic links lead in a circle, or it was changed while it was read
     2 | COPY a /
       |      ^
     hint: check its symbolic links, and build again when nothing writes to it
    ");
}

#[test]
fn an_ignored_source_says_so() {
    let bench = bench();
    bench.write(".dockerignore", "server.py");
    insta::assert_snapshot!(bench.complaint("FROM scratch\nCOPY server.py /"), @r"
    Balenafile:2:6: `server.py` is left out of the context by `.dockerignore`
     2 | COPY server.py /
       |      ^^^^^^^^^
     hint: add the line `!server.py` to it
    ");
}

#[test]
fn several_sources_need_a_directory() {
    insta::assert_snapshot!(complaint("COPY server.py src/main.py /app"), @r"
    Balenafile:2:28: several sources need a directory, and `/app` does not end in `/`
     2 | COPY server.py src/main.py /app
       |                            ^^^^
     hint: write `/app/`
    ");
    insta::assert_snapshot!(complaint("COPY s*/*.py *.py /app"), @r"
    Balenafile:2:19: several sources need a directory, and `/app` does not end in `/`
     2 | COPY s*/*.py *.py /app
       |                   ^^^^
     hint: write `/app/`
    ");
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    insta::assert_snapshot!(complaint("COPY server.py /app\nCOPY src /app"), @r"
    Balenafile:3:1: `/app` is not a directory, and a directory cannot replace it
     3 | COPY src /app
       | ^^^^^^^^^^^^^
     hint: choose another destination
    ");
    insta::assert_snapshot!(complaint("COPY src /app/server.py\nCOPY server.py /app/"), @r"
    Balenafile:3:1: `/app/server.py` is a directory, and a file cannot replace it
     3 | COPY server.py /app/
       | ^^^^^^^^^^^^^^^^^^^^
     hint: choose another destination
    ");
    insta::assert_snapshot!(complaint("COPY server.py /app\nWORKDIR /app/x"), @r"
    Balenafile:3:1: `/app` is not a directory
     3 | WORKDIR /app/x
       | ^^^^^^^^^^^^^^
     hint: choose another destination
    ");
}

#[test]
fn owners_and_modes_must_be_known() {
    insta::assert_snapshot!(complaint("COPY --chown=app server.py /"), @r"
    Balenafile:2:14: there is no user `app` in `/etc/passwd` of the image
     2 | COPY --chown=app server.py /
       |              ^^^
     hint: write numbers: `--chown=1000:1000`
    ");
    insta::assert_snapshot!(complaint("COPY --chown=1: server.py /"), @r"
    Balenafile:2:14: `1:` is not of the form `USER[:GROUP]`
     2 | COPY --chown=1: server.py /
       |              ^^
     hint: write numbers: `--chown=1000:1000`
    ");
    insta::assert_snapshot!(complaint("COPY --chmod=u+y server.py /"), @r"
    Balenafile:2:14: `u+y` is neither an octal number of permissions nor a change
     2 | COPY --chmod=u+y server.py /
       |              ^^^
     hint: write three or four digits, `--chmod=755`, or a change, `--chmod=u+x`
    ");
}

#[test]
fn ports_must_be_ports() {
    insta::assert_snapshot!(complaint("EXPOSE 80/tpc"), @r"
    Balenafile:2:8: `tpc` is not a protocol
     2 | EXPOSE 80/tpc
       |        ^^^^^^
     hint: write `PORT`, `PORT-PORT` or `PORT/udp`
    ");
}

#[test]
fn an_unknown_base_image_names_the_nearest() {
    let bench = bench();
    bench.build("FROM scratch\nLABEL a=b");
    insta::assert_snapshot!(bench.complaint("FROM tset"), @r"
    Balenafile:1:6: no such image: `tset`
     1 | FROM tset
       |      ^^^^
     hint: did you mean `test:latest`?
    ");
    insta::assert_snapshot!(bench.complaint("FROM quite/another"), @r"
    Balenafile:1:6: no such image: `quite/another`
     1 | FROM quite/another
       |      ^^^^^^^^^^^^^
     hint: build it first: `minke build -t quite/another DIRECTORY`; `minke images` lists what is there
    ");
    insta::assert_snapshot!(bench.complaint("ARG BASE\nFROM $BASE"), @r"
    Balenafile:2:6: `$BASE` is empty
     2 | FROM $BASE
       |      ^^^^^
     hint: give the variable a default: `ARG NAME=VALUE` before `FROM`
    ");
    insta::assert_snapshot!(bench.complaint("FROM --platform=linux/amd64 test"), @r"
    Balenafile:1:17: platform `linux/amd64` cannot run here
     1 | FROM --platform=linux/amd64 test
       |                 ^^^^^^^^^^^
     hint: leave it out, or write `--platform=wasi/wasm`
    ");
}

#[test]
fn values_that_double_are_bounded() {
    let doubling = "ENV A=$A$A\n".repeat(40);
    let message = complaint(&format!("ENV A=aaaaaaaaaaaaaaaa\n{doubling}"));
    assert!(message.contains("more than 131072 bytes"), "{message}");
}

#[test]
fn contexts_and_files_must_be_there() {
    let bench = Bench::new();
    let place = bench.directory.path().display().to_string();
    let complaint = |options: &BuildOptions| {
        complaint_of(&bench.try_build(options).expect_err("it must fail")).replace(&place, "")
    };
    insta::assert_snapshot!(complaint(&bench.options("a")), @r"
    there is no `Balenafile` and no `Dockerfile` in `/context`
     hint: write a `Balenafile` there, or name another file with `-f FILE`
    ");
    insta::assert_snapshot!(complaint(&BuildOptions { context: ContextSource::Directory(bench.directory.path().join("none")), ..bench.options("a") }), @r"
    cannot read the directory `/none`
     hint: check the path; a relative one begins where the command is run
    ");
    insta::assert_snapshot!(complaint(&BuildOptions { file: Some(Input::Path(bench.context().join("none"))), ..bench.options("a") }), @r"
    cannot read `/context/none`
     hint: check the path; a relative one begins where the command is run
    ");
    bench.write("Balenafile", "FROM scratch");
    insta::assert_snapshot!(complaint(&BuildOptions { context: ContextSource::Directory(bench.context().join("Balenafile")), ..bench.options("a") }), @r"
    `/context/Balenafile` is not a directory
     hint: give the directory that holds the files to copy
    ");
    insta::assert_snapshot!(complaint(&BuildOptions { file: Some(Input::Path(bench.context())), ..bench.options("a") }), @r"
    cannot read `/context`
     hint: none
    ");
}

#[test]
fn a_failed_build_leaves_no_image_and_no_unfinished_file() {
    let bench = bench();
    bench.complaint("FROM scratch\nCOPY server.py /\nCOPY none /");
    assert!(
        bench
            .store()
            .images()
            .expect("the store can be read")
            .is_empty()
    );
    let left = fs::read_dir(bench.store().root().join("tmp"))
        .expect("it is a directory")
        .count();
    assert_eq!(left, 0);
    let (steps, collected) = bench
        .store()
        .prune_build_cache(minke_image::PrunedSteps::Unshared, None)
        .expect("the cache can be pruned");
    assert!(
        !steps.is_empty() && collected.files_count > 0,
        "the finished layer was kept for the next build"
    );
    assert_eq!(
        fs::read_dir(bench.store().root().join("blobs/sha256"))
            .expect("it is a directory")
            .count(),
        0
    );
}

#[test]
fn directories_inside_each_other_are_bounded() {
    let bench = bench();
    let depth = minke_build::DIRECTORY_DEPTH_MAX + 2;
    bench.write(&format!("{}file", "d/".repeat(depth)), "x");
    let message = bench.complaint("FROM scratch\nCOPY d /d");
    assert!(
        message.contains("more than 200 directories inside each other"),
        "{message}"
    );
}

#[test]
fn a_configuration_that_no_store_reads_is_not_written() {
    let bench = bench();
    let variables: String = (0..80)
        .map(|number| format!("ENV V{number}=$A\n"))
        .collect();
    let file = format!("FROM scratch\nENV A={}\n{variables}", "a".repeat(60_000));
    insta::assert_snapshot!(bench.complaint(&file), @r"
    a configuration or manifest has more than 4194304 bytes
     hint: make it smaller: fewer or shorter values, fewer files
    ");
    assert!(
        bench
            .store()
            .images()
            .expect("the store can be read")
            .is_empty()
    );
}
