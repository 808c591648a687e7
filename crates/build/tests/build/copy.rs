//! `COPY` and `WORKDIR`: what lies where afterwards.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::Bench;

/// A context with a small tree.
fn tree() -> Bench {
    let bench = Bench::new();
    bench
        .write("a.txt", "a")
        .write("b.txt", "b")
        .write("src/main.py", "main")
        .write("src/lib/x.py", "x")
        .write("src/lib/y.c", "y");
    for directory in ["src", "src/lib"] {
        let path = bench.context().join(directory);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
        crate::set_time(&path, 1_600_000_000);
    }
    bench
}

/// Returns the listing of what these instructions make on `scratch`.
#[track_caller]
fn listing(bench: &Bench, instructions: &str) -> String {
    let outcome = bench.build(&format!("FROM scratch\n{instructions}"));
    bench.listing(&outcome.built.image)
}

#[test]
fn a_directory_gives_its_contents() {
    insta::assert_snapshot!(listing(&tree(), "COPY src /app"), @r"
    drwxr-xr-x 0/0 0 2023-11-14 22:13:20 app/
    drwxr-xr-x 0/0 0 2020-09-13 12:26:40 app/lib/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 app/lib/x.py
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 app/lib/y.c
    -rw-r--r-- 0/0 4 2023-11-14 22:13:20 app/main.py
    ");
}

#[test]
fn a_file_goes_to_a_name_or_into_a_directory() {
    insta::assert_snapshot!(listing(&tree(), "COPY a.txt /new\nCOPY a.txt /dir/\nCOPY b.txt /dir\n"), @r"
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 new
    --
    drwxr-xr-x 0/0 0 2023-11-14 22:13:20 dir/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 dir/a.txt
    --
    drwxr-xr-x 0/0 0 2023-11-14 22:13:20 dir/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 dir/b.txt
    ");
}

#[test]
fn several_sources_and_patterns_go_into_a_directory() {
    insta::assert_snapshot!(listing(&tree(), "WORKDIR /w\nCOPY *.txt src/*/ ./d/\nCOPY [\"src/*.py\", \".\"]"), @r"
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 w/
    --
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 w/
    drwxr-xr-x 0/0 0 2023-11-14 22:13:20 w/d/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 w/d/a.txt
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 w/d/b.txt
    -rw-r--r-- 0/0 4 2023-11-14 22:13:20 w/d/main.py
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 w/d/x.py
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 w/d/y.c
    --
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 w/
    -rw-r--r-- 0/0 4 2023-11-14 22:13:20 w/main.py
    ");
}

#[test]
fn a_pattern_that_matches_directories_takes_their_contents() {
    insta::assert_snapshot!(listing(&tree(), "COPY s* /d/"), @r"
    drwxr-xr-x 0/0 0 2023-11-14 22:13:20 d/
    drwxr-xr-x 0/0 0 2020-09-13 12:26:40 d/lib/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 d/lib/x.py
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 d/lib/y.c
    -rw-r--r-- 0/0 4 2023-11-14 22:13:20 d/main.py
    ");
}

#[test]
fn relative_destinations_follow_the_working_directory() {
    insta::assert_snapshot!(listing(&tree(), "WORKDIR /a/b\nWORKDIR ../c\nWORKDIR /a/c\nCOPY a.txt ../../x/./y"), @r"
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 a/
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 a/b/
    --
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 a/
    drwxr-xr-x 0/0 0 1970-01-01 00:00:00 a/c/
    --
    drwxr-xr-x 0/0 0 2023-11-14 22:13:20 x/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 x/y
    ");
}

#[test]
fn owners_and_modes_are_replaced_where_asked() {
    insta::assert_snapshot!(listing(&tree(), "COPY --chown=7 --chmod=0750 src /d\nCOPY --chown=1:2 a.txt /new/dir/"), @r"
    drwxr-x--- 7/7 0 2023-11-14 22:13:20 d/
    drwxr-x--- 7/7 0 2020-09-13 12:26:40 d/lib/
    -rwxr-x--- 7/7 1 2023-11-14 22:13:20 d/lib/x.py
    -rwxr-x--- 7/7 1 2023-11-14 22:13:20 d/lib/y.c
    -rwxr-x--- 7/7 4 2023-11-14 22:13:20 d/main.py
    --
    drwxr-xr-x 1/2 0 2023-11-14 22:13:20 new/
    drwxr-xr-x 1/2 0 2023-11-14 22:13:20 new/dir/
    -rw-r--r-- 1/2 1 2023-11-14 22:13:20 new/dir/a.txt
    ");
}

#[test]
fn owners_by_name_come_from_the_images_own_files() {
    let bench = tree();
    bench
        .write("etc/passwd", "root:x:0:0::/:\napp:x:1000:1001::/:\n")
        .write("etc/group", "staff:x:50:\n");
    let text = "COPY etc /etc/\nCOPY --chown=app a.txt /1\nCOPY --chown=app:staff a.txt /2\nCOPY --chown=5:staff a.txt /3";
    let listing = listing(&bench, text);
    let owners: Vec<&str> = listing
        .lines()
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert_eq!(owners, ["0/0", "0/0", "1000/1001", "1000/50", "5/50"]);
}

#[test]
fn directories_of_lower_layers_keep_their_metadata() {
    insta::assert_snapshot!(listing(&tree(), "COPY --chmod=700 --chown=9:9 src /d\nCOPY a.txt /d/lib/"), @r"
    drwx------ 9/9 0 2023-11-14 22:13:20 d/
    drwx------ 9/9 0 2020-09-13 12:26:40 d/lib/
    -rwx------ 9/9 1 2023-11-14 22:13:20 d/lib/x.py
    -rwx------ 9/9 1 2023-11-14 22:13:20 d/lib/y.c
    -rwx------ 9/9 4 2023-11-14 22:13:20 d/main.py
    --
    drwx------ 9/9 0 2023-11-14 22:13:20 d/
    drwx------ 9/9 0 2020-09-13 12:26:40 d/lib/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 d/lib/a.txt
    ");
}

#[test]
fn links_of_lower_layers_are_followed_within_the_image() {
    let bench = tree();
    fs::create_dir(bench.context().join("root")).expect("a directory can be made");
    symlink("/usr/bin", bench.context().join("root/bin")).expect("a link can be made");
    symlink("../../../../outside", bench.context().join("root/up")).expect("a link can be made");
    let outcome = bench.build("FROM scratch\nCOPY root /\nCOPY a.txt /bin/\nCOPY b.txt up/b");
    let root = bench.unpack(&outcome.built.image);
    assert_eq!(
        fs::read_to_string(root.path().join("usr/bin/a.txt")).expect("it is there"),
        "a"
    );
    assert_eq!(
        fs::read_to_string(root.path().join("outside/b")).expect("it is there"),
        "b"
    );
}

#[test]
fn a_link_that_is_named_is_followed_and_one_inside_is_copied() {
    let bench = tree();
    symlink("a.txt", bench.context().join("link")).expect("a link can be made");
    symlink("src", bench.context().join("folder")).expect("a link can be made");
    symlink("/etc/passwd", bench.context().join("src/out")).expect("a link can be made");
    let outcome = bench.build("FROM scratch\nCOPY link /named\nCOPY folder /f/\n");
    let root = bench.unpack(&outcome.built.image);
    assert_eq!(
        fs::read_to_string(root.path().join("named")).expect("it is there"),
        "a"
    );
    assert!(root.path().join("f/main.py").is_file());
    let target = fs::read_link(root.path().join("f/out")).expect("it is a link");
    assert_eq!(target.to_str(), Some("/etc/passwd"));
}

#[test]
fn ignored_files_do_not_exist() {
    let bench = tree();
    bench.write(
        ".dockerignore",
        "**/*.c\n.dockerignore\nBalenafile\n*.txt\n!b.txt\n",
    );
    insta::assert_snapshot!(listing(&bench, "COPY . /"), @r"
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 b.txt
    drwxr-xr-x 0/0 0 2020-09-13 12:26:40 src/
    drwxr-xr-x 0/0 0 2020-09-13 12:26:40 src/lib/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 src/lib/x.py
    -rw-r--r-- 0/0 4 2023-11-14 22:13:20 src/main.py
    ");
}

#[test]
fn an_ignore_file_beside_the_file_goes_first() {
    let bench = tree();
    bench
        .write(".dockerignore", "a.txt\n")
        .write("Balenafile.dockerignore", "*\n!a.txt\n");
    insta::assert_snapshot!(listing(&bench, "COPY . /"), @"-rw-r--r-- 0/0 1 2023-11-14 22:13:20 a.txt");
}

#[test]
fn an_ignored_directory_is_there_only_for_its_exceptions() {
    let bench = tree();
    bench
        .write(".dockerignore", "*\n!src/lib/x.py\n")
        .write("other/deep/z", "z");
    insta::assert_snapshot!(listing(&bench, "COPY . /"), @r"
    drwxr-xr-x 0/0 0 2020-09-13 12:26:40 src/
    drwxr-xr-x 0/0 0 2020-09-13 12:26:40 src/lib/
    -rw-r--r-- 0/0 1 2023-11-14 22:13:20 src/lib/x.py
    ");
}

#[test]
fn long_names_and_targets_survive() {
    let bench = Bench::new();
    let name = "n".repeat(180);
    let path = format!("{name}/{name}");
    bench.write(&path, "deep");
    symlink("t".repeat(200), bench.context().join("link")).expect("a link can be made");
    let outcome = bench.build("FROM scratch\nCOPY . /");
    let root = bench.unpack(&outcome.built.image);
    assert_eq!(
        fs::read_to_string(root.path().join(path)).expect("it is there"),
        "deep"
    );
    assert_eq!(
        fs::read_link(root.path().join("link"))
            .expect("it is a link")
            .as_os_str()
            .len(),
        200
    );
}

#[test]
fn sockets_and_pipes_are_left_out_with_a_warning() {
    let bench = tree();
    let _socket = std::os::unix::net::UnixListener::bind(bench.context().join("src/socket"))
        .expect("a socket can be made");
    let outcome = bench.build("FROM scratch\nCOPY src /\n");
    assert!(
        outcome
            .events
            .iter()
            .any(|event| event.contains("`src/socket` is a socket")),
        "{:?}",
        outcome.events
    );
    assert!(!bench.listing(&outcome.built.image).contains("socket"));
}

#[test]
fn names_that_are_no_text_survive() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    bench.write("d/plain", "x");
    fs::write(bench.context().join("d").join(name), "latin").expect("a file can be written");
    let root = bench.unpack(&bench.build("FROM scratch\nCOPY d /d").built.image);
    assert_eq!(
        fs::read_to_string(root.path().join("d").join(name)).expect("it is there"),
        "latin"
    );
}
