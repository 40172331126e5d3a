//! What changes members that serve: sleep, another template, a larger disk, a move. One member at a
//! time, and a pod goes only while every other voter is up and has caught up (rule S8).

use crate::{
    Facts, Fit, Number, Object, Pod, Reason, Record, Seen, Step, Template, members, votes::Votes,
};

/// Sends every member to sleep, or wakes them all; the leader goes to sleep last.
pub(crate) fn sleep(facts: &Facts, record: &Record) -> Option<Step> {
    if !record.founded {
        return None;
    }
    let leader = facts.leader().map(|(n, _)| n);
    let members = record.members.iter().filter(|(_, e)| !e.removed);
    let changes = members.map(|(n, _)| *n).filter(|n| {
        let seen = facts.member(*n);
        matches!(seen.set, Object::Present(_)) && seen.asleep != facts.spec.hibernated
    });
    let next = changes.max_by_key(|n| (Some(*n) != leader, std::cmp::Reverse(*n)));
    let rests = facts
        .spec
        .hibernated
        .then_some(Step::Wait(Reason::Hibernated));
    let clean = || members::clean_up(facts, record).filter(|_| facts.spec.hibernated);
    next.map(Step::ApplySet).or_else(clean).or(rests)
}

/// A pod that runs from an outdated template and does not answer: the new one may, and no other voter
/// must be down for it.
pub(crate) fn renew_broken(facts: &Facts, record: &Record, n: Number) -> Option<Step> {
    let seen = facts.member(n);
    if facts.node(n).is_some() || seen.runs != Template::Outdated {
        return None;
    }
    let alone = record.members.len() == 1;
    let may_go = alone || Votes::of(facts, record)?.others_are_well(n);
    may_go.then(|| renew(n, &seen)).flatten()
}

/// The template first, then the pod that was made from the old one.
fn renew(n: Number, seen: &Seen) -> Option<Step> {
    match &seen.pod {
        _ if seen.template != Template::Current => Some(Step::ApplySet(n)),
        Pod::Started(uid) if seen.runs != Template::Current => {
            Some(Step::DeletePod(n, uid.clone()))
        }
        _ => None,
    }
}

/// The next step of an update, when all else is as it should be.
pub(crate) fn step(facts: &Facts, record: &Record) -> Option<Step> {
    let votes = Votes::of(facts, record)?;
    votes
        .leave_cordoned()
        .or_else(|| votes.grow())
        .or_else(|| votes.roll())
        .or_else(|| votes.move_one())
}

impl Votes<'_> {
    fn kept(&self) -> impl Iterator<Item = (Number, Seen)> {
        let kept = self.record.kept();
        kept.map(|(n, _)| (n, self.facts.member(n)))
    }

    /// Leadership leaves a node that is about to be drained, before the pod must.
    fn leave_cordoned(&self) -> Option<Step> {
        let cordoned = |n| self.facts.member(n).cordoned;
        let successor = self.successor()?;
        // One that is to be updated would have to give the leadership back at once.
        let stays = !cordoned(successor) && self.facts.member(successor).runs != Template::Outdated;
        (cordoned(self.leader) && stays).then_some(Step::Transfer(successor))
    }

    fn is_ill(&self, n: Number) -> bool {
        self.unwell().any(|m| m == n)
    }

    fn grow(&self) -> Option<Step> {
        let mut small = self.kept().filter(|(_, seen)| seen.fit == Fit::Grows);
        let (n, seen) = small.next()?;
        Some(Step::GrowDisk(n, seen.disk.uid()?.clone()))
    }

    /// The next member whose template the spec has changed, the leader last. One that does not come
    /// back stops the rest.
    fn roll(&self) -> Option<Step> {
        let outdated = self.kept().filter(|(_, seen)| {
            seen.runs == Template::Outdated || seen.template == Template::Outdated
        });
        let first = |n: &Number| (*n == self.leader, !self.is_ill(*n), *n);
        let (n, seen) = outdated.min_by_key(|(n, _)| first(n))?;
        if let Some(other) = self.unwell().find(|m| *m != n) {
            return Some(Step::Wait(Reason::UpdateHeld(other)));
        }
        match self.successor() {
            Some(successor) if n == self.leader => Some(Step::Transfer(successor)),
            _ => renew(n, &seen),
        }
    }

    /// A member that is to be another: because a person asks, or since its disk cannot become what the
    /// spec says. Retired when all are well, it leaves once the next one has caught up.
    fn move_one(&self) -> Option<Step> {
        if let Some((n, _)) = self.kept().find(|(_, seen)| seen.fit == Fit::TooSmall) {
            return Some(Step::Stalled(Reason::DiskTooSmall(n)));
        }
        let moved = self
            .kept()
            .filter(|(_, s)| s.unwanted || s.fit == Fit::Misfit);
        let next = moved
            .map(|(n, _)| n)
            .min_by_key(|n| (!self.is_ill(*n), *n == self.leader, *n))?;
        let held = self.unwell().find(|m| *m != next).map(Reason::UpdateHeld);
        Some(held.map_or(Step::Retire(next), Step::Wait))
    }
}
