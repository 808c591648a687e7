//! Volumes whose files are swapped for links while a guest reads them: what is outside stays outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::home::{Home, guest};

const INSIDE: &str = "what is inside";
const OUTSIDE: &str = "what is outside";

/// How often a guest looks.
const LOOKS: &str = "5000";

/// A home with a volume, which has room for what is swapped, and a directory that the volume does not show.
fn home_with_a_secret() -> Home {
    let home = Home::new();
    home.write("outside/file", OUTSIDE);
    fs::create_dir(home.files().join("volume")).expect("made");
    home
}

/// Exchanges two names, in one step each time, until it is told to stop. Linux: `rename(2)`, `RENAME_EXCHANGE`.
fn exchange(one: &Path, other: &Path, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("both are there");
    }
}

/// Exchanges `swapped` in the volume with `link` while a guest reads a file again and again; checks what it saw.
#[track_caller]
fn check(home: &Home, looked_at: &str) {
    let volume = home.files().join("volume");
    let is_over = AtomicBool::new(false);
    let typed = format!("{}:/v", volume.display());
    let probe = guest("probe.wasm");
    let command = [
        "run", "--rm", "-v", &typed, &probe, "cat-loop", looked_at, LOOKS,
    ];
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| exchange(&volume.join("swapped"), &volume.join("link"), &is_over));
        let ended = home.run(&command);
        is_over.store(true, Ordering::Relaxed);
        ended
    });
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("failed"), "{ended:?}");
    assert!(!ended.stdout.contains(OUTSIDE), "{ended:?}");
    home.assert_nothing_left();
}

#[test]
fn a_file_swapped_for_a_link_never_shows_what_is_outside() {
    let home = home_with_a_secret();
    home.write("volume/swapped", INSIDE);
    let outside = home.files().join("outside/file");
    symlink(outside, home.files().join("volume/link")).expect("a link");
    check(&home, "/v/swapped");
}

#[test]
fn a_directory_swapped_for_a_link_never_shows_what_is_outside() {
    let home = home_with_a_secret();
    home.write("volume/swapped/file", INSIDE);
    symlink("../outside", home.files().join("volume/link")).expect("a link");
    check(&home, "/v/swapped/file");
}
