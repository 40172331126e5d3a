//! Reaching other members. Every connection starts with a header that names the cluster and the
//! member that is meant (rule S10): a stranger behind a re-used address closes it.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dqlite_client::{
    Connection, Options,
    proxy::{Caller, Found, ProxyHeader},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::Handle,
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{engine_link, socket, whereabouts::Whereabouts};

/// The engine's threads wait for a connection, so it must not take longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// More than members of a cluster.
const NEWS: usize = 16;
/// After this a member is not where it said; there is time left to ask for its name.
const DIRECT: Duration = Duration::from_millis(300);

/// Knows which raft id belongs to an address, and dials.
#[derive(Debug)]
pub struct Peers {
    cluster: String,
    own: u64,
    engine: watch::Receiver<Option<String>>,
    ids: Mutex<HashMap<String, u64>>,
    whereabouts: Whereabouts,
    /// News that are looked into at once.
    hearing: Semaphore,
}

impl Peers {
    /// Of the member whose id is `own`.
    pub fn new(cluster: String, own: u64, engine: watch::Receiver<Option<String>>) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            own,
            engine,
            ids: Mutex::default(),
            whereabouts: Whereabouts::default(),
            hearing: Semaphore::new(NEWS),
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

    fn address_of(&self, id: u64) -> Option<String> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let found = ids.iter().find(|(_, known)| **known == id);
        found.map(|(address, _)| address.clone())
    }

    fn header(&self, target: u64, caller: Caller) -> ProxyHeader {
        ProxyHeader {
            cluster: self.cluster.clone(),
            target,
            caller,
            found: None,
        }
    }

    /// A connection to a member's front, to ask it questions.
    pub async fn ask(&self, address: &str, id: u64) -> Result<Connection, dqlite_client::Error> {
        let header = self.header(id, Caller::Member);
        self.ask_as(header, self.connect(address, id)).await
    }

    /// As [`Peers::ask`], wherever the member said it is: what decides over votes takes no member's word.
    pub async fn ask_by_name(
        &self,
        address: &str,
        id: u64,
    ) -> Result<Connection, dqlite_client::Error> {
        let header = self.header(id, Caller::Member);
        self.ask_as(header, TcpStream::connect(address)).await
    }

    /// Tells a member that this one is where it calls from.
    pub async fn greet(&self, address: &str, id: u64) -> Result<(), dqlite_client::Error> {
        let here = Found {
            id: self.own,
            at: None,
        };
        self.tell(address, id, here).await
    }

    async fn tell(&self, address: &str, id: u64, found: Found) -> Result<(), dqlite_client::Error> {
        let header = ProxyHeader {
            found: Some(found),
            ..self.header(id, Caller::Member)
        };
        let connection = self.ask_as(header, self.connect(address, id)).await?;
        connection.leader().await.map(|_| ())
    }

    /// News of where a member is, from a caller at `from`. It is so if the member answers there when called
    /// back. Who says so of itself is then made known to the others who started lately, and they to it: their
    /// names may be as new.
    pub async fn heard(&self, found: Found, from: IpAddr) {
        let (id, ip) = (found.id, found.at.unwrap_or(from).to_canonical());
        let Some(address) = self.address_of(id).filter(|_| id != self.own) else {
            return;
        };
        // News come a few at a time, or from somebody who means no good.
        let Ok(_one_of_few) = self.hearing.try_acquire() else {
            return;
        };
        if self.whereabouts.of(id) == Some(ip) || !self.is_at(&address, id, ip).await {
            return;
        }
        let Some(others) = self.whereabouts.note(id, ip) else {
            return;
        };
        tracing::info!(id, %ip, "a member is found here now");
        if found.at.is_some() {
            return;
        }
        for (other, at) in others {
            let Some(others_address) = self.address_of(other) else {
                continue;
            };
            let to_it = Found {
                id: other,
                at: Some(at),
            };
            let to_other = Found { id, at: Some(ip) };
            // Either may be gone again: then nothing is lost.
            let _ = self.tell(&address, id, to_it).await;
            let _ = self.tell(&others_address, other, to_other).await;
        }
    }

    /// Whether the member answers at this address, on the port of its name.
    async fn is_at(&self, address: &str, id: u64, ip: IpAddr) -> bool {
        let Some(port) = port_of(address) else {
            return false;
        };
        let header = self.header(id, Caller::Member);
        match self.ask_as(header, TcpStream::connect((ip, port))).await {
            Ok(connection) => connection.leader().await.is_ok(),
            Err(_) => false,
        }
    }

    async fn ask_as(
        &self,
        header: ProxyHeader,
        connecting: impl Future<Output = io::Result<TcpStream>>,
    ) -> Result<Connection, dqlite_client::Error> {
        let target = header.target;
        let stream = async {
            let stream = timeout(CONNECT_TIMEOUT, connecting).await??;
            socket::prepare(&stream)?;
            Ok(stream)
        };
        let stream = stream
            .await
            .map_err(|source| dqlite_client::Error::Connect {
                address: format!("member {target}"),
                source,
            })?;
        let options = Options {
            request_timeout: CONNECT_TIMEOUT,
            proxy: Some(header),
            ..Options::default()
        };
        Ok(Connection::over(stream, &options))
    }

    /// A connected socket on which the header is sent.
    pub async fn open(&self, address: &str, id: u64, caller: Caller) -> io::Result<TcpStream> {
        let mut stream = self.connect(address, id).await?;
        socket::prepare(&stream)?;
        stream.write_all(&self.header(id, caller).encode()).await?;
        Ok(stream)
    }

    /// Where the member said it is, else where its name leads.
    async fn connect(&self, address: &str, id: u64) -> io::Result<TcpStream> {
        if let (Some(ip), Some(port)) = (self.whereabouts.of(id), port_of(address)) {
            match timeout(DIRECT, TcpStream::connect((ip, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                _ => self.whereabouts.forget(id, ip),
            }
        }
        TcpStream::connect(address).await
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

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}
