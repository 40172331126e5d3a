//! The program, run by a pipe, on a real node.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::{
    io::Write,
    net::TcpListener,
    process::{Command, Output, Stdio},
    time::Duration,
};

use dqlite::Node;

struct World {
    _node: Node,
    address: String,
    data: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let node = Node::new(&address, data.path().join("node")).unwrap();
        let mut node = node.with_latency(Duration::from_millis(10));
        node.start().await.unwrap();
        Self {
            _node: node,
            address,
            data,
        }
    }

    fn shell(&self, arguments: &[&str], input: &str) -> Output {
        let mut shell = Command::new(env!("CARGO_BIN_EXE_dqlite-shell"));
        shell.args(["--servers", &self.address]).args(arguments);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        shell.wait_with_output().unwrap()
    }

    fn says(&self, arguments: &[&str], input: &str) -> String {
        let output = self.shell(arguments, input);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_span_lines_and_transactions_hold() {
    let world = World::new().await;
    let script = "CREATE TABLE t (n INTEGER,\n  s TEXT);\nBEGIN; INSERT INTO t VALUES (1, 'a;b');\nROLLBACK;\n\
                  BEGIN; INSERT INTO t VALUES (2, NULL); COMMIT;\nSELECT * FROM t;";
    assert_eq!(world.says(&["app"], script), "n,s\n2,\n");
    assert_eq!(
        world.says(&["--mode", "json", "app", "SELECT n FROM t"], ""),
        "[{\"n\":2}]\n"
    );
    let leader = world.says(&["app", ".leader"], "");
    assert_eq!(leader.trim(), world.address);
    assert!(
        world
            .says(&["app", ".cluster"], "")
            .contains(&format!("{},voter", world.address))
    );
    assert_eq!(
        world.says(&["app"], ".mode line\n.tables\nSELECT n FROM t;"),
        "t\nn = 2\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_error_ends_it_and_shows_in_the_status() {
    let world = World::new().await;
    let output = world.shell(
        &["app"],
        "CREATE TABLE t (n);\nINSERT INTO missing VALUES (1);\nINSERT INTO t VALUES (1);",
    );
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no such table: missing")
    );
    assert_eq!(
        world.says(&["app", "SELECT count(*) FROM t"], ""),
        "count(*)\n0\n"
    );
    assert!(!world.shell(&["app", ".unknown"], "").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_makes_the_same_database_again() {
    let world = World::new().await;
    let made = "CREATE TABLE t (id INTEGER PRIMARY KEY, d DATETIME, b BLOB, twice AS (id * 2));\n\
                CREATE TABLE child (n INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER REFERENCES sqlites(n));\n\
                CREATE TABLE sqlites (n INTEGER PRIMARY KEY);\n\
                CREATE TABLE log (what TEXT);\n\
                CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('it''s new'); END;\n\
                CREATE INDEX i ON t (d);\n\
                INSERT INTO sqlites VALUES (7); INSERT INTO child (p) VALUES (7), (7); DELETE FROM child WHERE n = 2;\n\
                INSERT INTO t (d, b) VALUES (1.5, x'00ff'), ('2026-01-01', NULL);";
    world.says(&["app"], made);
    let dump = world.says(&["app", ".dump"], "");
    let file = world.data.path().join("dump.sql");
    std::fs::write(&file, dump).unwrap();
    world.says(&["copy"], &format!(".read {}", file.display()));
    for sql in [
        "SELECT id, +d, b, twice FROM t",
        "SELECT * FROM log",
        "SELECT * FROM child",
        "SELECT * FROM sqlite_sequence",
        "SELECT * FROM sqlites",
        "SELECT sql FROM sqlite_master ORDER BY name",
    ] {
        assert_eq!(
            world.says(&["copy", sql], ""),
            world.says(&["app", sql], ""),
            "{sql}"
        );
    }
    assert!(
        world
            .says(&["copy", ".schema t"], "")
            .contains("CREATE TRIGGER tr")
    );
}
