//! Stands before nodes. When told so, it takes the entries out of Raft's messages, so that heartbeats,
//! votes and questions pass; or it loses all messages from one member to another; or it leads nobody to a node, as
//! a name does whose server is behind.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use dqlite_wire::{
    Header, kind, proxy,
    raft::{Body, Preamble},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
};

#[derive(Clone, Default)]
pub struct Cut {
    entries: Arc<AtomicBool>,
    stale: Arc<Mutex<Option<String>>>,
    /// Id of the sender, and where the receiver listens.
    lost: Arc<Mutex<BTreeSet<(u64, String)>>>,
    count: Arc<AtomicU64>,
}

impl Cut {
    pub fn entries(&self, cut: bool) {
        self.entries.store(cut, Ordering::SeqCst);
    }

    /// From now on, nobody is led to the node that listens there.
    pub fn name_is_stale(&self, to: &str) {
        *self.stale.lock().unwrap() = Some(to.to_owned());
    }

    /// From now on, these lose what the first sends to the second; all others get what they are sent.
    pub fn lose(&self, ways: impl IntoIterator<Item = (u64, String)>) {
        *self.lost.lock().unwrap() = ways.into_iter().collect();
    }

    /// How many messages were lost since this was asked last.
    pub fn take_lost(&self) -> u64 {
        self.count.swap(0, Ordering::SeqCst)
    }

    fn loses(&self, from: u64, to: &str) -> bool {
        let lost = self.lost.lock().unwrap();
        let mut ways = lost.iter();
        let loses = ways.any(|(sender, receiver)| *sender == from && receiver == to);
        self.count.fetch_add(loses.into(), Ordering::SeqCst);
        loses
    }

    /// Takes connections at `from` and passes them on to `to`.
    pub async fn stand_before(&self, from: &str, to: String) {
        let listener = TcpListener::bind(from).await.unwrap();
        let cut = self.clone();
        tokio::spawn(async move {
            while let Ok((peer, _)) = listener.accept().await {
                if cut.stale.lock().unwrap().as_ref() == Some(&to) {
                    continue;
                }
                let (cut, to) = (cut.clone(), to.clone());
                tokio::spawn(async move {
                    let node = TcpStream::connect(&to).await?;
                    let (read, mut back) = peer.into_split();
                    let (mut answers, write) = node.into_split();
                    tokio::select! {
                        ended = cut.pass(read, write, &to) => ended,
                        ended = copy(&mut answers, &mut back) => ended.map(|_| ()),
                    }
                });
            }
        });
    }

    async fn pass<W: tokio::io::AsyncWrite + Unpin>(
        &self,
        mut read: OwnedReadHalf,
        mut write: W,
        to: &str,
    ) -> io::Result<()> {
        // The header that names who is meant, if there is one; the protocol's version; the first request.
        let mut start = vec![0; 16];
        read.read_exact(&mut start).await?;
        if proxy::is_proxy(&start) == Some(true) {
            let fields = usize::from(u16::from_be_bytes([start[14], start[15]]));
            start.resize(16 + fields + 16, 0);
            read.read_exact(&mut start[16..]).await?;
        }
        write.write_all(&start).await?;
        let request = Header::decode(*start.last_chunk().unwrap());
        if request.kind != kind::CONNECT {
            return copy(&mut read, &mut write).await.map(|_| ());
        }
        let mut body = vec![0; request.words as usize * 8];
        read.read_exact(&mut body).await?;
        write.write_all(&body).await?;
        let from = u64::from_le_bytes(*body.first_chunk().unwrap());
        loop {
            let mut message = vec![0; Preamble::LEN];
            read.read_exact(&mut message).await?;
            let preamble = Preamble::decode(*message.first_chunk().unwrap()).unwrap();
            message.resize(Preamble::LEN + preamble.header_len, 0);
            read.read_exact(&mut message[Preamble::LEN..]).await?;
            let told = preamble.message(&message[Preamble::LEN..]).unwrap();
            let header = message.len();
            message.resize(header + told.payload as usize, 0);
            read.read_exact(&mut message[header..]).await?;
            let entries = matches!(told.body, Body::Append { .. }) && told.payload > 0;
            if entries && self.entries.load(Ordering::SeqCst) {
                // Term, index and term of the entry before, commit index; no entries; a spare word.
                message.truncate(Preamble::LEN + 32);
                message[8..16].copy_from_slice(&48u64.to_le_bytes());
                message.extend([0; 16]);
            }
            if !self.loses(from, to) {
                write.write_all(&message).await?;
            }
        }
    }
}
