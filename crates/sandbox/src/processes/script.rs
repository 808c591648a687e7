//! The first line of scripts. Linux: fs/binfmt_script.c `load_script()`.

/// What a script's first line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script<'a> {
    pub(super) interpreter: &'a [u8],
    /// All that follows the interpreter, as one argument.
    pub(super) argument: Option<&'a [u8]>,
}

/// Reads the first line of a file that begins with `head`; `None` if it is no script.
pub(super) fn parse(head: &[u8]) -> Option<Script<'_>> {
    let rest = head.strip_prefix(b"#!")?;
    let line = rest.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = line.iter().position(is_space).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    let argument = argument.trim_ascii();
    (!interpreter.is_empty()).then_some(Script {
        interpreter,
        argument: (!argument.is_empty()).then_some(argument),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expected: Option<(&str, Option<&str>)>) {
        let found = parse(head.as_bytes());
        let expected = expected.map(|(interpreter, argument)| Script {
            interpreter: interpreter.as_bytes(),
            argument: argument.map(str::as_bytes),
        });
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn the_interpreter_comes_with_at_most_one_argument() {
        check("#!/bin/sh\necho\n", Some(("/bin/sh", None)));
        check("#! /bin/sh -e x \n", Some(("/bin/sh", Some("-e x"))));
        check("#!/bin/sh", Some(("/bin/sh", None)));
        check(
            "#!/usr/bin/env\tpython",
            Some(("/usr/bin/env", Some("python"))),
        );
    }

    #[test]
    fn other_files_are_no_scripts() {
        check("", None);
        check("#!\n/bin/sh", None);
        check("echo #!/bin/sh", None);
    }
}
