//! The front as a whole: the shipped one, on a socket of its own, with an engine that is played behind it.

use std::{net::SocketAddr, time::Duration};

use dqlite_node::{Front, Member, Metrics, Port};
use dqlite_wire::{
    DEFAULT_MAX_BODY, Header, PROTOCOL_VERSION, Request, Response, Rows, kind,
    proxy::{Caller, ProxyHeader},
    reply,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::{
    CLUSTER, ID,
    engine::{self, Rights},
};

/// A front that is silent for so long hangs: nothing here waits for a network.
const HANGS: Duration = Duration::from_secs(4);

/// Bytes: who calls, how many bytes go at once, and the stream: from its first byte, or after a good start.
pub fn front(bytes: &[u8]) {
    let [caller, chunk, stream @ ..] = bytes else {
        return;
    };
    thread_local!(static POSTS: (Runtime, Vec<Post>) = posts());
    POSTS.with(|(runtime, posts)| {
        let post = &posts[usize::from(*caller) % posts.len()];
        runtime.block_on(post.send(usize::from(*chunk) + 1, stream));
    });
}

/// A front for each kind of caller, so that the engine behind it knows what may come.
struct Post {
    address: SocketAddr,
    /// How a connection starts; empty where the stream has to bring that too.
    start: Vec<u8>,
    rights: Rights,
    _volume: tempfile::TempDir,
}

fn posts() -> (Runtime, Vec<Post>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let version = PROTOCOL_VERSION.to_le_bytes().to_vec();
    let from = |caller| {
        let header = ProxyHeader {
            cluster: CLUSTER.into(),
            target: ID,
            caller,
            found: None,
        };
        [header.encode(), version.clone()].concat()
    };
    let starts = [
        (Vec::new(), true, true),
        (version.clone(), false, false),
        (from(Caller::Member), true, true),
        (from(Caller::Operator), false, true),
        (from(Caller::Forwarded), false, false),
    ];
    let post = |(start, raft, membership)| Post::new(start, Rights { raft, membership });
    let posts = runtime.block_on(async { starts.into_iter().map(post).collect() });
    (runtime, posts)
}

impl Post {
    fn new(start: Vec<u8>, rights: Rights) -> Self {
        let volume = tempfile::tempdir().unwrap();
        let socket = volume.path().to_str().unwrap();
        engine::play(socket, rights).unwrap();
        let settings = crate::settings(socket);
        let member = Member::with_played_engine(settings, &format!("@{socket}")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(Front::new(member, Metrics::new()).listen(listener, Port::Front));
        Self {
            address,
            start,
            rights,
            _volume: volume,
        }
    }

    async fn send(&self, chunk: usize, stream: &[u8]) {
        let bytes = [self.start.as_slice(), stream].concat();
        let (expected, all) = if self.start.is_empty() {
            (0, false)
        } else {
            answers(stream, self.rights)
        };
        let client = TcpStream::connect(self.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (read, mut write) = client.into_split();
        let send = async {
            for part in bytes.chunks(chunk.max(bytes.len() / 64)) {
                // The front may have closed.
                if write.write_all(part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            write
        };
        let listen = async {
            let (read, answered) = listen(read, expected).await;
            let closed = "the front closed a connection that sent requests alone";
            assert!(!all || answered == expected, "{closed}");
            read
        };
        let (write, listened) = tokio::join!(send, timeout(HANGS, listen));
        let mut read = listened.expect("the front is silent");
        drop(write);
        let end = timeout(HANGS, async {
            while matches!(read.read(&mut [0; 64]).await, Ok(1..)) {}
        });
        end.await
            .expect("the front keeps a connection that its client has closed");
    }
}

/// How many answers the whole requests of a stream call for, and whether it is nothing but requests, so that all of
/// them must come. None come after Raft has begun.
fn answers(mut stream: &[u8], rights: Rights) -> (usize, bool) {
    let (mut whole, mut all) = (0, true);
    while let Some((head, rest)) = stream.split_first_chunk() {
        let header = Header::decode(*head);
        let len = header.body_len(DEFAULT_MAX_BODY).unwrap_or(usize::MAX);
        let Some((body, rest)) = rest.split_at_checked(len) else {
            break;
        };
        if header.kind == kind::CONNECT && rights.raft {
            break;
        }
        let request = header.kind == kind::HEARTBEAT || Request::decode(&header, body).is_ok();
        all &= request && header.kind != kind::CONNECT && !body.is_empty();
        whole += 1;
        stream = rest;
    }
    (whole, all && stream.is_empty())
}

/// Reads that many answers, or until the front closes; every one must be whole and an answer of the protocol. Gives
/// how many came.
async fn listen(mut read: OwnedReadHalf, expected: usize) -> (OwnedReadHalf, usize) {
    for answered in 0..expected {
        loop {
            let mut head = [0; Header::LEN];
            if read.read_exact(&mut head).await.is_err() {
                return (read, answered);
            }
            let header = Header::decode(head);
            let mut body = vec![
                0;
                header
                    .body_len(DEFAULT_MAX_BODY)
                    .expect("a length under the cap")
            ];
            read.read_exact(&mut body).await.expect("a whole answer");
            let with_roles = Response::decode(&header, &body, true);
            with_roles
                .or_else(|_| Response::decode(&header, &body, false))
                .expect("an answer");
            let (_, last) = body.split_last_chunk().expect("no answer is empty");
            if header.kind != reply::ROWS || !Rows::announces_more(*last) {
                break;
            }
        }
    }
    (read, expected)
}
