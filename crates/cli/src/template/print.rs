//! Values as Go prints them. Spec: Go `fmt`, "Printing"; texts are bounded as they grow.

use serde_json::Value;

use super::TEXT_BYTES_MAX;

/// Bounds the width and precision of a verb.
const WIDTH_MAX: usize = 1000;

/// A text that refuses to grow over [`TEXT_BYTES_MAX`].
#[derive(Default)]
pub(super) struct Bounded(String);

impl Bounded {
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        if self.0.len() + text.len() > TEXT_BYTES_MAX {
            return Err(format!("makes a text longer than {TEXT_BYTES_MAX} bytes"));
        }
        self.0.push_str(text);
        Ok(())
    }

    pub(super) fn into_value(self) -> Value {
        Value::from(self.0)
    }
}

/// Returns a value as `%v` prints it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", spaced(items.iter().map(nested))),
        Value::Object(fields) => {
            let fields = fields.iter();
            let pairs = fields.map(|(key, value)| format!("{key}:{}", nested(value)));
            format!("map[{}]", spaced(pairs))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn nested(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        value => text(value),
    }
}

fn spaced(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(" ")
}

/// Joins values as `print` does: with a space between two that are both no texts.
pub(super) fn print(values: &[Value]) -> Result<Value, String> {
    let mut out = Bounded::default();
    for (index, value) in values.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &values[before]);
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            out.add(" ")?;
        }
        out.add(&text(value))?;
    }
    Ok(out.into_value())
}

/// Joins values as `println` does: with a space between all, and a newline.
pub(super) fn println(values: &[Value]) -> Result<Value, String> {
    let mut out = Bounded::default();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.add(" ")?;
        }
        out.add(&text(value))?;
    }
    out.add("\n")?;
    Ok(out.into_value())
}

/// Formats values by the first one.
pub(super) fn printf(values: &[Value]) -> Result<Value, String> {
    let Some((Value::String(format), values)) = values.split_first() else {
        return Err("wants a text first".to_owned());
    };
    let mut out = Bounded::default();
    let mut values = values.iter();
    let mut rest = format.as_str();
    while let Some(at) = rest.find('%') {
        out.add(&rest[..at])?;
        let (verb, after) = Verb::parse(&rest[at + 1..])?;
        rest = after;
        match verb.letter {
            '%' => out.add("%")?,
            letter => match values.next() {
                Some(value) => out.add(&verb.apply(value))?,
                None => out.add(&format!("%!{letter}(MISSING)"))?,
            },
        }
    }
    out.add(rest)?;
    let extra: Vec<_> = values
        .map(|value| format!("{}={}", kind(value), text(value)))
        .collect();
    if !extra.is_empty() {
        out.add(&format!("%!(EXTRA {})", extra.join(", ")))?;
    }
    Ok(out.into_value())
}

/// `%-8.3s` and its like.
struct Verb {
    is_left: bool,
    is_zero_padded: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

impl Verb {
    /// Parses what follows a `%`; returns what follows the verb too.
    fn parse(text: &str) -> Result<(Verb, &str), String> {
        let flags_end = text.find(|c| !"-+# 0".contains(c)).unwrap_or(text.len());
        let (flags, rest) = text.split_at(flags_end);
        let (width, rest) = number(rest)?;
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => number(rest).map(|(n, rest)| (Some(n.unwrap_or(0)), rest))?,
            None => (None, rest),
        };
        let mut chars = rest.chars();
        let letter = chars.next().ok_or("ends in the middle of a verb")?;
        let verb = Verb {
            is_left: flags.contains('-'),
            is_zero_padded: flags.contains('0'),
            width: width.unwrap_or(0),
            precision,
            letter,
        };
        Ok((verb, chars.as_str()))
    }

    fn apply(&self, value: &Value) -> String {
        let shown = match (self.letter, value) {
            ('v', value) => self.cut(text(value)),
            ('s', Value::String(_) | Value::Array(_) | Value::Object(_)) => self.cut(text(value)),
            ('q', Value::String(text)) => Value::from(self.cut(text.clone())).to_string(),
            ('t', Value::Bool(is)) => is.to_string(),
            ('d', Value::Number(number)) if !number.is_f64() => number.to_string(),
            ('x', Value::Number(number)) if number.is_u64() => {
                format!("{:x}", number.as_u64().unwrap_or_default())
            }
            ('x', Value::String(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('f' | 'g', Value::Number(number)) => self.float(number.as_f64().unwrap_or_default()),
            (letter, value) => format!("%!{letter}({}={})", kind(value), text(value)),
        };
        self.pad(&shown, value.is_number())
    }

    /// Go's `%f` has six decimals.
    fn float(&self, number: f64) -> String {
        match (self.precision, self.letter) {
            (Some(precision), _) => format!("{number:.precision$}"),
            (None, 'f') => format!("{number:.6}"),
            (None, _) => number.to_string(),
        }
    }

    /// The precision of a text is its greatest length.
    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text,
        }
    }

    fn pad(&self, text: &str, is_number: bool) -> String {
        let width = self.width;
        match (self.is_left, self.is_zero_padded && is_number) {
            (true, _) => format!("{text:<width$}"),
            (false, true) => format!("{text:0>width$}"),
            (false, false) => format!("{text:>width$}"),
        }
    }
}

fn number(text: &str) -> Result<(Option<usize>, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(number) if number <= WIDTH_MAX => Ok((Some(number), rest)),
        _ => Err(format!("a width of `{digits}` is more than {WIDTH_MAX}")),
    }
}

/// What a value is, for a message.
pub(super) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Go's name of a value's type.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
