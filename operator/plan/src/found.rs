//! Until the cluster is founded (rule S1): intent recorded → node told → `founded` recorded → node
//! told to open. Nobody can have written anything before the last of these.

use crate::{
    Facts, Fit, Intent, NodePhase, Reason, Record, Step,
    members::{self, disk_is_lost, is_lost},
};

/// The next step on the way to a founded cluster; `None` once it is.
pub(crate) fn step(facts: &Facts, record: &Record) -> Option<Step> {
    if record.founded {
        return None;
    }
    // Any witness that says founded forbids founding.
    let witness = record
        .members
        .keys()
        .filter_map(|n| facts.node(*n))
        .any(|node| {
            use NodePhase::{Founding, Joining, Open, Seeded};
            matches!(node.phase, Founding | Joining | Seeded | Open)
        });
    if witness {
        return Some(Step::RecordFounded);
    }
    // The intent may name another member only when its very disk exists no more.
    // Nothing is founded on one that is being deleted.
    let useless = |n| {
        let misfit = facts.member(n).fit == Fit::Misfit && facts.node(n).is_none();
        disk_is_lost(facts, record, n) || members::is_condemned(facts, n) || misfit
    };
    if let Some((n, _)) = record.kept().find(|(n, _)| useless(*n)) {
        return Some(Step::Retire(n));
    }
    if let Some(wanted) = members::size(facts, record).or_else(|| members::objects(facts, record)) {
        return Some(wanted);
    }
    let intended = record.intent.as_ref().map(|i| i.member);
    let (founder, entry) = record
        .kept()
        .find(|(n, _)| Some(*n) == intended)
        .or_else(|| record.kept().next())?;
    let Some(node) = facts.node(founder) else {
        return Some(Step::Wait(Reason::MemberStarting(founder)));
    };
    if let NodePhase::Refused(reason) = &node.phase {
        return Some(Step::Stalled(Reason::FounderRefused(
            founder,
            reason.clone(),
        )));
    }
    let disk = entry.disk.clone()?;
    let intent = Intent {
        member: founder,
        disk: disk.clone(),
    };
    if record.intent.as_ref() == Some(&intent) {
        Some(Step::Found(founder))
    } else {
        Some(Step::RecordIntent(founder, disk))
    }
}

/// Lets clients in at the founder.
pub(crate) fn open(facts: &Facts, record: &Record) -> Option<Step> {
    let founder = record.intent.as_ref()?.member;
    let node = facts.node(founder)?;
    let opens = node.phase == NodePhase::Founding && !is_lost(facts, record, founder);
    opens.then_some(Step::Open(founder))
}

/// The founder's disk is lost and no other member has ever had a copy.
pub(crate) fn founder_lost(facts: &Facts, record: &Record) -> Option<Step> {
    let founder = record.intent.as_ref()?.member;
    let entry = record.members.get(&founder)?;
    let others = record.members.iter().any(|(n, e)| {
        // One that was told to join and does not answer may have a copy.
        *n != founder
            && e.join.is_some()
            && !is_lost(facts, record, *n)
            && facts
                .node(*n)
                .is_none_or(|node| node.phase != NodePhase::Joining)
    });
    let lost = !entry.removed && is_lost(facts, record, founder) && !others;
    lost.then_some(Step::Stalled(Reason::FounderLost(founder)))
}
