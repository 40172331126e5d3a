//! Every answer of the server is lost once: nothing is done twice, and nobody is told what is not so.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use dqlite::{Database, Node, Outcome, params};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
};

/// Stands between clients and a server, and ends the connection instead of passing on the answer that the count falls on.
#[derive(Clone)]
struct Between {
    server: SocketAddr,
    answers_left: Arc<AtomicI64>,
}

impl Between {
    async fn serve(self, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(self.clone().pass_on(client));
        }
    }

    async fn pass_on(self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(self.server).await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::select! {
            sent = tokio::io::copy(&mut from_client, &mut to_server) => sent.map(drop),
            lost = self.answers(&mut from_server, &mut to_client) => lost,
        }
    }

    async fn answers(
        &self,
        server: &mut tcp::OwnedReadHalf,
        client: &mut tcp::OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            let mut message = vec![0; 8];
            server.read_exact(&mut message).await?;
            let words = u32::from_le_bytes([message[0], message[1], message[2], message[3]]);
            message.resize(8 + words as usize * 8, 0);
            server.read_exact(&mut message[8..]).await?;
            if self.answers_left.fetch_sub(1, Ordering::SeqCst) == 1 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            client.write_all(&message).await?;
        }
    }
}

/// A node behind such a one, and the count of answers until one is lost.
async fn node(data: &tempfile::TempDir) -> (Node, Arc<AtomicI64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), free.local_addr().unwrap());
    drop(free);
    let node = Node::new(address.to_string(), data.path()).unwrap();
    let mut node = node
        .with_bind(server)
        .with_latency(Duration::from_millis(10));
    node.start().await.unwrap();
    let answers_left = Arc::new(AtomicI64::new(0));
    let between = Between {
        server,
        answers_left: answers_left.clone(),
    };
    tokio::spawn(between.serve(listener));
    (node, answers_left)
}

async fn rows(app: &Database, n: i64) -> i64 {
    let sql = "SELECT count(*) FROM t WHERE n = ?";
    app.query(sql, &params![n]).await.unwrap().typed().unwrap()[0]
}

#[tokio::test]
async fn a_statement_is_done_once_or_not_at_all_and_called_so() {
    let data = tempfile::tempdir().unwrap();
    let (node, answers_left) = node(&data).await;
    let app = node.open("app").unwrap();
    app.exec("CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    let mut unknown = 0;
    for n in 1..=8 {
        // Another handle, so that connections are made anew, whose answers can be lost too.
        let app = node.open("app").unwrap();
        answers_left.store(n, Ordering::SeqCst);
        let told = app.exec("INSERT INTO t VALUES (?)", &params![n]).await;
        answers_left.store(0, Ordering::SeqCst);
        let there = rows(&app, n).await;
        match told.map_err(|e| e.outcome()) {
            Ok(_) => assert_eq!(there, 1, "{n}"),
            Err(Outcome::NotDone) => assert_eq!(there, 0, "{n}"),
            Err(Outcome::Unknown) => {
                unknown += 1;
                assert!(there <= 1, "{n}");
            }
        }
    }
    assert!(unknown > 0, "no answer to an INSERT was lost");
}

#[tokio::test]
async fn what_is_to_be_done_once_is_done_once() {
    let data = tempfile::tempdir().unwrap();
    let (node, answers_left) = node(&data).await;
    node.open("app")
        .unwrap()
        .exec("CREATE TABLE t (n INTEGER)", &[])
        .await
        .unwrap();
    let (mut here, mut before) = (0, 0);
    for n in 1..=16 {
        let app = node.open("app").unwrap();
        let insert = async || {
            let id = format!("insert {n}");
            app.once(&id, async |tx| {
                tx.exec("INSERT INTO t VALUES (?)", &params![n]).await
            })
            .await
        };
        answers_left.store(n, Ordering::SeqCst);
        match insert().await.unwrap() {
            Some(done) => here += done.rows_affected,
            None => before += 1,
        }
        answers_left.store(0, Ordering::SeqCst);
        assert_eq!(rows(&app, n).await, 1, "answer {n} was lost");
        assert_eq!(insert().await.unwrap(), None, "asked again");
        assert_eq!(rows(&app, n).await, 1, "asked again");
    }
    assert!(
        here > 0 && before > 0,
        "{here} {before}: the answer to a COMMIT was never lost"
    );
}
