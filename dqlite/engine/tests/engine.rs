//! The handle against the real library: the good path, and every misuse that the types let through.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{os::linux::net::SocketAddrExt, time::Duration};

use dqlite_client::{Connection, Options, Role};
use dqlite_engine::{Config, Engine, Error, FOUNDER_IDS, found};

const ID: u64 = 0x0123_4567_89ab_cdef;
const ADDRESS: &str = "demo-1:9001";

fn config(dir: &std::path::Path) -> Config {
    Config::new(ID, ADDRESS, dir).latency(Duration::from_millis(20))
}

fn dial(engine: &Engine) -> Connection {
    let name = engine.socket().trim_start_matches('@');
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let stream = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
    stream.set_nonblocking(true).unwrap();
    Connection::over(
        tokio::net::UnixStream::from_std(stream).unwrap(),
        &Options::default(),
    )
}

async fn leads(connection: &Connection) -> bool {
    for _ in 0..100 {
        if connection
            .leader()
            .await
            .unwrap()
            .is_some_and(|l| l.id == ID)
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_founded_engine_leads_under_its_own_id_and_keeps_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    found(dir.path(), ID, ADDRESS).unwrap();

    let engine = config(dir.path()).start().unwrap();
    let connection = dial(&engine);
    assert!(leads(&connection).await);
    let members = connection.cluster().await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].id, members[0].role), (ID, Some(Role::Voter)));
    connection.open("app").await.unwrap();
    connection
        .exec_sql("CREATE TABLE t (n)", &[])
        .await
        .unwrap();
    connection
        .exec_sql("INSERT INTO t VALUES (7)", &[])
        .await
        .unwrap();
    drop(connection);
    engine.stop().unwrap();

    let engine = config(dir.path()).start().unwrap();
    let connection = dial(&engine);
    assert!(leads(&connection).await);
    connection.open("app").await.unwrap();
    let mut rows = connection.query_sql("SELECT n FROM t", &[]).await.unwrap();
    assert_eq!(rows.next().await.unwrap().unwrap().rows, [[7.into()]]);
}

/// Rule S2: the founder, wiped and started again as it always is, founds nothing.
#[tokio::test]
async fn a_wiped_founder_never_leads() {
    let dir = tempfile::tempdir().unwrap();
    found(dir.path(), ID, ADDRESS).unwrap();
    let engine = config(dir.path()).start().unwrap();
    assert!(leads(&dial(&engine)).await);
    engine.stop().unwrap();
    for file in dir.path().read_dir().unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }

    let engine = config(dir.path()).start().unwrap();
    let connection = dial(&engine);
    assert!(!leads(&connection).await);
    assert_eq!(
        connection.open("app").await.unwrap_err().server_code(),
        Some(10250)
    );
}

#[test]
fn reserved_ids_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for id in [0, FOUNDER_IDS[0], FOUNDER_IDS[1]] {
        let started = Config::new(id, ADDRESS, dir.path()).start();
        assert!(matches!(started, Err(Error::ReservedId(got)) if got == id));
        assert!(matches!(
            found(dir.path(), id, ADDRESS),
            Err(Error::ReservedId(_))
        ));
    }
    assert_eq!(
        dir.path().read_dir().unwrap().count(),
        0,
        "nothing was written"
    );
}

#[test]
fn a_missing_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(
        matches!(config(&missing).start(), Err(Error::Directory { path, .. }) if path == missing)
    );
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(matches!(
        config(&file).start(),
        Err(Error::Directory { .. })
    ));
}

#[test]
fn a_directory_in_use_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let first = config(dir.path()).start().unwrap();
    assert!(matches!(config(dir.path()).start(), Err(Error::InUse(path)) if path == dir.path()));
    first.stop().unwrap();
    config(dir.path()).start().unwrap().stop().unwrap();
}

#[test]
fn a_taken_or_malformed_bind_address_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for address in [taken.as_str(), "localhost:1", "1.2.3.4.5:1", ""] {
        let dir = tempfile::tempdir().unwrap();
        let started = config(dir.path()).bind(address).start();
        assert!(matches!(started, Err(Error::Bind(got)) if got == address));
    }
    drop(listener);
}

#[test]
fn settings_out_of_range_and_nul_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let started = Config::new(ID, ADDRESS, dir.path())
        .latency(Duration::ZERO)
        .start();
    assert!(matches!(started, Err(Error::Setting("latency"))));
    let started = Config::new(ID, "a\0b", dir.path()).start();
    assert!(matches!(started, Err(Error::Nul("address"))));
    let snapshot = dqlite_engine::Snapshot {
        threshold: 8,
        trailing: 1,
    };
    let started = config(dir.path()).snapshot(snapshot).start();
    assert!(matches!(started, Err(Error::Setting("snapshot"))));
}

#[test]
fn an_engine_stops_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        drop(config(dir.path()).start().unwrap());
    }
}
