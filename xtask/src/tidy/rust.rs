//! As much of Rust's grammar as the rules need: where literals and comments are, where functions
//! begin and end, which lines are tests.

use std::ops::RangeInclusive;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Lines from `fn` to the closing brace, counted from one.
    pub lines: RangeInclusive<usize>,
}

impl Function {
    pub fn lines_count(&self) -> usize {
        self.lines.end() + 1 - self.lines.start()
    }
}

/// The text with comments, strings and characters replaced by blanks; lines stay where they were.
pub fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        match end {
            Some(end) => {
                blank(&mut out[at..end]);
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn blank(bytes: &mut [u8]) {
    bytes
        .iter_mut()
        .filter(|it| **it != b'\n')
        .for_each(|it| *it = b' ');
}

/// The end of the comment or literal that begins at `at`, if one does.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => Some(
            at + rest
                .iter()
                .position(|it| *it == b'\n')
                .unwrap_or(rest.len()),
        ),
        [b'/', b'*', ..] => Some(block_comment_end(bytes, at)),
        [b'"', ..] => Some(string_end(bytes, at + 1)),
        [b'r', b'"' | b'#', ..] if starts_word(bytes, at) => raw_string_end(bytes, at + 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if starts_word(bytes, at) => {
            raw_string_end(bytes, at + 2)
        }
        [b'\'', b'\\', ..] => Some(string_like_end(bytes, at + 1, b'\'')),
        [b'\'', ..] => character_end(bytes, at),
        _ => None,
    }
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1])
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" if depth == 1 => return at + 2,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    string_like_end(bytes, start, b'"')
}

fn string_like_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `at` is behind the `r`; `None` for a raw identifier.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|it| **it == b'#').count();
    if bytes.get(at + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = &bytes[at + hashes + 1..];
    let length = body.windows(close.len()).position(|it| it == close);
    Some(length.map_or(bytes.len(), |it| at + hashes + 1 + it + close.len()))
}

/// A character has its closing quote one character later; a lifetime has not.
fn character_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = std::str::from_utf8(&bytes[at + 1..bytes.len().min(at + 5)]);
    let rest = match &rest {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[at + 1..at + 1 + error.valid_up_to()]).ok()?,
    };
    let size = rest.chars().next()?.len_utf8();
    (bytes.get(at + 1 + size) == Some(&b'\'')).then_some(at + size + 2)
}

/// All functions with a body in blanked code, in order.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for at in word_places(code, "fn") {
        let after = code[at + 2..].trim_start();
        let name: String = after
            .chars()
            .take_while(|it| it.is_alphanumeric() || *it == '_')
            .collect();
        if name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(code.as_bytes(), at) {
            found.push(Function {
                name,
                lines: line_of(code, at)..=line_of(code, end),
            });
        }
    }
    found
}

/// The place of the brace that closes the body of the item at `at`; `None` if it has no body.
fn body_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut nesting = 0_i32;
    let open = (at..bytes.len()).find(|place| match bytes[*place] {
        b'(' | b'[' => {
            nesting += 1;
            false
        }
        b')' | b']' => {
            nesting -= 1;
            false
        }
        b'{' | b';' => nesting == 0,
        _ => false,
    })?;
    if bytes[open] == b';' {
        return None;
    }
    closing_brace(bytes, open)
}

fn closing_brace(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    (open..bytes.len()).find(|place| {
        match bytes[*place] {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Lines of blanked code that are compiled for tests only.
pub fn test_lines(code: &str) -> Vec<RangeInclusive<usize>> {
    let marks = code.match_indices("#[cfg(test)]");
    marks
        .map(|(at, mark)| {
            let end = body_end(code.as_bytes(), at + mark.len());
            let end = end
                .or_else(|| code[at..].find(';').map(|it| at + it))
                .unwrap_or(code.len() - 1);
            line_of(code, at)..=line_of(code, end)
        })
        .collect()
}

/// Where `word` stands by itself.
pub fn word_places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let ends = bytes.get(at + word.len()).is_none_or(|it| !is_word(*it));
            starts_word(bytes, *at) && ends
        })
}

/// The line of a byte, counted from one.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at]
        .iter()
        .filter(|it| **it == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blank_and_lines_stay() {
        let code =
            blank_literals("a /* b /* c */\n */ d // e\n\"f \\\" g\" r#\"h\"i\"# 'j' '\\'' 'k: l");
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>(),
            ["a", "d", "'k:", "l"]
        );
        assert_eq!(code.lines().count(), 3);
    }

    #[test]
    fn a_character_of_several_bytes_is_blank() {
        assert_eq!(blank_literals("x('é', '→')").replace(' ', ""), "x(,)");
    }

    #[test]
    fn a_function_reaches_from_its_name_to_its_brace() {
        let code = "struct A;\nfn one<F: Fn(u8)>(f: F) -> [u8; 2]\nwhere\n    F: Copy,\n{\n    if x { y }\n}\nfn two();";
        let found = functions(code);
        assert_eq!(
            found,
            [Function {
                name: "one".to_string(),
                lines: 2..=7
            }]
        );
        assert_eq!(found[0].lines_count(), 6);
    }

    #[test]
    fn a_function_pointer_is_no_function() {
        assert!(functions("type F = fn(u8) -> u8; const X: F = { y };").is_empty());
    }

    #[test]
    fn test_modules_and_declared_test_files_are_tests() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n#[cfg(test)]\nmod more;\nfn c() {}";
        assert_eq!(test_lines(code), [2..=5, 6..=7]);
    }
}
