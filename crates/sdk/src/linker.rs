//! Options of other linkers, which build scripts pass: `wasm-ld` ends at one that it does not know.
//!
//! They speak of what wasm has not (segments, dynamic sections, versions of symbols) or of what it does anyway.

/// Options that are left out.
const LEFT_OUT: &[&str] = &[
    "-(",
    "-)",
    "-E",
    "-Bsymbolic-functions",
    "--as-needed",
    "--copy-dt-needed-entries",
    "--cref",
    "--disable-new-dtags",
    "--eh-frame-hdr",
    "--enable-new-dtags",
    "--end-group",
    "--no-as-needed",
    "--no-copy-dt-needed-entries",
    "--no-keep-memory",
    "--no-relax",
    "--no-undefined",
    "--relax",
    "--start-group",
    "--warn-common",
];

/// Beginnings of options that are left out, up to their `=`.
const LEFT_OUT_WITH_VALUE: &[&str] = &[
    "-Map",
    "--Map",
    "--dynamic-linker",
    "--dynamic-list",
    "--exclude-libs",
    "--hash-style",
    "-rpath",
    "--rpath",
    "-rpath-link",
    "--rpath-link",
    "-soname",
    "--soname",
    "--sort-common",
    "--sort-section",
    "--version-script",
];

/// Options that are left out with the word behind them.
const LEFT_OUT_WITH_NEXT: &[&str] = &[
    "-Map",
    "-R",
    "-dynamic-linker",
    "--dynamic-linker",
    "--dynamic-list",
    "-h",
    "-m",
    "-rpath",
    "--rpath",
    "-rpath-link",
    "--rpath-link",
    "-soname",
    "--soname",
    "--version-script",
];

/// Drops what `wasm-ld` does not know from a linker's options.
pub fn known<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<&'w str> {
    let mut words = words.into_iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "-z" {
            match words.next() {
                Some(value) if is_known_keyword(value) => kept.extend([word, value]),
                _ => {}
            }
        } else if LEFT_OUT_WITH_NEXT.contains(&word) {
            words.next();
        } else if !is_left_out(word) {
            kept.push(word);
        }
    }
    kept
}

fn is_left_out(word: &str) -> bool {
    let is_keyword = |it: &str| it.starts_with("-z") && !is_known_keyword(&it[2..]);
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    LEFT_OUT.contains(&word) || LEFT_OUT_WITH_VALUE.contains(&name) || is_keyword(word)
}

/// Whether `-z` with this value is an option of `wasm-ld`'s too.
pub fn is_known_keyword(value: &str) -> bool {
    value.starts_with("stack-size=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_wasm_has_no_use_for_are_dropped_with_their_values() {
        let check = |typed: &str, kept: &str| {
            assert_eq!(known(typed.split(' ')).join(" "), kept, "{typed}");
        };
        check("--start-group a.a --end-group", "a.a");
        check("-Map out.map --gc-sections", "--gc-sections");
        check("-Map=out.map -soname=x -rpath /lib -s", "-s");
        check("-z relro -z stack-size=65536", "-z stack-size=65536");
        check("-zrelro -zstack-size=65536", "-zstack-size=65536");
        check(
            "--sort-section=alignment --hash-style=gnu --wrap=malloc",
            "--wrap=malloc",
        );
    }
}
