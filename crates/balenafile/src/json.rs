//! JSON arrays of texts: the exec form of an instruction.
//!
//! Spec: RFC 8259. Nothing else of JSON can stand in a `Balenafile`.

/// Bounds arrays inside arrays, each of which is a call deeper.
const NESTING_MAX: usize = 16;

/// Why a text is no array of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// It is JSON, with something else than texts.
    NotTexts,
    /// It is no JSON.
    Malformed(&'static str),
}

/// Returns the texts of `["…", "…"]`.
pub(crate) fn parse(text: &str) -> Result<Vec<String>, JsonError> {
    let mut reader = Reader { rest: text.trim() };
    let texts = reader.array(0).map_err(JsonError::Malformed)?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return Err(JsonError::Malformed("nothing may follow the `]`"));
    }
    let texts: Option<Vec<String>> = texts.into_iter().collect();
    texts.ok_or(JsonError::NotTexts)
}

struct Reader<'text> {
    rest: &'text str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn accept(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char, problem: &'static str) -> Result<(), &'static str> {
        if self.accept(wanted) {
            Ok(())
        } else {
            Err(problem)
        }
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    /// Reads an array. What is not a text is read over, and none.
    fn array(&mut self, depth: usize) -> Result<Vec<Option<String>>, &'static str> {
        self.expect('[', "the exec form begins with `[`")?;
        let mut values = Vec::new();
        self.skip_space();
        if self.accept(']') {
            return Ok(values);
        }
        loop {
            values.push(self.value(depth)?);
            self.skip_space();
            if self.accept(']') {
                return Ok(values);
            }
            self.expect(',', "texts are separated by `,` and the array ends in `]`")?;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Option<String>, &'static str> {
        self.skip_space();
        match self.rest.chars().next() {
            Some('"') => self.text().map(Some),
            Some('[') if depth < NESTING_MAX => self.array(depth + 1).map(|_| None),
            _ => self.word(),
        }
    }

    /// Reads over a number or a name.
    fn word(&mut self) -> Result<Option<String>, &'static str> {
        let end = self.rest.find([',', ']', ' ', '\t', '\n', '\r']);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let is_number = word.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            && word.ends_with(|last: char| last.is_ascii_digit())
            && word.parse::<f64>().is_ok();
        match is_number || matches!(word, "true" | "false" | "null") {
            true => Ok(None),
            false => Err("each text is in double quotes"),
        }
    }

    fn text(&mut self) -> Result<String, &'static str> {
        self.expect('"', "each text is in double quotes")?;
        let mut text = String::new();
        loop {
            match self.next().ok_or("a text is not closed")? {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                character if character.is_control() => {
                    return Err("a text has a control character");
                }
                character => text.push(character),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, &'static str> {
        Ok(match self.next().ok_or("a text is not closed")? {
            character @ ('"' | '\\' | '/') => character,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            _ => return Err("JSON has no such escape; write `\\\\` for a backslash"),
        })
    }

    /// Reads `XXXX`, or `XXXX\uXXXX` for a character outside the first plane.
    fn unicode(&mut self) -> Result<char, &'static str> {
        const PROBLEM: &str = "`\\u` needs the four hexadecimal digits of a character";
        let first = self.unit().ok_or(PROBLEM)?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) {
            self.expect('\\', PROBLEM)?;
            self.expect('u', PROBLEM)?;
            units.push(self.unit().ok_or(PROBLEM)?);
        }
        match char::decode_utf16(units).next() {
            // An exec form becomes an argument vector, whose texts end at NUL.
            Some(Ok('\0')) | Some(Err(_)) | None => Err(PROBLEM),
            Some(Ok(character)) => Ok(character),
        }
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self
            .rest
            .get(..4)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_texts_are_read() {
        assert_eq!(
            parse(r#" [ "a b" , "\u00e9\ud83d\udc0b\n\"\\" ] "#),
            Ok(vec!["a b".into(), "é🐋\n\"\\".into()])
        );
        assert_eq!(parse("[]"), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "[",
            "['a']",
            "[a]",
            r#"["a",]"#,
            r#"["a"] b"#,
            r#"["a" "b"]"#,
            r#"["\x"]"#,
            r#"["\ud83d"]"#,
            r#"["\u0000"]"#,
            "[01x]",
            "[--1]",
            "[[ \"a\" ]",
        ] {
            assert!(
                matches!(parse(text), Err(JsonError::Malformed(_))),
                "{text}"
            );
        }
        assert!(parse(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn arrays_of_something_else_are_told_apart() {
        for text in ["[1]", r#"["a", -1.5e3, true]"#, r#"[["a"], null]"#] {
            assert_eq!(parse(text), Err(JsonError::NotTexts), "{text}");
        }
    }
}
