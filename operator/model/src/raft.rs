//! Raft, as far as memberships and the loss of rows go: an entry is appended, then held by others, then committed
//! by a majority of the configuration that the leader has last, and rolled back if another leader lacks it.

use std::collections::BTreeMap;

use operator_plan::{RaftId, Role};

/// Roles by id.
pub type Config = BTreeMap<RaftId, Role>;

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A configuration, in force from the moment that it is appended.
    Config(Config),
    /// The first entry of a leader.
    Start,
    /// A client's.
    Row,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub term: u8,
    pub what: What,
}

/// What a disk holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    pub term: u8,
    pub entries: Vec<Entry>,
    pub commit: usize,
}

impl Log {
    /// That of the one member of a new cluster.
    pub fn founded(id: RaftId) -> Self {
        let what = What::Config([(id, Role::Voter)].into());
        Self {
            term: 1,
            entries: vec![Entry { term: 1, what }],
            commit: 1,
        }
    }

    /// The configuration in force, committed or not.
    pub fn config(&self) -> Config {
        self.config_at(self.entries.len())
    }

    /// The configuration among the first `n` entries.
    pub fn config_at(&self, n: usize) -> Config {
        let configs = self.entries[..n].iter().rev();
        let config = |e: &Entry| match &e.what {
            What::Config(config) => Some(config.clone()),
            What::Start | What::Row => None,
        };
        configs.filter_map(config).next().unwrap_or_default()
    }

    /// Configurations that are not committed.
    pub fn changes_under_way(&self) -> usize {
        let config = |e: &&Entry| matches!(e.what, What::Config(_));
        self.entries[self.commit..].iter().filter(config).count()
    }

    /// A membership change is under way.
    pub fn changes(&self) -> bool {
        self.config() != self.config_at(self.commit)
    }

    /// An entry of the log's own term is committed.
    pub fn has_begun(&self) -> bool {
        let committed = self.entries[..self.commit].last();
        committed.is_some_and(|e| e.term == self.term) || voters(&self.config()).len() == 1
    }

    pub fn rows(&self) -> usize {
        self.rows_at(self.entries.len())
    }

    /// Rows among the first `n` entries.
    pub fn rows_at(&self, n: usize) -> usize {
        let row = |e: &&Entry| e.what == What::Row;
        self.entries[..n].iter().filter(row).count()
    }

    /// Whether its holder may get the vote of `other`'s.
    pub fn is_as_new_as(&self, other: &Self) -> bool {
        let last = |log: &Self| (log.entries.last().map_or(0, |e| e.term), log.entries.len());
        last(self) >= last(other)
    }

    /// Whether both hold the same first `n` entries; by Raft it is enough that the last of them is the same.
    pub fn holds(&self, other: &Self, n: usize) -> bool {
        self.entries.get(n - 1).map(|e| e.term) == Some(other.entries[n - 1].term)
    }

    /// How many entries it has in common with `other`.
    pub fn agrees_with(&self, other: &Self) -> usize {
        let pairs = self.entries.iter().zip(&other.entries);
        pairs.take_while(|(a, b)| a.term == b.term).count()
    }

    pub fn append(&mut self, what: What) {
        let term = self.term;
        self.entries.push(Entry { term, what });
    }

    /// Takes the first `n` entries together in one that holds their configuration.
    pub fn trim(&mut self, n: usize) {
        let what = What::Config(self.config_at(n));
        let term = self.entries[n - 1].term;
        self.entries.splice(..n, [Entry { term, what }]);
        self.commit -= n - 1;
    }
}

pub fn voters(config: &Config) -> Vec<RaftId> {
    let voters = config.iter().filter(|(_, role)| **role == Role::Voter);
    voters.map(|(id, _)| *id).collect()
}
