//! Lines that start with a dot.

use std::{io::IsTerminal, time::Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use dqlite_client::{Role, Rows, Value, sql};

use crate::{Mode, Next, Shell, dump, print};

const HELP: &str = "\
.cluster         members: id, address, role
.dump            the database as statements
.exit            leave
.help            this
.leader          who leads
.mode MODE       box, csv, json, line or markdown
.read FILE       run the statements of a file
.schema [TABLE]  how tables were made
.tables          tables and views
.timer on|off    print how long a statement took
A statement ends with ; and may span lines.
";

/// Runs one command.
pub async fn run(shell: &mut Shell, line: &str) -> anyhow::Result<Next> {
    let mut words = line.split_whitespace();
    let (command, argument) = (words.next().unwrap_or_default(), words.next());
    match (command, argument) {
        (".cluster", None) => cluster(shell).await?,
        (".dump", None) => dump::dump(shell).await?,
        (".exit" | ".quit", None) => return Ok(Next::Exit),
        (".help", None) => write!(shell.out, "{HELP}")?,
        (".leader", None) => {
            let (leader, _) = shell.client.leader().await?;
            writeln!(shell.out, "{}", leader.address)?;
        }
        (".mode", Some(mode)) => {
            shell.mode = Mode::from_str(mode, true)
                .map_err(|_| anyhow::anyhow!(".mode: one of box, csv, json, line, markdown"))?;
        }
        (".read", Some(file)) => read(shell, file).await?,
        (".schema", table) => schema(shell, table).await?,
        (".tables", None) => tables(shell).await?,
        (".timer", Some("on")) => shell.timer = true,
        (".timer", Some("off")) => shell.timer = false,
        _ => bail!("unknown command or arguments: {line}; .help lists them"),
    }
    Ok(Next::More)
}

async fn cluster(shell: &mut Shell) -> anyhow::Result<()> {
    let members = shell.client.cluster().await?;
    let role = |role| match role {
        Some(Role::Voter) => "voter",
        Some(Role::Standby) => "standby",
        Some(Role::Spare) => "spare",
        None => "",
    };
    let row = |m: &dqlite_client::Member| {
        let id = Value::Text(m.id.to_string());
        vec![
            id,
            Value::from(m.address.as_str()),
            Value::from(role(m.role)),
        ]
    };
    let columns = ["id", "address", "role"].map(str::to_owned).to_vec();
    let rows = members.iter().map(row).collect();
    print::rows(&mut shell.out, shell.mode, &Rows { columns, rows })?;
    Ok(())
}

async fn tables(shell: &mut Shell) -> anyhow::Result<()> {
    let sql = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1";
    for name in shell
        .session()
        .await?
        .query(sql, &[])
        .await?
        .typed::<String>()?
    {
        writeln!(shell.out, "{name}")?;
    }
    Ok(())
}

async fn schema(shell: &mut Shell, table: Option<&str>) -> anyhow::Result<()> {
    let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND (?1 IS NULL OR tbl_name = ?1) ORDER BY rowid";
    let rows = shell
        .session()
        .await?
        .query(sql, &[Value::from(table)])
        .await?;
    for made in rows.typed::<String>()? {
        writeln!(shell.out, "{made};")?;
    }
    Ok(())
}

/// Says once a second how far it is, if somebody sees it.
async fn read(shell: &mut Shell, file: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let seen = std::io::stderr().is_terminal();
    let (mut done, mut said) = (0, Instant::now());
    for statement in sql::statements(&text) {
        ensure!(
            !statement.starts_with('.'),
            "{file}: commands are not read from files"
        );
        shell.statement(statement).await?;
        done += statement.len();
        if seen && said.elapsed().as_secs() > 0 {
            said = Instant::now();
            eprint!("\r{done} of {} bytes", text.len());
        }
    }
    if seen {
        eprint!("\r\x1b[K");
    }
    Ok(())
}
