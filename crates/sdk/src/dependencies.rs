//! Files that say what a program was made from (`-MD`): clang names them after its output, which is not the program while a source
//! is compiled.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::arguments::{CommandLine, Item};

/// Returns the options by which compiling `source` alone leaves the file that compiling and linking at once would leave.
///
/// Clang: `lib/Driver/ToolChains/Clang.cpp`, `RenderDependencyGenerationOptions()`.
pub fn options(line: &CommandLine, source: &OsStr) -> Vec<OsString> {
    if !has(line, &["-MD", "-MMD"]) {
        return Vec::new();
    }
    let stem = Path::new(source).file_stem().unwrap_or(source);
    let object = || PathBuf::from(stem).with_extension("o");
    let made = line.output.as_ref().map_or_else(object, PathBuf::from);
    let mut options = Vec::new();
    if !has(line, &["-MF"]) {
        options.extend(["-MF".into(), made.with_extension("d").into()]);
    }
    if !has(line, &["-MT", "-MQ"]) {
        options.extend(["-MQ".into(), made.into()]);
    }
    options
}

/// Whether a command line has an option of these names, with a value in the next word or in the same.
fn has(line: &CommandLine, names: &[&str]) -> bool {
    let firsts = line.items.iter().filter_map(|item| match item {
        Item::Words(words) => words.first()?.to_str(),
        _ => None,
    });
    let is_one = |word: &str| names.iter().any(|name| word.starts_with(name));
    firsts.into_iter().any(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Compiler;

    #[track_caller]
    fn check(typed: &str, expected: &str) {
        let words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
        let line = CommandLine::parse(Compiler::C, &words).expect("a command line");
        let options = options(&line, OsStr::new("sub/a.c"));
        assert_eq!(options.join(OsStr::new(" ")), expected, "{typed}");
    }

    #[test]
    fn the_file_is_named_after_the_program_or_else_the_source() {
        check("-MD sub/a.c -o bin/a.wasm", "-MF bin/a.d -MQ bin/a.wasm");
        check("-MMD sub/a.c", "-MF a.d -MQ a.o");
    }

    #[test]
    fn what_was_named_is_left_as_it_is() {
        check("-MD -MF deps sub/a.c -o a", "-MQ a");
        check("-MD -MTa.o sub/a.c -o b", "-MF b.d");
        check("-MD -MQ a.o -MFdeps sub/a.c", "");
        check("sub/a.c -o a", "");
    }
}
