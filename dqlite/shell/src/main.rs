//! `dqlite-shell`: a command line for dqlite databases.

use std::{
    io::{IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use dqlite_client::Client;
use dqlite_shell::{Mode, Next, Shell};
use rustyline::{DefaultEditor, error::ReadlineError};

/// Statements to a dqlite database, from a terminal, a pipe or the arguments.
#[derive(Debug, Parser)]
#[command(name = "dqlite-shell", version)]
struct Arguments {
    /// Addresses of servers of the cluster; one that lives is enough
    #[arg(short, long, value_delimiter = ',', required_unless_present = "store")]
    servers: Vec<String>,
    /// Node store in YAML, as go-dqlite writes it
    #[arg(long, conflicts_with = "servers")]
    store: Option<PathBuf>,
    /// How rows are printed; at a terminal box, else csv
    #[arg(short, long)]
    mode: Option<Mode>,
    /// Name of the database
    database: String,
    /// Statements or a command; from the standard input if there are none
    text: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = match &arguments.store {
        Some(file) => {
            Client::from_store(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        None => Client::new(arguments.servers),
    };
    let mut shell = Shell::new(client, &arguments.database, Box::new(std::io::stdout()));
    let terminal = std::io::stdin().is_terminal() && arguments.text.is_empty();
    shell.mode = arguments
        .mode
        .unwrap_or(match std::io::stdout().is_terminal() {
            true => Mode::Box,
            false => Mode::Csv,
        });
    if terminal {
        return converse(&mut shell).await;
    }
    let mut text = arguments.text.join(" ");
    if text.is_empty() {
        std::io::stdin().read_to_string(&mut text)?;
    }
    shell.run(&text).await.map(|_| ())
}

/// Reads lines until the user leaves; an error is shown, and the next line is read.
async fn converse(shell: &mut Shell) -> anyhow::Result<()> {
    let mut lines = DefaultEditor::new()?;
    let history = std::env::home_dir().map(|home| home.join(".dqlite_history"));
    // There is none the first time.
    let _ = history.as_ref().map(|file| lines.load_history(file));
    let mut text = String::new();
    loop {
        match lines.readline(if text.is_empty() {
            "dqlite> "
        } else {
            "   ...> "
        }) {
            Ok(line) => text.push_str(&format!("{line}\n")),
            Err(ReadlineError::Interrupted) => text.clear(),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e.into()),
        }
        if text.trim().is_empty() || !Shell::is_whole(&text) {
            continue;
        }
        lines.add_history_entry(text.trim())?;
        match shell.run(&text).await {
            Ok(Next::Exit) => break,
            Ok(Next::More) => {}
            Err(e) => eprintln!("error: {e:#}"),
        }
        text.clear();
    }
    if let Some(file) = &history {
        lines
            .save_history(file)
            .context("the history is not kept")?;
    }
    Ok(())
}
