//! Compiles programs that are written for Linux to modules for containers, with the machine's own clang.
//!
//! clang brings the compiler and the linker, this crate headers, libraries and the decision how functions that return twice
//! do so: `setjmp` by wasm's exceptions, and `fork` by frames that Binaryen's asyncify lets a program restore. `docs/sdk.md` is the
//! manual.
//!
//! | module | is |
//! |---|---|
//! | [`system`] | headers and libraries: where they lie, and how they get there |
//! | [`tools`] | clang and its kin on this machine |
//! | [`arguments`] | a compiler's command line, read as far as it concerns us |
//! | [`linker`] | options of other linkers, which build scripts pass |
//! | [`dependencies`] | files that say what a program was made from |
//! | [`object`] | what a compiled file says that it needs |
//! | [`unwinding`] | which functions may have `fork` below them |
//! | [`rewriting`] | what Binaryen does to a linked module |
//! | [`driver`] | compiles and links |
//! | [`environment`] | what build scripts look for in their environment |
//! | [`rust`] | what cargo looks for there |

pub mod arguments;
pub mod dependencies;
pub mod driver;
pub mod environment;
pub mod linker;
pub mod object;
pub mod rewriting;
pub mod rust;
pub mod system;
pub mod tools;
pub mod unwinding;

pub use arguments::Compiler;
pub use driver::{Done, compile};
pub use system::{Archive, System};
pub use tools::Tools;

/// Why nothing was compiled. What clang itself says of a program is not among it.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    #[error("there is no `{wanted}` here")]
    NoTool {
        wanted: &'static str,
        hint: &'static str,
    },
    #[error("`{path}` is version `{found}`, and version `{wanted}` is needed")]
    OldTool {
        path: String,
        found: String,
        wanted: tools::Version,
        hint: &'static str,
    },
    #[error("this `minke` was built without headers and libraries of the SDK")]
    NoSystem,
    #[error("`{path}` is no directory of the SDK: it has no `{missing}`")]
    NotSystem { path: String, missing: &'static str },
    #[error("`{option}` is not supported: {reason}")]
    Refused {
        option: String,
        reason: &'static str,
        hint: &'static str,
    },
    #[error("`{option}` needs a value")]
    NoValue { option: String },
    #[error("the program calls `fork`, and objects in C++ were compiled for one that does not")]
    FinalExceptions,
    #[error("`{path}` is no module")]
    NoModule {
        path: String,
        #[source]
        source: wasmparser::BinaryReaderError,
    },
    #[error("cannot {action} `{path}`")]
    Io {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl SdkError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SdkError::NoTool { hint, .. }
            | SdkError::OldTool { hint, .. }
            | SdkError::Refused { hint, .. } => Some((*hint).to_owned()),
            SdkError::NoSystem => Some(format!(
                "`cargo xtask guests sdk` makes them in `target/guests/.linux/sdk`; name that directory in `{}`, or build `minke` again",
                system::DIRECTORY_VARIABLE
            )),
            SdkError::NotSystem { .. } => Some(format!(
                "set `{}` to a directory that `cargo xtask guests sdk` made, or unset it",
                system::DIRECTORY_VARIABLE
            )),
            SdkError::NoValue { option } => Some(format!("write `{option} VALUE`")),
            SdkError::FinalExceptions => Some(
                "compile them with `--minke-libc=fork`, or link with `--minke-libc=plain` a program whose `fork` answers `ENOSYS`"
                    .to_owned(),
            ),
            SdkError::NoModule { .. } | SdkError::Io { .. } => None,
        }
    }

    /// Makes a closure that says what could not be done with a path.
    fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> SdkError {
        let path = path.display().to_string();
        move |source| SdkError::Io {
            action,
            path,
            source,
        }
    }
}
