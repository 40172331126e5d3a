//! Where the other members are now, by their own word. The pod of a member that starts anew has another
//! address, and a name server may tell the old one for half a minute more: by then a new leader that
//! cannot reach this member may lack the majority. So a member that starts greets the others; they call
//! back to see that it is there, and make those known to each other who started lately.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::member::Member;

/// As long as that, a member's word is better than a name server's.
const FRESH: Duration = Duration::from_secs(60);
/// Seconds between two greetings: whoever cannot be reached, or cannot call back yet, may in a while.
const AGAIN: [u64; 6] = [1, 1, 2, 4, 8, 16];

/// Addresses at which members answered, by raft id.
#[derive(Debug, Default)]
pub struct Whereabouts(Mutex<HashMap<u64, (IpAddr, Instant)>>);

impl Whereabouts {
    pub fn note(&self, id: u64, ip: IpAddr) {
        self.all().insert(id, (ip, Instant::now()));
    }

    /// The member is not at this address any more.
    pub fn forget(&self, id: u64, ip: IpAddr) {
        let mut all = self.all();
        if all.get(&id).is_some_and(|(noted, _)| *noted == ip) {
            all.remove(&id);
        }
    }

    /// Where the member was a minute ago or less.
    pub fn of(&self, id: u64) -> Option<IpAddr> {
        let (ip, noted) = *self.all().get(&id)?;
        (noted.elapsed() < FRESH).then_some(ip)
    }

    /// Where members other than this one were a minute ago or less.
    pub fn others(&self, id: u64) -> Vec<(u64, IpAddr)> {
        let all = self.all();
        let fresh = all
            .iter()
            .filter(|(other, (_, noted))| **other != id && noted.elapsed() < FRESH);
        fresh.map(|(other, (ip, _))| (*other, *ip)).collect()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, (IpAddr, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Greets every other member some times in its first half minute.
pub async fn greet_all(member: Arc<Member>) {
    for pause in AGAIN {
        sleep(Duration::from_secs(pause)).await;
        let view = member.status().engine.unwrap_or_default();
        let others = view.members.iter().filter(|m| m.id != member.settings.id);
        let greetings: JoinSet<_> = others
            .map(|other| {
                let (peers, other) = (Arc::clone(&member.peers), other.clone());
                async move { peers.greet(&other.address, other.id).await }
            })
            .collect();
        greetings.join_all().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_member_said_is_believed_for_a_minute() {
        let (whereabouts, ip) = (Whereabouts::default(), "10.1.2.3".parse().unwrap());
        assert_eq!(whereabouts.of(7), None);
        whereabouts.note(7, ip);
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(whereabouts.of(7), Some(ip));
        assert_eq!(whereabouts.others(8), [(7, ip)]);
        assert_eq!(whereabouts.others(7), []);
        whereabouts.forget(7, "10.1.2.4".parse().unwrap());
        assert_eq!(whereabouts.of(7), Some(ip), "another was forgotten");
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(whereabouts.of(7), None);
    }
}
