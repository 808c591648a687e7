//! Files between a container and the host: `diff`, `export`, `cp` and `commit`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tar::{Builder, EntryType, Header};

use crate::home::{Home, PATIENCE, guest};

/// A home with the image `app`: the probe, and some files.
fn home() -> Home {
    let home = Home::new();
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home.write("image/etc/a.conf", "a");
    home.write("image/etc/b.conf", "b");
    home.write("image/srv/site/index", "index");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /bin/\nCOPY image /\nENTRYPOINT [\"probe\"]\nCMD [\"wait\"]\n",
    );
    home.ok(&["build", "-q", "-t", "app", "."]);
    home
}

/// Starts a container of the image that does one thing and then waits.
#[track_caller]
fn running(home: &Home, options: &[&str]) {
    home.ok(&[&["run", "-d", "--name", "web"], options, &["app"]].concat());
}

/// The members of a tar, as the real `tar` lists them.
#[track_caller]
fn listed(tar: &[u8]) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.tar");
    fs::write(&path, tar).expect("written");
    let output = Command::new("tar")
        .arg("-tf")
        .arg(&path)
        .output()
        .expect("tar starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

/// What a command writes to its standard output, as bytes.
#[track_caller]
fn bytes_of(home: &Home, arguments: &[&str]) -> Vec<u8> {
    let output = home.command(arguments).output().expect("minke starts");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// What a path of the container has.
#[track_caller]
fn content(home: &Home, path: &str) -> String {
    let tar = bytes_of(home, &["cp", "-L", &format!("web:{path}"), "-"]);
    let mut archive = tar::Archive::new(&tar[..]);
    let mut entries = archive.entries().expect("a tar");
    let mut text = String::new();
    let mut entry = entries.next().expect("a member").expect("it is whole");
    std::io::Read::read_to_string(&mut entry, &mut text).expect("a text");
    text
}

/// A tar of one member with exactly this name.
fn tar_of(name: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).expect("appended");
    builder.into_inner().expect("finished")
}

#[test]
fn a_container_that_changed_nothing_has_no_changes() {
    let home = home();
    fs::create_dir(home.files().join("data")).expect("made");
    running(
        &home,
        &[
            "-v",
            "./data:/mnt/deep/data",
            "-v",
            "cache:/cache",
            "--tmpfs",
            "/srv/tmp",
        ],
    );
    assert_eq!(home.ok(&["diff", "web"]), "");
    assert_eq!(
        home.ok(&["container", "diff", "--format", "json", "web"]),
        ""
    );
}

#[test]
fn what_is_added_changed_and_deleted_is_listed_with_its_directories() {
    let home = home();
    running(&home, &["-v", "cache:/cache"]);
    home.write("new/deep/file", "new");
    home.write("a.conf", "other");
    home.ok(&["cp", "new", "web:/opt"]);
    home.ok(&["cp", "a.conf", "web:/etc"]);
    home.ok(&["cp", "a.conf", "web:/cache/in-a-volume"]);
    let expected = "C /etc\nC /etc/a.conf\nA /opt\nA /opt/deep\nA /opt/deep/file";
    assert_eq!(home.ok(&["diff", "web"]), expected);
    let json = home.ok(&["diff", "--format", "json", "web"]);
    assert_eq!(
        json.lines().nth(2),
        Some("{\"Path\":\"/opt\",\"Type\":\"A\"}")
    );
    let template = home.ok(&["diff", "--format", "{{.Type}}{{.Path}}", "web"]);
    assert_eq!(template.lines().next(), Some("C/etc"));
}

#[test]
fn an_export_is_the_root_without_mounts() {
    let home = home();
    home.write("data/secret", "s");
    running(&home, &["-v", "./data:/data"]);
    home.write("new", "new");
    home.ok(&["cp", "new", "web:/srv/new"]);
    let mut names = listed(&bytes_of(&home, &["export", "web"]));
    names.sort();
    let expected = [
        "bin/",
        "bin/probe.wasm",
        "data/",
        "dev/",
        "etc/",
        "etc/a.conf",
        "etc/b.conf",
        "proc/",
        "srv/",
        "srv/new",
        "srv/site/",
        "srv/site/index",
    ];
    assert_eq!(names, expected);
    home.ok(&["container", "export", "-o", "root.tar", "web"]);
    let mut written = listed(&fs::read(home.files().join("root.tar")).expect("written"));
    written.sort();
    assert_eq!(written, expected);
    let failed = home.run(&["export", "-o", "none/root.tar", "web"]);
    failed.assert_fails(1, &["cannot write `none/root.tar`"]);
}

#[test]
fn files_and_directories_go_out_by_the_rules_of_cp() {
    let home = home();
    running(&home, &[]);
    let files = home.files();
    let read = |path: &str| fs::read_to_string(files.join(path)).expect("it was copied");
    home.ok(&["cp", "-q", "web:/etc/a.conf", "."]);
    assert_eq!(read("a.conf"), "a");
    home.ok(&["cp", "web:/etc/b.conf", "a.conf"]);
    assert_eq!(read("a.conf"), "b");
    home.ok(&["cp", "web:etc", "made"]);
    assert_eq!(read("made/b.conf"), "b");
    home.ok(&["cp", "web:/etc", "made"]);
    assert_eq!(read("made/etc/b.conf"), "b");
    home.ok(&["cp", "web:/srv/.", "made"]);
    assert_eq!(read("made/site/index"), "index");
    home.fails(
        &["cp", "web:/etc/a.conf", "nowhere/"],
        1,
        "error: no such directory: `nowhere/`\nhint: make it first: `mkdir -p`",
    );
    home.fails(
        &["cp", "web:/etc", "a.conf"],
        1,
        "error: cannot copy a directory to `a.conf`, which is a file\nhint: give a directory",
    );
    home.fails(
        &["cp", "web:/none", "."],
        1,
        "error: could not find the file `/none` in container `web`\nhint: `minke cp web:/ - | tar -t` lists what is there",
    );
    let said = home.run(&["cp", "web:/etc/a.conf", "."]).stderr;
    assert!(said.starts_with("Successfully copied "), "{said}");
}

#[test]
fn files_and_directories_go_in_by_the_rules_of_cp() {
    let home = home();
    running(&home, &["-v", "cache:/cache"]);
    home.write("site/index", "new");
    home.write("site/deep/page", "page");
    home.ok(&["cp", "site", "web:/srv"]);
    assert_eq!(content(&home, "/srv/site/index"), "new");
    home.ok(&["cp", "site/.", "web:/cache"]);
    assert_eq!(content(&home, "/cache/deep/page"), "page");
    home.ok(&["cp", "site/index", "web:/srv/renamed"]);
    assert_eq!(content(&home, "/srv/renamed"), "new");
    home.ok(&["cp", "site", "web:/other"]);
    assert_eq!(content(&home, "/other/deep/page"), "page");
    // The guest sees them too.
    for (arguments, message) in [
        (["cp", "site/index", "web:/none/"], "no such directory"),
        (["cp", "site", "web:/etc/a.conf"], "cannot copy a directory"),
        (
            ["cp", "site/index", "web:/none/x"],
            "could not find the file `/none/`",
        ),
        (["cp", "missing", "web:/srv"], "cannot read `missing`"),
        (
            ["cp", "site/index/", "web:/srv"],
            "cannot read `site/index/`",
        ),
    ] {
        home.run(&arguments).assert_fails(1, &[message]);
    }
    home.write("over/site", "a file");
    let failed = home.run(&["cp", "over/.", "web:/srv"]);
    failed.assert_fails(
        1,
        &["cannot overwrite directory `/srv/site` with non-directory"],
    );
}

#[test]
fn a_program_that_runs_sees_what_was_copied_and_is_seen() {
    let home = home();
    home.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--entrypoint",
        "probe",
        "app",
        "ticks",
        "1000000",
        "10",
    ]);
    home.write("file", "first");
    home.ok(&["cp", "file", "web:/file"]);
    assert_eq!(content(&home, "/file"), "first");
}

#[test]
fn owners_modes_times_and_links_arrive() {
    let home = home();
    running(&home, &[]);
    let tar = tar_of("owned", EntryType::Regular, "", b"x");
    let ended = home.run_with_input(&["cp", "-", "web:/srv"], &tar);
    assert_eq!(ended.code, 0, "{ended:?}");
    home.write("in/script", "x");
    let script = home.files().join("in/script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).expect("set");
    fs::hard_link(&script, home.files().join("in/twin")).expect("linked");
    symlink("script", home.files().join("in/link")).expect("linked");
    home.ok(&["cp", "in", "web:/srv/plain"]);
    home.ok(&["cp", "-a", "in", "web:/srv/archived"]);
    let tar = bytes_of(&home, &["cp", "web:/srv", "-"]);
    let mut archive = tar::Archive::new(&tar[..]);
    let mut seen = std::collections::BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let entry = entry.expect("it is whole");
        let header = entry.header();
        let path = entry.path().expect("a path").display().to_string();
        let link = entry.link_name().expect("a path").unwrap_or_default();
        let (uid, mode) = (header.uid().expect("set"), header.mode().expect("set"));
        let link = link.display().to_string();
        seen.insert(path, (uid, mode, header.mtime().expect("set"), link));
    }
    assert_eq!(seen["srv/owned"], (7, 0o644, 1_000_000, String::new()));
    assert_eq!(seen["srv/plain/script"].0, 0);
    assert_eq!(seen["srv/plain/script"].1, 0o750);
    let own = fs::metadata(&script).expect("it is there");
    let archived = &seen["srv/archived/script"];
    assert_eq!(
        (archived.0, archived.2),
        (own.uid().into(), own.mtime() as u64)
    );
    assert_eq!(seen["srv/plain/link"].3, "script");
    assert_eq!(seen["srv/plain/twin"].3, "srv/plain/script");
}

#[test]
fn names_and_links_of_archives_lead_nowhere_else() {
    let home = home();
    running(&home, &[]);
    for name in ["../out", "a/../../out", "/../out"] {
        let tar = tar_of(name, EntryType::Regular, "", b"x");
        let ended = home.run_with_input(&["cp", "-", "web:/srv"], &tar);
        ended.assert_fails(1, &["leads out of the directory"]);
    }
    let tar = tar_of("/absolute", EntryType::Regular, "", b"x");
    let ended = home.run_with_input(&["cp", "-", "web:/srv"], &tar);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(content(&home, "/srv/absolute"), "x");
    // A link in the container that points out of it names nothing of the host.
    let outside = home.files().join("outside");
    fs::create_dir(&outside).expect("made");
    let target = outside.to_str().expect("a text");
    let tar = tar_of("link", EntryType::Symlink, target, b"");
    let ended = home.run_with_input(&["cp", "-", "web:/srv"], &tar);
    assert_eq!(ended.code, 0, "{ended:?}");
    home.write("file", "x");
    let failed = home.run(&["cp", "file", "web:/srv/link/file"]);
    failed.assert_fails(1, &["could not find the file"]);
    // Out on the host it is a link, and nothing is written through it.
    home.ok(&["cp", "web:/srv/.", "copy"]);
    let link = fs::read_link(home.files().join("copy/link")).expect("a link");
    assert_eq!(link, outside);
    assert_eq!(fs::read_dir(&outside).expect("it is there").count(), 0);
    home.write("x/link/file", "x");
    home.ok(&["cp", "web:/srv/link", "x/linked"]);
    home.run(&["cp", "x/.", "web:/srv"])
        .assert_fails(1, &["cannot overwrite non-directory"]);
}

#[test]
fn what_is_read_only_is_not_written() {
    let home = home();
    home.write("data/file", "x");
    running(
        &home,
        &["--read-only", "-v", "./data:/data:ro", "-v", "cache:/cache"],
    );
    let file = home.write("file", "x");
    let file = file.to_str().expect("a text");
    home.run(&["cp", file, "web:/srv"])
        .assert_fails(1, &["container rootfs is marked read-only"]);
    home.run(&["cp", file, "web:/data"])
        .assert_fails(1, &["mounted volume is marked read-only"]);
    home.ok(&["cp", file, "web:/cache"]);
    assert_eq!(home.ok(&["diff", "web"]), "");
}

#[test]
fn a_disk_that_is_full_is_told_and_the_container_runs_on() {
    let home = home();
    running(&home, &["--root-size", "16m"]);
    home.write("large", vec![1; 64 << 20]);
    let failed = home.run(&["cp", "large", "web:/srv"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("`/srv/large`"), "{failed:?}");
    assert_eq!(content(&home, "/etc/a.conf"), "a");
}

#[test]
fn a_client_that_is_killed_or_stalls_keeps_nothing() {
    let home = home();
    running(&home, &[]);
    home.write("large", vec![1; 8 << 20]);
    home.ok(&["cp", "large", "web:/srv"]);
    // None of these reads what it asked for.
    let mut stalled: Vec<_> = (0..8)
        .map(|_| {
            let mut export = home.command(&["export", "web"]);
            export.stdout(Stdio::piped()).spawn().expect("minke starts")
        })
        .collect();
    for child in &mut stalled {
        // It has begun.
        let output = child.stdout.as_mut().expect("it was asked for");
        std::io::Read::read_exact(output, &mut [0; 512]).expect("a header comes");
    }
    let refused = home.run(&["diff", "web"]);
    refused.assert_fails(1, &["8 other commands work on its files"]);
    home.ok(&["stop", "-t", "0", "web"]);
    for child in &mut stalled {
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
    }
    home.ok(&["rm", "web"]);
    home.ok(&["volume", "prune", "-f"]);
    home.assert_nothing_left();
}

/// Waits until a process waits for a lock of a file. Linux: fs/locks.c, `/proc/locks`.
fn wait_for_waiting(child: &Child) {
    let waits = format!("-> FLOCK  ADVISORY  WRITE {} ", child.id());
    let until = Instant::now() + PATIENCE;
    let locks = || fs::read_to_string("/proc/locks").expect("Linux");
    while !locks().contains(&waits) {
        assert!(Instant::now() < until, "no `{waits}` in {}", locks());
        std::thread::yield_now();
    }
}

#[test]
fn an_export_of_a_stopped_container_keeps_nobody_waiting_but_who_starts_or_removes_it() {
    let home = home();
    running(&home, &[]);
    home.write("large", vec![1; 8 << 20]);
    home.ok(&["cp", "large", "web:/srv"]);
    home.ok(&["stop", "-t", "0", "web"]);
    for (waiting, name) in [(["start", "web"], "other"), (["rm", "other"], "gone")] {
        let mut export = home.command(&["export", waiting[1]]);
        let mut export = export.stdout(Stdio::piped()).spawn().expect("it starts");
        let output = export.stdout.as_mut().expect("it was asked for");
        std::io::Read::read_exact(output, &mut [0; 512]).expect("a header comes");
        let mut waiting = home.command(&waiting).spawn().expect("it starts");
        wait_for_waiting(&waiting);
        // By the signal that asks or the one that ends it, whichever it saw.
        let listed = home.ok(&["ps", "-a"]);
        assert!(listed.contains("Exited (1"), "{listed}");
        home.ok(&["rename", home.ok(&["ps", "-aq"]).trim(), name]);
        let refused = home.run(&["diff", name]);
        refused.assert_fails(1, &["it is being started, or copied from"]);
        export.kill().expect("it is ours");
        export.wait().expect("it ends");
        assert!(waiting.wait().expect("it ends").success());
        home.run(&["stop", "-t", "0", name]);
    }
    home.assert_nothing_left();
}

#[test]
fn a_stopped_container_s_files_are_read() {
    let home = home();
    home.write("data/file", "x");
    running(&home, &["-v", "./data:/data"]);
    home.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(content(&home, "/etc/a.conf"), "a");
    assert_eq!(content(&home, "/data/file"), "x");
    assert_eq!(home.ok(&["diff", "web"]), "");
    home.write("kept", "kept");
    home.ok(&["cp", "kept", "web:/kept"]);
    assert_eq!(content(&home, "/kept"), "kept");
    assert_eq!(home.ok(&["diff", "web"]), "A /kept");
    home.ok(&["start", "web"]);
    assert_eq!(content(&home, "/kept"), "kept");
    home.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(home.ok(&["diff", "web"]), "A /kept");
    home.ok(&["commit", "web", "kept"]);
    assert_eq!(home.ok(&["run", "--rm", "kept", "cat", "/kept"]), "kept");
    let names = listed(&bytes_of(&home, &["export", "web"]));
    assert!(names.contains(&"srv/site/index".to_owned()), "{names:?}");
    home.write("file", "new");
    home.ok(&["cp", "file", "web:/data"]);
    let path = home.files().join("data/file");
    assert_eq!(fs::read_to_string(path).expect("it is there"), "new");
    fs::remove_dir_all(home.files().join("data")).expect("removed");
    assert_eq!(home.ok(&["diff", "web"]), "A /kept");
    assert_eq!(content(&home, "/etc/a.conf"), "a");
}

#[test]
fn a_container_that_was_never_started_has_its_image_s_files() {
    let home = home();
    home.ok(&["create", "--name", "web", "app"]);
    assert_eq!(content(&home, "/etc/a.conf"), "a");
    assert_eq!(home.ok(&["diff", "web"]), "");
}

#[test]
fn a_commit_is_an_image_with_the_changes_and_the_configuration() {
    let home = home();
    home.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "-e",
        "KEY=value",
        "-w",
        "/srv",
        "-l",
        "own=1",
        "app",
        "wait",
    ]);
    home.write("file", "committed");
    home.ok(&["cp", "file", "web:/srv/file"]);
    let id = home.ok(&[
        "commit",
        "-m",
        "with a file",
        "-a",
        "Ada",
        "-c",
        "CMD [\"cat\", \"file\"]",
        "-c",
        "EXPOSE 80",
        "--change",
        "ENV OTHER=$KEY",
        "web",
        "made:1",
    ]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(home.ok(&["run", "--rm", "made:1"]), "committed");
    assert_eq!(home.ok(&["run", "--rm", &id, "env", "OTHER"]), "value");
    let image = home.inspect("made:1");
    assert_eq!(image["Author"], "Ada");
    assert_eq!(image["Config"]["WorkingDir"], "/srv");
    assert_eq!(image["Config"]["Labels"]["own"], "1");
    assert!(
        image["Config"]["ExposedPorts"]["80/tcp"].is_object(),
        "{image}"
    );
    let history = home.ok(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}|{{.Comment}}",
        "made:1",
    ]);
    assert_eq!(history.lines().next(), Some("probe wait|with a file"));
    // Other tools read it.
    home.ok(&["save", "-o", "made.tar", "made:1"]);
    let archive = format!("oci-archive:{}", home.files().join("made.tar").display());
    let inspected = Command::new("skopeo")
        .args(["inspect", "--raw", &archive])
        .output();
    assert!(inspected.expect("skopeo starts").status.success());
}

#[test]
fn a_commit_of_deletions_hides_what_is_below() {
    let home = home();
    home.ok(&[
        "run",
        "--name",
        "first",
        "-d",
        "--entrypoint",
        "probe",
        "app",
        "wait",
    ]);
    home.ok(&["rm", "-f", "first"]);
    home.write(
        "Balenafile",
        "FROM app\nRUN [\"probe\", \"unlink\", \"/etc/a.conf\"]\n",
    );
    home.ok(&["build", "-q", "-t", "less", "."]);
    home.ok(&["run", "-d", "--name", "web", "less"]);
    home.ok(&["commit", "web", "made"]);
    let listed = home.ok(&["run", "--rm", "made", "ls", "/etc"]);
    assert_eq!(listed, "b.conf");
}

#[test]
fn a_program_without_an_image_becomes_one() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    home.write("file", "x");
    home.ok(&["cp", "file", "web:/file"]);
    assert_eq!(home.ok(&["diff", "web"]), "A /file");
    home.ok(&["commit", "web", "made"]);
    assert_eq!(home.ok(&["run", "--rm", "made", "cat", "/file"]), "x");
    home.ok(&["rm", "-f", "web"]);
    assert_eq!(home.ok(&["ps", "-aq"]), "");
}

#[test]
fn changes_that_are_no_configuration_are_refused() {
    let home = home();
    running(&home, &[]);
    for (change, message) in [
        ("COPY a b", "`COPY` is not a valid change command"),
        ("RUN x", "`RUN` is not a valid change command"),
        ("FROM app", "`FROM` is not a valid change command"),
        ("NOTHING", "NOTHING"),
        ("EXPOSE none", "none"),
    ] {
        let ended = home.run(&["commit", "-c", change, "web", "made"]);
        ended.assert_fails(1, &[message]);
    }
    assert_eq!(home.ok(&["images", "-q", "made"]), "");
}

#[test]
fn ends_that_are_no_copy_are_told() {
    let home = Home::new();
    home.fails(
        &["cp", "a", "b"],
        125,
        "error: must specify at least one container source\nhint: write one of the paths as `CONTAINER:PATH`",
    );
    home.run(&["cp", "a:/b", "c:/d"])
        .assert_fails(125, &["copying between containers is not supported"]);
    home.run(&["cp", "none:/b", "."])
        .assert_fails(1, &["no such container: `none`"]);
    home.run(&["cp", "none:", "."])
        .assert_fails(125, &["the container's path is empty"]);
    for command in ["diff", "export", "commit"] {
        let ended = home.run(&[command, "none"]);
        ended.assert_fails(1, &["no such container: `none`"]);
    }
    assert!(!Path::new(&home.files().join("b")).exists());
}
