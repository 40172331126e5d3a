//! How many connections of clients a node holds. At the limit the newest is refused. Members and the
//! operator have places of their own: clients must not keep Raft out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

const TOTAL: usize = 4096;
const PER_PEER: usize = 1024;
/// Connections that have not said yet what they are, or are a member's or the operator's.
const OTHERS: usize = 1024;

/// Open connections by the address they come from.
#[derive(Debug, Default)]
pub struct Limits {
    open: Mutex<HashMap<IpAddr, usize>>,
    others: Arc<AtomicUsize>,
}

/// A place among the others; given back when dropped.
#[derive(Debug)]
pub struct Entrance(Arc<AtomicUsize>);

impl Drop for Entrance {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    limits: Arc<Limits>,
    from: IpAddr,
}

impl Limits {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets a connection in that has not said yet what it is.
    pub fn enter(&self) -> Option<Entrance> {
        let before = self.others.fetch_add(1, Ordering::Relaxed);
        let entrance = Entrance(self.others.clone());
        (before < OTHERS).then_some(entrance)
    }

    /// A client's place.
    pub fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= TOTAL {
            return None;
        }
        let mine = open.entry(from).or_default();
        if *mine >= PER_PEER {
            return None;
        }
        *mine += 1;
        Some(Place {
            limits: Arc::clone(self),
            from,
        })
    }

    /// Clients' connections that are open now.
    pub fn count(&self) -> usize {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .limits
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = open.get_mut(&self.from) {
            *n -= 1;
            if *n == 0 {
                open.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_per_peer_and_given_back() {
        let limits = Limits::new();
        let from = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut places: Vec<_> = (0..PER_PEER)
            .map(|_| limits.take(from(1)).unwrap())
            .collect();
        assert!(limits.take(from(1)).is_none());
        assert!(limits.take(from(2)).is_some());
        places.pop();
        assert!(limits.take(from(1)).is_some());
        drop(places);
        assert_eq!(limits.count(), 0);
    }
}
