//! Rows as people and programs read them.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use dqlite_client::{Rows, Value};
use serde_json::{Map, Number, Value as Json};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A table with lines around it.
    Box,
    /// Comma-separated values, with a line of names; NULL is empty.
    Csv,
    /// An array of objects; blobs are hexadecimal.
    Json,
    /// A line for each value.
    Line,
    /// A table in Markdown.
    Markdown,
}

/// Prints rows; a result without columns prints nothing.
pub fn rows(out: &mut dyn Write, mode: Mode, rows: &Rows) -> io::Result<()> {
    if rows.columns.is_empty() {
        return Ok(());
    }
    match mode {
        Mode::Box => table(out, rows, presets::UTF8_FULL_CONDENSED),
        Mode::Markdown => table(out, rows, presets::ASCII_MARKDOWN),
        Mode::Csv => csv(out, rows),
        Mode::Json => json(out, rows),
        Mode::Line => line(out, rows),
    }
}

fn table(out: &mut dyn Write, rows: &Rows, lines: &str) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(lines).set_header(&rows.columns);
    for row in &rows.rows {
        table.add_row(row.iter().map(text));
    }
    writeln!(out, "{table}")
}

fn csv(out: &mut dyn Write, rows: &Rows) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(&rows.columns)?;
    for row in &rows.rows {
        let fields = row.iter().map(|value| match value {
            Value::Null => String::new(),
            value => text(value),
        });
        csv.write_record(fields)?;
    }
    csv.flush()
}

fn json(out: &mut dyn Write, rows: &Rows) -> io::Result<()> {
    let object = |row: &Vec<Value>| {
        let fields = rows.columns.iter().cloned().zip(row.iter().map(json_of));
        Json::Object(Map::from_iter(fields))
    };
    let objects: Vec<_> = rows.rows.iter().map(object).collect();
    writeln!(out, "{}", Json::Array(objects))
}

fn line(out: &mut dyn Write, rows: &Rows) -> io::Result<()> {
    let width = rows.columns.iter().map(|c| c.chars().count()).max();
    let width = width.unwrap_or_default();
    for (n, row) in rows.rows.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        for (column, value) in rows.columns.iter().zip(row) {
            writeln!(out, "{column:>width$} = {}", text(value))?;
        }
    }
    Ok(())
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Integer(n) | Value::UnixTime(n) => Json::from(*n),
        // What JSON has no number for is a text.
        Value::Float(n) => {
            Number::from_f64(*n).map_or_else(|| Json::from(n.to_string()), Json::Number)
        }
        Value::Boolean(truth) => Json::from(*truth),
        Value::Null => Json::Null,
        value => Json::from(text(value)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Integer(n) | Value::UnixTime(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Text(text) | Value::Iso8601(text) => text.clone(),
        Value::Blob(bytes) => hex(bytes),
        Value::Boolean(truth) => truth.to_string(),
        Value::Null => "NULL".into(),
    }
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(mode: Mode) -> String {
        let all = Rows {
            columns: vec!["n".into(), "name".into()],
            rows: vec![
                vec![Value::Integer(1), Value::Text("a, \"b\"".into())],
                vec![Value::Null, Value::Blob(vec![0xab, 1])],
            ],
        };
        let mut out = Vec::new();
        rows(&mut out, mode, &all).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_printed_in_every_mode() {
        assert_eq!(printed(Mode::Csv), "n,name\n1,\"a, \"\"b\"\"\"\n,ab01\n");
        let json = "[{\"n\":1,\"name\":\"a, \\\"b\\\"\"},{\"n\":null,\"name\":\"ab01\"}]\n";
        assert_eq!(printed(Mode::Json), json);
        let line = "   n = 1\nname = a, \"b\"\n\n   n = NULL\nname = ab01\n";
        assert_eq!(printed(Mode::Line), line);
        assert!(printed(Mode::Markdown).starts_with("| n    | name   |\n|------|--------|\n"));
        let boxed = printed(Mode::Box);
        assert!(
            boxed.starts_with('┌') && boxed.contains("│ NULL"),
            "{boxed}"
        );
    }
}
