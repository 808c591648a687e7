//! Environment variables and labels, as typed and in files of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::SyntaxError;

/// Bounds a file of variables or labels.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Parses a file of variables: a line each, `KEY=VALUE` as it stands, or `KEY`, which takes the value that `value` knows, if any.
/// Lines that begin with `#` are comments. Docker: `opts/file.go`, `parseKeyValueFile()`.
pub fn read_variables(
    path: &Path,
    value: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, SyntaxError> {
    let mut variables = Vec::new();
    for (number, line) in lines(path)?.iter().enumerate() {
        let place = || format!("in `{}`, line {}", path.display(), number + 1);
        let (name, typed) = match line.split_once('=') {
            Some((name, typed)) => (name, Some(typed)),
            None => (line.as_str(), None),
        };
        // POSIX allows any character but `=`; a blank one is a mistake.
        if name.is_empty() || name.contains(char::is_whitespace) {
            let what = match name.is_empty() {
                true => format!("no variable name {}: `{line}`", place()),
                false => format!("variable `{name}` contains whitespaces, {}", place()),
            };
            return Err(SyntaxError::new(
                what,
                "write `KEY=VALUE`, one on each line",
            ));
        }
        match typed {
            Some(_) => variables.push(line.clone()),
            None => variables.extend(value(name).map(|value| format!("{name}={value}"))),
        }
    }
    Ok(variables)
}

/// Parses a file of labels: a line each, `KEY=VALUE` or `KEY`, whose value is empty.
pub fn read_labels(path: &Path) -> Result<Vec<(String, String)>, SyntaxError> {
    lines(path)?.iter().map(|line| parse_label(line)).collect()
}

/// Parses `KEY=VALUE`, or `KEY`, whose value is empty.
pub fn parse_label(text: &str) -> Result<(String, String), SyntaxError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(SyntaxError::new(
            format!("invalid label `{text}`: it has no name"),
            "write `KEY=VALUE`",
        ));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Returns the lines that are no comments, without the blanks before them.
fn lines(path: &Path) -> Result<Vec<String>, SyntaxError> {
    let unreadable = |error: std::io::Error| {
        SyntaxError::new(
            format!("cannot read `{}`: {error}", path.display()),
            "check the path and its permissions",
        )
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        SyntaxError::new(
            format!("`{}`, line {line}: invalid UTF-8", path.display()),
            "save the file as UTF-8",
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().map(str::trim_start);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Vec<String>, SyntaxError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("env");
        std::fs::write(&path, text).expect("written");
        read_variables(&path, |name| (name == "KNOWN").then(|| "here".to_owned()))
    }

    #[test]
    fn lines_are_variables_as_they_stand() {
        let text = "\u{feff}# a comment\n\n  A=1 2 \nB=\"q\"\r\nKNOWN\nUNKNOWN\nC=x=y#z\n";
        let expected = ["A=1 2 ", "B=\"q\"", "KNOWN=here", "C=x=y#z"];
        assert_eq!(read(text).expect("valid"), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = read("A=1\nB C=2\n").expect_err("a blank");
        assert!(
            error.message.contains("`B C` contains whitespaces"),
            "{error}"
        );
        let error = read("A=1\n=2\n").expect_err("no name");
        assert!(error.message.contains("line 2"), "{error}");
        let error = read(b"A=1\nB=\xff\n").expect_err("no text");
        assert!(error.message.contains("line 2: invalid UTF-8"), "{error}");
    }

    #[test]
    fn labels_have_names() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parse_label("a=b=c"), Ok(pair("a", "b=c")));
        assert_eq!(parse_label("a"), Ok(pair("a", "")));
        assert!(parse_label("=b").is_err());
    }
}
