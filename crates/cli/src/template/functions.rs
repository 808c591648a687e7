//! The functions of templates, as one table. Spec: Go `text/template`, "Functions"; Docker: `templates/templates.go`.

use std::cmp::Ordering;

use serde_json::Value;

use super::print;

/// A function of templates.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The fewest and the most arguments.
    pub(super) arguments: (usize, usize),
    pub(super) does: Does,
}

/// What a function does.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Works on its arguments.
    Compute(fn(&[Value]) -> Result<Value, String>),
    /// Gives its first argument another form, so that it leaves a heading as it is.
    Shape(fn(&[Value]) -> Result<Value, String>),
    /// Its first argument that is false, or the last.
    And,
    /// Its first argument that is true, or the last.
    Or,
    Not,
}

/// Bounds the parts of a `split`.
const PARTS_MAX: usize = 1 << 16;

const MANY: usize = usize::MAX;

const fn function(name: &'static str, arguments: (usize, usize), does: Does) -> Function {
    Function {
        name,
        arguments,
        does,
    }
}

const FUNCTIONS: &[Function] = &[
    function("and", (1, MANY), Does::And),
    function("eq", (2, MANY), Does::Compute(eq)),
    function("ge", (2, 2), Does::Compute(ge)),
    function("gt", (2, 2), Does::Compute(gt)),
    function("index", (1, MANY), Does::Shape(index)),
    function("join", (2, 2), Does::Shape(join)),
    function("json", (1, 1), Does::Shape(json)),
    function("le", (2, 2), Does::Compute(le)),
    function("len", (1, 1), Does::Shape(len)),
    function("lower", (1, 1), Does::Shape(lower)),
    function("lt", (2, 2), Does::Compute(lt)),
    function("ne", (2, 2), Does::Compute(ne)),
    function("not", (1, 1), Does::Not),
    function("or", (1, MANY), Does::Or),
    function("pad", (3, 3), Does::Shape(pad)),
    function("print", (0, MANY), Does::Compute(print::print)),
    function("printf", (1, MANY), Does::Compute(print::printf)),
    function("println", (0, MANY), Does::Compute(print::println)),
    function("slice", (1, 3), Does::Shape(slice)),
    function("split", (2, 2), Does::Shape(split)),
    function("title", (1, 1), Does::Shape(title)),
    function("truncate", (2, 2), Does::Shape(truncate)),
    function("upper", (1, 1), Does::Shape(upper)),
];

/// Returns the function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Returns the names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// Whether a value counts as true. Spec: Go `text/template`, `IsTrue()`.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn wants(what: &str, got: &Value) -> String {
    format!("wants {what}, not {}", print::noun(got))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| wants("a text", value))
}

fn count(value: &Value) -> Result<usize, String> {
    let count = value
        .as_u64()
        .ok_or_else(|| wants("a number from 0", value))?;
    usize::try_from(count).map_err(|_| format!("{count} is too large"))
}

fn json(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::from(arguments[0].to_string()))
}

fn len(arguments: &[Value]) -> Result<Value, String> {
    let length = match &arguments[0] {
        Value::Null => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        other => return Err(wants("a text, a list or a map", other)),
    };
    Ok(Value::from(length))
}

/// Goes into lists by numbers and into maps by keys. A key that is not there has the empty value.
fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut value = &arguments[0];
    let empty = Value::from("");
    for key in &arguments[1..] {
        value = match value {
            Value::Object(fields) => match fields.get(text(key)?) {
                Some(found) => found,
                // JSON does not tell what a map's values are; those that Docker's users look for are texts.
                None if fields.values().all(Value::is_string) => &empty,
                None => &Value::Null,
            },
            Value::Null if key.is_string() => &empty,
            Value::Array(items) => {
                let at = count(key)?;
                let missing = || format!("finds no item {at}: there are {}", items.len());
                items.get(at).ok_or_else(missing)?
            }
            Value::Null => return Err(format!("finds no item {key}: there are 0")),
            other => return Err(wants("a list or a map", other)),
        };
    }
    Ok(value.clone())
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let bound = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), count);
    let range = |length| Ok::<_, String>(bound(1, 0)?..bound(2, length)?);
    let outside = |length| format!("is out of range: there are {length}");
    match &arguments[0] {
        Value::String(text) => {
            let part = text.get(range(text.len())?);
            let outside = || outside(text.len());
            Ok(Value::from(part.ok_or_else(outside)?))
        }
        Value::Array(items) => {
            let part = items.get(range(items.len())?);
            let outside = || outside(items.len());
            Ok(Value::from(part.ok_or_else(outside)?))
        }
        other => Err(wants("a text or a list", other)),
    }
}

fn join(arguments: &[Value]) -> Result<Value, String> {
    let separator = text(&arguments[1])?;
    let items = match &arguments[0] {
        Value::Null => &[],
        Value::Array(items) => items.as_slice(),
        other => return Err(wants("a list", other)),
    };
    let mut out = print::Bounded::default();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.add(separator)?;
        }
        out.add(&print::text(item))?;
    }
    Ok(out.into_value())
}

fn split(arguments: &[Value]) -> Result<Value, String> {
    let (whole, separator) = (text(&arguments[0])?, text(&arguments[1])?);
    let parts: Vec<Value> = match separator {
        // Spec: Go `strings.Split()`: after each character.
        "" => whole
            .chars()
            .take(PARTS_MAX)
            .map(String::from)
            .map(Value::from)
            .collect(),
        separator => whole
            .splitn(PARTS_MAX, separator)
            .map(Value::from)
            .collect(),
    };
    Ok(Value::from(parts))
}

fn lower(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::from(text(&arguments[0])?.to_lowercase()))
}

fn upper(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::from(text(&arguments[0])?.to_uppercase()))
}

/// Makes the first letter of each word a capital.
fn title(arguments: &[Value]) -> Result<Value, String> {
    let mut is_start = true;
    let mut out = String::new();
    for c in text(&arguments[0])?.chars() {
        match is_start {
            true => out.extend(c.to_uppercase()),
            false => out.push(c),
        }
        is_start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    Ok(Value::from(out))
}

/// Puts so many spaces before and after a text that is not empty.
fn pad(arguments: &[Value]) -> Result<Value, String> {
    let text = text(&arguments[0])?;
    if text.is_empty() {
        return Ok(Value::from(""));
    }
    let spaces = |value| Ok::<_, String>(" ".repeat(count(value)?.min(super::SOURCE_BYTES_MAX)));
    let mut out = print::Bounded::default();
    out.add(&spaces(&arguments[1])?)?;
    out.add(text)?;
    out.add(&spaces(&arguments[2])?)?;
    Ok(out.into_value())
}

fn truncate(arguments: &[Value]) -> Result<Value, String> {
    let (text, length) = (text(&arguments[0])?, count(&arguments[1])?);
    Ok(Value::from(text.chars().take(length).collect::<String>()))
}

/// Whether the first argument is one of the others.
fn eq(arguments: &[Value]) -> Result<Value, String> {
    let (first, others) = (&arguments[0], &arguments[1..]);
    let mut is_equal = false;
    for other in others {
        is_equal |= equal(first, other)?;
    }
    Ok(Value::Bool(is_equal))
}

fn ne(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::Bool(!equal(&arguments[0], &arguments[1])?))
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Ok(a == b),
        _ => Ok(order(a, b)? == Ordering::Equal),
    }
}

fn lt(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::Bool(order(&arguments[0], &arguments[1])?.is_lt()))
}

fn le(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::Bool(order(&arguments[0], &arguments[1])?.is_le()))
}

fn gt(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::Bool(order(&arguments[0], &arguments[1])?.is_gt()))
}

fn ge(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::Bool(order(&arguments[0], &arguments[1])?.is_ge()))
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    let order = match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Some(x.cmp(&y)),
            _ => x.as_f64().partial_cmp(&y.as_f64()),
        },
        _ => None,
    };
    let kinds = || format!("cannot compare {} with {}", print::noun(a), print::noun(b));
    order.ok_or_else(kinds)
}
