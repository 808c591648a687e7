//! Program lookup: which file a command's first word means.
//!
//! One rule serves the builder, which warns about a command that no file answers, and the sandbox, which runs it.

/// The search path of a process whose environment has none. Linux: Docker's default for Linux images.
pub const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The suffix of a compiled program: `python` also finds `python.wasm`.
pub const SUFFIX: &str = ".wasm";

/// Bounds the directories of a search path that are looked at; the variable comes from the guest's side.
pub const PATH_DIRECTORIES_MAX: usize = 256;

/// Returns the paths that `name` may mean, best first, all absolute.
///
/// `path_variable` is `$PATH` of the process, `directory` its absolute working directory. A name with a slash is a
/// path and is not searched. Each place is tried with the name as it is, then with `.wasm`.
///
/// POSIX: 2.9.1.4 Command Search and Execution; an empty directory of the search path is the working directory.
pub fn candidates(name: &str, path_variable: Option<&str>, directory: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains('/') {
        return with_suffix(&absolute(directory, name));
    }
    let search = path_variable.unwrap_or(PATH_DEFAULT);
    let places = search.split(':').take(PATH_DIRECTORIES_MAX);
    places
        .flat_map(|place| with_suffix(&absolute(directory, &in_place(place, name))))
        .collect()
}

/// Returns the first candidate for which `is_program` holds. See [`candidates`].
pub fn find(
    name: &str,
    path_variable: Option<&str>,
    directory: &str,
    mut is_program: impl FnMut(&str) -> bool,
) -> Option<String> {
    candidates(name, path_variable, directory)
        .into_iter()
        .find(|path| is_program(path))
}

fn in_place(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}/{name}")
    }
}

fn with_suffix(path: &str) -> Vec<String> {
    if path.ends_with(SUFFIX) {
        vec![path.to_owned()]
    } else {
        vec![path.to_owned(), format!("{path}{SUFFIX}")]
    }
}

/// Joins `path` to `directory` when it is relative, and drops `.` and empty parts. `..` stays: only the file system can resolve it.
fn absolute(directory: &str, path: &str) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{directory}/{path}")
    };
    let parts: Vec<&str> = joined
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_searched_in_order_with_and_without_the_suffix() {
        assert_eq!(
            candidates("python", Some("/app/bin:/bin"), "/"),
            [
                "/app/bin/python",
                "/app/bin/python.wasm",
                "/bin/python",
                "/bin/python.wasm"
            ]
        );
    }

    #[test]
    fn a_path_is_not_searched() {
        assert_eq!(
            candidates("./server", Some("/bin"), "/app"),
            ["/app/server", "/app/server.wasm"]
        );
        assert_eq!(
            candidates("/server.wasm", Some("/bin"), "/app"),
            ["/server.wasm"]
        );
        assert_eq!(
            candidates("../server.wasm", None, "/app"),
            ["/app/../server.wasm"]
        );
    }

    #[test]
    fn an_empty_or_relative_search_directory_is_below_the_working_directory() {
        assert_eq!(
            candidates("x.wasm", Some(":tools"), "/app"),
            ["/app/x.wasm", "/app/tools/x.wasm"]
        );
        assert_eq!(candidates("x.wasm", None, "/app").len(), 6);
        assert!(candidates("", None, "/app").is_empty());
    }

    #[test]
    fn find_asks_in_order_and_stops_at_the_first() {
        let mut asked = Vec::new();
        let found = find("python", Some("/a:/b"), "/", |path| {
            asked.push(path.to_owned());
            path == "/a/python.wasm"
        });
        assert_eq!(found.as_deref(), Some("/a/python.wasm"));
        assert_eq!(asked, ["/a/python", "/a/python.wasm"]);
    }
}
