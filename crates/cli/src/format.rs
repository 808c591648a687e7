//! What `--format` takes, and how lists and objects are printed by it.
//!
//! A command with a list declares its fields once ([`List`]) and hands rows over; `table`, `json`, `table {{…}}` and
//! templates follow from that. A command with one object uses [`Format::object`].
//!
//! Docker: `docs/cli/formatting`, `cli/command/formatter`.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::output::table;
use crate::report::{Kind, Report};
use crate::template::{Template, TemplateError};

/// How something is printed.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// As people read it.
    Table,
    /// One object per line.
    Json,
    /// A template for each row, in columns under headings.
    TableOf(Template),
    /// A template for each row.
    Each(Template),
}

/// A row's field: its name, and its heading in a table.
pub(crate) type Field = (&'static str, &'static str);

/// The fields of one kind of row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) fields: &'static [Field],
    /// Names of the fields that a table shows.
    pub(crate) columns: &'static [&'static str],
}

impl FromStr for Format {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Format, TemplateError> {
        let text = text.trim_matches(' ');
        match (text, text.strip_prefix("table")) {
            ("" | "table", _) => Ok(Format::Table),
            ("json", _) => Ok(Format::Json),
            (_, Some(columns)) => Template::parse(columns.trim()).map(Format::TableOf),
            (text, None) => Template::parse(text).map(Format::Each),
        }
    }
}

impl Format {
    /// Whether a template may look at a field.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        match self {
            Format::Table | Format::Json => false,
            Format::TableOf(template) | Format::Each(template) => template.mentions(field),
        }
    }

    /// Returns an object's text with a newline; `readable` makes that for people.
    pub(crate) fn object(
        &self,
        value: &Value,
        readable: impl FnOnce() -> String,
    ) -> Result<String, Report> {
        Ok(match self {
            Format::Table => readable(),
            Format::Json => format!("{value}\n"),
            Format::TableOf(template) | Format::Each(template) => template.render(value)? + "\n",
        })
    }
}

impl List {
    /// Returns the text of a list.
    pub(crate) fn text(&self, format: &Format, rows: &[impl Serialize]) -> Result<String, Report> {
        self.text_of(self.columns, format, rows)
    }

    /// Returns the text of a list whose table shows these fields in place of its own.
    pub(crate) fn text_of(
        &self,
        columns: &[&str],
        format: &Format,
        rows: &[impl Serialize],
    ) -> Result<String, Report> {
        let rows = rows.iter().map(|row| {
            serde_json::to_value(row).expect("rows are of texts, numbers and lists of them")
        });
        match format {
            Format::Table => Ok(self.table(columns, rows)),
            Format::Json => Ok(rows.map(|row| format!("{row}\n")).collect()),
            Format::TableOf(template) => self.table_of(template, rows),
            Format::Each(template) => Ok(rows
                .map(|row| Ok(template.render(&row)? + "\n"))
                .collect::<Result<String, TemplateError>>()?),
        }
    }

    fn table(&self, columns: &[&str], rows: impl Iterator<Item = Value>) -> String {
        let heading = |name: &&str| self.fields.iter().find(|(field, _)| field == name);
        let headings = columns.iter().filter_map(heading);
        let headings = headings.map(|(_, heading)| (*heading).to_owned()).collect();
        let cell = |row: &Value, name: &str| match &row[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let cells = rows.map(|row| columns.iter().map(|name| cell(&row, name)).collect());
        table(&std::iter::once(headings).chain(cells).collect::<Vec<_>>())
    }

    fn table_of(
        &self,
        template: &Template,
        rows: impl Iterator<Item = Value>,
    ) -> Result<String, Report> {
        let fields = self.fields.iter();
        let headings = fields.map(|(name, heading)| ((*name).to_owned(), Value::from(*heading)));
        let mut text = template.headings(&Value::Object(headings.collect()))? + "\n";
        for row in rows {
            text += &template.render(&row)?;
            text.push('\n');
        }
        let cells = text.lines().map(|line| line.split('\t').map(str::to_owned));
        Ok(table(&cells.map(Iterator::collect).collect::<Vec<_>>()))
    }
}

impl From<TemplateError> for Report {
    fn from(error: TemplateError) -> Report {
        Report {
            kind: Kind::Usage,
            message: error.message,
            hint: error.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIST: List = List {
        fields: &[("ID", "CONTAINER ID"), ("Names", "NAMES"), ("Size", "SIZE")],
        columns: &["ID", "Names"],
    };

    #[track_caller]
    fn check(format: &str, expected: &str) {
        let rows = [
            json!({"ID": "1", "Names": "web", "Size": 3}),
            json!({"ID": "2", "Names": "a-longer-name", "Size": 4}),
        ];
        let text = format
            .parse()
            .map_err(Report::from)
            .and_then(|format| LIST.text(&format, &rows));
        assert_eq!(text.as_deref(), Ok(expected), "{format}");
    }

    #[test]
    fn a_list_is_printed_as_asked() {
        check(
            "table",
            "CONTAINER ID   NAMES\n1              web\n2              a-longer-name\n",
        );
        check(
            "json",
            "{\"ID\":\"1\",\"Names\":\"web\",\"Size\":3}\n{\"ID\":\"2\",\"Names\":\"a-longer-name\",\"Size\":4}\n",
        );
        check("{{.ID}}: {{.Size}}", "1: 3\n2: 4\n");
        check(
            r"table {{.Names}}\t{{.Size}}",
            "NAMES           SIZE\nweb             3\na-longer-name   4\n",
        );
    }

    #[test]
    fn a_table_names_unknown_fields_without_rows() {
        let format: Format = "table {{.Nmes}}".parse().expect("a template");
        let error = LIST.text(&format, &[] as &[Value]).expect_err("unknown");
        assert_eq!(error.hint.as_deref(), Some("did you mean `.Names`?"));
    }
}
