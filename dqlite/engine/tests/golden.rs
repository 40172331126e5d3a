//! Records what the real engine answers, byte for byte, into `dqlite/wire/tests/golden`, where the
//! codec is held against it. Run with `BLESS=1` to write the files anew; without, they must be equal.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fmt::Write as _,
    io::{Read, Write},
    os::{linux::net::SocketAddrExt, unix::net},
    path::Path,
};

use dqlite_engine::{Config, found};
use dqlite_wire::{Header, PROTOCOL_VERSION, Request, Response, Role, Rows, Value};

const ID: u64 = 0x0102_0304_0506_0708;

fn sql(text: &str) -> Request {
    Request::ExecSql {
        db: 0,
        sql: text.into(),
        params: vec![],
    }
}

fn query(text: &str, params: Vec<Value>) -> Request {
    Request::QuerySql {
        db: 0,
        sql: text.into(),
        params,
    }
}

fn conversation() -> Vec<(&'static str, Request)> {
    let text = |t: &str| Value::Text(t.into());
    let all = vec![
        Value::Integer(i64::MIN),
        Value::Float(-0.5),
        text("héllo wörld"),
        Value::Blob(vec![0, 1, 2, 254, 255]),
        Value::Null,
        Value::Boolean(true),
        Value::UnixTime(1_700_000_000),
        Value::Iso8601("2026-11-22T00:00:00Z".into()),
    ];
    let many: Vec<_> = (0..300).map(Value::Integer).collect();
    let marks = vec!["?"; 300].join(" + ");
    vec![
        ("leader", Request::Leader),
        ("client", Request::Client { id: 7 }),
        ("cluster", Request::Cluster { format: 1 }),
        ("cluster_without_roles", Request::Cluster { format: 0 }),
        ("describe", Request::Describe { format: 0 }),
        ("weight", Request::Weight { weight: 3 }),
        ("not_open", sql("SELECT 1")),
        (
            "open",
            Request::Open {
                name: "app".into(),
                flags: 0,
                vfs: String::new(),
            },
        ),
        (
            "open_twice",
            Request::Open {
                name: "app".into(),
                flags: 0,
                vfs: String::new(),
            },
        ),
        (
            "create",
            sql("CREATE TABLE t (i INTEGER, f FLOAT, s TEXT, b BLOB, n, ok BOOLEAN, d DATETIME)"),
        ),
        (
            "insert",
            Request::ExecSql {
                db: 0,
                sql: "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)".into(),
                params: all[..7].to_vec(),
            },
        ),
        ("select_every_type", query("SELECT * FROM t", vec![])),
        (
            "null_in_a_boolean_column",
            query("SELECT ok FROM t WHERE 0 UNION ALL SELECT NULL", vec![]),
        ),
        (
            "every_parameter_type",
            query("SELECT ?, ?, ?, ?, ?, ?, ?, ?", all),
        ),
        (
            "three_hundred_parameters",
            query(&format!("SELECT {marks}"), many),
        ),
        ("no_rows", query("SELECT i FROM t WHERE 0", vec![])),
        (
            "rows_in_parts",
            query(
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400) \
             SELECT n, 'row' FROM c",
                vec![],
            ),
        ),
        (
            "error_after_rows",
            query(
                "SELECT 1 UNION ALL SELECT abs(-9223372036854775808)",
                vec![],
            ),
        ),
        ("error", query("SELECT nothing", vec![])),
        (
            "prepare",
            Request::Prepare {
                db: 0,
                sql: "INSERT INTO t(i) VALUES (?)".into(),
                tail: false,
            },
        ),
        (
            "exec",
            Request::Exec {
                db: 0,
                stmt: 0,
                params: vec![Value::Integer(2)],
            },
        ),
        ("finalize", Request::Finalize { db: 0, stmt: 0 }),
        (
            "prepare_with_tail",
            Request::Prepare {
                db: 0,
                sql: "SELECT 1; SELECT 2".into(),
                tail: true,
            },
        ),
        (
            "query",
            Request::Query {
                db: 0,
                stmt: 0,
                params: vec![],
            },
        ),
        (
            "exec_of_a_finalized_statement",
            Request::Exec {
                db: 0,
                stmt: 9,
                params: vec![],
            },
        ),
        ("interrupt", Request::Interrupt { db: 0 }),
        (
            "dump_unknown",
            Request::Dump {
                name: "nothing".into(),
            },
        ),
        (
            "add",
            Request::Add {
                id: 9,
                address: "demo-2:9001".into(),
            },
        ),
        (
            "add_again",
            Request::Add {
                id: 9,
                address: "demo-2:9001".into(),
            },
        ),
        (
            "assign_standby",
            Request::Assign {
                id: 9,
                role: Role::Standby,
            },
        ),
        (
            "assign_again",
            Request::Assign {
                id: 9,
                role: Role::Standby,
            },
        ),
        ("cluster_of_two", Request::Cluster { format: 1 }),
        ("remove", Request::Remove { id: 9 }),
        ("remove_again", Request::Remove { id: 9 }),
        ("transfer_to_nobody", Request::Transfer { id: 9 }),
    ]
}

#[test]
fn the_engine_answers_as_recorded() {
    let dir = tempfile::tempdir().unwrap();
    found(dir.path(), ID, "demo-1:9001").unwrap();
    let engine = Config::new(ID, "demo-1:9001", dir.path()).start().unwrap();
    let name = engine.socket().trim_start_matches('@');
    let address = net::SocketAddr::from_abstract_name(name).unwrap();
    let mut stream = net::UnixStream::connect_addr(&address).unwrap();
    stream.write_all(&PROTOCOL_VERSION.to_le_bytes()).unwrap();
    wait_until_it_leads(&mut stream);

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/golden");
    for (name, request) in conversation() {
        let recorded = exchange(&mut stream, &request);
        let file = golden.join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &recorded).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            committed, recorded,
            "{name}: run with BLESS=1 if the engine is right"
        );
    }
}

fn wait_until_it_leads(stream: &mut net::UnixStream) {
    for _ in 0..200 {
        if exchange(stream, &Request::Leader).contains("demo-1:9001") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("no leader");
}

/// The request's and the answers' bytes, each above what it means.
fn exchange(stream: &mut net::UnixStream, request: &Request) -> String {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    stream.write_all(&bytes).unwrap();
    let mut text = format!("> {}\n  {request:?}\n", hex(&bytes));
    loop {
        let mut message = vec![0; Header::LEN];
        stream.read_exact(&mut message).unwrap();
        let header = Header::decode(message[..].try_into().unwrap());
        message.resize(Header::LEN + header.words as usize * 8, 0);
        stream.read_exact(&mut message[Header::LEN..]).unwrap();
        let roles = *request != Request::Cluster { format: 0 };
        let response = Response::decode(&header, &message[Header::LEN..], roles).unwrap();
        writeln!(text, "< {}\n  {response:?}", hex(&message)).unwrap();
        if !matches!(response, Response::Rows(Rows { more: true, .. })) {
            return text;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
