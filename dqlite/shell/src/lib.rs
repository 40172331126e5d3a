//! A command line for dqlite databases, as a library: other programs embed it.
//!
//! ```text
//! shell.rs     runs statements and commands, and prints what they give
//! commands.rs  `.tables`, `.mode` and the like
//! dump.rs      a database as a text of statements
//! print.rs     rows as box, csv, json, line or markdown
//! main.rs      the program: arguments, a terminal or a pipe
//! ```

mod commands;
mod dump;
mod print;
mod shell;

pub use print::Mode;
pub use shell::{Next, Shell};
