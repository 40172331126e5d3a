//! A database as a text of statements that make it anew.

use std::io::Write;

use anyhow::{Context, ensure};
use dqlite_client::{Session, Value};

use crate::{Shell, print::hex};

/// All of it as it is at one moment: one transaction on one connection reads it.
pub async fn dump(shell: &mut Shell) -> anyhow::Result<()> {
    let mut session = Session::new(shell.session().await?.connection().clone());
    session.exec("BEGIN", &[]).await?;
    let dumped = all(&mut session, &mut shell.out).await;
    let ended = session.exec("ROLLBACK", &[]).await;
    dumped?;
    ended.context("the database was written whole")?;
    Ok(())
}

type Out = Box<dyn Write + Send>;

async fn all(session: &mut Session, out: &mut Out) -> anyhow::Result<()> {
    // A table may refer to one that comes later.
    writeln!(out, "PRAGMA foreign_keys=OFF;\nBEGIN;")?;
    let made = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL \
                AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
    let made = session.query(made, &[]).await?;
    let made: Vec<(String, String, String)> = made.typed()?;
    for (_, name, sql) in made.iter().filter(|(kind, ..)| kind == "table") {
        // Its rows are in tables that it makes itself.
        ensure!(
            !is_virtual(sql),
            "{name} is a virtual table, which cannot be dumped"
        );
        writeln!(out, "{sql};")?;
        rows(session, out, name).await?;
    }
    let counters = "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'";
    if session.query(counters, &[]).await?.typed::<u8>()? == [1] {
        writeln!(out, "DELETE FROM sqlite_sequence;")?;
        rows(session, out, "sqlite_sequence").await?;
    }
    // Triggers would act on the rows, and indexes slow them.
    for (_, _, sql) in made.iter().filter(|(kind, ..)| kind != "table") {
        writeln!(out, "{sql};")?;
    }
    writeln!(out, "COMMIT;\nPRAGMA foreign_keys=ON;")?;
    Ok(())
}

fn is_virtual(sql: &str) -> bool {
    let mut words = sql.split_whitespace().skip(1);
    let second = words.next();
    second.is_some_and(|word| word.eq_ignore_ascii_case("virtual"))
}

async fn rows(session: &mut Session, out: &mut Out, table: &str) -> anyhow::Result<()> {
    // Without those that are computed.
    let columns = "SELECT name FROM pragma_table_info(?)";
    let columns = session.query(columns, &[Value::from(table)]).await?;
    let columns = columns.typed::<String>()?;
    let columns: Vec<_> = columns.iter().map(|c| quoted(c)).collect();
    let (table, names) = (quoted(table), columns.join(", "));
    // With a + in front a value has its own type, not its column's.
    let select = format!("SELECT +{} FROM {table}", columns.join(", +"));
    let mut stream = session.connection().query_sql(&select, &[]).await?;
    while let Some(part) = stream.next().await? {
        for row in &part.rows {
            let values: Vec<_> = row.iter().map(literal).collect();
            let values = values.join(", ");
            writeln!(out, "INSERT INTO {table} ({names}) VALUES ({values});")?;
        }
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Integer(n) | Value::UnixTime(n) => n.to_string(),
        Value::Float(n) if n.is_finite() => format!("{n:?}"),
        Value::Float(n) if n.is_sign_negative() => "-9e999".into(),
        Value::Float(_) => "9e999".into(),
        Value::Text(text) | Value::Iso8601(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => format!("x'{}'", hex(bytes)),
        Value::Boolean(truth) => i32::from(*truth).to_string(),
        Value::Null => "NULL".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_sqlite_reads_them() {
        for (value, written) in [
            (Value::from("it's"), "'it''s'"),
            (Value::Float(1.0), "1.0"),
            (Value::Float(f64::NEG_INFINITY), "-9e999"),
            (Value::Blob(vec![0, 255]), "x'00ff'"),
            (Value::Null, "NULL"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
        ] {
            assert_eq!(literal(&value), written);
        }
    }
}
