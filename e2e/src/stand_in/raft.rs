//! A cluster as its members would agree on it: a change is committed at once while a majority of the
//! voters is up, and answered as libdqlite answers it.

use std::collections::{BTreeMap, BTreeSet};

use dqlite_wire::{Failure, Request, Response, Role};
use node_api::{Member, Phase, Raft, View};

/// The cluster, and what is on its members' disks.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub revision: u64,
    servers: Vec<Member>,
    leader: Option<u64>,
    up: BTreeSet<u64>,
    /// By PVC uid.
    disks: BTreeMap<String, Phase>,
    /// Changes that cost the quorum, and orders to found once more.
    pub harms: Vec<String>,
}

fn failure(code: u64, message: &str) -> Response {
    let message = message.to_owned();
    Response::Failure(Failure { code, message })
}

impl Cluster {
    /// A process starts on a disk.
    pub fn starts(&mut self, id: u64, disk: &str) {
        self.disks.entry(disk.into()).or_insert(Phase::Empty);
        self.up.insert(id);
        self.changed();
    }

    pub fn ends(&mut self, id: u64) {
        self.up.remove(&id);
        self.changed();
    }

    pub fn phase(&self, disk: &str) -> Phase {
        self.disks.get(disk).cloned().unwrap_or(Phase::Empty)
    }

    /// An order of the admin port; why not, if it is refused.
    pub fn order(&mut self, order: &str, id: u64, address: &str, disk: &str) -> Result<(), String> {
        let next = match (order, self.phase(disk)) {
            ("found", Phase::Empty) if self.servers.is_empty() => {
                let (role, address) = (node_api::Role::Voter, address.to_owned());
                self.servers.push(Member { id, address, role });
                Phase::Founding
            }
            ("found", Phase::Founding) => Phase::Founding,
            // A node knows nothing of others' disks: it would found.
            ("found", Phase::Empty) => {
                self.harms
                    .push(format!("{address} was told to found a second cluster"));
                return Err("there is a cluster".to_owned());
            }
            ("open", Phase::Founding | Phase::Open) => Phase::Open,
            ("join", Phase::Empty | Phase::Joining) => Phase::Joining,
            (order, phase) => return Err(format!("{order} while {phase:?}")),
        };
        self.disks.insert(disk.into(), next);
        self.changed();
        Ok(())
    }

    /// What the engine of a member says.
    pub fn view(&self, id: u64) -> View {
        let role = self.role(id);
        let (leader, members) = match role {
            Some(node_api::Role::Voter) => (self.leader, self.servers.clone()),
            Some(node_api::Role::Standby) => (None, self.servers.clone()),
            Some(node_api::Role::Spare) | None => (None, Vec::new()),
        };
        View { leader, members }
    }

    /// Nobody lags here, and nothing is written.
    pub fn raft(&self, id: u64) -> Raft {
        let others = self.servers.iter().filter(|s| s.id != id);
        let peer = |s: &Member| node_api::Peer {
            id: s.id,
            last: 1,
            silent_ms: 0,
        };
        Raft {
            term: 1,
            commit: 1,
            last: 1,
            peers: others.map(peer).collect(),
        }
    }

    /// Whether the member of this name is in the configuration.
    pub fn has(&self, member: &str) -> bool {
        let pod = format!("{member}-0.");
        self.servers.iter().any(|s| s.address.starts_with(&pod))
    }

    pub fn is_founded(&self) -> bool {
        !self.servers.is_empty()
    }

    pub fn is_ready(&self, id: u64, disk: &str) -> bool {
        let serves = matches!(self.phase(disk), Phase::Open | Phase::Seeded);
        serves && self.up.contains(&id) && (self.role(id).is_none() || self.leader.is_some())
    }

    /// A request at the member `id`.
    pub fn answer(&mut self, id: u64, request: &Request) -> Response {
        let leads = self.leader == Some(id);
        match request {
            Request::Leader => {
                let known = self.view(id).leader;
                let leader = self.servers.iter().find(|s| Some(s.id) == known);
                let address = leader.map(|s| s.address.clone()).unwrap_or_default();
                let id = leader.map_or(0, |s| s.id);
                Response::Leader { id, address }
            }
            Request::Cluster { .. } => {
                let members = self.view(id).members.into_iter();
                let member = |m: Member| dqlite_wire::Member {
                    id: m.id,
                    address: m.address,
                    role: Some(wire(m.role)),
                };
                Response::Servers(members.map(member).collect())
            }
            _ if !leads => failure(10250, "not leader"),
            Request::Add { id, address } => self.add(*id, address),
            Request::Assign { id, role } => {
                let answer = self.assign(*id, *role);
                self.judge(request, answer)
            }
            Request::Remove { id } => {
                let answer = self.remove(*id);
                self.judge(request, answer)
            }
            Request::Transfer { id } if self.votes(*id) && self.up.contains(id) => {
                self.leader = Some(*id);
                self.changed();
                Response::Empty
            }
            _ => failure(1, "not played"),
        }
    }

    /// After a change that may take a vote away.
    fn judge(&mut self, request: &Request, answer: Response) -> Response {
        if self.leader.is_none() {
            self.harms.push(format!("{request:?} cost the quorum"));
        }
        answer
    }

    fn add(&mut self, id: u64, address: &str) -> Response {
        if self.role(id).is_some() {
            return failure(1, "server ID already in use");
        }
        if self.servers.iter().any(|s| s.address == address) {
            return failure(1, "server address already in use");
        }
        let (role, address) = (node_api::Role::Spare, address.to_owned());
        self.servers.push(Member { id, address, role });
        self.changed();
        Response::Empty
    }

    fn assign(&mut self, id: u64, role: Role) -> Response {
        let Some(server) = self.servers.iter_mut().find(|s| s.id == id) else {
            return failure(1, "Resource not found");
        };
        if wire(server.role) == role {
            return failure(1, "server role is not valid");
        }
        server.role = match role {
            Role::Voter => node_api::Role::Voter,
            Role::Standby => node_api::Role::Standby,
            Role::Spare => node_api::Role::Spare,
        };
        self.changed();
        Response::Empty
    }

    fn remove(&mut self, id: u64) -> Response {
        if self.role(id).is_none() {
            return failure(1, "server ID is not valid");
        }
        self.servers.retain(|s| s.id != id);
        self.changed();
        Response::Empty
    }

    /// A member that gets the log has it at once, and whoever must lead does.
    pub fn seeded(&mut self, id: u64, disk: &str) {
        let replicates = !matches!(self.role(id), None | Some(node_api::Role::Spare));
        if replicates && self.phase(disk) == Phase::Joining {
            self.disks.insert(disk.into(), Phase::Seeded);
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.revision += 1;
        let mut up = self.up.iter().copied().filter(|id| self.votes(*id));
        let voters = self.servers.iter().filter(|s| self.votes(s.id)).count();
        let quorum = up.clone().count() * 2 > voters;
        let stays = self.leader.filter(|id| up.clone().any(|u| u == *id));
        self.leader = if quorum { stays.or(up.next()) } else { None };
    }

    fn votes(&self, id: u64) -> bool {
        self.role(id) == Some(node_api::Role::Voter)
    }

    fn role(&self, id: u64) -> Option<node_api::Role> {
        self.servers.iter().find(|s| s.id == id).map(|s| s.role)
    }
}

fn wire(role: node_api::Role) -> Role {
    match role {
        node_api::Role::Voter => Role::Voter,
        node_api::Role::Standby => Role::Standby,
        node_api::Role::Spare => Role::Spare,
    }
}
