//! An engine that is played: it answers every request with what the real one might say, and panics at one that the
//! front should have kept from it, or that comes before the last was answered.

use std::{
    io,
    os::{linux::net::SocketAddrExt, unix::net},
};

use dqlite_wire::{
    DEFAULT_MAX_BODY, Failure, File, Header, Member, PROTOCOL_VERSION, Request, Response, Role,
    Rows, Value, kind,
    raft::{MAX_HEADER, Preamble},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::ID;

/// Above what the front looks into.
const LARGE: usize = 6000;

/// What the front may let through from those who come to it.
#[derive(Clone, Copy, Debug)]
pub struct Rights {
    pub raft: bool,
    pub membership: bool,
}

/// Listens on an abstract socket of that name until its runtime ends.
pub fn play(name: &str, rights: Rights) -> io::Result<()> {
    let listener = net::UnixListener::bind_addr(&net::SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // It ends when the front closes the connection.
            tokio::spawn(serve(stream, rights));
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, rights: Rights) -> io::Result<()> {
    assert_eq!(stream.read_u64_le().await?, PROTOCOL_VERSION);
    let mut statements = 0;
    loop {
        let mut head = [0; Header::LEN];
        stream.read_exact(&mut head).await?;
        let header = Header::decode(head);
        let mut body = vec![
            0;
            header
                .body_len(DEFAULT_MAX_BODY)
                .expect("a length under the cap")
        ];
        stream.read_exact(&mut body).await?;
        assert!(!body.is_empty(), "an empty body");
        let request = Request::decode(&header, &body).expect("a request");
        assert!(
            may_pass(&header, &request, rights),
            "{request:?} with {rights:?}"
        );
        if let Request::Connect { .. } = request {
            return raft(stream).await;
        }
        in_turn(&stream).await;
        for answer in answers(&request, &mut statements) {
            let mut out = Vec::new();
            answer.encode(&mut out);
            stream.write_all(&out).await?;
        }
    }
}

/// The rules of the front (`docs/safety.md`), said once more.
pub fn may_pass(header: &Header, request: &Request, rights: Rights) -> bool {
    let named = |name: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        !name.is_empty() && name.len() <= 128 && name.bytes().all(fits)
    };
    match request {
        _ if header.kind == kind::HEARTBEAT => false,
        Request::Connect { id, .. } => *id != 0 && rights.raft,
        Request::Add { id, .. } | Request::Assign { id, .. } | Request::Remove { id } => {
            rights.membership && *id != 0
        }
        Request::Transfer { .. } => rights.membership,
        Request::Describe { format } => *format == 0,
        Request::Cluster { format } => *format <= 1,
        Request::Open { name, .. } | Request::Dump { name } => named(name),
        Request::ExecSql { sql, .. } => !harms(sql) && !words(sql).any(|w| w == "RETURNING"),
        Request::QuerySql { sql, .. } | Request::Prepare { sql, .. } => !harms(sql),
        _ => true,
    }
}

/// As far as it can be seen without looking for quotes and comments: where there are some, nothing is said.
fn words(sql: &str) -> impl Iterator<Item = String> {
    let plain = !sql.contains(['\'', '"', '`', '[', '-', '/']);
    let words = sql.split(|c: char| c.is_whitespace() || ";.=()".contains(c));
    let words = words.filter(move |word| plain && !word.is_empty());
    words.map(str::to_uppercase)
}

fn harms(sql: &str) -> bool {
    let mut words = words(sql);
    match words.next().as_deref() {
        Some("ATTACH" | "DETACH") => true,
        Some("PRAGMA") => {
            let harmful = ["JOURNAL_MODE", "LOCKING_MODE", "WAL_CHECKPOINT"];
            words
                .next()
                .is_some_and(|name| harmful.contains(&name.as_str()))
        }
        _ => false,
    }
}

/// The front sends the next request only after the last was answered.
async fn in_turn(stream: &UnixStream) {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let early = stream.try_read(&mut [0]);
    let nothing = early
        .as_ref()
        .is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
    assert!(
        nothing || matches!(early, Ok(0)),
        "a request before the last was answered"
    );
}

/// Only whole messages of Raft come through, but the last may be cut.
async fn raft(mut stream: UnixStream) -> io::Result<()> {
    loop {
        let mut start = [0; Preamble::LEN];
        stream.read_exact(&mut start).await?;
        let preamble = Preamble::decode(start).expect("a preamble of Raft");
        assert!(preamble.header_len <= MAX_HEADER);
        let mut header = vec![0; preamble.header_len];
        stream.read_exact(&mut header).await?;
        let message = preamble.message(&header).expect("a header of Raft");
        let mut payload = (&mut stream).take(message.payload);
        tokio::io::copy(&mut payload, &mut tokio::io::sink()).await?;
    }
}

fn answers(request: &Request, statements: &mut u32) -> Vec<Response> {
    let failure = |code, message: &str| {
        Response::Failure(Failure {
            code,
            message: message.into(),
        })
    };
    let one = match request {
        Request::Leader => Response::Leader {
            id: ID,
            address: "demo-1.demo:9001".into(),
        },
        Request::Client { .. } => Response::Welcome {
            heartbeat_timeout: 15000,
        },
        Request::Open { .. } => Response::Database { id: 0 },
        Request::Prepare { db, tail, .. } => {
            *statements += 1;
            let tail = tail.then_some(0);
            Response::Statement {
                db: *db as u32,
                id: *statements % 3,
                params: 0,
                tail,
            }
        }
        Request::ExecSql { db: 13, .. } => failure(10250, "not leader"),
        Request::ExecSql { db: 14, .. } => failure(1, "no such table"),
        Request::Exec { .. } | Request::ExecSql { .. } => Response::Result {
            last_insert_id: 1,
            rows_affected: 1,
        },
        Request::Query { db, .. } => return parts(u64::from(*db)),
        Request::QuerySql { db, .. } => return parts(*db),
        Request::Dump { name } => {
            let file = |name: String| File {
                name,
                bytes: vec![5; LARGE],
            };
            Response::Files(vec![file(name.clone()), file(format!("{name}-wal"))])
        }
        Request::Cluster { format } => {
            let role = (*format == 1).then_some(Role::Voter);
            Response::Servers(vec![Member {
                id: ID,
                address: "demo-1.demo:9001".into(),
                role,
            }])
        }
        Request::Describe { .. } => Response::Metadata {
            failure_domain: 0,
            weight: 0,
        },
        _ => Response::Empty,
    };
    vec![one]
}

/// Rows in up to four parts, small and large ones.
fn parts(db: u64) -> Vec<Response> {
    let last = db % 4;
    let part = |n| {
        let blob = Value::Blob(vec![9; if n % 2 == 1 { LARGE } else { 8 }]);
        Response::Rows(Rows {
            columns: vec!["n".into()],
            rows: vec![vec![blob]],
            more: n < last,
        })
    };
    (0..=last).map(part).collect()
}
