//! Talking to the nodes of a cluster: their admin port, and the dqlite protocol at the leader.

use std::time::Duration;

use dqlite_client::{
    Connection, Error, Options,
    proxy::{Caller, ProxyHeader},
};
use dqlite_wire::Role;
use node_api::{ADMIN_PORT, FRONT_PORT, INSTANCE_HEADER, POD_HEADER, Status, TOKEN_HEADER};

/// A node that is alive answers within this.
const ANSWER: Duration = Duration::from_secs(2);
/// Founding starts and stops an engine on the node's disk.
const ORDER: Duration = Duration::from_secs(20);

/// One pod of a cluster, as it was seen: by address and uid.
#[derive(Clone, Debug)]
pub struct Target {
    pub ip: String,
    pub pod_uid: String,
}

/// Why a node did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the node does not answer: {0}")]
    Silent(#[from] reqwest::Error),
    #[error("the node refused ({status}): {reason}")]
    Refused { status: u16, reason: String },
    #[error("the node answered something else: {0}")]
    Garbled(#[from] serde_json::Error),
}

/// Speaks to the nodes of one cluster.
#[derive(Clone)]
pub struct Nodes {
    http: reqwest::Client,
    token: String,
}

impl Nodes {
    pub fn new(http: reqwest::Client, token: String) -> Self {
        Self { http, token }
    }

    /// What the node is, now; with `after`, once that has changed, or after 25 s.
    pub async fn status(&self, at: &Target, after: Option<u64>) -> Result<Status, NodeError> {
        let (query, limit) = match after {
            Some(revision) => (format!("?after={revision}"), Duration::from_secs(30)),
            None => (String::new(), ANSWER),
        };
        let request = self
            .http
            .get(url(at, &format!("status{query}")))
            .timeout(limit);
        Ok(serde_json::from_slice(&self.send(at, request).await?)?)
    }

    /// Tells the node to `found`, `join` or `open`: the very start of its process that was seen.
    pub async fn order(&self, at: &Target, instance: &str, order: &str) -> Result<(), NodeError> {
        let request = self.http.post(url(at, order)).timeout(ORDER);
        let request = request.header(INSTANCE_HEADER, instance);
        self.send(at, request).await.map(|_| ())
    }

    async fn send(
        &self,
        at: &Target,
        request: reqwest::RequestBuilder,
    ) -> Result<Vec<u8>, NodeError> {
        let answer = request
            .header(TOKEN_HEADER, format!("Bearer {}", self.token))
            .header(POD_HEADER, &at.pod_uid)
            .send()
            .await?;
        let status = answer.status();
        let body = answer.bytes().await?.to_vec();
        if !status.is_success() {
            let reason = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(NodeError::Refused {
                status: status.as_u16(),
                reason,
            });
        }
        Ok(body)
    }
}

fn url(at: &Target, path: &str) -> String {
    format!("http://{}:{ADMIN_PORT}/v1/{path}", bracketed(&at.ip))
}

fn bracketed(ip: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    }
}

/// A connection to the member that leads, which has said so itself on this connection.
pub struct Leader {
    connection: Connection,
}

/// A change of the cluster's membership.
#[derive(Clone, Debug)]
pub enum Change {
    Add { id: u64, address: String },
    Assign { id: u64, role: Role },
    Remove { id: u64 },
}

impl Leader {
    /// Connects to the member `id` of `cluster`; an error unless it leads.
    pub async fn dial(ip: &str, cluster: &str, id: u64) -> Result<Self, Error> {
        let proxy = ProxyHeader {
            cluster: cluster.into(),
            target: id,
            caller: Caller::Operator,
        };
        let options = Options {
            proxy: Some(proxy),
            ..Options::default()
        };
        let address = format!("{}:{FRONT_PORT}", bracketed(ip));
        let connection = Connection::dial(&address, &options).await?;
        match connection.leader().await? {
            Some(leader) if leader.id == id => Ok(Self { connection }),
            _ => Err(Error::NoLeader {
                tried: vec![format!("{address} does not lead")],
            }),
        }
    }

    /// Makes a change, or finds that it was made before (rule S5): answered with success, or answered
    /// "already so" while the configuration on this very connection agrees. Whether it was made now.
    pub async fn change(&self, change: &Change) -> Result<bool, Error> {
        let answered = match change {
            Change::Add { id, address } => self.connection.add(*id, address).await,
            Change::Assign { id, role } => self.connection.assign(*id, *role).await,
            Change::Remove { id } => self.connection.remove(*id).await,
        };
        let Err(error) = answered else {
            return Ok(true);
        };
        let Error::Server { message, .. } = &error else {
            return Err(error);
        };
        let already = match change {
            Change::Add { .. } => "server ID already in use",
            Change::Assign { .. } => "server role is not valid",
            Change::Remove { .. } => "server ID is not valid",
        };
        if message.contains(already) && self.is_so(change).await? {
            return Ok(false);
        }
        Err(error)
    }

    async fn is_so(&self, change: &Change) -> Result<bool, Error> {
        let members = self.connection.cluster().await?;
        let of = |id: &u64| members.iter().find(|m| m.id == *id);
        Ok(match change {
            Change::Add { id, address } => of(id).is_some_and(|m| m.address == *address),
            Change::Assign { id, role } => of(id).is_some_and(|m| m.role == Some(*role)),
            Change::Remove { id } => of(id).is_none(),
        })
    }

    /// Hands leadership to the voter `id`.
    pub async fn transfer(&self, id: u64) -> Result<(), Error> {
        self.connection.transfer(id).await
    }
}
