//! A compiler's command line, read as far as it concerns us: what is done, with which files, into what.
//!
//! Everything else goes to clang as it is.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::{SdkError, linker};

/// Chooses whether frames can be restored: `--minke-libc=plain` or `--minke-libc=fork`.
const LIBRARY_OPTION: &str = "--minke-libc=";

/// How deep files of options may name others: bounds a file that names itself.
const FILES_DEPTH_MAX: usize = 8;

/// Options of clang's with a value in the next word.
const WITH_VALUE: &[&str] = &[
    "-A",
    "-B",
    "-D",
    "-F",
    "-I",
    "-L",
    "-MF",
    "-MJ",
    "-MQ",
    "-MT",
    "-T",
    "-U",
    "-Xanalyzer",
    "-Xassembler",
    "-Xclang",
    "-Xpreprocessor",
    "-arch",
    "-cxx-isystem",
    "-e",
    "-idirafter",
    "-imacros",
    "-imultilib",
    "-include",
    "-include-pch",
    "-iprefix",
    "-iquote",
    "-isysroot",
    "-isystem",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-l",
    "-mllvm",
    "-target",
    "-u",
    "--param",
    "--sysroot",
    "--target",
];

/// Options about what wasm has not: libraries that are loaded at run time, and programs at any address.
const LEFT_OUT: &[&str] = &[
    "-no-pie",
    "-pie",
    "-rdynamic",
    "-static",
    "-static-libgcc",
    "-static-libstdc++",
    "-static-pie",
];

/// Endings of files that are compiled, beside those of [`CPLUSPLUS`]. As with other compilers, all others are for the linker, those
/// without an ending too.
const COMPILED: &[&str] = &["c", "h", "i", "s", "S", "sx", "asm", "ll"];

/// Endings and languages of C++.
const CPLUSPLUS: &[&str] = &[
    "C",
    "CPP",
    "H",
    "c++",
    "c++-cpp-output",
    "c++-header",
    "cc",
    "cp",
    "cpp",
    "cxx",
    "hh",
    "hpp",
    "hxx",
    "ii",
];

/// Names of the C++ library, whose parts are in one archive of ours.
const CPLUSPLUS_LIBRARIES: &[&str] = &["-lc++", "-lstdc++"];
/// Names of its parts.
const CPLUSPLUS_PARTS: &[&str] = &["-lc++abi", "-lgcc_s", "-lsupc++", "-lunwind"];

/// By which name the compiler was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// `cc`.
    C,
    /// `c++`: all sources are in C++, and its library is linked.
    Cplusplus,
}

/// How far clang goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It says something, or writes text: all that ends before there are objects.
    Text,
    /// Objects.
    Objects,
    /// One object of several.
    Joined,
    /// A program.
    Program,
}

/// Whether frames can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// They cannot: `fork` answers `ENOSYS`.
    Plain,
    /// They can, for `fork`.
    Fork,
}

/// One word of a command line, or a few that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Goes to clang as it is.
    Words(Vec<OsString>),
    /// A file to compile, and what it was said to be written in.
    Source {
        path: OsString,
        language: Option<OsString>,
    },
    /// A file for the linker.
    Linked(OsString),
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    pub stage: Stage,
    pub output: Option<OsString>,
    /// What was asked for; otherwise what the program uses decides.
    pub library: Option<Library>,
    /// The program has more than one thread.
    pub has_threads: bool,
    /// A source is in C++.
    pub is_cplusplus: bool,
    /// The program is linked with the C++ library.
    pub links_cplusplus: bool,
    pub items: Vec<Item>,
}

impl CommandLine {
    /// Reads the words after the command's name.
    ///
    /// # Errors
    /// [`SdkError::Refused`] for what no program for containers can be, [`SdkError::NoValue`], and [`SdkError::Io`] for a file of
    /// options.
    pub fn parse(compiler: Compiler, words: &[OsString]) -> Result<CommandLine, SdkError> {
        let is_cplusplus = compiler == Compiler::Cplusplus;
        let mut expanded = Vec::new();
        expand(words, 0, &mut expanded)?;
        let mut reader = Reader {
            words: expanded.into_iter(),
            language: None,
            line: CommandLine {
                stage: Stage::Program,
                output: None,
                library: None,
                has_threads: false,
                is_cplusplus,
                links_cplusplus: is_cplusplus,
                items: Vec::new(),
            },
        };
        while let Some(word) = reader.words.next() {
            reader.read(word)?;
        }
        let mut line = reader.line;
        if line.has_threads && line.library == Some(Library::Fork) {
            return Err(forking_threads());
        }
        if !line.items.iter().any(Item::is_file) {
            line.stage = Stage::Text;
        }
        Ok(line)
    }
}

impl Item {
    fn is_file(&self) -> bool {
        !matches!(self, Item::Words(_))
    }
}

struct Reader {
    words: std::vec::IntoIter<OsString>,
    /// Of the files that follow.
    language: Option<OsString>,
    line: CommandLine,
}

impl Reader {
    fn read(&mut self, word: OsString) -> Result<(), SdkError> {
        // What is no text is no option that we know.
        let text = word.to_str().unwrap_or_default().to_owned();
        let is_option = word.as_bytes().starts_with(b"-") && word.len() > 1;
        match text.as_str() {
            _ if !is_option => self.file(word)?,
            "-c" => self.stage(Stage::Objects, word),
            "-r" => self.stage(Stage::Joined, word),
            "-S" | "-E" | "-M" | "-MM" | "-fsyntax-only" | "-###" => self.stage(Stage::Text, word),
            "-o" => self.line.output = Some(self.value(&text)?),
            "-x" => self.set_language(self.words.as_slice().first().cloned(), &text)?,
            "-shared" | "--shared" => return Err(shared(text)),
            "-Xlinker" => self.linker_words()?,
            "-z" => self.keyword(&text)?,
            "-pthread" | "-pthreads" => self.line.has_threads = true,
            _ if LEFT_OUT.contains(&text.as_str()) => {}
            _ if CPLUSPLUS_PARTS.contains(&text.as_str()) => {}
            _ if CPLUSPLUS_LIBRARIES.contains(&text.as_str()) => self.line.links_cplusplus = true,
            _ if WITH_VALUE.contains(&text.as_str()) => {
                let value = self.value(&text)?;
                self.line.items.push(Item::Words(vec![word, value]));
            }
            _ => self.joined(word, &text)?,
        }
        Ok(())
    }

    /// An option whose value is part of it, or that has none.
    fn joined(&mut self, word: OsString, text: &str) -> Result<(), SdkError> {
        if let Some(options) = text.strip_prefix("-Wl,") {
            let kept = linker::known(options.split(','));
            if !kept.is_empty() {
                let word = format!("-Wl,{}", kept.join(","));
                self.line.items.push(Item::Words(vec![word.into()]));
            }
        } else if let Some(name) = text.strip_prefix(LIBRARY_OPTION) {
            self.line.library = Some(library(name)?);
        } else if let Some(output) = text.strip_prefix("-o") {
            self.line.output = Some(output.into());
        } else if let Some(language) = text.strip_prefix("-x") {
            self.language = known_language(language.into());
        } else {
            self.line.items.push(Item::Words(vec![word]));
        }
        Ok(())
    }

    fn file(&mut self, path: OsString) -> Result<(), SdkError> {
        let extension = Path::new(&path).extension().and_then(OsStr::to_str);
        let language = self.language.as_deref().and_then(OsStr::to_str);
        let written_in = language.or(extension);
        let is_cplusplus = written_in.is_some_and(|it| CPLUSPLUS.contains(&it));
        self.line.is_cplusplus |= is_cplusplus;
        let is_compiled =
            is_cplusplus || path == "-" || extension.is_some_and(|it| COMPILED.contains(&it));
        self.line.items.push(match &self.language {
            None if !is_compiled => Item::Linked(path),
            language => Item::Source {
                path,
                language: language.clone(),
            },
        });
        Ok(())
    }

    fn stage(&mut self, stage: Stage, word: OsString) {
        // Of `-c -E`, the earlier stage counts, wherever it stands.
        if self.line.stage != Stage::Text {
            self.line.stage = stage;
        }
        self.line.items.push(Item::Words(vec![word]));
    }

    fn value(&mut self, option: &str) -> Result<OsString, SdkError> {
        let option = option.to_owned();
        self.words.next().ok_or(SdkError::NoValue { option })
    }

    fn set_language(&mut self, language: Option<OsString>, option: &str) -> Result<(), SdkError> {
        self.value(option)?;
        self.language = language.and_then(known_language);
        Ok(())
    }

    /// `-Xlinker WORD`: the words of the options that follow one another belong together.
    fn linker_words(&mut self) -> Result<(), SdkError> {
        let mut words = vec![self.value("-Xlinker")?];
        while self
            .words
            .as_slice()
            .first()
            .is_some_and(|it| it == "-Xlinker")
        {
            self.words.next();
            words.push(self.value("-Xlinker")?);
        }
        let texts = words.iter().filter_map(|it| it.to_str());
        for kept in linker::known(texts) {
            let words = ["-Xlinker", kept].map(OsString::from).to_vec();
            self.line.items.push(Item::Words(words));
        }
        Ok(())
    }

    fn keyword(&mut self, option: &str) -> Result<(), SdkError> {
        let value = self.value(option)?;
        if value.to_str().is_some_and(linker::is_known_keyword) {
            self.line
                .items
                .push(Item::Words(vec![option.into(), value]));
        }
        Ok(())
    }
}

fn known_language(language: OsString) -> Option<OsString> {
    (language != "none").then_some(language)
}

fn library(name: &str) -> Result<Library, SdkError> {
    match name {
        "plain" => Ok(Library::Plain),
        "fork" => Ok(Library::Fork),
        _ => Err(SdkError::Refused {
            option: format!("{LIBRARY_OPTION}{name}"),
            reason: "there is no such library",
            hint: "use `--minke-libc=plain` or `--minke-libc=fork`, or neither",
        }),
    }
}

fn forking_threads() -> SdkError {
    SdkError::Refused {
        option: format!("{LIBRARY_OPTION}fork"),
        reason: "programs with threads (`-pthread`) do not fork",
        hint: "start other programs by `posix_spawn`, or leave `-pthread` out",
    }
}

fn shared(option: String) -> SdkError {
    SdkError::Refused {
        option,
        reason: "a program for containers is one module, and loads no libraries when it runs",
        hint: "link statically, for instance with `./configure --disable-shared --enable-static`",
    }
}

/// Puts the words of `@FILE` in its place. A word that names no file stays, as with other compilers.
fn expand(words: &[OsString], depth: usize, to: &mut Vec<OsString>) -> Result<(), SdkError> {
    for word in words {
        let path = word.as_bytes().strip_prefix(b"@");
        let path = path.map(|it| Path::new(OsStr::from_bytes(it)));
        match path.filter(|it| depth < FILES_DEPTH_MAX && it.is_file()) {
            Some(path) => {
                let text = fs::read(path).map_err(SdkError::io("read", path))?;
                expand(&words_of(&text), depth + 1, to)?;
            }
            None => to.push(word.clone()),
        }
    }
    Ok(())
}

/// The words of a file of options. GCC: "Overall Options", `@file`.
fn words_of(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(byte),
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, None) if byte.is_ascii_whitespace() => words.extend(word.take()),
            (_, None) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> CommandLine {
        let words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
        CommandLine::parse(Compiler::C, &words).expect("a command line")
    }

    /// Sources as `<NAME>`, files for the linker as `[NAME]`.
    fn shown(line: &CommandLine) -> String {
        let word = |it: &OsString| it.to_string_lossy().into_owned();
        let items = line.items.iter().map(|item| match item {
            Item::Words(words) => words.iter().map(word).collect::<Vec<_>>().join(" "),
            Item::Source { path, language } => {
                let language = language.iter().map(|it| word(it) + ":");
                format!("<{}{}>", language.collect::<String>(), word(path))
            }
            Item::Linked(path) => format!("[{}]", word(path)),
        });
        items.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn files_are_told_from_options_and_their_values() {
        let line = parse("-O2 -I include a.c b.o -L lib -lz -o out libx.a -include x.h");
        assert_eq!(
            shown(&line),
            "-O2 -I include <a.c> [b.o] -L lib -lz [libx.a] -include x.h"
        );
        assert_eq!(line.output, Some("out".into()));
        assert_eq!(line.stage, Stage::Program);
    }

    #[test]
    fn what_is_no_source_is_for_the_linker() {
        let line = parse("a.c getopt b.lo libz.so.1 c.S -");
        assert_eq!(shown(&line), "<a.c> [getopt] [b.lo] [libz.so.1] <c.S> <->");
    }

    #[test]
    fn a_language_is_that_of_the_files_behind_it() {
        let line = parse("-x c a -xassembler b -x none c.o -");
        assert_eq!(shown(&line), "<c:a> <assembler:b> [c.o] <->");
    }

    #[test]
    fn what_ends_before_there_are_objects_is_text() {
        assert_eq!(parse("-c a.c").stage, Stage::Objects);
        assert_eq!(parse("-E -c a.c").stage, Stage::Text);
        assert_eq!(parse("-c -E a.c").stage, Stage::Text);
        assert_eq!(parse("--version").stage, Stage::Text);
        assert_eq!(parse("-r a.o").stage, Stage::Joined);
    }

    #[test]
    fn options_of_other_machines_are_dropped() {
        let line = parse("-pie -static a.c -Wl,--as-needed,-s -Wl,-z,relro -z now -rdynamic");
        assert_eq!(shown(&line), "<a.c> -Wl,-s");
        let line = parse("a.c -Xlinker -Map -Xlinker out.map -Xlinker -s");
        assert_eq!(shown(&line), "<a.c> -Xlinker -s");
    }

    #[test]
    fn threads_are_asked_for_and_do_not_fork() {
        let line = parse("-pthread a.c -lpthread");
        assert_eq!(shown(&line), "<a.c> -lpthread");
        assert!(line.has_threads);
        let words = ["-pthread", "--minke-libc=fork"].map(OsString::from);
        let error = CommandLine::parse(Compiler::C, &words);
        assert!(matches!(error, Err(SdkError::Refused { .. })));
    }

    #[test]
    fn shared_libraries_are_refused_by_name() {
        let error = CommandLine::parse(Compiler::C, &["-shared".into(), "a.o".into()]);
        assert!(matches!(error, Err(SdkError::Refused { option, .. }) if option == "-shared"));
    }

    #[test]
    fn cplusplus_is_told_by_the_command_or_a_files_ending_or_its_language() {
        for typed in ["a.cpp", "-c a.cc", "-x c++ a", "a.c b.cxx"] {
            let line = parse(typed);
            assert!(line.is_cplusplus && !line.links_cplusplus, "{typed}");
        }
        assert!(!parse("-x c a.cpp").is_cplusplus);
        let called = CommandLine::parse(Compiler::Cplusplus, &["a.o".into()]);
        let called = called.expect("a command line");
        assert!(called.is_cplusplus && called.links_cplusplus);
    }

    #[test]
    fn the_library_of_cplusplus_is_one_under_all_of_its_names() {
        let line = parse("a.o -lstdc++ -lc++abi -lm");
        assert!(line.links_cplusplus);
        assert_eq!(shown(&line), "[a.o] -lm");
    }

    #[test]
    fn a_missing_value_is_named() {
        let error = CommandLine::parse(Compiler::C, &["a.c".into(), "-o".into()]);
        assert!(matches!(error, Err(SdkError::NoValue { option }) if option == "-o"));
    }

    #[test]
    fn the_library_is_as_asked_for() {
        assert_eq!(parse("a.c").library, None);
        assert_eq!(parse("--minke-libc=fork a.c").library, Some(Library::Fork));
        assert_eq!(
            parse("--minke-libc=plain a.c").library,
            Some(Library::Plain)
        );
        assert!(CommandLine::parse(Compiler::C, &["--minke-libc=other".into()]).is_err());
    }

    #[test]
    fn files_of_options_are_read_with_their_quotes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("options");
        fs::write(&path, "-DA='b c' \"d e.c\"\n -o x\\ y").expect("a file");
        let line = CommandLine::parse(Compiler::C, &[format!("@{}", path.display()).into()]);
        let line = line.expect("a command line");
        assert_eq!(shown(&line), "-DA=b c <d e.c>");
        assert_eq!(line.output, Some("x y".into()));
    }

    #[test]
    fn a_file_of_options_that_names_itself_ends() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("options");
        let word = format!("@{}", path.display());
        fs::write(&path, &word).expect("a file");
        assert!(CommandLine::parse(Compiler::C, &[word.into()]).is_ok());
    }
}
