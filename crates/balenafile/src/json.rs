//! JSON arrays of texts: the exec form of an instruction.
//!
//! Spec: RFC 8259. Nothing else of JSON can stand in a `Balenafile`.

/// Returns the texts of `["…", "…"]`, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<String>, &'static str> {
    let mut reader = Reader { rest: text.trim() };
    reader.expect('[', "the exec form begins with `[`")?;
    let mut texts = Vec::new();
    reader.skip_space();
    if !reader.accept(']') {
        loop {
            reader.skip_space();
            texts.push(reader.text()?);
            reader.skip_space();
            if reader.accept(']') {
                break;
            }
            reader.expect(',', "texts are separated by `,` and the array ends in `]`")?;
        }
    }
    reader.skip_space();
    if reader.rest.is_empty() {
        Ok(texts)
    } else {
        Err("nothing may follow the `]`")
    }
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
            "[1]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
