//! Puts files into the command that `cargo xtask guests` makes. A command without one is built all the same, and says so when it is
//! asked for it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What is put in: the constant, and where its file is left in cargo's directory of products. The file's digest stands beside it,
/// in a file that ends in `.digest`.
const EMBEDDED: &[(&str, &str)] = &[
    ("BASE", "guests/base/minke-base.tar"),
    ("SDK", "guests/sdk/minke-sdk.tgz"),
];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut constants = String::new();
    for (constant, file) in EMBEDDED {
        let path = place(&out, file);
        let value = embedded(&path)?;
        constants += &format!("pub(crate) const {constant}: Option<Embedded> = {value};\n");
        // Its directory: cargo takes a path that is not there for one that changes always.
        let directory = path.parent().expect("it is in a directory");
        fs::create_dir_all(directory)?;
        println!("cargo:rerun-if-changed={}", directory.display());
    }
    fs::write(out.join("embedded.rs"), constants)
}

/// A value of type `Option<Embedded>`.
fn embedded(path: &Path) -> io::Result<String> {
    if !path.exists() {
        return Ok("None".to_owned());
    }
    let digest = fs::read_to_string(path.with_extension("digest"))?;
    Ok(format!(
        "Some(Embedded {{ bytes: include_bytes!({path:?}), digest: {digest:?} }})"
    ))
}

/// The file beside the products of this build: `OUT_DIR` is `<products>/[<target>/]<profile>/build/<package>/out`.
fn place(out: &Path, file: &str) -> PathBuf {
    let places = || out.ancestors().skip(4).take(2).map(|it| it.join(file));
    let first = places().next().expect("cargo's directories are that deep");
    places().find(|it| it.exists()).unwrap_or(first)
}
