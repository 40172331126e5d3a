//! How far Raft has come, as the headers of the members' messages tell it: libdqlite itself does not.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use dqlite_wire::raft::{Body, Message};

/// Written by the connections of other members, read by whoever wants to know.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    term: u64,
    commit: u64,
    last: u64,
    peers: BTreeMap<u64, Peer>,
}

#[derive(Debug)]
struct Peer {
    last: u64,
    heard: Instant,
}

impl Progress {
    /// Takes over what a message of the member `from` tells.
    pub fn heard(&self, from: u64, message: &Message) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who asks whether it would be elected names a term that may never be.
        if message.term > known.term && message.body != Body::Election {
            known.term = message.term;
            // Entries that an old leader sent may be replaced.
            known.last = known.commit;
            // What was answered to another leadership says nothing of this one.
            for peer in known.peers.values_mut() {
                (peer.last, peer.heard) = (0, Instant::now());
            }
        }
        let peer = known.peers.entry(from).or_insert(Peer {
            last: 0,
            heard: Instant::now(),
        });
        peer.heard = Instant::now();
        match message.body {
            Body::Append { commit, last } => {
                known.commit = known.commit.max(commit);
                known.last = known.last.max(last);
            }
            // What was rejected is a tail of its own, not of the leader's log.
            Body::Appended { last, rejected } => peer.last = if rejected { 0 } else { last },
            Body::Snapshot { last } => {
                known.commit = known.commit.max(last);
                known.last = known.last.max(last);
            }
            Body::Election => {}
        }
    }

    /// For the admin port. `voters` are those of a cluster that this member leads, without itself.
    pub fn report(&self, voters: &[u64]) -> node_api::Raft {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = |(id, peer): (&u64, &Peer)| node_api::Peer {
            id: *id,
            last: peer.last,
            silent_ms: peer.heard.elapsed().as_millis() as u64,
        };
        // A leader is told of no commit index: it is what a majority has, itself included.
        let mut have: Vec<u64> = voters
            .iter()
            .map(|id| known.peers.get(id).map_or(0, |peer| peer.last))
            .collect();
        have.sort_unstable_by(|a, b| b.cmp(a));
        let others_needed = voters.len().div_ceil(2);
        let led = others_needed.checked_sub(1).and_then(|i| have.get(i));
        node_api::Raft {
            term: known.term,
            commit: known.commit.max(led.copied().unwrap_or(0)),
            last: known.last,
            peers: known.peers.iter().map(peer).collect(),
        }
    }

    /// The last entry of another member's log, as it told this one; 0 for one that told nothing.
    pub fn last_of(&self, id: u64) -> u64 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.peers.get(&id).map_or(0, |peer| peer.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_that_is_only_asked_for_changes_nothing() {
        let progress = Progress::default();
        let hear = |term, body| {
            let payload = 0;
            progress.heard(
                2,
                &Message {
                    term,
                    body,
                    payload,
                },
            );
        };
        let (last, rejected) = (9, false);
        hear(5, Body::Appended { last, rejected });
        hear(6, Body::Election);
        assert_eq!((progress.report(&[]).term, progress.last_of(2)), (5, 9));
        hear(6, Body::Append { commit: 7, last: 9 });
        let told = progress.report(&[]);
        assert_eq!((told.term, told.commit, told.last), (6, 7, 9));
        assert_eq!(progress.last_of(2), 0, "told to another leadership");
    }
}
