//! Talking to the nodes of a cluster: their admin port, and the dqlite protocol at the leader.

use std::{net::IpAddr, time::Duration};

use dqlite_client::{
    Connection, Error, Options, Outcome, code,
    proxy::{Caller, Found, ProxyHeader},
};
use dqlite_wire::Role;
use futures::future::join_all;
use node_api::{ADMIN_PORT, FRONT_PORT, INSTANCE_HEADER, POD_HEADER, Status, TOKEN_HEADER};

use crate::faults;

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

    /// Tells the node to `found`, `join`, `open` or `restart`: the very start of its process that was seen.
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
        faults::answered();
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

/// Whether a failed change may be made yet, or the cluster is busy with one.
pub fn leaves_doubt(error: &Error) -> bool {
    let busy = matches!(error, Error::Server { code, message }
        if code & 0xff == code::BUSY && message.contains("in progress"));
    busy || error.outcome() == Outcome::Unknown
}

/// Whether a client that connects to this address finds a leader.
pub async fn leads_through(address: &str) -> bool {
    let options = Options {
        request_timeout: Duration::from_secs(1),
        ..Options::default()
    };
    let asked = async { Connection::dial(address, &options).await?.leader().await };
    matches!(asked.await, Ok(Some(_)))
}

/// Tells each of these members, by raft id and address, where the others are. After many pods started at once
/// no name server may lead one to another for half a minute, and nobody else is there to tell them.
pub async fn introduce(cluster: &str, members: &[(u64, IpAddr)]) {
    let told = members.iter().map(async |(id, ip)| {
        for (other, at) in members.iter().filter(|(other, _)| other != id) {
            let found = Found {
                id: *other,
                at: Some(*at),
            };
            if let Ok(node) = dial(&ip.to_string(), cluster, *id, Some(found)).await {
                // They look for themselves; that it was heard is enough.
                let _ = node.leader().await;
            }
        }
    });
    join_all(told).await;
}

async fn dial(ip: &str, cluster: &str, id: u64, found: Option<Found>) -> Result<Connection, Error> {
    let proxy = ProxyHeader {
        cluster: cluster.into(),
        target: id,
        caller: Caller::Operator,
        found,
    };
    let options = Options {
        request_timeout: if found.is_some() {
            ANSWER
        } else {
            Options::default().request_timeout
        },
        proxy: Some(proxy),
        ..Options::default()
    };
    Connection::dial(&format!("{}:{FRONT_PORT}", bracketed(ip)), &options).await
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
        let connection = dial(ip, cluster, id, None).await?;
        let leader = connection.leader().await?;
        faults::answered();
        match leader {
            Some(leader) if leader.id == id => Ok(Self { connection }),
            _ => Err(Error::NoLeader {
                tried: vec![format!("{ip} does not lead")],
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
        faults::answered();
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
        let transferred = self.connection.transfer(id).await;
        faults::answered();
        transferred
    }
}

#[cfg(test)]
mod tests {
    use dqlite_wire::{Failure, Header, Member, Request, Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A leader that refuses every change with this message, and lists one voter with id 7.
    async fn serve(mut stream: DuplexStream, refusal: &'static str) -> Option<()> {
        stream.read_u64_le().await.ok()?;
        loop {
            let mut head = [0; Header::LEN];
            stream.read_exact(&mut head).await.ok()?;
            let header = Header::decode(head);
            let mut body = vec![0; header.body_len(1024).ok()?];
            stream.read_exact(&mut body).await.ok()?;
            let answer = match Request::decode(&header, &body).ok()? {
                Request::Cluster { .. } => Response::Servers(vec![Member {
                    id: 7,
                    address: "a:1".into(),
                    role: Some(Role::Voter),
                }]),
                _ => Response::Failure(Failure {
                    code: 1,
                    message: refusal.into(),
                }),
            };
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            stream.write_all(&bytes).await.ok()?;
        }
    }

    async fn change(refusal: &'static str, change: Change) -> Result<bool, Error> {
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(serve(theirs, refusal));
        let connection = Connection::over(ours, &Options::default());
        Leader { connection }.change(&change).await
    }

    fn add(address: &str) -> Change {
        let address = address.into();
        Change::Add { id: 7, address }
    }

    /// Rule S5: "already so" counts only when the configuration agrees; the rest are failures.
    #[tokio::test]
    async fn already_so_counts_only_when_the_configuration_agrees() {
        let assign = |role| Change::Assign { id: 7, role };
        let (in_use, no_role) = ("server ID already in use", "server role is not valid");
        let no_id = "server ID is not valid";
        for (refusal, wanted) in [
            (in_use, add("a:1")),
            (no_role, assign(Role::Voter)),
            (no_id, Change::Remove { id: 8 }),
        ] {
            assert!(matches!(change(refusal, wanted).await, Ok(false)));
        }
        for (refusal, wanted) in [
            (in_use, add("b:1")),
            (no_role, assign(Role::Standby)),
            (no_id, Change::Remove { id: 7 }),
            ("server address already in use", add("a:1")),
            ("Resource not found", assign(Role::Voter)),
        ] {
            let failed = change(refusal, wanted).await.unwrap_err();
            assert!(!leaves_doubt(&failed), "{failed}");
        }
    }

    #[test]
    fn what_was_not_answered_or_is_under_way_is_in_doubt() {
        let server = |code, message: &str| Error::Server {
            code,
            message: message.into(),
        };
        assert!(leaves_doubt(&server(
            5,
            "a configuration change is already in progress"
        )));
        assert!(leaves_doubt(&server(
            code::LEADERSHIP_LOST,
            "leadership lost"
        )));
        assert!(leaves_doubt(&server(10, "I/O error")));
        assert!(leaves_doubt(&Error::Timeout(ANSWER)));
        assert!(!leaves_doubt(&server(code::NOT_LEADER, "not leader")));
        assert!(!leaves_doubt(&server(5, "database is locked")));
        assert!(!leaves_doubt(&server(
            19,
            "refused: no voter would be left"
        )));
    }
}
