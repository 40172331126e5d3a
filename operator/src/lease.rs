//! Leader election among operators, with client-go's semantics.
//!
//! Others' leases are judged by when *we* saw them change, on our own clock; every write carries the
//! resourceVersion that was read, so that of two who try only one succeeds. Who holds the lease is
//! asked before every step, and who cannot renew it in time ends.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as KubeLease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Others may take a lease that did not change for this long.
const DURATION: Duration = Duration::from_secs(15);
/// We give up before they may.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// Our part in the election.
#[derive(Debug)]
pub struct Lease {
    /// Until when we may act.
    until: Mutex<Option<Instant>>,
}

/// Somebody else may be acting.
#[derive(Debug, thiserror::Error)]
#[error("the lease is not held any more")]
pub struct NotHeld;

/// The lease as last read, and since when it is so.
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Move {
    Take,
    Renew,
    Wait,
}

/// What to do about a lease; pure.
fn decide(seen: Option<&Seen>, me: &str, now: Instant) -> Move {
    let Some(seen) = seen else { return Move::Take };
    let holder = seen.spec.holder_identity.as_deref().unwrap_or_default();
    let seconds = seen.spec.lease_duration_seconds.unwrap_or_default();
    let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    if holder == me {
        Move::Renew
    } else if holder.is_empty() || now.duration_since(seen.since) > duration {
        Move::Take
    } else {
        Move::Wait
    }
}

/// Where the lease is, and who we are.
pub struct Election {
    pub client: kube::Client,
    pub namespace: String,
    pub name: String,
    pub me: String,
}

impl Lease {
    pub fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {
            until: Mutex::new(None),
        })
    }

    /// An error unless we hold the lease at this moment.
    pub fn check(&self) -> Result<(), NotHeld> {
        if self.held() { Ok(()) } else { Err(NotHeld) }
    }

    /// Whether we hold the lease at this moment.
    pub fn held(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Takes part until `stop`, then gives the lease back. Returns early when a lease that was held
    /// is lost: the process must end then.
    pub async fn run(&self, election: &Election, stop: CancellationToken, won: CancellationToken) {
        let mut seen: Option<Seen> = None;
        loop {
            let tried = Instant::now();
            // A hanging request must not outlive the deadline.
            let answer = timeout(RENEW_DEADLINE / 2, election.try_once(&mut seen)).await;
            match answer {
                Ok(Ok(true)) => {
                    self.set(Some(tried + RENEW_DEADLINE));
                    won.cancel();
                }
                Ok(Ok(false)) if won.is_cancelled() && election.is_anothers(seen.as_ref()) => break,
                Ok(Ok(false)) => {}
                Ok(Err(e)) => tracing::warn!("lease: {e}"),
                Err(_) => tracing::warn!("lease: the API server does not answer"),
            }
            if won.is_cancelled() && !self.held() {
                break;
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = stop.cancelled() => {
                    self.set(None);
                    if won.is_cancelled() {
                        let _ = timeout(RETRY, election.release()).await;
                    }
                    return;
                }
            }
        }
        self.set(None);
        tracing::error!("the lease is lost");
    }
}

impl Election {
    /// Whether another holds it, by what was read last.
    fn is_anothers(&self, seen: Option<&Seen>) -> bool {
        let holder = seen.and_then(|s| s.spec.holder_identity.as_deref());
        holder.is_some_and(|holder| holder != self.me)
    }

    fn api(&self) -> Api<KubeLease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Whether we hold it after this try.
    async fn try_once(&self, seen: &mut Option<Seen>) -> kube::Result<bool> {
        let now = Instant::now();
        let current = self.api().get_opt(&self.name).await?;
        match &current {
            None => *seen = None,
            Some(lease) => {
                let spec = lease.spec.clone().unwrap_or_default();
                if seen.as_ref().is_none_or(|s| s.spec != spec) {
                    *seen = Some(Seen { spec, since: now });
                }
            }
        }
        let acquired = match decide(seen.as_ref(), &self.me, now) {
            Move::Wait => return Ok(false),
            Move::Take => true,
            Move::Renew => false,
        };
        let lease = self.next(current.as_ref(), acquired);
        let params = PostParams::default();
        let written = match current {
            None => self.api().create(&params, &lease).await,
            Some(_) => self.api().replace(&self.name, &params, &lease).await,
        };
        match written {
            Ok(lease) => {
                *seen = Some(Seen {
                    spec: lease.spec.unwrap_or_default(),
                    since: now,
                });
                Ok(true)
            }
            // Somebody was faster, or an earlier try of ours came late; the next one sees.
            Err(kube::Error::Api(e)) if e.is_conflict() || e.is_already_exists() => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn next(&self, current: Option<&KubeLease>, acquired: bool) -> KubeLease {
        let old = current.and_then(|l| l.spec.clone()).unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let transitions = old.lease_transitions.unwrap_or_default() + i32::from(acquired);
        KubeLease {
            metadata: current
                .map(|l| l.metadata.clone())
                .unwrap_or_else(|| ObjectMeta {
                    name: Some(self.name.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                }),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: Some(DURATION.as_secs() as i32),
                acquire_time: if acquired {
                    Some(now.clone())
                } else {
                    old.acquire_time
                },
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Lets the next one take over at once.
    async fn release(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api().get_opt(&self.name).await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&self.me) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api()
                .replace(&self.name, &PostParams::default(), &lease)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: &str, ago: u64, now: Instant) -> Seen {
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            // Years off: another's clock says nothing.
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        };
        Seen {
            spec,
            since: now.checked_sub(Duration::from_secs(ago)).unwrap(),
        }
    }

    #[test]
    fn a_lease_is_judged_by_when_we_saw_it_change() {
        let now = Instant::now() + Duration::from_secs(100);
        assert_eq!(decide(None, "me", now), Move::Take);
        assert_eq!(decide(Some(&seen("me", 99, now)), "me", now), Move::Renew);
        assert_eq!(decide(Some(&seen("other", 14, now)), "me", now), Move::Wait);
        assert_eq!(decide(Some(&seen("other", 16, now)), "me", now), Move::Take);
        assert_eq!(
            decide(Some(&seen("", 0, now)), "me", now),
            Move::Take,
            "released"
        );
    }

    #[test]
    fn nothing_is_held_before_it_is_won_nor_after_the_deadline() {
        let lease = Lease::new();
        assert!(lease.check().is_err());
        lease.set(Some(Instant::now() + Duration::from_secs(9)));
        assert!(lease.check().is_ok());
        lease.set(Some(Instant::now()));
        assert!(lease.check().is_err());
    }
}
