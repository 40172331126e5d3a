//! Reaching other members. Every connection starts with a header that names the cluster and the
//! member that is meant (rule S10): a stranger behind a re-used address closes it.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dqlite_client::{
    Connection, Options,
    proxy::{Caller, ProxyHeader},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, runtime::Handle, sync::watch, time::timeout};

use crate::{engine_link, socket};

/// The engine's threads wait for a connection, so it must not take longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Knows which raft id belongs to an address, and dials.
#[derive(Debug)]
pub struct Peers {
    cluster: String,
    engine: watch::Receiver<Option<String>>,
    ids: Mutex<HashMap<String, u64>>,
}

impl Peers {
    pub fn new(cluster: String, engine: watch::Receiver<Option<String>>) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            engine,
            ids: Mutex::default(),
        })
    }

    /// Takes over what the engine's configuration says. An address belongs to one id for ever, so
    /// nothing is ever forgotten.
    pub fn learn<'a>(&self, members: impl IntoIterator<Item = (&'a str, u64)>) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, id) in members {
            if !ids.contains_key(address) {
                ids.insert(address.to_owned(), id);
            }
        }
    }

    fn known(&self, address: &str) -> Option<u64> {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(address)
            .copied()
    }

    /// The id behind an address. The engine may dial a member that it was just told of.
    async fn id_of(&self, address: &str) -> io::Result<u64> {
        if let Some(id) = self.known(address) {
            return Ok(id);
        }
        let socket = self.engine.borrow().clone();
        let socket = socket.ok_or_else(|| io::Error::other("the engine does not run yet"))?;
        let engine = engine_link::client(&socket, &Options::default()).map_err(io::Error::other)?;
        let members = engine.cluster().await.map_err(io::Error::other)?;
        self.learn(members.iter().map(|m| (m.address.as_str(), m.id)));
        self.known(address)
            .ok_or_else(|| io::Error::other(format!("{address} is no member")))
    }

    fn header(&self, target: u64, caller: Caller) -> ProxyHeader {
        ProxyHeader {
            cluster: self.cluster.clone(),
            target,
            caller,
        }
    }

    /// A connection to a member's front, to ask it questions.
    pub async fn ask(&self, address: &str, id: u64) -> Result<Connection, dqlite_client::Error> {
        let options = Options {
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: CONNECT_TIMEOUT,
            proxy: Some(self.header(id, Caller::Member)),
            ..Options::default()
        };
        Connection::dial(address, &options).await
    }

    /// A connected socket on which the header is sent.
    pub async fn open(&self, address: &str, id: u64, caller: Caller) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address).await?;
        socket::prepare(&stream)?;
        stream.write_all(&self.header(id, caller).encode()).await?;
        Ok(stream)
    }

    async fn dial(&self, address: &str) -> io::Result<TcpStream> {
        let dialled = timeout(CONNECT_TIMEOUT, async {
            let id = self.id_of(address).await?;
            self.open(address, id, Caller::Member).await
        });
        dialled
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The function by which the engine reaches its peers.
    pub fn for_engine(self: &Arc<Self>, runtime: Handle) -> dqlite_engine::Connect {
        let peers = Arc::clone(self);
        Box::new(move |address| {
            let dialled = runtime.block_on(peers.dial(address));
            let stream = dialled.inspect_err(|e| tracing::debug!(address, "no connection: {e}"))?;
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            Ok(OwnedFd::from(stream))
        })
    }
}
