//! Changes of the membership, one at a time per cluster, outside the passes: a promotion takes as long
//! as the member needs to catch up. Also knows since when a change is in doubt (rule S5).
//!
//! Nothing here needs to survive the operator's end: who repeats a change learns from the cluster
//! whether it was made.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dqlite_client::Error;
use operator_plan::{Change as State, Remedy};
use tokio::time::{Instant, timeout};

use crate::nodes;

/// A pass waits this long for a change's end; most take milliseconds.
const IN_THE_PASS: Duration = Duration::from_secs(2);
/// A change in doubt is repeated for this long before the leader is to change.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nothing was tried for this long, so something else stood in the way, or nothing is to be changed: a
/// failure after that is the first one again. Longer than the longest wait after a failed pass.
const STALE: Duration = Duration::from_secs(90);

/// By uid of the DqliteCluster.
#[derive(Debug, Default)]
pub struct Changes(Mutex<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Which of ours is under way, and at which leader.
    running: Option<(u64, u64)>,
    doubt: Option<Doubt>,
}

/// The last change was not answered, or the cluster says that another is in progress.
#[derive(Debug)]
struct Doubt {
    /// Of the first such change, or of the last remedy.
    since: Instant,
    tried: Instant,
    next: Remedy,
}

impl Doubt {
    fn is_stale(&self) -> bool {
        self.next != Remedy::Person && self.tried.elapsed() >= STALE
    }

    fn state(&self) -> State {
        let overdue = self.since.elapsed() >= PATIENCE && !self.is_stale();
        // What only a person can help against is tried again now and then: a person may have helped.
        let again = self.next == Remedy::Person && self.tried.elapsed() >= PATIENCE;
        if overdue && !again {
            State::Hangs(self.next)
        } else {
            State::Settled
        }
    }
}

impl Changes {
    /// What `decide` is to know.
    pub fn state(&self, cluster: &str) -> State {
        self.with(cluster, |known| match (known.running, &known.doubt) {
            (Some((_, leader)), _) => State::Running(leader),
            (None, Some(doubt)) => doubt.state(),
            (None, None) => State::Settled,
        })
    }

    /// Makes a change; `None` when it takes long: it goes on, whatever becomes of the caller.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        cluster: &str,
        leader: u64,
        change: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Option<Result<T, Error>> {
        let running = Running::begin(self, cluster, leader);
        let task = tokio::spawn(async move {
            let result = change.await;
            running.ended(result.as_ref().err());
            result
        });
        let ended = timeout(IN_THE_PASS, task).await.ok()?;
        // The task is never aborted, so it panicked, and so does the pass.
        Some(ended.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic())))
    }

    /// A remedy was tried; the change is given time again.
    pub fn helped(&self, cluster: &str) {
        self.with(cluster, |known| {
            if let Some(doubt) = &mut known.doubt {
                (doubt.since, doubt.tried) = (Instant::now(), Instant::now());
                doubt.next = match doubt.next {
                    Remedy::Transfer => Remedy::Restart,
                    Remedy::Restart | Remedy::Person => Remedy::Person,
                };
            }
        });
    }

    /// Nothing is to be changed, or the cluster is gone.
    pub fn forget(&self, cluster: &str) {
        self.with(cluster, |known| known.doubt = None);
    }

    fn with<R>(&self, cluster: &str, look: impl FnOnce(&mut Known) -> R) -> R {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = look(all.entry(cluster.to_owned()).or_default());
        all.retain(|_, known| known.running.is_some() || known.doubt.is_some());
        seen
    }
}

/// Lasts as long as the change, a panic included.
struct Running {
    changes: Arc<Changes>,
    cluster: String,
    token: u64,
}

impl Running {
    fn begin(changes: &Arc<Changes>, cluster: &str, leader: u64) -> Self {
        let token = rand::random();
        changes.with(cluster, |known| known.running = Some((token, leader)));
        Self {
            changes: Arc::clone(changes),
            cluster: cluster.to_owned(),
            token,
        }
    }

    fn ended(&self, error: Option<&Error>) {
        let now = Instant::now();
        self.changes.with(&self.cluster, |known| match error {
            None => known.doubt = None,
            Some(error) if nodes::leaves_doubt(error) => {
                let first = Doubt {
                    since: now,
                    tried: now,
                    next: Remedy::Transfer,
                };
                let goes_on = known.doubt.take().filter(|doubt| !doubt.is_stale());
                known.doubt = Some(Doubt {
                    tried: now,
                    ..goes_on.unwrap_or(first)
                });
            }
            // A plain refusal says nothing of the change before.
            Some(_) => {}
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Another may run by now, at another leader.
        self.changes.with(&self.cluster, |known| {
            known.running = known.running.filter(|(token, _)| *token != self.token);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_progress() -> Error {
        Error::Server {
            code: 5,
            message: "a configuration change is already in progress".into(),
        }
    }

    async fn fail(changes: &Arc<Changes>) {
        let failed = changes
            .run::<()>("c", 7, async { Err(in_progress()) })
            .await;
        assert!(failed.is_some_and(|r| r.is_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_change_goes_on_outside_the_pass_and_keeps_others_out() {
        let changes = Arc::new(Changes::default());
        let slow = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            Ok(())
        };
        assert!(changes.run("c", 7, slow).await.is_none());
        assert_eq!(changes.state("c"), State::Running(7));
        assert_eq!(changes.state("another"), State::Settled);
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(changes.state("c"), State::Settled);
        assert!(changes.0.lock().unwrap().is_empty(), "nothing is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn doubt_that_lasts_calls_for_one_remedy_after_the_other() {
        let changes = Arc::new(Changes::default());
        fail(&changes).await;
        assert_eq!(changes.state("c"), State::Settled, "repeated first");
        for remedy in [Remedy::Transfer, Remedy::Restart] {
            tokio::time::sleep(PATIENCE / 2).await;
            fail(&changes).await;
            assert_eq!(changes.state("c"), State::Settled, "repeated for a while");
            tokio::time::sleep(PATIENCE / 2).await;
            assert_eq!(changes.state("c"), State::Hangs(remedy));
            changes.helped("c");
            assert_eq!(changes.state("c"), State::Settled, "given time again");
            fail(&changes).await;
        }
        tokio::time::sleep(PATIENCE / 2).await;
        fail(&changes).await;
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(changes.state("c"), State::Hangs(Remedy::Person));
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(changes.state("c"), State::Settled, "tried now and then");
        fail(&changes).await;
        assert_eq!(changes.state("c"), State::Hangs(Remedy::Person));
        assert!(changes.run("c", 7, async { Ok(()) }).await.is_some());
        assert_eq!(
            changes.state("c"),
            State::Settled,
            "an answer ends the doubt"
        );
    }

    /// A lost reply whose change was made is never repeated, and nothing hangs.
    #[tokio::test(start_paused = true)]
    async fn doubt_that_nothing_renews_calls_for_nothing() {
        let changes = Arc::new(Changes::default());
        fail(&changes).await;
        tokio::time::sleep(PATIENCE * 2).await;
        assert_eq!(changes.state("c"), State::Settled);
        fail(&changes).await;
        assert_eq!(
            changes.state("c"),
            State::Settled,
            "it is the first one again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_no_doubt() {
        let changes = Arc::new(Changes::default());
        let refused = || Error::Server {
            code: 19,
            message: "refused: no voter would be left".into(),
        };
        let _ = changes
            .run::<()>("c", 7, async move { Err(refused()) })
            .await;
        tokio::time::sleep(PATIENCE * 2).await;
        assert_eq!(changes.state("c"), State::Settled);
    }
}
