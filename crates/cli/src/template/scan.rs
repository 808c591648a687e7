//! Cuts a template into tokens. Spec: Go `text/template`, "Text and spaces", "Arguments".

use serde_json::Value;

use super::Problem;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// Whether no space is before it: `.A.B` is one field, `.A .B` are two.
    pub(super) is_glued: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// What is printed as it is.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A dot alone.
    Dot,
    /// `.Name`
    Field(String),
    /// `$` or `$name`, with the dollar.
    Variable(String),
    Word(String),
    Literal(Value),
    Pipe,
    Comma,
    LeftParen,
    RightParen,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// Cuts a whole template.
pub(super) fn scan(source: &str) -> Result<Vec<Token>, Problem> {
    let mut scanner = Scanner {
        source,
        at: 0,
        tokens: Vec::new(),
    };
    let mut trims = false;
    while let Some(text) = scanner.text_before_action(trims) {
        scanner.push(Kind::Text(text), scanner.at);
        if scanner.rest().is_empty() {
            break;
        }
        trims = scanner.action()?;
    }
    Ok(scanner.tokens)
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'s> Scanner<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: Kind, at: usize) {
        let before = self.source[..at].chars().next_back();
        self.tokens.push(Token {
            kind,
            at,
            is_glued: !before.is_some_and(char::is_whitespace),
        });
    }

    /// Takes the text up to the next action or the end; `None` at the end.
    fn text_before_action(&mut self, trims_start: bool) -> Option<String> {
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(OPEN).unwrap_or(rest.len());
        let trims_end = has_left_trim(&rest[end..]);
        // Docker: `cli/command/formatter`, `parseFormat()`: a shell's user types no tab.
        let text = rest[..end].replace("\\t", "\t").replace("\\n", "\n");
        self.at += end;
        let text = match trims_start {
            true => text.trim_start(),
            false => &text,
        };
        Some(match trims_end {
            true => text.trim_end().to_owned(),
            false => text.to_owned(),
        })
    }

    /// Takes one action; returns whether the text after it is trimmed.
    fn action(&mut self) -> Result<bool, Problem> {
        let start = self.at;
        self.at += OPEN.len() + if has_left_trim(self.rest()) { 1 } else { 0 };
        if self.rest().trim_start().starts_with("/*") {
            return self.comment(start);
        }
        self.push(Kind::Open, start);
        loop {
            let space = self.rest().len() - self.rest().trim_start().len();
            self.at += space;
            let at = self.at;
            let trims = space > 0 && self.rest().starts_with("-}}");
            if trims || self.rest().starts_with(CLOSE) {
                self.at += CLOSE.len() + usize::from(trims);
                self.push(Kind::Close, at);
                return Ok(trims);
            }
            let kind = self.token(start)?;
            self.push(kind, at);
        }
    }

    fn comment(&mut self, start: usize) -> Result<bool, Problem> {
        let unclosed = || Problem::new(start, "unclosed comment").hint("end it with `*/}}`");
        let end = self.rest().find("*/").ok_or_else(unclosed)?;
        self.at += end + 2;
        let trims = self.rest().trim_start().starts_with("-}}");
        let marker = if trims { "-}}" } else { CLOSE };
        let after = self.rest().trim_start().strip_prefix(marker);
        let after = after.ok_or_else(unclosed)?;
        self.at = self.source.len() - after.len();
        Ok(trims)
    }

    /// Takes one token of the action that begins at `start`.
    fn token(&mut self, start: usize) -> Result<Kind, Problem> {
        let at = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(Problem::new(start, "unclosed action").hint("end it with `}}`"));
        };
        let second = rest[first.len_utf8()..].chars().next();
        if let Some((length, kind)) = sign(rest) {
            self.at += length;
            return Ok(kind);
        }
        match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '.' if second.is_some_and(is_name) => {
                self.at += 1;
                Ok(Kind::Field(self.name().to_owned()))
            }
            '.' => {
                self.at += 1;
                Ok(Kind::Dot)
            }
            '$' => {
                self.at += 1;
                self.name();
                Ok(Kind::Variable(self.source[at..self.at].to_owned()))
            }
            '0'..='9' | '-' | '+' => self.number(),
            first if is_name(first) => Ok(word(self.name())),
            '\'' => Err(Problem::new(at, "unexpected `'`").hint("quote texts with `\"`")),
            other => Err(Problem::new(
                at,
                format!("unexpected `{other}` in an action"),
            )),
        }
    }

    /// Takes letters, digits and `_`.
    fn name(&mut self) -> &'s str {
        let rest = self.rest();
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn raw(&mut self) -> Result<Kind, Problem> {
        let body = &self.rest()[1..];
        let Some(end) = body.find('`') else {
            return Err(unclosed_text(self.at));
        };
        self.at += end + 2;
        Ok(Kind::Literal(Value::from(&body[..end])))
    }

    /// Spec: Go, "String literals".
    fn quoted(&mut self) -> Result<Kind, Problem> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest()[1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + offset + 2;
                    return Ok(Kind::Literal(Value::from(text)));
                }
                '\\' => {
                    let escaped = chars.next().and_then(|(_, c)| escape(c));
                    let unknown = || Problem::new(start + 1 + offset, "unknown escape in a text");
                    text.push(escaped.ok_or_else(unknown)?);
                }
                other => text.push(other),
            }
        }
        Err(unclosed_text(start))
    }

    fn number(&mut self) -> Result<Kind, Problem> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        let text = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let whole = text.parse::<i64>().map(Value::from);
        let number = whole.or_else(|_| text.parse::<f64>().map(Value::from));
        let bad = |_| Problem::new(self.at, format!("`{text}` is not a number"));
        let number = number.map_err(bad)?;
        self.at += text.len();
        Ok(Kind::Literal(number))
    }
}

/// A marker trims only with a space after it: `{{-3}}` is a number. Spec: Go `text/template`, "Text and spaces".
fn has_left_trim(action: &str) -> bool {
    let after = action.strip_prefix("{{-");
    after.is_some_and(|after| after.starts_with(char::is_whitespace))
}

fn sign(rest: &str) -> Option<(usize, Kind)> {
    let signs = [
        (":=", Kind::Declare),
        ("=", Kind::Assign),
        ("|", Kind::Pipe),
        (",", Kind::Comma),
        ("(", Kind::LeftParen),
        (")", Kind::RightParen),
    ];
    let found = signs.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
    Some((found.0.len(), found.1))
}

fn word(name: &str) -> Kind {
    match name {
        "true" => Kind::Literal(Value::Bool(true)),
        "false" => Kind::Literal(Value::Bool(false)),
        "nil" => Kind::Literal(Value::Null),
        name => Kind::Word(name.to_owned()),
    }
}

fn escape(c: char) -> Option<char> {
    Some(match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '\\' | '"' => c,
        _ => return None,
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn unclosed_text(at: usize) -> Problem {
    Problem::new(at, "unclosed text").hint("end it with the quote that it begins with")
}
