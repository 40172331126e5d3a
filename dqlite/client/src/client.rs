//! Several addresses: finds the leader among them.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use dqlite_wire::{File, Member, Role};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{Connection, Database, Error, Options, Server, Session, store::Store};

/// The leader found last has this long to say that it still leads.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Knows some addresses of a cluster and finds its leader. Clones remember the same one.
#[derive(Clone, Debug)]
pub struct Client {
    store: Store,
    options: Options,
    deadline: Duration,
    last_leader: Arc<Mutex<Option<String>>>,
    closed: CancellationToken,
}

impl Client {
    /// A client of the cluster to which these addresses (`host:port`) belong; one live one is enough.
    pub fn new<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Self {
        Self::with_options(addresses, Options::default())
    }

    /// As [`Client::new`], with other time-outs and limits.
    pub fn with_options<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
        options: Options,
    ) -> Self {
        Self::of(
            Store::List(addresses.into_iter().map(Into::into).collect()),
            options,
        )
    }

    /// A client whose addresses are in a node store as go-dqlite writes it, in YAML; it is read now.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn from_store(file: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::of(Store::read(file.as_ref())?, Options::default()))
    }

    /// A client that asks this function for addresses whenever it looks for the leader.
    pub fn with_resolver<F, R>(resolve: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<Vec<String>>> + Send + 'static,
    {
        Self::of(Store::resolver(resolve), Options::default())
    }

    fn of(store: Store, options: Options) -> Self {
        Self {
            store,
            options,
            deadline: Duration::from_secs(5),
            last_leader: Arc::default(),
            closed: CancellationToken::new(),
        }
    }

    /// Closes the client and its clones: later calls, also those on its databases, are answered with
    /// [`Error::ClientClosed`]. What is under way goes on. Twice is fine.
    pub fn close(&self) {
        self.closed.cancel();
    }

    pub(crate) fn ensure_open(&self) -> Result<(), Error> {
        match self.closed.is_cancelled() {
            true => Err(Error::ClientClosed),
            false => Ok(()),
        }
    }

    /// A database of the cluster, on connections that are kept and follow the leader. Nothing is sent yet.
    #[must_use]
    pub fn database(&self, name: &str) -> Database {
        Database::new(self.clone(), name.to_owned())
    }

    /// Opens a database at the leader, on a connection of its own.
    ///
    /// # Errors
    /// [`Error::NoLeader`] within 5 s when no address leads to one, else what the leader said.
    pub async fn open(&self, database: &str) -> Result<Session, Error> {
        let connection = self.leader().await?.1;
        connection.open(database).await?;
        Ok(Session::new(connection))
    }

    /// The leader, and a connection to it. The one found last is asked first, then all at once.
    ///
    /// # Errors
    /// [`Error::NoLeader`] with what each address said.
    pub async fn leader(&self) -> Result<(Server, Connection), Error> {
        self.ensure_open()?;
        match timeout(self.deadline, self.find()).await {
            Ok(found) => found,
            Err(_) => Err(Error::NoLeader {
                tried: vec![format!("nothing within {:?}", self.deadline)],
            }),
        }
    }

    /// The members of the cluster, as the leader has them.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn cluster(&self) -> Result<Vec<Member>, Error> {
        self.leader().await?.1.cluster().await
    }

    /// Adds a server, as spare: it gets no log until it is assigned another role.
    ///
    /// # Errors
    /// [`Error::Cluster`]; so for the other changes.
    pub async fn add(&self, id: u64, address: &str) -> Result<(), Error> {
        self.change(async |leader| leader.add(id, address).await)
            .await
    }

    /// Changes a server's role; see [`Connection::assign`].
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn assign(&self, id: u64, role: Role) -> Result<(), Error> {
        self.change(async |leader| leader.assign(id, role).await)
            .await
    }

    /// Removes a server. The server itself is not told.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn remove(&self, id: u64) -> Result<(), Error> {
        self.change(async |leader| leader.remove(id).await).await
    }

    /// Hands leadership to this voter.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn transfer(&self, id: u64) -> Result<(), Error> {
        self.change(async |leader| leader.transfer(id).await).await
    }

    /// A database's files as the leader has them.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn dump(&self, name: &str) -> Result<Vec<File>, Error> {
        self.leader().await?.1.dump(name).await
    }

    async fn change(
        &self,
        change: impl AsyncFn(&Connection) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let changed = async { change(&self.leader().await?.1).await };
        changed.await.map_err(|e| match e {
            e @ (Error::NoLeader { .. } | Error::ClientClosed) => e,
            e => Error::Cluster(Box::new(e)),
        })
    }

    async fn find(&self) -> Result<(Server, Connection), Error> {
        if let Some(address) = self.remembered() {
            // One that hangs must not keep the others from being asked.
            let asked = timeout(REMEMBERED, leads(address, self.options.clone()));
            if let Ok(Ok(found)) = asked.await {
                return Ok(found);
            }
            self.remember(None);
        }
        let addresses = self.store.addresses().await.map_err(|e| Error::NoLeader {
            tried: vec![format!("no addresses: {e}")],
        })?;
        let mut asked = JoinSet::new();
        for address in addresses {
            asked.spawn(ask(address, self.options.clone()));
        }
        let mut tried = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(found)) => {
                    self.remember(Some(&found.0.address));
                    return Ok(found);
                }
                Ok(Err(reason)) => tried.push(reason),
                Err(panic) => tried.push(panic.to_string()),
            }
        }
        Err(Error::NoLeader { tried })
    }

    fn remembered(&self) -> Option<String> {
        self.last_leader.lock().ok()?.clone()
    }

    fn remember(&self, address: Option<&str>) {
        if let Ok(mut last) = self.last_leader.lock() {
            *last = address.map(str::to_owned);
        }
    }
}

/// Asks one address who leads and goes there.
async fn ask(address: String, options: Options) -> Result<(Server, Connection), String> {
    let said = |e: Error| format!("{address}: {e}");
    let connection = Connection::dial(&address, &options).await.map_err(said)?;
    let leader = connection.leader().await.map_err(said)?;
    let leader = leader.ok_or_else(|| format!("{address}: knows no leader"))?;
    if leader.address == address {
        return Ok((leader, connection));
    }
    leads(leader.address, options).await
}

/// Connects to a server that is said to lead, and takes it only if it says so itself.
async fn leads(address: String, options: Options) -> Result<(Server, Connection), String> {
    let said = |e: Error| format!("{address}: {e}");
    let connection = Connection::dial(&address, &options).await.map_err(said)?;
    match connection.leader().await.map_err(said)? {
        Some(leader) if leader.address == address => Ok((leader, connection)),
        _ => Err(format!("{address}: does not lead")),
    }
}
