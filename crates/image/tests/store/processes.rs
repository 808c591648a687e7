//! Several processes at one store, some of which are killed.
//!
//! A process here is this test binary itself, started to run one hidden test with a role in its environment.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use minke_image::{Force, Store};

use crate::{Bench, commit, count, layer, name};

const ROLE: &str = "MINKE_TEST_ROLE";
const STORE: &str = "MINKE_TEST_STORE";
/// How often each process does its work.
const ROUNDS: usize = 25;

/// Runs the role of a process that a test started; does nothing in a run of all tests.
#[test]
fn role() {
    let (Ok(role), Ok(root)) = (std::env::var(ROLE), std::env::var(STORE)) else {
        return;
    };
    let store = Store::open(root).expect("the store can be opened");
    match role.split_once(' ') {
        Some(("build", who)) => build_and_read(&store, who),
        Some(("unnamed", who)) => build_unnamed(&store, who),
        Some(("remove", _)) => remove_everything(&store),
        _ => hold_and_wait(&store, &role),
    }
}

/// Writes a line to the process that started this one.
fn tell(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .expect("somebody reads it");
}

fn start(role: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["processes::role", "--exact", "--nocapture"])
        .env(ROLE, role)
        .env(STORE, root)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started")
}

#[track_caller]
fn finish(children: Vec<Child>) {
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// Builds images of shared and own layers; each must be whole for as long as its name is there or a lease holds it.
fn build_and_read(store: &Store, who: &str) {
    for round in 0..ROUNDS {
        let lease = store.lease().expect("a lease can be had");
        let layers = vec![
            layer(&lease, "shared"),
            layer(&lease, &format!("{who} {round}")),
        ];
        let image = minke_image::NewImage {
            layers,
            ..minke_image::NewImage::default()
        };
        let image = lease
            .commit_image(&image, &[name(who)], 1)
            .expect("it can be committed");
        let files = store
            .root_layers(&image)
            .expect("the lease holds its layers");
        assert!(files.iter().all(|file| file.path.is_file()));
        assert_eq!(
            store
                .image_by_manifest(&image.manifest_digest)
                .expect("the lease holds it")
                .id,
            image.id
        );
    }
}

fn build_unnamed(store: &Store, who: &str) {
    for round in 0..ROUNDS {
        let lease = store.lease().expect("a lease can be had");
        let made = layer(&lease, &format!("{} {round}", who.len()));
        store.layer_files(&[made]).expect("the lease holds it");
    }
}

fn remove_everything(store: &Store) {
    for _ in 0..ROUNDS {
        for image in store.images().expect("they can be listed") {
            match store.remove(&image.id.to_string(), Force::Yes) {
                Err(error) if !error.is_not_found() => panic!("{error}"),
                _ => {}
            }
        }
        store.collect().expect("it can be collected");
    }
}

/// Writes half a layer and holds a whole one, says so, and waits to be killed.
fn hold_and_wait(store: &Store, role: &str) {
    let lease = store.lease().expect("a lease can be had");
    layer(&lease, role);
    let mut writer = lease.layer_writer().expect("a layer can be started");
    let content = role.repeat(10_000);
    writer
        .file(
            Path::new("big"),
            crate::METADATA,
            content.len() as u64,
            content.as_bytes(),
        )
        .expect("a file can be added");
    tell("ready");
    loop {
        std::thread::park();
    }
}

#[test]
fn builders_and_removers_do_not_harm_each_other() {
    let bench = Bench::new();
    let root = bench.directory.path();
    let roles = ["build a", "build b", "unnamed c", "remove d", "remove e"];
    finish(roles.iter().map(|role| start(role, root)).collect());
    let lists = bench.store.images().expect("they can be listed");
    for image in lists {
        let image = bench
            .store
            .image(&image.id.to_string())
            .expect("what is listed is whole");
        bench.store.root_layers(&image).expect("so are its layers");
    }
    for image in bench.store.images().expect("they can be listed") {
        bench
            .store
            .remove(&image.id.to_string(), Force::Yes)
            .expect("it can be removed");
    }
    assert_eq!((bench.blobs_count(), count(&root.join("tmp"))), (0, 0));
}

#[test]
fn many_processes_may_make_the_store_at_once() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let root = directory.path().join("new/store");
    finish(
        ["unnamed 1", "unnamed 1", "unnamed 1", "unnamed 1"]
            .iter()
            .map(|role| start(role, &root))
            .collect(),
    );
}

#[test]
fn a_killed_process_leaves_only_what_the_next_one_sweeps() {
    let bench = Bench::new();
    let kept = commit(&bench.store, "kept", "kept");
    let before = bench.blobs_count();
    let mut child = start("wait", bench.directory.path());
    let mut lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
    assert!(
        lines.any(|line| line.is_ok_and(|line| line.ends_with("ready"))),
        "the process got ready"
    );

    let tmp = bench.directory.path().join("tmp");
    let living = bench.reopen();
    assert_eq!(count(&tmp), 2, "a living process keeps its files");
    assert_eq!(
        living.collect().expect("it can be collected").files_count,
        0
    );
    assert_eq!(bench.blobs_count(), before + 1);

    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let next = bench.reopen();
    assert_eq!(count(&tmp), 0);
    assert_eq!(
        bench.blobs_count(),
        before,
        "what it put into place is swept too"
    );
    next.root_layers(&kept)
        .expect("what was committed is whole");
}

#[test]
fn a_full_disk_leaves_nothing_and_says_where() {
    // A file size limit makes writes fail as a full disk does, without a disk to fill.
    let bench = Bench::new();
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["processes::role_of_a_large_layer", "--exact", "--nocapture"])
        .env(STORE, bench.directory.path())
        .output()
        .expect("a shell is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("cannot write `"), "{text}");
    assert_eq!(
        (
            bench.blobs_count(),
            count(&bench.directory.path().join("tmp"))
        ),
        (0, 0)
    );
    let _ = fs::metadata(bench.directory.path()).expect("the store is still there");
    commit(&bench.store, "after", "after");
}

#[test]
fn role_of_a_large_layer() {
    let (Ok(root), Err(_)) = (std::env::var(STORE), std::env::var(ROLE)) else {
        return;
    };
    let store = Store::open(root).expect("the store can be opened");
    let lease = store.lease().expect("a lease can be had");
    let mut writer = lease.layer_writer().expect("a layer can be started");
    // Text that does not shrink: a counter through a digest.
    let content: String = (0..40_000_u32)
        .map(|number| minke_image::Digest::of(&number.to_le_bytes()).hex())
        .collect();
    let failed = writer
        .file(
            Path::new("big"),
            crate::METADATA,
            content.len() as u64,
            content.as_bytes(),
        )
        .map(drop)
        .and_then(|()| writer.finish().map(drop));
    tell(&failed.expect_err("the disk is full").to_string());
}
