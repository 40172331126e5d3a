//! How long an object whose pass fails waits for the next one: doubling, each object by itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// Failures in a row by the object's uid.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// One failure more; gives the wait.
    pub fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = failures.entry(uid.to_owned()).or_default();
        let wait = FIRST.saturating_mul(1 << (*n).min(20)).min(LONGEST);
        *n += 1;
        wait
    }

    /// A pass went well, or the object is gone.
    pub fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_for_each_object_alone() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.failed("a").as_millis()).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
        );
        assert_eq!(backoff.failed("b").as_millis(), 500);
        backoff.forget("a");
        assert_eq!(backoff.failed("a").as_millis(), 500);
    }
}
