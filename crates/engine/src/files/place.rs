//! Where a copy goes: into a directory under its own name, or to a path that is its name.
//!
//! Docker: `docs/reference/commandline/container_cp.md`, "Extended description".

use super::FilesError;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum There {
    Nothing,
    Directory,
    File,
}

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied<'a> {
    /// As typed.
    pub(crate) path: &'a [u8],
    pub(crate) is_directory: bool,
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// A directory that has to be there.
    pub(crate) directory: Vec<u8>,
    /// The copy's name in it; `.` for what a directory holds.
    pub(crate) name: Vec<u8>,
}

/// Decides where a copy goes that is to go to `path`.
pub(crate) fn place(copied: Copied<'_>, path: &[u8], there: There) -> Result<Place, FilesError> {
    let shown = || String::from_utf8_lossy(path).into_owned();
    match there {
        There::Directory => Ok(Place {
            directory: path.to_vec(),
            name: name_of(copied.path).to_vec(),
        }),
        There::File if copied.is_directory => Err(FilesError::DirectoryToFile(shown())),
        There::File if asserts_directory(path) => Err(FilesError::NotDirectory(shown())),
        There::Nothing if !copied.is_directory && asserts_directory(path) => {
            Err(FilesError::NoSuchDirectory(shown()))
        }
        There::File | There::Nothing => match split(path) {
            (_, b"." | b"..") => Err(FilesError::NoSuchDirectory(shown())),
            (directory, name) => Ok(Place {
                directory: directory.to_vec(),
                name: name.to_vec(),
            }),
        },
    }
}

/// Returns the name that a path's copy has; `.` for a path that ends with `/.`, whose directory's content is meant, and for the top.
pub(crate) fn name_of(path: &[u8]) -> &[u8] {
    match split(path).1 {
        b"" | b".." => b".",
        name => name,
    }
}

/// Whether a path can only be that of a directory.
pub(crate) fn asserts_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || matches!(split(path).1, b"." | b"..")
}

/// Returns a path's directory and its last name, whatever slashes are behind that.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte != b'/');
    let Some(end) = end else {
        return (path, b"");
    };
    let path = &path[..=end];
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..=slash], &path[slash + 1..]),
        None => (b".", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, path: &str, there: There, expected: Option<(&str, &str)>) {
        let (source, is_directory) = match source.strip_prefix("d:") {
            Some(source) => (source, true),
            None => (source, false),
        };
        let copied = Copied {
            path: source.as_bytes(),
            is_directory,
        };
        let found = place(copied, path.as_bytes(), there).ok();
        let expected = expected.map(|(directory, name)| Place {
            directory: directory.into(),
            name: name.into(),
        });
        assert_eq!(found, expected, "{source} to {path}");
    }

    #[test]
    fn a_file_goes_where_the_reference_says() {
        check("/a/f", "/b/g", There::Nothing, Some(("/b/", "g")));
        check("/a/f", "/b/g/", There::Nothing, None);
        check("/a/f", "/b/g", There::File, Some(("/b/", "g")));
        check("/a/f", "/b/g/", There::File, None);
        check("/a/f", "/b", There::Directory, Some(("/b", "f")));
        check("f", "g", There::Nothing, Some((".", "g")));
    }

    #[test]
    fn a_directory_goes_where_the_reference_says() {
        check("d:/a/d", "/b/e", There::Nothing, Some(("/b/", "e")));
        check("d:/a/d", "/b/e/", There::Nothing, Some(("/b/", "e")));
        check("d:/a/d/.", "/b/e", There::Nothing, Some(("/b/", "e")));
        check("d:/a/d", "/b/f", There::File, None);
        check("d:/a/d", "/b", There::Directory, Some(("/b", "d")));
        check("d:/a/d/", "/b", There::Directory, Some(("/b", "d")));
        check("d:/a/d/.", "/b", There::Directory, Some(("/b", ".")));
        check("d:/", "/b", There::Directory, Some(("/b", ".")));
        check("d:..", "/b", There::Directory, Some(("/b", ".")));
    }
}
