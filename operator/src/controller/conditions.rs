//! The conditions of a status. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use operator_api::{
    MOVE_ANNOTATION, Names,
    conditions::{self, reason},
};
use operator_plan::{Facts, Spread, Template, voters_spread};

use super::verdict::{State, Verdict};
use crate::wanted::Wanted;

/// A member whose disk is lost, or holds what is not the member's.
pub struct LostDisk {
    pub member: String,
    /// Why its node starts nothing on it.
    pub refused: Option<String>,
}

/// What conditions have in common: those before, and when this is.
pub struct Conditions<'a> {
    pub old: &'a [Condition],
    pub generation: Option<i64>,
    pub now: Timestamp,
}

impl Conditions<'_> {
    /// Those that are always there, and what the operator is about.
    pub fn all(
        &self,
        verdict: &Verdict,
        available: bool,
        quorum_healthy: bool,
        names: &Names,
        lost: &[LostDisk],
    ) -> Vec<Condition> {
        let mut all = vec![
            self.ready(verdict),
            if available {
                self.one(
                    conditions::AVAILABLE,
                    true,
                    reason::LEADER_ELECTED,
                    "takes writes",
                )
            } else {
                let m = "no leader that a majority of the voters follows";
                self.one(conditions::AVAILABLE, false, reason::NO_LEADER, m)
            },
            if available && quorum_healthy {
                self.one(conditions::QUORUM_HEALTHY, true, reason::ALL_VOTERS_UP, "")
            } else {
                self.one(conditions::QUORUM_HEALTHY, false, reason::VOTER_DOWN, "")
            },
            if lost.is_empty() {
                self.one(
                    conditions::STORAGE_HEALTHY,
                    true,
                    reason::ALL_DISKS_KNOWN,
                    "",
                )
            } else {
                let foreign = lost.iter().any(|disk| disk.refused.is_some());
                let reason = if foreign {
                    reason::DISK_FOREIGN
                } else {
                    reason::DISK_LOST
                };
                let told = |disk: &LostDisk| match &disk.refused {
                    Some(why) => format!("{} (refused: {why})", disk.member),
                    None => disk.member.clone(),
                };
                let m = format!(
                    "the disk is lost or not the member's own: {}. While a majority of the disks is left, new members \
                     take their place. What is left: kubectl -n {} get pvc -l {}={}",
                    lost.iter().map(told).collect::<Vec<_>>().join(", "),
                    names.namespace,
                    operator_api::CLUSTER_LABEL,
                    names.cluster
                );
                self.one(conditions::STORAGE_HEALTHY, false, reason, &m)
            },
        ];
        all.extend(self.state(verdict));
        all
    }

    /// Present where this Kubernetes has zones, and there is more than one vote.
    pub fn spread(
        &self,
        names: &Names,
        facts: &Facts,
        zones: &BTreeSet<String>,
    ) -> Option<Condition> {
        if zones.len() < 2 || facts.spec.voters < 2 {
            return None;
        }
        let type_ = conditions::VOTERS_SPREAD;
        match voters_spread(facts) {
            // A pod that starts anew is nowhere for a while.
            Spread::Unknown => self.old.iter().find(|c| c.type_ == type_).cloned(),
            Spread::Even => Some(self.one(type_, true, reason::NO_ZONE_DECIDES, "")),
            Spread::Majority(zone, voters) => {
                let (reason, help) = match voters.last().filter(|_| zones.len() > 2) {
                    None => (
                        reason::TOO_FEW_ZONES,
                        "two zones cannot do better".to_owned(),
                    ),
                    Some(last) => (
                        reason::ZONE_HOLDS_MAJORITY,
                        format!(
                            "where another zone has room, move one: kubectl -n {} annotate sts {} {MOVE_ANNOTATION}=",
                            names.namespace,
                            names.member(*last),
                        ),
                    ),
                };
                let who = names.members(voters);
                let m =
                    format!("a majority votes in zone {zone} ({who}), and is lost with it; {help}");
                Some(self.one(type_, false, reason, &m))
            }
        }
    }

    /// Present while something in the spec, or in the operator, is not what runs.
    pub fn update(&self, wanted: &Wanted, facts: &Facts) -> Option<Condition> {
        let runs = |template| {
            let runs = facts.seen.iter().filter(|(_, seen)| seen.runs == template);
            wanted.names.members(runs.map(|(n, _)| *n))
        };
        let (reason, m) = match (runs(Template::Outdated), runs(Template::Older)) {
            (outdated, _) if !outdated.is_empty() => (
                reason::TEMPLATE_CHANGED,
                format!("to be updated: {outdated}"),
            ),
            (_, older) if !older.is_empty() => (
                reason::OPERATOR_CHANGED,
                format!(
                    "made by another version of the operator, which restarts nothing: {older}. The next change \
                     of the spec that replaces pods brings this version's, with image {}",
                    wanted.image
                ),
            ),
            _ => return None,
        };
        Some(self.one(conditions::UPDATE_PENDING, true, reason, &m))
    }

    pub fn ready(&self, verdict: &Verdict) -> Condition {
        let status = match verdict.state {
            State::Ready => "True",
            State::Unknown => "Unknown",
            _ => "False",
        };
        self.with_status(conditions::READY, status, verdict.reason, &verdict.message)
    }

    /// Present only while it is true.
    pub fn state(&self, verdict: &Verdict) -> Option<Condition> {
        let type_ = match verdict.state {
            State::Ready | State::Resting | State::Unknown => return None,
            State::Reconciling => conditions::RECONCILING,
            State::Stalled => conditions::STALLED,
        };
        Some(self.one(type_, true, verdict.reason, &verdict.message))
    }

    fn one(&self, type_: &str, is: bool, reason: &str, message: &str) -> Condition {
        let status = if is { "True" } else { "False" };
        self.with_status(type_, status, reason, message)
    }

    /// `lastTransitionTime` moves with the status; for Ready also with the reason, which people read
    /// as "since when".
    fn with_status(&self, type_: &str, status: &str, reason: &str, message: &str) -> Condition {
        let same = self.old.iter().find(|c| {
            c.type_ == type_ && c.status == status && (status == "True" || c.reason == reason)
        });
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.chars().take(1024).collect(),
            observed_generation: self.generation,
            last_transition_time: same.map_or(Time(self.now), |c| c.last_transition_time.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(lost: &[LostDisk]) -> Condition {
        let (old, now, generation) = (&[][..], Timestamp::UNIX_EPOCH, Some(1));
        let set = Conditions {
            old,
            generation,
            now,
        };
        let verdict = super::super::verdict::unseen();
        let names = Names {
            cluster: "demo".into(),
            namespace: "here".into(),
        };
        let all = set.all(&verdict, true, true, &names, lost);
        let storage = |c: &Condition| c.type_ == conditions::STORAGE_HEALTHY;
        all.into_iter().find(storage).unwrap()
    }

    #[test]
    fn a_disk_that_is_anothers_is_told_from_one_that_is_gone() {
        let disk = |refused: Option<&str>| LostDisk {
            member: "demo-2".into(),
            refused: refused.map(str::to_owned),
        };
        assert_eq!(storage(&[]).status, "True");
        assert_eq!(storage(&[disk(None)]).reason, reason::DISK_LOST);
        let foreign = storage(&[disk(None), disk(Some("a copy of another disk"))]);
        assert_eq!(foreign.reason, reason::DISK_FOREIGN);
        for said in [
            "demo-2 (refused: a copy of another disk)",
            "kubectl -n here get pvc -l dqlite.io/cluster=demo",
        ] {
            assert!(foreign.message.contains(said), "{}", foreign.message);
        }
    }
}
