//! Disks in files: made, listed, read and checked, with e2fsprogs as the other side.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::home::Home;

/// Runs a tool that may lie where only root's path leads; returns whether it is content.
pub(crate) fn tool(name: &str, arguments: &[&str], disk: &Path) -> bool {
    let places = ["/usr/sbin", "/sbin"].map(|place| Path::new(place).join(name));
    let path = places.into_iter().find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| PathBuf::from(name)));
    let output = command.args(arguments).arg(disk).output().expect("it runs");
    output.status.success()
}

/// Runs a command that must fail and say this among other things.
fn fails(home: &Home, arguments: &[&str], code: i32, text: &str) {
    home.run(arguments).assert_fails(code, &[text]);
}

/// A disk with a directory, a file and a link, which another tool wrote.
fn filled(home: &Home) -> PathBuf {
    home.ok(&[
        "disk", "create", "--size", "8M", "--label", "data", "data.img",
    ]);
    let disk = home.files().join("data.img");
    let text = home.write("hosts", "127.0.0.1 localhost\n");
    let script = home.write(
        "script",
        format!(
            "mkdir etc\ncd etc\nwrite {} hosts\nsymlink link /etc/hosts\nsif hosts mode 0104755\n",
            text.display()
        ),
    );
    let script = script.to_str().expect("text");
    assert!(tool("debugfs", &["-w", "-f", script], &disk));
    disk
}

#[test]
fn a_disk_that_is_made_is_sparse_and_clean() {
    use std::os::unix::fs::MetadataExt;
    let home = Home::new();
    home.ok(&["disk", "create", "--size", "1g", "big.img"]);
    let disk = home.files().join("big.img");
    let metadata = disk.metadata().expect("it is there");
    assert_eq!(metadata.len(), 1 << 30);
    assert!(metadata.blocks() * 512 < 16 << 20, "{}", metadata.blocks());
    assert!(tool("e2fsck", &["-fn"], &disk));
    let said = home.ok(&["disk", "check", "big.img"]);
    assert!(said.starts_with("no faults: "), "{said}");
    let rows = home.ok(&[
        "disk",
        "df",
        "--format",
        "{{.Disk}} {{.InodesUsed}}",
        "big.img",
    ]);
    assert_eq!(rows.trim_end(), "big.img 11");
}

#[test]
fn what_is_there_stays_when_no_disk_can_be_made() {
    let home = Home::new();
    home.write("there", "kept");
    fails(
        &home,
        &["disk", "create", "--size", "8M", "there"],
        1,
        "exists",
    );
    let kept = std::fs::read(home.files().join("there")).expect("read");
    assert_eq!(kept, b"kept");
    fails(
        &home,
        &["disk", "create", "--size", "1k", "small"],
        1,
        "too few",
    );
    assert!(!home.files().join("small").exists());
    fails(
        &home,
        &["disk", "create", "--size", "none", "small"],
        125,
        "invalid size",
    );
}

#[test]
fn files_of_a_disk_are_listed_and_read() {
    let home = Home::new();
    filled(&home);
    let names = home.ok(&[
        "disk",
        "ls",
        "--format",
        "{{.Mode}} {{.Name}}",
        "data.img",
        "/etc",
    ]);
    assert_eq!(names.trim_end(), "-rwsr-xr-x hosts\nlrwxrwxrwx link");
    let text = home.ok(&["disk", "cat", "data.img", "etc/link"]);
    assert_eq!(text.trim_end(), "127.0.0.1 localhost");
    let found = home.ok(&[
        "disk",
        "stat",
        "--format",
        "json",
        "data.img",
        "/etc/../etc/hosts",
    ]);
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(
        (&found["Size"], &found["Type"]),
        (&20.into(), &"file".into())
    );
    fails(
        &home,
        &["disk", "cat", "data.img", "/etc/none"],
        1,
        "no such name",
    );
    fails(
        &home,
        &["disk", "cat", "data.img", "/etc"],
        1,
        "a directory",
    );
    fails(&home, &["disk", "ls", "none.img"], 1, "cannot open");
}

#[test]
fn a_damaged_disk_is_told_by_its_faults() {
    let home = Home::new();
    let disk = filled(&home);
    let script = home.write("damage", "sif etc/hosts links_count 5\n");
    let script = script.to_str().expect("text");
    assert!(tool("debugfs", &["-w", "-f", script], &disk));
    assert!(!tool("e2fsck", &["-fn"], &disk));
    let ended = home.run(&["disk", "check", "--format", "json", "data.img"]);
    assert_eq!(ended.code, 1);
    let fault: Value = serde_json::from_str(ended.stdout.trim()).expect("one fault");
    assert_eq!(fault["Fault"], "number of its links: 5 instead of 1");
    home.write("no.img", vec![0; 1 << 20]);
    fails(&home, &["disk", "check", "no.img"], 1, "cannot check");
}

/// A shell's output in the directory of the test's files.
fn shell(home: &Home, script: &str) -> String {
    let mut command = Command::new("sh");
    let output = command
        .args(["-euc", script])
        .current_dir(home.files())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An empty disk of 16 MiB.
fn empty(home: &Home) -> PathBuf {
    home.ok(&["disk", "create", "--size", "16M", "data.img"]);
    home.files().join("data.img")
}

#[test]
fn disks_of_one_seed_are_equal() {
    let home = Home::new();
    for (seed, name) in [("a", "1.img"), ("a", "2.img"), ("b", "3.img")] {
        home.ok(&["disk", "create", "--size", "8M", "--seed", seed, name]);
    }
    let read = |name| std::fs::read(home.files().join(name)).expect("read");
    assert!(read("1.img") == read("2.img"));
    assert!(read("1.img") != read("3.img"));
    assert!(tool("e2fsck", &["-fn"], &home.files().join("1.img")));
}

#[test]
fn a_tree_goes_into_a_disk_and_comes_out_as_it_was() {
    let home = Home::new();
    let disk = empty(&home);
    shell(
        &home,
        "mkdir -p tree/a/b && echo hello >tree/a/hello && chmod 750 tree/a/hello && ln tree/a/hello tree/a/b/again \
         && ln -s ../hello tree/a/b/link && truncate -s 3M tree/sparse && printf x | dd of=tree/sparse bs=1 seek=2000000 conv=notrunc status=none \
         && touch -d 2020-02-02T02:02:02.5Z tree/a/hello tree/a/b",
    );
    home.ok(&["disk", "cp", "-r", "tree", "data.img:/"]);
    home.ok(&["disk", "cp", "-r", "tree/.", "data.img:/tree"]);
    home.ok(&["disk", "cp", "tree/a/hello", "data.img:/copy"]);
    assert!(tool("e2fsck", &["-fn"], &disk));
    let mode = ["disk", "stat", "--format", "{{.Mode}} {{.UID}}", "data.img"];
    let found = home.ok(&[&mode[..], &["/copy"]].concat());
    assert_eq!(found, "-rwxr-x--- 0");
    home.ok(&["disk", "cp", "-r", "data.img:/tree", "out"]);
    home.ok(&["disk", "cp", "data.img:/tree/a/hello", "out"]);
    shell(
        &home,
        "rm out/hello && diff -r --no-dereference tree out && [ out/a/hello -ef out/a/b/again ] && test ! tree/a -nt out/a \
         && test ! out/a/b -nt tree/a/b && [ $(du -k out/sparse | cut -f1) -lt 100 ]",
    );
    let sectors = ["disk", "stat", "--format", "{{.Sectors}}", "data.img"];
    let found = home.ok(&[&sectors[..], &["/tree/sparse"]].concat());
    assert!(found.parse::<u32>().expect("a number") <= 16, "{found}");
    let dirs = ["disk", "cp", "tree", "data.img:/x"];
    fails(&home, &dirs, 1, "`-r` copies it");
    fails(
        &home,
        &["disk", "cp", "tree", "x"],
        125,
        "neither path is in a disk",
    );
    home.ok(&["disk", "mkdir", "data.img", "/d", "/d/hello"]);
    let over = ["disk", "cp", "tree/a/hello", "data.img:/d"];
    fails(&home, &over, 1, "is a directory in the disk");
}

#[test]
fn directories_are_made_and_trees_removed_all_or_none() {
    let home = Home::new();
    let disk = filled(&home);
    let list = |path: &str| {
        home.ok(&[
            "disk",
            "ls",
            "--format",
            "{{.Mode}} {{.Name}}",
            "data.img",
            path,
        ])
    };
    home.ok(&[
        "disk",
        "mkdir",
        "-p",
        "-m",
        "1777",
        "data.img",
        "/var/a/tmp/",
        "/etc",
    ]);
    assert_eq!(list("/var/a"), "drwxrwxrwt tmp");
    fails(
        &home,
        &["disk", "mkdir", "data.img", "/new", "/etc"],
        1,
        "exists",
    );
    fails(
        &home,
        &["disk", "mkdir", "-p", "data.img", "/etc/hosts/x"],
        1,
        "not a directory",
    );
    fails(
        &home,
        &["disk", "rm", "data.img", "/etc/link", "/none"],
        1,
        "no such name",
    );
    fails(
        &home,
        &["disk", "rm", "data.img", "/etc"],
        1,
        "`-r` removes it",
    );
    fails(
        &home,
        &["disk", "rm", "-r", "data.img", "/"],
        1,
        "impossible argument",
    );
    assert_eq!(list("/etc"), "-rwsr-xr-x hosts\nlrwxrwxrwx link");
    assert!(!list("/").contains("new"));
    home.ok(&["disk", "rm", "data.img", "/etc/link"]);
    home.ok(&["disk", "rm", "-rf", "data.img", "/etc", "/none", "/var"]);
    assert_eq!(list("/"), "drwx------ lost+found");
    assert!(tool("e2fsck", &["-fn"], &disk));
    let names = std::fs::read_dir(home.files()).expect("listed").flatten();
    let names: Vec<_> = names.map(|it| it.file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|it| it.to_string_lossy().contains("changes")),
        "{names:?}"
    );
}

#[test]
fn tars_are_unpacked_into_disks_whole_or_not_at_all() {
    let home = Home::new();
    let disk = empty(&home);
    shell(
        &home,
        "mkdir -p t/etc t/bin && echo 1 >t/etc/a && echo 2 >t/etc/.wh.b && tar -C t -cf t.tar .",
    );
    let tar = std::fs::read(home.files().join("t.tar")).expect("read");
    let import = ["disk", "import-tar", "data.img"];
    assert_eq!(home.run_with_input(&import, &tar).code, 0);
    assert_eq!(home.ok(&["disk", "cat", "data.img", "/etc/a"]), "1");
    assert!(
        home.ok(&["disk", "ls", "data.img", "/etc"])
            .contains(".wh.b")
    );
    let before = std::fs::read(&disk).expect("read");
    let cut = home.run_with_input(&[&import[..], &["/bin"]].concat(), &tar[..tar.len() / 3]);
    cut.assert_fails(1, &["the tar ends in the middle"]);
    assert!(std::fs::read(&disk).expect("read") == before);
    let layer = ["disk", "import-tar", "--layer", "data.img", "/etc"];
    shell(
        &home,
        "rm -r t && mkdir t && : >t/.wh.a && tar -C t -cf t.tar .",
    );
    let tar = std::fs::read(home.files().join("t.tar")).expect("read");
    assert_eq!(home.run_with_input(&layer, &tar).code, 0);
    let names = home.ok(&["disk", "ls", "--format", "{{.Name}}", "data.img", "/etc"]);
    assert_eq!(names, ".wh.b");
    assert!(tool("e2fsck", &["-fn"], &disk));
    let mut command = home.command(&["disk", "export-tar", "data.img"]);
    let packed = command.output().expect("it runs").stdout;
    std::fs::write(home.files().join("out.tar"), packed).expect("written");
    assert_eq!(
        shell(&home, "tar -tf out.tar"),
        "./\nbin/\netc/\netc/.wh.b\n"
    );
}

#[test]
fn a_disk_is_changed_by_one_command_at_a_time_and_what_a_crash_left_is_found() {
    let home = Home::new();
    let disk = empty(&home);
    let opened = std::fs::File::open(&disk).expect("opened");
    opened.lock().expect("nobody else has it");
    fails(&home, &["disk", "mkdir", "data.img", "/a"], 1, "is in use");
    opened.unlock().expect("it is ours");
    {
        let changes = home.files().join("data.img.changes");
        let volume = minke_disk::Volume::open(&disk, &changes, minke_disk::Limits::default());
        let volume = std::sync::Arc::new(volume.expect("opened"));
        let now = minke_ext4::Timestamp::default();
        let system = minke_ext4::FileSystem::open(volume, minke_ext4::Access::ReadWrite, now);
        let system = system.expect("a file system");
        let ownership = minke_ext4::Ownership {
            uid: 0,
            gid: 0,
            mode: 0o700,
        };
        let (root, new) = (
            minke_ext4::InodeNumber::ROOT,
            minke_ext4::NewInode::Directory,
        );
        let made = system.create(root, b"left", &new, ownership, now);
        made.expect("made");
        system.sync(now).expect("durable");
    }
    assert!(home.ok(&["disk", "ls", "data.img"]).contains("left"));
    assert!(!home.files().join("data.img.changes").exists());
    assert!(tool("e2fsck", &["-fn"], &disk));
}

#[test]
fn a_disk_is_made_larger_and_never_smaller() {
    use std::os::unix::fs::MetadataExt;
    let home = Home::new();
    let disk = filled(&home);
    home.ok(&["disk", "resize", "data.img", "300M"]);
    let metadata = disk.metadata().expect("it is there");
    assert_eq!(metadata.len(), 300 << 20);
    assert!(metadata.blocks() * 512 < 8 << 20, "{}", metadata.blocks());
    assert!(tool("e2fsck", &["-fn"], &disk));
    assert_eq!(
        home.ok(&["disk", "cat", "data.img", "/etc/hosts"]),
        "127.0.0.1 localhost"
    );
    let smaller = ["disk", "resize", "data.img", "8M"];
    fails(&home, &smaller, 1, "not made smaller");
    home.write("no.img", vec![0; 1 << 20]);
    fails(
        &home,
        &["disk", "resize", "no.img", "2M"],
        1,
        "cannot resize",
    );
    assert_eq!(
        home.files().join("no.img").metadata().expect("there").len(),
        1 << 20
    );
}
