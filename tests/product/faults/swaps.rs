//! Volumes whose files are swapped for links while a guest walks them: what is outside stays outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::home::{Home, guest};

const INSIDE: &str = "what is inside";
const OUTSIDE: &str = "what is outside";

/// Replaces a name by a file, by a link to what is outside, and so on, until it is told to stop.
struct Swapper {
    /// What the guest looks at.
    name: PathBuf,
    /// Makes what is inside, at a path.
    inside: fn(&Path),
    /// Where the link leads.
    outside: PathBuf,
}

impl Swapper {
    fn run(&self, is_over: &AtomicBool) {
        let next = self.name.with_extension("next");
        let last = self.name.with_extension("last");
        while !is_over.load(Ordering::Relaxed) {
            (self.inside)(&next);
            self.swap(&next, &last);
            symlink(&self.outside, &next).expect("a link");
            self.swap(&next, &last);
        }
    }

    /// A directory cannot be replaced by a link in one step, so the name is away for a moment.
    fn swap(&self, next: &Path, last: &Path) {
        if fs::rename(&self.name, last).is_ok() {
            let is_directory = fs::symlink_metadata(last).expect("it was moved").is_dir();
            match is_directory {
                true => fs::remove_dir_all(last).expect("removed"),
                false => fs::remove_file(last).expect("removed"),
            }
        }
        fs::rename(next, &self.name).expect("renamed");
    }
}

/// How often a guest looks.
const LOOKS: &str = "3000";

/// Runs a guest that reads `looked_at` again and again meanwhile; returns what it saw.
fn look_while_swapping(home: &Home, swapper: &Swapper, looked_at: &str) -> String {
    let is_over = AtomicBool::new(false);
    let volume = format!("{}:/v", home.files().join("volume").display());
    let probe = guest("probe.wasm");
    std::thread::scope(|scope| {
        scope.spawn(|| swapper.run(&is_over));
        let ended = home.run(&[
            "run", "--rm", "-v", &volume, &probe, "cat-loop", looked_at, LOOKS,
        ]);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout
    })
}

fn home_with_a_secret() -> Home {
    let home = Home::new();
    home.write("outside/file", OUTSIDE);
    home.write("volume/kept", INSIDE);
    home
}

fn check(swapper: impl FnOnce(&Path) -> Swapper, looked_at: &str) {
    let home = home_with_a_secret();
    let seen = look_while_swapping(&home, &swapper(&home.files()), looked_at);
    assert!(!seen.contains(OUTSIDE), "{seen}");
    home.assert_nothing_left();
}

#[test]
fn a_file_swapped_for_a_link_never_shows_what_is_outside() {
    check(
        |files| Swapper {
            name: files.join("volume/swapped"),
            inside: |path| fs::write(path, INSIDE).expect("written"),
            outside: files.join("outside/file"),
        },
        "/v/swapped",
    );
}

#[test]
fn a_directory_swapped_for_a_link_never_shows_what_is_outside() {
    check(
        |files| Swapper {
            name: files.join("volume/swapped"),
            inside: |path| {
                fs::create_dir(path).expect("made");
                fs::write(path.join("file"), INSIDE).expect("written");
            },
            outside: PathBuf::from("../outside"),
        },
        "/v/swapped/file",
    );
}
