//! Finds the base image that the command carries. Without one the command is built all the same, and says so when it is asked for it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Where `cargo xtask guests base` leaves the image, in cargo's directory of products.
const ARCHIVE: &str = "guests/base/minke-base.tar";

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let archive = archive(&out);
    let (bytes, manifest) = match fs::read(&archive) {
        Ok(bytes) => (bytes, fs::read_to_string(archive.with_extension("digest"))?),
        Err(_) => (Vec::new(), String::new()),
    };
    fs::write(out.join("base.tar"), bytes)?;
    println!("cargo:rustc-env=BASE_MANIFEST={manifest}");
    println!("cargo:rerun-if-changed=build.rs");
    // Its directory: cargo takes a path that is not there for one that changes always.
    let directory = archive.parent().expect("it is in a directory");
    fs::create_dir_all(directory)?;
    println!("cargo:rerun-if-changed={}", directory.display());
    Ok(())
}

/// The archive beside the products of this build: `OUT_DIR` is `<products>/[<target>/]<profile>/build/<package>/out`.
fn archive(out: &Path) -> PathBuf {
    let places = || out.ancestors().skip(4).take(2).map(|it| it.join(ARCHIVE));
    let first = places().next().expect("cargo's directories are that deep");
    places().find(|it| it.exists()).unwrap_or(first)
}
