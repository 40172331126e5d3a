//! A member in this process.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use dqlite_client::{Client, Connection, Database, Error, Options, Role};
use dqlite_engine::{Config, Engine, is_reserved};
use tokio::task::spawn_blocking;

use crate::{
    directory::{Directory, Identity},
    door::Door,
};

/// Environment variable that makes [`StopPolicy::LeaveToExit`] the policy: `1`, `true` or `yes`, read by
/// [`Node::new`].
pub const LEAVE_TO_EXIT: &str = "DQLITE_LEAVE_TO_EXIT";
/// Connections that the engine closes before it stops.
const DRAIN: Duration = Duration::from_millis(200);
/// The engine's threads wait for a connection, so it must not take longer.
const CONNECT: Duration = Duration::from_secs(1);

/// What [`Node::stop`] and a drop do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopPolicy {
    /// Close all connections, then stop the engine and wait for it.
    #[default]
    Stop,
    /// Return at once; the engine serves on, and ends with the process.
    LeaveToExit,
}

/// A member of a cluster, in this process.
///
/// Started in an empty directory, it founds a cluster of its own and leads it; unless it was given an id
/// ([`Node::with_id`]): then it waits to be added to a cluster with [`Client::add`]. A directory that holds a node is
/// started as that one. A node that lost its directory is not that node any more: see [`Node::with_existing`]. A node
/// that is dropped stops, which holds its thread up for a fifth of a second if connections are open.
///
/// All SQL of a process, and the search for other members, run on libuv's 4 threads: set `UV_THREADPOOL_SIZE` to more
/// before the first start.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    running: Option<Running>,
}

#[derive(Clone, Debug)]
struct Settings {
    address: String,
    bind: SocketAddr,
    data: PathBuf,
    id: Option<u64>,
    existing: bool,
    latency: Option<Duration>,
    policy: StopPolicy,
}

/// In this order it ends: the door first.
struct Running {
    door: Option<Door>,
    engine: Option<Engine>,
    directory: Option<Directory>,
    client: Client,
    id: u64,
    policy: StopPolicy,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Running").field(&self.id).finish()
    }
}

impl Node {
    /// A node that others reach at `address` (`ip:port`), with its files in `data`. Nothing is made or started yet.
    ///
    /// # Errors
    /// [`Error::NodeStart`]: the address is not numeric, or one at which nobody can be reached, as `0.0.0.0`.
    pub fn new(address: impl Into<String>, data: impl AsRef<Path>) -> Result<Self, Error> {
        let address = address.into();
        let bind: SocketAddr = address
            .parse()
            .map_err(|_| refused(&address, "not a numeric ip:port"))?;
        if bind.ip().is_unspecified() || bind.port() == 0 {
            let why = "others must reach the node at this address: name one of this machine's, and listen elsewhere \
                       with Node::with_bind";
            return Err(refused(&address, why));
        }
        let leaves = std::env::var(LEAVE_TO_EXIT);
        let leaves =
            leaves.is_ok_and(|v| ["1", "true", "yes"].contains(&v.to_lowercase().as_str()));
        let settings = Settings {
            address,
            bind,
            data: data.as_ref().to_owned(),
            id: None,
            existing: false,
            latency: None,
            policy: match leaves {
                true => StopPolicy::LeaveToExit,
                false => StopPolicy::Stop,
            },
        };
        Ok(Self {
            settings,
            running: None,
        })
    }

    /// Makes it a node that joins a cluster under this id; it waits until it is added. An id belongs to one directory:
    /// started on another, or on an emptied one, a member forgets what it promised, and acknowledged rows may be lost.
    #[must_use]
    pub fn with_id(mut self, id: u64) -> Self {
        self.settings.id = Some(id);
        self
    }

    /// Starts only if its directory holds a node. Without it, one whose directory was lost would found another cluster
    /// at its old address, or forget what it has voted for.
    #[must_use]
    pub fn with_existing(mut self) -> Self {
        self.settings.existing = true;
        self
    }

    /// Listens here instead of at its address; `0.0.0.0` is fine.
    #[must_use]
    pub fn with_bind(mut self, bind: SocketAddr) -> Self {
        self.settings.bind = bind;
        self
    }

    /// Expected network latency, in whole milliseconds from 1: the heartbeat is 1.5 times, the election timeout 15
    /// times this. Equal on all members. The library's own corresponds to 200 ms.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.settings.latency = Some(latency);
        self
    }

    /// Sets what stopping means.
    #[must_use]
    pub fn with_stop_policy(mut self, policy: StopPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Starts the node, and makes its directory and files if they are not there. Returns when it listens.
    ///
    /// # Errors
    /// [`Error::NodeStart`]: it runs already, the port is taken, the directory is another's. Nothing is left running.
    pub async fn start(&mut self) -> Result<(), Error> {
        if self.running.is_some() {
            return Err(refused(&self.settings.address, "the node runs already"));
        }
        let failed = |e: BoxError| Error::NodeStart {
            address: self.settings.address.clone(),
            source: e,
        };
        let settings = self.settings.clone();
        let started = spawn_blocking(move || Running::start(&settings));
        let running = started
            .await
            .map_err(|e| failed(e.into()))?
            .map_err(failed)?;
        self.settings.id = Some(running.id);
        self.running = Some(running);
        Ok(())
    }

    /// Its Raft id: as given, or that of the last start. `None` before the first.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.settings.id
    }

    /// Whether it was started and not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// A database of its cluster, made by the first statement that writes to it. Several may be open at once. The
    /// statements run at the leader, wherever that is.
    ///
    /// # Errors
    /// [`Error::Node`]: the node does not run.
    pub fn open(&self, name: &str) -> Result<Database, Error> {
        Ok(self.client()?.database(name))
    }

    /// A client of its cluster, which asks this node where the leader is.
    ///
    /// # Errors
    /// [`Error::Node`]: the node does not run.
    pub fn client(&self) -> Result<&Client, Error> {
        match &self.running {
            Some(running) => Ok(&running.client),
            None => Err(Error::Node("the node does not run")),
        }
    }

    /// Hands leadership to another voter, if this node leads and there is one.
    ///
    /// # Errors
    /// What the last voter asked said; [`Error::Node`]: the node does not run.
    pub async fn handover(&self) -> Result<(), Error> {
        let client = self.client()?;
        let (leader, connection) = client.leader().await?;
        if Some(leader.id) != self.id() {
            return Ok(());
        }
        let mut handed = Ok(());
        for member in connection.cluster().await? {
            if member.role == Some(Role::Voter) && member.id != leader.id {
                handed = connection.transfer(member.id).await;
                if handed.is_ok() {
                    break;
                }
            }
        }
        handed
    }

    /// Stops the node by its [`StopPolicy`]; one that does not run is fine. Hand over before, or a cluster of several
    /// is without a leader for an election timeout.
    ///
    /// # Errors
    /// [`Error::Node`]: the engine did not stop cleanly; it has ended all the same.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        let stopped = spawn_blocking(move || running.end());
        stopped
            .await
            .unwrap_or(Err(Error::Node("the thread that stops it panicked")))
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn refused(address: &str, why: &str) -> Error {
    Error::NodeStart {
        address: address.to_owned(),
        source: why.into(),
    }
}

/// Nobody else founds: who was given an id was given a cluster too.
fn create(directory: &Directory, address: &str, id: Option<u64>) -> Result<Identity, BoxError> {
    if let Some(id) = id.filter(|id| is_reserved(*id)) {
        return Err(dqlite_engine::Error::ReservedId(id).into());
    }
    let founds = id.is_none();
    let id = id.unwrap_or_else(|| {
        loop {
            let id = rand::random();
            if !is_reserved(id) {
                break id;
            }
        }
    });
    let identity = Identity {
        id,
        address: address.to_owned(),
    };
    directory.create::<BoxError>(&identity, |dir| match founds {
        true => Ok(dqlite_engine::found(dir, id, address)?),
        false => Ok(()),
    })?;
    Ok(identity)
}

/// Asks the node itself, and those that it lists: only voters know the leader.
fn client(own: &str) -> Client {
    let own = own.to_owned();
    Client::with_resolver(move || {
        let own = own.clone();
        async move {
            let options = Options {
                request_timeout: CONNECT,
                ..Options::default()
            };
            let listed = async { Connection::dial(&own, &options).await?.cluster().await };
            let listed = listed.await.unwrap_or_default();
            let others = listed.into_iter().map(|m| m.address);
            let others: Vec<_> = others.filter(|address| *address != own).collect();
            Ok(std::iter::once(own).chain(others).collect())
        }
    })
}

/// Reaches another member by its address.
fn connect(address: &str) -> io::Result<OwnedFd> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream.into());
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

impl Running {
    /// Blocks until it listens.
    fn start(settings: &Settings) -> Result<Self, BoxError> {
        let Settings { address, id, .. } = settings;
        let directory = Directory::open(&settings.data)?;
        let identity = match directory.identity()? {
            Some(found) if found.address != *address => {
                return Err(
                    format!("the directory is that of the node at {}", found.address).into(),
                );
            }
            Some(found) if id.is_some_and(|id| id != found.id) => {
                return Err(format!("the directory is that of node {}", found.id).into());
            }
            Some(found) => found,
            None if settings.existing => return Err("the directory holds no node".into()),
            None => create(&directory, address, *id)?,
        };
        let mut config =
            Config::new(identity.id, address, directory.member()).connect(Box::new(connect));
        if let Some(latency) = settings.latency {
            config = config.latency(latency);
        }
        let engine = config.start()?;
        Ok(Self {
            door: Some(Door::open(settings.bind, engine.socket())?),
            engine: Some(engine),
            directory: Some(directory),
            client: client(address),
            id: identity.id,
            policy: settings.policy,
        })
    }

    /// Blocks until all of it has ended.
    fn end(&mut self) -> Result<(), Error> {
        let Some(engine) = self.engine.take() else {
            return Ok(());
        };
        if self.policy == StopPolicy::LeaveToExit {
            std::mem::forget((self.door.take(), engine, self.directory.take()));
            return Ok(());
        }
        if self.door.take().is_some_and(Door::close) {
            std::thread::sleep(DRAIN);
        }
        engine
            .stop()
            .map_err(|_| Error::Node("the engine did not stop cleanly"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
