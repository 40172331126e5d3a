//! One connection, request by request: read one, judge it, pass it on, pass its answers back. So an
//! answer of our own comes in its turn, as the engine's would: the engine too reads the next request
//! only after it has answered the last.

use std::io;

use dqlite_client::code;
use dqlite_wire::{DEFAULT_MAX_BODY, Failure, Header, Request, Response, Rows, kind, reply};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    time::timeout,
};

use super::{
    Front, HEADER, Peer,
    check::{Statements, Verdict, check},
    guard, invalid, raft,
};
use crate::engine_link::{self, EngineRead, EngineWrite};

/// Largest answer that is looked into, and largest request that is copied.
const SMALL: usize = 4096;
/// Raft's message of an ordinary commit, several pages of 4 KiB, is read at once.
const RAFT: usize = 64 << 10;

/// Serves a connection until it ends. With `advertised`, as the leader that calls itself so: LEADER
/// names that address, and the connection ends when this member does not lead.
pub async fn serve(front: &Front, peer: Peer, advertised: Option<&str>) -> io::Result<()> {
    let (engine_read, mut engine_write) = engine_link::connect(&front.engine()?)?;
    engine_write
        .write_all(&dqlite_wire::PROTOCOL_VERSION.to_le_bytes())
        .await?;
    let mut relay = Relay {
        front,
        peer,
        engine_read: BufReader::new(engine_read),
        engine_write,
        advertised,
        statements: Statements::default(),
    };
    while let Some((header, body)) = relay.next_request().await? {
        if !relay.handle(header, body).await? {
            break;
        }
    }
    Ok(())
}

struct Relay<'a> {
    front: &'a Front,
    peer: Peer,
    engine_read: BufReader<EngineRead>,
    engine_write: EngineWrite,
    advertised: Option<&'a str>,
    statements: Statements,
}

impl Relay<'_> {
    /// The next whole request; `None` when the peer is gone. A connection may idle for ever, but a
    /// request that has begun must go on.
    async fn next_request(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        if self.peer.read.fill_buf().await?.is_empty() {
            return Ok(None);
        }
        let mut head = [0; Header::LEN];
        timeout(HEADER, self.peer.read.read_exact(&mut head)).await??;
        let header = Header::decode(head);
        let mut body = vec![0; header.body_len(DEFAULT_MAX_BODY).map_err(invalid)?];
        // 64 MiB may take their time, but not all day.
        timeout(HEADER * 6, self.peer.read.read_exact(&mut body)).await??;
        Ok(Some((header, body)))
    }

    /// Whether the connection goes on.
    async fn handle(&mut self, header: Header, body: Vec<u8>) -> io::Result<bool> {
        match check(&header, &body, self.peer.caller, &mut self.statements) {
            Verdict::Pass => {
                self.send(&header, &body).await?;
                self.answer(header.kind).await
            }
            Verdict::Guard(change) => self.change(&header, &body, &change).await,
            Verdict::Raft { id, address } => {
                // A joiner has no configuration yet, and must answer whoever brings it one.
                self.front.member.peers.learn([(address.as_str(), id)]);
                self.send(&header, &body).await?;
                self.raft(id).await.map(|()| false)
            }
            Verdict::Refuse(failure) => {
                self.front.metrics.refused("request");
                self.reply(&Response::Failure(failure)).await.map(|()| true)
            }
            Verdict::Close(reason) => {
                self.front.metrics.refused("frame");
                Err(invalid(reason))
            }
        }
    }

    async fn change(&mut self, h: &Header, body: &[u8], change: &Request) -> io::Result<bool> {
        let _one_at_a_time = self.front.changes.lock().await;
        match guard::check(&self.front.member, change).await {
            Ok(()) => {
                tracing::info!(?change, "membership change");
                self.send(h, body).await?;
                self.answer(h.kind).await
            }
            Err(failure) => {
                self.front.metrics.refused("membership change");
                tracing::warn!(
                    ?change,
                    reason = failure.message,
                    "membership change refused"
                );
                self.reply(&Response::Failure(failure)).await.map(|()| true)
            }
        }
    }

    async fn send(&mut self, header: &Header, body: &[u8]) -> io::Result<()> {
        if body.len() > SMALL {
            self.engine_write.write_all(&header.encode()).await?;
            return self.engine_write.write_all(body).await;
        }
        // One write, or the engine wakes up twice.
        let mut message = Vec::with_capacity(Header::LEN + body.len());
        message.extend_from_slice(&header.encode());
        message.extend_from_slice(body);
        self.engine_write.write_all(&message).await
    }

    async fn reply(&mut self, response: &Response) -> io::Result<()> {
        let mut bytes = Vec::new();
        response.encode(&mut bytes);
        self.peer.write.write_all(&bytes).await
    }

    /// Passes the answers to one request on; `false` when they end the connection.
    async fn answer(&mut self, request: u8) -> io::Result<bool> {
        loop {
            let mut head = [0; Header::LEN];
            self.read_or_gone(&mut head).await?;
            let header = Header::decode(head);
            let len = header.words as usize * 8;
            if len <= SMALL && header.kind != reply::ROWS {
                return self.small_answer(request, header, len).await;
            }
            self.peer.write.write_all(&head).await?;
            let last = stream(&mut self.engine_read, &mut self.peer.write, len).await?;
            if header.kind != reply::ROWS || !Rows::announces_more(last) {
                return Ok(true);
            }
        }
    }

    /// An answer that the front looks into before it passes it on.
    async fn small_answer(&mut self, request: u8, h: Header, len: usize) -> io::Result<bool> {
        let mut body = vec![0; len];
        self.engine_read.read_exact(&mut body).await?;
        let lost = |f: &Failure| matches!(f.code, code::NOT_LEADER | code::LEADERSHIP_LOST);
        let mut goes_on = true;
        if matches!(h.kind, reply::STATEMENT | reply::LEADER | reply::FAILURE) {
            match Response::decode(&h, &body, true) {
                Ok(Response::Statement { id, .. }) => self.statements.prepared(id),
                Ok(Response::Leader { id, .. }) if request == kind::LEADER => {
                    if let Some(address) = self.advertised.map(str::to_owned) {
                        if id != self.front.member.settings.id {
                            return Ok(false);
                        }
                        self.reply(&Response::Leader { id, address }).await?;
                        return Ok(true);
                    }
                }
                // A client of the leader port expects the connection to end with the leadership.
                Ok(Response::Failure(f)) if lost(&f) => goes_on = self.advertised.is_none(),
                _ => {}
            }
        }
        // One write, one packet: a commit's answer should not wait for a second one.
        let mut message = h.encode().to_vec();
        message.append(&mut body);
        self.peer.write.write_all(&message).await?;
        Ok(goes_on)
    }

    /// Waits for the engine's answer, and gives up when the peer goes away meanwhile: closing the
    /// engine's connection is the only way to abandon a statement.
    async fn read_or_gone(&mut self, head: &mut [u8; Header::LEN]) -> io::Result<()> {
        loop {
            tokio::select! {
                biased;
                waiting = self.engine_read.fill_buf() => {
                    waiting?;
                    return self.engine_read.read_exact(head).await.map(|_| ());
                }
                more = self.peer.read.fill_buf(), if self.peer.read.buffer().is_empty() => {
                    if more?.is_empty() {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
            }
        }
    }

    /// From CONNECT on the connection is Raft's, which has no answers on it.
    async fn raft(&mut self, from: u64) -> io::Result<()> {
        let progress = &self.front.member.progress;
        let early = self.peer.read.buffer().to_vec();
        let mut messages =
            BufReader::with_capacity(RAFT, early.as_slice().chain(self.peer.read.get_mut()));
        let to_engine = raft::relay(&mut messages, &mut self.engine_write, from, progress);
        let to_peer = tokio::io::copy_buf(&mut self.engine_read, &mut self.peer.write);
        let ended = tokio::select! {
            ended = to_engine => ended,
            ended = to_peer => ended.map(|_| ()),
        };
        ended.inspect_err(|e| {
            if e.kind() == io::ErrorKind::InvalidData {
                self.front.metrics.refused("raft");
            }
        })
    }
}

/// Copies `len` bytes without holding them all; gives the last eight.
async fn stream<R, W>(read: &mut R, write: &mut W, len: usize) -> io::Result<[u8; 8]>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut chunk = vec![0; len.min(64 << 10)];
    let mut left = len;
    let mut last = [0; 8];
    while left > 0 {
        // Lengths are whole words, and so is every chunk.
        let n = left.min(chunk.len());
        read.read_exact(&mut chunk[..n]).await?;
        write.write_all(&chunk[..n]).await?;
        left -= n;
        last.copy_from_slice(&chunk[n - 8..n]);
    }
    Ok(last)
}
