//! Several addresses: finds the leader among them.

use std::{sync::Mutex, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use crate::{Connection, Error, Options, Server, Session};

/// Knows some addresses of a cluster and finds its leader.
#[derive(Debug)]
pub struct Client {
    addresses: Vec<String>,
    options: Options,
    deadline: Duration,
    last_leader: Mutex<Option<String>>,
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
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            options,
            deadline: Duration::from_secs(5),
            last_leader: Mutex::new(None),
        }
    }

    /// Opens a database at the leader.
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
        match timeout(self.deadline, self.find()).await {
            Ok(found) => found,
            Err(_) => Err(Error::NoLeader {
                tried: vec![format!("nothing within {:?}", self.deadline)],
            }),
        }
    }

    async fn find(&self) -> Result<(Server, Connection), Error> {
        if let Some(address) = self.remembered()
            && let Ok(found) = leads(address, self.options.clone()).await
        {
            return Ok(found);
        }
        let mut asked = JoinSet::new();
        for address in self.addresses.clone() {
            asked.spawn(ask(address, self.options.clone()));
        }
        let mut tried = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(found)) => {
                    self.remember(&found.0.address);
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

    fn remember(&self, address: &str) {
        if let Ok(mut last) = self.last_leader.lock() {
            *last = Some(address.to_owned());
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
