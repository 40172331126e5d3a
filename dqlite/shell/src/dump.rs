//! A database as a text of statements that make it anew.

use anyhow::Context;
use dqlite_client::Value;

use crate::{Shell, print::hex};

/// All of it as it is at one moment: one transaction reads it.
pub async fn dump(shell: &mut Shell) -> anyhow::Result<()> {
    shell.session().await?.exec("BEGIN", &[]).await?;
    let dumped = all(shell).await;
    let ended = shell.session().await?.exec("ROLLBACK", &[]).await;
    dumped?;
    ended.context("the database was written whole")?;
    Ok(())
}

async fn all(shell: &mut Shell) -> anyhow::Result<()> {
    writeln!(shell.out, "BEGIN;\nPRAGMA defer_foreign_keys=ON;")?;
    let made = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    let made = shell.session().await?.query(made, &[]).await?;
    let made: Vec<(String, String, String)> = made.typed()?;
    for (_, name, sql) in made.iter().filter(|(kind, ..)| kind == "table") {
        writeln!(shell.out, "{sql};")?;
        rows(shell, name).await?;
    }
    // Triggers would act on the rows, and indexes slow them.
    for (_, _, sql) in made.iter().filter(|(kind, ..)| kind != "table") {
        writeln!(shell.out, "{sql};")?;
    }
    writeln!(shell.out, "COMMIT;")?;
    Ok(())
}

async fn rows(shell: &mut Shell, table: &str) -> anyhow::Result<()> {
    // Without those that are computed.
    let columns = "SELECT name FROM pragma_table_info(?)";
    let session = shell.session().await?;
    let columns = session.query(columns, &[Value::from(table)]).await?;
    let columns: Vec<_> = columns
        .typed::<String>()?
        .iter()
        .map(|c| quoted(c))
        .collect();
    let (table, names) = (quoted(table), columns.join(", "));
    // With a + in front a value has its own type, not its column's.
    let select = format!("SELECT +{} FROM {table}", columns.join(", +"));
    let connection = session.connection().clone();
    let mut stream = connection.query_sql(&select, &[]).await?;
    while let Some(part) = stream.next().await? {
        for row in &part.rows {
            let values: Vec<_> = row.iter().map(literal).collect();
            let values = values.join(", ");
            writeln!(
                shell.out,
                "INSERT INTO {table} ({names}) VALUES ({values});"
            )?;
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
