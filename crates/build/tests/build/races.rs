//! Builds while something else changes the context or the store.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use minke_build::{BuildError, BuildOptions, CachePolicy, Silent, build};
use minke_engine::Engine;
use minke_image::{Force, Store};

use crate::Bench;

/// How often a race is run.
const ROUNDS: usize = 60;

/// Runs `work` while `disturb` runs again and again on another thread.
fn while_disturbed(disturb: impl Fn() + Send + Sync, work: impl FnOnce()) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                disturb();
            }
        });
        let _stop = Stop(&is_over);
        work();
    });
}

#[test]
fn a_file_that_is_swapped_for_a_link_never_leads_out() {
    let bench = Bench::new();
    bench
        .write("Balenafile", "FROM scratch\nCOPY d /d/\n")
        .write("d/sub/file", "inside");
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).expect("a directory can be made");
    fs::write(outside.join("file"), "secret").expect("a file can be written");
    let (file, sub) = (
        bench.context().join("d/sub/file"),
        bench.context().join("d/sub"),
    );
    let (spare, link) = (
        bench.directory.path().join("spare"),
        bench.directory.path().join("link"),
    );
    let swap = || {
        // Each may find what the other left; only the swapping matters.
        let _ = fs::remove_file(&link);
        let _ = symlink(outside.join("file"), &link);
        let _ = fs::rename(&link, &file);
        let _ = fs::write(&spare, "inside").and_then(|()| fs::rename(&spare, &file));
        let _ = fs::rename(&sub, bench.directory.path().join("away"));
        let _ = symlink(&outside, &sub);
        let _ = fs::remove_file(&sub);
        let _ = fs::rename(bench.directory.path().join("away"), &sub);
    };
    while_disturbed(swap, || {
        for _ in 0..ROUNDS {
            let options = BuildOptions {
                cache: CachePolicy::Renew,
                ..bench.options("test")
            };
            let Ok(outcome) = bench.try_build(&options) else {
                continue;
            };
            for layer in bench
                .store()
                .root_layers(&outcome.built.image)
                .expect("the layers are there")
            {
                let tar = fs::read(layer.path).expect("it is there");
                assert!(!tar.windows(6).any(|window| window == b"secret"));
            }
        }
    });
    bench
        .try_build(&bench.options("test"))
        .expect("the build works once nobody swaps");
}

#[test]
fn a_file_that_is_written_to_is_copied_whole_or_not_at_all() {
    let bench = Bench::new();
    bench
        .write("Balenafile", "FROM scratch\nCOPY data /data\n")
        .write("data", "0");
    let path = bench.context().join("data");
    let contents: Vec<String> = (0..10)
        .map(|digit| digit.to_string().repeat(200_000))
        .collect();
    let overwrite = || {
        contents
            .iter()
            .for_each(|content| fs::write(&path, content).expect("it can be written"));
    };
    while_disturbed(overwrite, || {
        for _ in 0..ROUNDS {
            match bench.try_build(&bench.options("test")) {
                Ok(outcome) => {
                    bench
                        .store()
                        .root_layers(&outcome.built.image)
                        .expect("the layer has its digest");
                }
                Err(BuildError::Changed(changed)) => assert_eq!(changed.to_str(), Some("data")),
                Err(error) => panic!("{error}"),
            }
        }
    });
    let left = fs::read_dir(bench.store().root().join("tmp"))
        .expect("it is a directory")
        .count();
    assert_eq!(left, 0);
}

#[test]
fn builds_in_one_store_do_not_disturb_each_other() {
    let benches: Vec<Bench> = (0..3).map(|_| Bench::new()).collect();
    let root = benches[0].engine.home().clone();
    for (index, bench) in benches.iter().enumerate() {
        bench.write(
            "Balenafile",
            "FROM scratch\nWORKDIR /a\nCOPY own shared /a/\n",
        );
        bench
            .write("own", &index.to_string())
            .write("shared", "shared");
    }
    let remove = || {
        let store = Store::open(root.images()).expect("it can be opened");
        for image in store.images().expect("they can be listed") {
            match store.remove(&image.id.to_string(), Force::Yes) {
                Err(error) if !error.is_not_found() => panic!("{error}"),
                _ => {}
            }
        }
    };
    while_disturbed(remove, || {
        std::thread::scope(|scope| {
            for bench in &benches {
                scope.spawn(|| {
                    let engine = Engine::open(root.clone()).expect("it can be opened");
                    for _ in 0..ROUNDS / 2 {
                        build(&engine, &bench.options("test"), &Silent).expect("the build works");
                    }
                });
            }
        });
    });
}
