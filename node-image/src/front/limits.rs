//! How many connections a node holds. At the limit the newest is refused.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

const TOTAL: usize = 4096;
const PER_PEER: usize = 1024;

/// Open connections by the address they come from.
#[derive(Debug, Default)]
pub struct Limits {
    open: Mutex<HashMap<IpAddr, usize>>,
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

    /// Connections that are open now.
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
