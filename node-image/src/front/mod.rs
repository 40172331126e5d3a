//! The front: everything that reaches the engine from outside comes through here.
//!
//! One task per connection stands between the socket and the engine. It reads the connection's
//! header, judges every request before the engine sees it, and passes the answers on unread.
//!
//! ```text
//! mod.rs      takes connections, reads what they start with
//! relay.rs    request by request, in lock-step
//! raft.rs     Raft's own messages, after CONNECT
//! check.rs    which frames pass (pure)
//! guard.rs    membership changes that would cost the quorum
//! limits.rs   how many connections
//! ```

mod check;
mod guard;
pub mod limits;
mod raft;
mod relay;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use dqlite_wire::{
    PROTOCOL_VERSION,
    proxy::{self, Caller, ProxyHeader},
};
use node_api::Phase;
use tokio::{
    io::{AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::Mutex,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{leader_port, member::Member, metrics::Metrics, socket};
use limits::{Entrance, Limits};

const FIRST_BYTE: Duration = Duration::from_secs(5);
const HEADER: Duration = Duration::from_secs(10);
/// Requests are small, and clients are many.
const READ: usize = 8 << 10;

/// Which port a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// This member, whoever leads.
    Front,
    /// The leader, wherever it is.
    Leader,
}

/// Shared by all connections of a node.
pub struct Front {
    /// The member that it stands before.
    pub(crate) member: Arc<Member>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Arc<Limits>,
    /// Ends every connection: the node stops.
    pub stop: CancellationToken,
    /// No more clients: the node is about to stop.
    pub closing: CancellationToken,
    /// Held while a membership change runs.
    changes: Mutex<()>,
}

/// A connection whose start was read.
pub struct Peer {
    pub read: BufReader<OwnedReadHalf>,
    pub write: tokio::net::tcp::OwnedWriteHalf,
    /// What it is, if it brought a header that fits this member.
    pub caller: Option<Caller>,
}

impl Front {
    /// Of a member; takes no connection before [`Front::listen`].
    pub fn new(member: Arc<Member>, metrics: Arc<Metrics>) -> Arc<Self> {
        let (limits, changes) = (Limits::new(), Mutex::default());
        let (stop, closing) = (CancellationToken::new(), CancellationToken::new());
        Arc::new(Self {
            member,
            metrics,
            limits,
            stop,
            closing,
            changes,
        })
    }

    /// Takes connections until the node stops, each in a task of its own; clients until it closes.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, port: Port) {
        let closing = match port {
            // Members are let in until the end: one may want a vote to lead in this one's place.
            Port::Front => self.stop.clone(),
            Port::Leader => self.closing.clone(),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = closing.cancelled() => return,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of descriptors, most likely: the next one may be a moment away.
                    tracing::warn!("cannot take a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(entrance) = self.limits.enter() else {
                self.metrics.refused("too many connections");
                tracing::warn!(%from, "refused: too many connections");
                continue;
            };
            let front = Arc::clone(&self);
            tokio::spawn(async move {
                let served = tokio::select! {
                    served = front.serve(stream, port, from.ip(), entrance) => served,
                    () = front.stop.cancelled() => Ok(()),
                };
                if let Err(e) = served {
                    tracing::debug!(%from, ?port, "connection closed: {e}");
                }
            });
        }
    }

    async fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        port: Port,
        from: IpAddr,
        entrance: Entrance,
    ) -> io::Result<()> {
        socket::prepare(&stream)?;
        let (read, write) = stream.into_split();
        let mut read = BufReader::with_capacity(READ, read);
        let caller = self.start(&mut read, from).await.inspect_err(|e| {
            if e.kind() == io::ErrorKind::InvalidData {
                self.metrics.refused("bad start");
            }
        })?;
        let inside = matches!(caller, Some(Caller::Member | Caller::Operator));
        if !inside && self.closing.is_cancelled() {
            return Err(io::Error::other("this member is about to stop"));
        }
        let _place = if inside {
            None
        } else {
            drop(entrance);
            Some(self.limits.take(from).ok_or_else(|| {
                self.metrics.refused("too many connections");
                io::Error::other("too many connections of clients")
            })?)
        };
        let peer = Peer {
            read,
            write,
            caller,
        };
        match port {
            Port::Front => relay::serve(self, peer, None).await,
            Port::Leader => leader_port::serve(self, peer).await,
        }
    }

    /// Serves a client at the leader itself, which calls itself `advertised`.
    pub async fn serve_here(self: &Arc<Self>, peer: Peer, advertised: &str) -> io::Result<()> {
        relay::serve(self, peer, Some(advertised)).await
    }

    /// Reads the header, if there is one, and the protocol version.
    async fn start(
        &self,
        read: &mut BufReader<OwnedReadHalf>,
        from: IpAddr,
    ) -> io::Result<Option<Caller>> {
        let mut word = [0; 8];
        timeout(FIRST_BYTE, read.read_exact(&mut word[..1])).await??;
        timeout(HEADER, async {
            read.read_exact(&mut word[1..]).await?;
            let mut caller = None;
            if proxy::is_proxy(&word) == Some(true) {
                let header = self.read_header(word, read).await?;
                if let (Caller::Member | Caller::Operator, Some(found)) =
                    (header.caller, header.found)
                {
                    let member = Arc::clone(&self.member);
                    tokio::spawn(async move { member.peers.heard(found, from).await });
                }
                caller = Some(header.caller);
                read.read_exact(&mut word).await?;
            }
            if u64::from_le_bytes(word) != PROTOCOL_VERSION {
                return Err(invalid("not the dqlite protocol of version 1"));
            }
            Ok(caller)
        })
        .await?
    }

    async fn read_header(
        &self,
        first: [u8; 8],
        read: &mut BufReader<OwnedReadHalf>,
    ) -> io::Result<ProxyHeader> {
        let mut start = [0; 16];
        start[..8].copy_from_slice(&first);
        read.read_exact(&mut start[8..]).await?;
        let len = ProxyHeader::fields_len(&start).map_err(invalid)?;
        let mut fields = vec![0; len];
        read.read_exact(&mut fields).await?;
        let header = ProxyHeader::decode_fields(&fields).map_err(invalid)?;
        let settings = &self.member.settings;
        if header.cluster != settings.cluster || header.target != settings.id {
            self.metrics.refused("meant for another");
            return Err(io::Error::other(format!(
                "meant for member {} of cluster {}",
                header.target, header.cluster
            )));
        }
        Ok(header)
    }

    /// Where the engine listens, if this member takes connections now. Before a founding is
    /// recorded, and on a disk that does not fit, there is none.
    fn engine(&self) -> io::Result<String> {
        match self.member.status().phase {
            Phase::Open | Phase::Joining | Phase::Seeded => self.member.engine(),
            Phase::Empty | Phase::Founding | Phase::Refused { .. } => None,
        }
        .ok_or_else(|| io::Error::other("this member serves nobody yet"))
    }
}

fn invalid(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}
