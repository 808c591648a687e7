//! Images as Docker's users know them.
//!
//! | module | is |
//! |---|---|
//! | `lists` | `images`, `history`, `tag`, `rmi`, `image inspect`, `image prune` |
//! | `transfer` | `save` and `load`, from minke to minke |
//! | `peers` | what skopeo and umoci read of ours, and what they write |
//! | `system` | `system df`, `system prune`, `builder prune` |
//! | `exported` | `image export` |
//! | `snapshots` | snapshots of images' layers: shown, pruned, checked, made again |
//! | `check` | `system check`, and what it repairs |
//! | `lies` | images whose layers are not what they say |
//! | `kills` | loads, removals and prunes that are killed, concurrent, or on a full disk |

mod check;
mod exported;
mod kills;
mod lies;
mod lists;
mod peers;
mod snapshots;
mod system;
mod transfer;

use std::fs;

use crate::home::{Home, guest};

/// Builds an image of the program `hello` with this name; `more` are further instructions.
fn build(home: &Home, name: &str, more: &str) -> String {
    let context = format!("context-{}", name.replace([':', '/'], "-"));
    let balenafile = format!("FROM scratch\nCOPY hello.wasm /\n{more}\nCMD [\"/hello.wasm\"]\n");
    home.write(&format!("{context}/Balenafile"), balenafile);
    fs::copy(
        guest("hello.wasm"),
        home.files().join(&context).join("hello.wasm"),
    )
    .expect("copied");
    home.ok(&["build", "-q", "-t", name, &context])
}

/// Says that a test ends here for want of a program.
#[expect(
    clippy::print_stderr,
    reason = "who reads the tests' output must know what was not tested"
)]
fn skipped(program: &str) {
    eprintln!("skipped: `{program}` is not installed: run `cargo xtask setup`");
}
