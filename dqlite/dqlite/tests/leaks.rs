//! Alone in its process: nobody else may open anything meanwhile.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::{net::TcpListener, time::Duration};

use dqlite::Node;
use tokio::runtime::Builder;

/// Open descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |dir| std::fs::read_dir(dir).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
fn nothing_is_left_of_nodes_that_are_dropped() {
    let data = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let cycle = |used: bool| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::new(&address, data.path()).unwrap();
            let mut node = node.with_latency(Duration::from_millis(10));
            node.start().await.unwrap();
            let app = node.open("app").unwrap();
            if used {
                let table = "CREATE TABLE IF NOT EXISTS t (n INTEGER)";
                app.exec(table, &[]).await.unwrap();
            }
        });
    };
    // The engine's pool of threads is made once, and stays.
    cycle(true);
    let before = held();
    (0..100).for_each(|n| cycle(n % 10 == 0));
    assert_eq!(held(), before);
}
