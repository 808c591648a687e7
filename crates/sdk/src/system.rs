//! Headers and libraries: where they lie, and how they get there.
//!
//! A release of `minke` carries them as an archive, which is unpacked when they are first needed, into a directory named after
//! its content. So several versions live side by side, and two commands that unpack the same one do no harm.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use flate2::read::GzDecoder;

use crate::SdkError;
use crate::arguments::{CommandLine, Library};

/// Names a directory that is used in place of the archive's.
pub const DIRECTORY_VARIABLE: &str = "MINKE_SDK";

/// Most bytes of the archive's content: bounds what a damaged one can fill a disk with.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// What clang reads for programs in C with one thread; a directory without it is no SDK.
const CONFIGURATION: &str = "clang.cfg";

/// What it reads for others.
const THREADS_CONFIGURATION: &str = "threads.cfg";
const CPLUSPLUS_CONFIGURATION: &str = "c++.cfg";
const CPLUSPLUS_THREADS_CONFIGURATION: &str = "c++-threads.cfg";

/// The C++ library of programs with one thread whose frames cannot be restored, of those whose frames can, and of those with threads.
const CPLUSPLUS_LIBRARY: &str = "lib/libc++.a";
const CPLUSPLUS_FORK_LIBRARY: &str = "lib/fork/libc++.a";
const CPLUSPLUS_THREADS_LIBRARY: &str = "lib/threads/libc++.a";

/// The SDK inside a program: a tar, compressed by gzip.
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    pub bytes: &'static [u8],
    /// Tells one content from another, in letters and digits.
    pub digest: &'static str,
}

/// A directory of headers and libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    pub directory: PathBuf,
}

impl System {
    /// Finds the directory: `named` if there is one, else the archive's below `data`, where it is unpacked if it is not there.
    ///
    /// # Errors
    /// [`SdkError::NotSystem`] if the named directory holds something else, [`SdkError::NoSystem`] if nothing was named and there
    /// is no archive, and [`SdkError::Io`].
    pub fn open(
        named: Option<PathBuf>,
        data: &Path,
        archive: Option<Archive>,
    ) -> Result<System, SdkError> {
        if let Some(directory) = named {
            return System::at(directory);
        }
        let archive = archive.ok_or(SdkError::NoSystem)?;
        let directory = data.join(archive.digest);
        if !directory.join(CONFIGURATION).is_file() {
            unpack(archive.bytes, data, &directory)?;
        }
        Ok(System { directory })
    }

    fn at(directory: PathBuf) -> Result<System, SdkError> {
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        if !directory.join(CONFIGURATION).is_file() {
            return Err(SdkError::NotSystem {
                path: directory.display().to_string(),
                missing: CONFIGURATION,
            });
        }
        Ok(System { directory })
    }

    /// Returns the file of options that clang is told to read.
    pub fn configuration(&self, line: &CommandLine) -> PathBuf {
        self.directory
            .join(match (line.is_cplusplus, line.has_threads) {
                (false, false) => CONFIGURATION,
                (false, true) => THREADS_CONFIGURATION,
                (true, false) => CPLUSPLUS_CONFIGURATION,
                (true, true) => CPLUSPLUS_THREADS_CONFIGURATION,
            })
    }

    /// Returns the library of a program that is in C++.
    pub fn cplusplus_library(&self, line: &CommandLine, library: Library) -> PathBuf {
        self.directory.join(match (line.has_threads, library) {
            (true, _) => CPLUSPLUS_THREADS_LIBRARY,
            (false, Library::Plain) => CPLUSPLUS_LIBRARY,
            (false, Library::Fork) => CPLUSPLUS_FORK_LIBRARY,
        })
    }
}

/// Unpacks beside the directory, and gives it its name when all of it is on the disk.
fn unpack(bytes: &[u8], data: &Path, directory: &Path) -> Result<(), SdkError> {
    fs::create_dir_all(data).map_err(SdkError::io("make", data))?;
    let partial = tempfile::Builder::new()
        .prefix(".partial")
        .tempdir_in(data)
        .map_err(SdkError::io("write in", data))?;
    extract(bytes, partial.path()).map_err(SdkError::io("unpack into", partial.path()))?;
    match fs::rename(partial.path(), directory) {
        // Another command was faster.
        Err(_) if directory.join(CONFIGURATION).is_file() => Ok(()),
        renamed => renamed.map_err(SdkError::io("make", directory)),
    }
}

fn extract(bytes: &[u8], directory: &Path) -> io::Result<()> {
    let content = GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX);
    tar::Archive::new(content).unpack(directory)?;
    fs::set_permissions(
        directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    rustix::fs::syncfs(fs::File::open(directory)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::arguments::Compiler;

    fn configuration(system: &System) -> PathBuf {
        let line = CommandLine::parse(Compiler::C, &[]).expect("a command line");
        system.configuration(&line)
    }

    fn archive() -> Archive {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, CONFIGURATION, &b"-c"[..])
            .expect("a file");
        let mut packed = tar.into_inner().expect("a tar");
        packed.flush().expect("a tar");
        let bytes = packed.finish().expect("a tar").leak();
        Archive {
            bytes,
            digest: "one",
        }
    }

    #[test]
    fn an_archive_is_unpacked_once_and_leaves_nothing_else() {
        let data = tempfile::tempdir().expect("a directory");
        let system = System::open(None, data.path(), Some(archive())).expect("an SDK");
        assert_eq!(fs::read(configuration(&system)).expect("a file"), b"-c");
        fs::write(configuration(&system), "kept").expect("a file");
        let again = System::open(None, data.path(), Some(archive())).expect("an SDK");
        assert_eq!(fs::read(configuration(&again)).expect("a file"), b"kept");
        let names: Vec<_> = fs::read_dir(data.path()).expect("a directory").collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn many_commands_may_unpack_at_once() {
        let data = tempfile::tempdir().expect("a directory");
        let archive = archive();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| System::open(None, data.path(), Some(archive)).expect("an SDK"));
            }
        });
        let names: Vec<_> = fs::read_dir(data.path()).expect("a directory").collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_directory_that_is_no_sdk_is_refused() {
        let data = tempfile::tempdir().expect("a directory");
        let error = System::open(Some(data.path().into()), data.path(), None);
        assert!(matches!(error, Err(SdkError::NotSystem { .. })));
        let error = System::open(None, data.path(), None);
        assert!(matches!(error, Err(SdkError::NoSystem)));
    }
}
