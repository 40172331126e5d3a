//! Where members were found lately. See `greeting.rs`.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// As long as that, a member's word is better than a name server's.
const FRESH: Duration = Duration::from_secs(60);

/// Addresses at which members answered, by raft id.
#[derive(Debug, Default)]
pub struct Whereabouts(Mutex<HashMap<u64, (IpAddr, Instant)>>);

impl Whereabouts {
    /// Notes where a member is, and gives where others were a minute ago or less; `None` if that was known.
    pub fn note(&self, id: u64, ip: IpAddr) -> Option<Vec<(u64, IpAddr)>> {
        let mut all = self.all();
        all.retain(|_, (_, noted)| noted.elapsed() < FRESH);
        let before = all.insert(id, (ip, Instant::now()));
        let others = all.iter().filter(|(other, _)| **other != id);
        let others = others.map(|(other, (ip, _))| (*other, *ip)).collect();
        before
            .is_none_or(|(known, _)| known != ip)
            .then_some(others)
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

    fn all(&self) -> MutexGuard<'_, HashMap<u64, (IpAddr, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_member_said_is_believed_for_a_minute() {
        let (whereabouts, ip) = (Whereabouts::default(), "10.1.2.3".parse().unwrap());
        assert_eq!(whereabouts.of(7), None);
        assert_eq!(whereabouts.note(7, ip), Some(vec![]));
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(whereabouts.of(7), Some(ip));
        assert_eq!(whereabouts.note(8, ip), Some(vec![(7, ip)]));
        assert_eq!(whereabouts.note(8, ip), None, "it is known");
        whereabouts.forget(7, "10.1.2.4".parse().unwrap());
        assert_eq!(whereabouts.of(7), Some(ip), "another was forgotten");
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(whereabouts.of(7), None);
    }
}
