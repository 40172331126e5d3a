//! Who votes, who is up, who could vote: questions that several decisions ask.

use crate::{
    Facts, NodePhase, NodeStatus, Number, RaftId, Record, Role,
    zones::{self, Spread},
};

/// Entries that a follower may lack and still count as caught up: answers are some milliseconds apart,
/// and writes go on between them.
const SLACK: u64 = 256;

/// The cluster as its leader has it.
pub(crate) struct Votes<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) record: &'a Record,
    pub(crate) leader: Number,
    pub(crate) config: &'a NodeStatus,
}

impl<'a> Votes<'a> {
    pub(crate) fn of(facts: &'a Facts, record: &'a Record) -> Option<Self> {
        let (leader, config) = facts.leader()?;
        Some(Self {
            facts,
            record,
            leader,
            config,
        })
    }

    pub(crate) fn id(&self, n: Number) -> RaftId {
        self.record.members.get(&n).map_or(0, |e| e.id)
    }

    pub(crate) fn role(&self, n: Number) -> Option<Role> {
        self.config.role_of(self.id(n))
    }

    /// One whose removal was answered is none any more, though the leader's last word still lists it.
    pub(crate) fn voters(&self) -> impl Iterator<Item = Number> {
        let members = self.record.members.iter().filter(|(_, e)| !e.removed);
        members
            .map(|(n, _)| *n)
            .filter(|n| self.role(*n) == Some(Role::Voter))
    }

    pub(crate) fn is_kept(&self, n: Number) -> bool {
        self.record.members.get(&n).is_some_and(|e| !e.retired)
    }

    /// It answers, votes by its own account, and follows this leader.
    pub(crate) fn is_up(&self, n: Number) -> bool {
        let leader = self.id(self.leader);
        self.facts.node(n).is_some_and(|node| {
            node.leader == Some(leader) && node.role_of(self.id(n)) == Some(Role::Voter)
        })
    }

    /// It has the log, by its own account, and has no vote.
    pub(crate) fn is_seeded_standby(&self, n: Number) -> bool {
        let standby = self.role(n) == Some(Role::Standby) && !self.is_silent(n);
        standby && self.facts.node(n).is_some_and(serves)
    }

    /// The leader gets no word from it, though it should replicate.
    pub(crate) fn is_silent(&self, n: Number) -> bool {
        self.role(n) != Some(Role::Spare) && self.config.silent.contains(&self.id(n))
    }

    /// The members that are to vote: those who do, lowest numbers first, then those who could; unless
    /// others are spread better over zones.
    pub(crate) fn wanted(&self) -> Vec<Number> {
        let mut able: Vec<_> = self
            .record
            .kept()
            .map(|(n, _)| n)
            .filter(|n| self.role(*n) == Some(Role::Voter) || self.is_seeded_standby(*n))
            .collect();
        able.sort_by_key(|n| (self.role(*n) != Some(Role::Voter), *n));
        let count = self.facts.spec.voters as usize;
        // Who leads leads on, if that is as good.
        let mut leader_first = able.clone();
        leader_first.sort_by_key(|n| *n != self.leader);
        if let Some(better) = zones::better(self.facts, &leader_first, count) {
            return better;
        }
        able.truncate(count);
        able
    }

    /// By the entries that the leader knows it to have; a leader has its own.
    pub(crate) fn is_caught_up(&self, n: Number) -> bool {
        let committed = self
            .record
            .members
            .keys()
            .filter_map(|m| self.facts.node(*m));
        let committed = committed.map(|node| node.commit).max().unwrap_or(0);
        let last = self.config.followers.get(&self.id(n));
        n == self.leader || last.is_some_and(|last| last + SLACK >= committed)
    }

    /// Rule S8: every voter but this one is up and has caught up.
    pub(crate) fn others_are_well(&self, n: Number) -> bool {
        let mut others = self.voters().filter(|m| *m != n);
        others.all(|m| self.is_up(m) && self.is_caught_up(m))
    }

    /// A member that stays and does not do its part.
    pub(crate) fn unwell(&self) -> impl Iterator<Item = Number> {
        let kept = self.record.kept().map(|(n, _)| n);
        kept.filter(|n| match self.role(*n) {
            Some(Role::Voter) => !self.is_up(*n) || !self.is_caught_up(*n),
            _ => self.is_silent(*n) || !self.facts.node(*n).is_some_and(serves),
        })
    }

    /// Who could lead in the leader's place, best first: one that is up, has the log, and stays where it is.
    pub(crate) fn successor(&self) -> Option<Number> {
        let able = self.voters().filter(|n| *n != self.leader);
        let mut able: Vec<_> = able
            .filter(|n| self.is_up(*n) && self.is_caught_up(*n))
            .collect();
        let cordoned = |n: &Number| self.facts.seen.get(n).is_some_and(|seen| seen.cordoned);
        able.sort_by_key(|n| (!self.is_kept(*n), cordoned(n), *n));
        able.first().copied()
    }
}

/// How the voters are spread over zones, by the leader's configuration.
#[must_use]
pub fn voters_spread(facts: &Facts) -> Spread {
    let votes = facts.record.as_ref().and_then(|r| Votes::of(facts, r));
    votes.map_or(Spread::Unknown, |votes| {
        zones::spread(facts, &votes.voters().collect::<Vec<_>>())
    })
}

/// Its engine takes part, by its own account.
pub(crate) fn serves(node: &NodeStatus) -> bool {
    matches!(node.phase, NodePhase::Seeded | NodePhase::Open)
}
