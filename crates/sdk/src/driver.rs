//! Compiles and links.
//!
//! Whether a program forks is known when it is linked. A program that does is rewritten, and the rewriter knows exceptions, which
//! `setjmp` is compiled to, in their older form only. So an object that calls `setjmp` is kept in clang's intermediate form and
//! compiled when it is linked; all others are compiled at once. A program is linked without `fork` first. If it then still asks the
//! kernel for a copy of itself, it is linked again with frames that can be restored, and rewritten for that.
//!
//! Sources in C++ have exceptions all over, so they are compiled at once, for a program that does not fork, and compiled again when
//! the same command finds that it does. Objects of theirs are told in advance.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{fs, io};

use tempfile::TempDir;

use crate::arguments::{CommandLine, Compiler, Item, Library, Stage};
use crate::{SdkError, System, Tools, dependencies, object, rewriting};

/// What leaves it to the linker how `setjmp` is compiled.
const LATER: &str = "-flto";

/// What makes the linker compile `setjmp` to exceptions, and what makes it compile those of C++.
const JUMPS: &[&str] = &["-wasm-enable-sjlj", "-exception-model=wasm"];
const EXCEPTIONS: &[&str] = &["-wasm-enable-eh"];

/// In which of wasm's two forms exceptions are written.
const FINAL_FORM: &str = "-wasm-use-legacy-eh=false";
const OLDER_FORM: &str = "-wasm-use-legacy-eh=true";

/// Options that take names away.
const STRIPPING: &[&str] = &["-s", "-Wl,-s", "-Wl,--strip-all"];

const NO_FORK: &str = "the program calls `fork`, which will answer `ENOSYS`";

/// How a command line ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// clang's exit code.
    pub code: u8,
    /// What a person may want to know.
    pub note: Option<&'static str>,
}

impl Done {
    fn with_code(code: u8) -> Done {
        Done { code, note: None }
    }
}

/// Objects of sources, or why there are none: clang's exit code.
type Objects = Result<Vec<PathBuf>, u8>;

/// Does what a compiler's command line says.
///
/// # Errors
/// Everything of [`SdkError`] but [`SdkError::NoSystem`] and [`SdkError::NotSystem`]. What clang says of a program goes to standard
/// error, and is no error here.
pub fn compile(
    system: &System,
    tools: &Tools,
    compiler: Compiler,
    words: &[OsString],
) -> Result<Done, SdkError> {
    let line = CommandLine::parse(compiler, words)?;
    let driver = Driver {
        clang: tools.clang()?,
        compiler,
        system,
        tools,
        line,
    };
    match driver.line.stage {
        Stage::Text => driver.text(),
        Stage::Joined => driver.joined(),
        Stage::Objects => driver.objects(),
        Stage::Program => driver.program(),
    }
}

/// What sources are compiled from and into.
struct Sources<'s> {
    /// Where objects go.
    directory: &'s Path,
    /// What standard input said, if it is a source.
    input: Option<&'s [u8]>,
}

struct Driver<'s> {
    clang: PathBuf,
    compiler: Compiler,
    system: &'s System,
    tools: &'s Tools,
    line: CommandLine,
}

impl Driver<'_> {
    fn clang(&self) -> Command {
        let mut command = Command::new(&self.clang);
        let configuration = self.system.configuration(&self.line);
        command.arg(joined("--config=", configuration.as_os_str()));
        if self.compiler == Compiler::Cplusplus {
            command.arg("--driver-mode=g++");
        }
        command
    }

    /// What was asked for, or else what is tried first.
    fn library(&self) -> Library {
        self.line.library.unwrap_or(Library::Plain)
    }

    /// In which form the exceptions of C++ are written. In C, `setjmp` makes the only ones.
    fn form(&self, library: Library) -> &'static [&'static str] {
        match library {
            _ if !self.line.is_cplusplus => &[],
            Library::Plain => &["-mllvm", FINAL_FORM],
            Library::Fork => &["-mllvm", OLDER_FORM],
        }
    }

    /// The command line as it was, but for what was dropped.
    fn whole(&self) -> Command {
        let mut command = self.clang();
        command.args(self.form(self.library()));
        let mut current = &None;
        for item in &self.line.items {
            match item {
                Item::Words(words) => command.args(words),
                Item::Linked(path) => {
                    set_language(&mut command, &mut current, &None);
                    command.arg(path)
                }
                Item::Source { path, language } => {
                    set_language(&mut command, &mut current, language);
                    command.arg(path)
                }
            };
        }
        if let Some(output) = &self.line.output {
            command.arg("-o").arg(output);
        }
        command
    }

    fn text(&self) -> Result<Done, SdkError> {
        Ok(Done::with_code(run(&mut self.whole(), None)?))
    }

    /// Without start code and libraries, which the last link adds.
    fn joined(&self) -> Result<Done, SdkError> {
        let mut command = self.whole();
        let mut plain = Command::new(&self.clang);
        plain.args([
            "--target=wasm32-linux-muslwali",
            "-nostdlib",
            "--no-wasm-opt",
        ]);
        plain.args(command.get_args().skip(1));
        command = plain;
        Ok(Done::with_code(run(&mut command, None)?))
    }

    fn objects(&self) -> Result<Done, SdkError> {
        let input = self.standard_input()?;
        let code = run(&mut self.whole(), input.as_deref())?;
        let calls = || {
            let objects = self.objects_written();
            objects.iter().any(|it| calls_setjmp(it))
        };
        if code != 0 || !calls() {
            return Ok(Done::with_code(code));
        }
        let mut command = self.whole();
        let code = run(command.arg(LATER), input.as_deref())?;
        Ok(Done::with_code(code))
    }

    /// What is compiled twice must be read once.
    fn standard_input(&self) -> Result<Option<Vec<u8>>, SdkError> {
        let is_read = |it: &Item| matches!(it, Item::Source { path, .. } if path == "-");
        if !self.line.items.iter().any(is_read) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(SdkError::io("read", Path::new("standard input")))?;
        Ok(Some(bytes))
    }

    /// The object of each source, as clang names them.
    fn objects_written(&self) -> Vec<PathBuf> {
        if let Some(output) = &self.line.output {
            return vec![output.into()];
        }
        let sources = self.line.items.iter().filter_map(|item| match item {
            Item::Source { path, .. } => Path::new(path).file_stem(),
            _ => None,
        });
        sources
            .map(|it| Path::new(it).with_extension("o"))
            .collect()
    }

    fn program(&self) -> Result<Done, SdkError> {
        let directory = TempDir::with_prefix("minke-cc-")
            .map_err(SdkError::io("write in", &std::env::temp_dir()))?;
        let input = self.standard_input()?;
        let sources = Sources {
            directory: directory.path(),
            input: input.as_deref(),
        };
        match self.compile_each(&sources, self.library())? {
            Ok(objects) => self.link(&objects, &sources),
            Err(code) => Ok(Done::with_code(code)),
        }
    }

    /// Compiles each source for a program with this library.
    fn compile_each(&self, sources: &Sources<'_>, library: Library) -> Result<Objects, SdkError> {
        let mut objects = Vec::new();
        for item in &self.line.items {
            let Item::Source { path, language } = item else {
                continue;
            };
            let to = sources.directory.join(format!("{}.o", objects.len()));
            let input = sources.input.filter(|_| path == "-");
            let make = || self.compiling(path, language, library, &to);
            let mut code = run(&mut make(), input)?;
            if code == 0 && calls_setjmp(&to) {
                code = run(make().arg(LATER), input)?;
            }
            if code != 0 {
                return Ok(Err(code));
            }
            objects.push(to);
        }
        Ok(Ok(objects))
    }

    fn compiling(
        &self,
        path: &OsStr,
        language: &Option<OsString>,
        library: Library,
        to: &Path,
    ) -> Command {
        let mut command = self.clang();
        for item in &self.line.items {
            if let Item::Words(words) = item {
                command.args(words);
            }
        }
        command.args(self.form(library));
        command.args(dependencies::options(&self.line, path));
        // What is for the linker has no use here.
        command.args(["-Qunused-arguments", "-c", "-o"]).arg(to);
        set_language(&mut command, &mut &None, language);
        command.arg(path);
        command
    }

    fn link(&self, objects: &[PathBuf], sources: &Sources<'_>) -> Result<Done, SdkError> {
        let output = PathBuf::from(self.line.output.as_deref().unwrap_or(OsStr::new("a.out")));
        if self.line.has_threads {
            return self.link_threads(objects, &output);
        }
        let done = match self.line.library {
            Some(Library::Fork) => self.link_forking(objects, sources, &output),
            asked => {
                let code = run(&mut self.linking(objects, Library::Plain, &output), None)?;
                if code != 0 || !forks(&output)? {
                    return Ok(Done::with_code(code));
                }
                if asked.is_some() {
                    let note = Some(NO_FORK);
                    return Ok(Done { code, note });
                }
                self.link_again(objects, sources, &output)
            }
        };
        if !matches!(done, Ok(Done { code: 0, .. })) {
            // A program that was not asked for must not be taken for the one that was.
            let _ = fs::remove_file(&output);
        }
        done
    }

    /// Links a program that turned out to fork.
    fn link_again(
        &self,
        objects: &[PathBuf],
        sources: &Sources<'_>,
        output: &Path,
    ) -> Result<Done, SdkError> {
        if !self.line.is_cplusplus || objects.is_empty() {
            return self.link_forking(objects, sources, output);
        }
        match self.compile_each(sources, Library::Fork)? {
            Ok(objects) => self.link_forking(&objects, sources, output),
            Err(code) => Ok(Done::with_code(code)),
        }
    }

    /// Links a program whose frames can be restored.
    fn link_forking(
        &self,
        objects: &[PathBuf],
        sources: &Sources<'_>,
        output: &Path,
    ) -> Result<Done, SdkError> {
        let rewriter = self.tools.rewriter()?;
        let linked = sources.directory.join("linked.wasm");
        let mut code = run(&mut self.linking(objects, Library::Fork, &linked), None)?;
        if code == 0 {
            let arguments = rewriting::arguments(&linked, output, sources.directory)?;
            code = run(Command::new(&rewriter).args(arguments), None)?;
        }
        if code != 0 {
            return Ok(Done::with_code(code));
        }
        make_executable(output)?;
        let note =
            Some("the program forks: its frames can be restored, at some cost in size and speed");
        Ok(Done { code, note })
    }

    /// Links a program with threads, whose frames cannot be restored.
    fn link_threads(&self, objects: &[PathBuf], output: &Path) -> Result<Done, SdkError> {
        let code = run(&mut self.linking(objects, Library::Plain, output), None)?;
        let note = match code == 0 && forks(output)? {
            true => Some(NO_FORK),
            false => None,
        };
        Ok(Done { code, note })
    }

    /// The command that links, with objects in the places of their sources.
    fn linking(&self, objects: &[PathBuf], library: Library, output: &Path) -> Command {
        let mut command = self.clang();
        let mut objects = objects.iter();
        for item in &self.line.items {
            match item {
                // The rewriter knows the C library's functions by their names, and leaves none.
                Item::Words(words) if library == Library::Fork && strips(words) => &mut command,
                Item::Words(words) => command.args(words),
                Item::Linked(path) => command.arg(path),
                Item::Source { .. } => command.args(objects.next()),
            };
        }
        if self.line.links_cplusplus {
            command.arg(self.system.cplusplus_library(&self.line, library));
        }
        let form = match library {
            // With threads there is no other library.
            Library::Plain if self.line.has_threads => FINAL_FORM,
            Library::Plain => {
                command.arg("-lplain");
                FINAL_FORM
            }
            Library::Fork => OLDER_FORM,
        };
        let exceptions = match self.line.links_cplusplus {
            true => EXCEPTIONS,
            false => &[],
        };
        let options = JUMPS.iter().chain(exceptions).chain([&form]);
        command.args(options.map(|it| format!("-Wl,-mllvm,{it}")));
        command.arg("-o").arg(output);
        command
    }
}

/// Whether an option takes names away, and does nothing else.
fn strips(words: &[OsString]) -> bool {
    matches!(words, [word] if STRIPPING.iter().any(|it| word == it))
}

/// Says what the files that follow are written in, where that changes.
fn set_language<'l>(
    command: &mut Command,
    current: &mut &'l Option<OsString>,
    language: &'l Option<OsString>,
) {
    if *current != language {
        let none = OsString::from("none");
        command.arg("-x").arg(language.as_ref().unwrap_or(&none));
        *current = language;
    }
}

/// Linkers do that, `wasm-opt` does not.
fn make_executable(path: &Path) -> Result<(), SdkError> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path, permissions).map_err(SdkError::io("change the mode of", path))
}

/// What clang has not written, since it was told to write elsewhere, is no object of ours.
fn calls_setjmp(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| object::calls_setjmp(&bytes))
}

fn forks(module: &Path) -> Result<bool, SdkError> {
    let bytes = fs::read(module).map_err(SdkError::io("read", module))?;
    Ok(object::forks(&bytes))
}

/// Runs a program with our standard streams, or with an input of ours; returns its exit code as a shell would.
fn run(command: &mut Command, input: Option<&[u8]>) -> Result<u8, SdkError> {
    let path = PathBuf::from(command.get_program());
    let status = match input {
        Some(input) => run_with_input(command, input),
        None => command.status(),
    };
    status.map(exit_code).map_err(SdkError::io("run", &path))
}

fn run_with_input(command: &mut Command, input: &[u8]) -> io::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // Who does not read on has said why on standard error.
        let _ = pipe.write_all(input);
    }
    child.wait()
}

fn exit_code(status: ExitStatus) -> u8 {
    match status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => {
            128 + status
                .signal()
                .and_then(|it| u8::try_from(it).ok())
                .unwrap_or(0)
        }
    }
}

fn joined(option: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}
