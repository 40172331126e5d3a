//! Votes (rules S4 and S5): one change at a time; wanted voters come before unwanted ones leave; no
//! vote moves while another voter is down, but that a lost one goes; the leader goes last.

use crate::{
    Change, Facts, Number, Reason, Record, Remedy, Role, Step, members::is_lost, votes::Votes,
    zones,
};

/// Standbys that a cluster has beside its voters, at most.
const STANDBYS: usize = 3;

/// One change at a time: the next waits for the last, and one that hangs is helped on.
pub(crate) fn change_under_way(facts: &Facts, record: &Record) -> Option<Step> {
    match facts.change {
        Change::Settled => None,
        // It ends with the leadership, whether its answer comes or not.
        Change::Running(at) => {
            let votes = Votes::of(facts, record)?;
            (votes.id(votes.leader) == at).then_some(Step::Wait(Reason::ChangeRunning))
        }
        Change::Hangs(remedy) => Votes::of(facts, record)?.help(remedy),
    }
}

pub(crate) fn step(facts: &Facts, record: &Record) -> Option<Step> {
    let votes = Votes::of(facts, record)?;
    votes
        .strangers()
        .or_else(|| votes.replacements())
        .or_else(|| votes.lost_voter())
        .or_else(|| votes.voter_down())
        .or_else(|| votes.promote())
        .or_else(|| votes.unwanted_voter())
        .or_else(|| votes.other_roles())
        .or_else(|| votes.leavers())
}

impl Votes<'_> {
    /// Moves the leadership, or ends the leader's process, while every other voter is up (rule S8).
    fn help(&self, remedy: Remedy) -> Option<Step> {
        let may_go = self.is_up(self.leader) && self.others_are_well(self.leader);
        match (remedy, self.successor()) {
            _ if !may_go => None,
            (Remedy::Transfer, Some(successor)) => Some(Step::Transfer(successor)),
            (Remedy::Transfer | Remedy::Restart, _) => Some(Step::Restart(self.leader)),
            (Remedy::Person, _) => Some(Step::Stalled(Reason::ChangeStuck)),
        }
    }

    /// Ids in the configuration that are no member's.
    fn strangers(&self) -> Option<Step> {
        let mut unknown = self
            .config
            .servers
            .iter()
            .filter(|s| self.record.by_id(s.id).is_none());
        let stranger = unknown.next()?.id;
        if self.record.retired.contains(&stranger) {
            Some(Step::RemoveRetired(stranger))
        } else {
            Some(Step::Stalled(Reason::UnknownMember(stranger)))
        }
    }

    /// Fewer could vote than should.
    fn few(&self) -> bool {
        self.wanted().len() < self.facts.spec.voters as usize
    }

    /// While few could vote, spares that answer get the log: also one that has it, and lost its role with a leader that
    /// could not commit it. Standbys that are down are in nobody's way.
    fn replacements(&self) -> Option<Step> {
        if !self.few() || self.facts.change != Change::Settled {
            return None;
        }
        let is = |n: &Number, role| self.role(*n) == Some(role);
        let kept = self.record.kept().map(|(n, _)| n);
        let answering: Vec<_> = kept.filter(|n| self.facts.node(*n).is_some()).collect();
        let standbys = answering.iter().filter(|n| is(n, Role::Standby)).count();
        let spare = answering.into_iter().find(|n| is(n, Role::Spare));
        spare
            .filter(|_| standbys < STANDBYS)
            .map(|n| Step::Assign(n, Role::Standby))
    }

    /// A voter whose disk is lost goes first, once those who replace it have caught up.
    fn lost_voter(&self) -> Option<Step> {
        let lost = |n: &Number| !self.is_kept(*n) && is_lost(self.facts, self.record, *n);
        let first = self.voters().find(lost)?;
        let up = |n: Number| lost(&n) || self.is_up(n);
        if let Some(down) = self.voters().find(|n| !up(*n)) {
            return Some(Step::Wait(Reason::VoterDown(down)));
        }
        if self.wanted().len() < self.facts.spec.voters as usize {
            return None;
        }
        Some(Step::Remove(first))
    }

    /// No other vote moves while a voter is down.
    fn voter_down(&self) -> Option<Step> {
        let down = self.voters().find(|n| !self.is_up(*n))?;
        let lost = is_lost(self.facts, self.record, down);
        Some(Step::Wait(if lost {
            Reason::ReplacementCatchingUp
        } else {
            Reason::VoterDown(down)
        }))
    }

    fn promote(&self) -> Option<Step> {
        let next = self
            .wanted()
            .into_iter()
            .find(|n| self.role(*n) != Some(Role::Voter))?;
        Some(Step::Assign(next, Role::Voter))
    }

    /// A voter that is not wanted leaves, or becomes a standby; the leader last, after a transfer.
    fn unwanted_voter(&self) -> Option<Step> {
        let wanted = self.wanted();
        // The members that are to replace it have not caught up: it votes on.
        if wanted.len() < self.facts.spec.voters as usize {
            let waits = self.voters().any(|n| !wanted.contains(&n));
            return waits.then_some(Step::Wait(Reason::ReplacementCatchingUp));
        }
        let mut unwanted: Vec<_> = self.voters().filter(|n| !wanted.contains(n)).collect();
        unwanted.sort_by_key(|n| (*n == self.leader, std::cmp::Reverse(*n)));
        let next = *unwanted.first()?;
        if next == self.leader {
            return wanted.first().map(|successor| Step::Transfer(*successor));
        }
        Some(if self.is_kept(next) {
            Step::Assign(next, Role::Standby)
        } else {
            Step::Remove(next)
        })
    }

    /// Members without a vote: up to three standbys, the rest spares.
    fn other_roles(&self) -> Option<Step> {
        let wanted = self.wanted();
        let kept = self.record.kept().map(|(n, _)| n);
        let mut others: Vec<_> = kept
            .filter(|n| !wanted.contains(n))
            .filter(|n| matches!(self.role(*n), Some(Role::Standby | Role::Spare)))
            .collect();
        others.sort_by_key(|n| (self.role(*n), *n));
        self.bring_forward_new_zones(&wanted, &mut others);
        others.into_iter().enumerate().find_map(|(i, n)| {
            let role = if i < STANDBYS {
                Role::Standby
            } else {
                Role::Spare
            };
            // What was raised for want of voters is not lowered before there are enough.
            let lowers = role == Role::Spare && self.few();
            (self.role(n) != Some(role) && !lowers).then_some(Step::Assign(n, role))
        })
    }

    /// Who has no log cannot vote. Where the votes cannot be spread over zones for want of it, spares of zones
    /// that have none take the place of the last standbys.
    fn bring_forward_new_zones(&self, wanted: &[Number], others: &mut [Number]) {
        let even = |members: &[Number]| {
            zones::can_be_even(self.facts, members, self.facts.spec.voters as usize)
        };
        if !even(&[wanted, others].concat()) {
            return;
        }
        for spare in STANDBYS..others.len() {
            let with_log = [wanted, &others[..STANDBYS]].concat();
            let known = zones::of(self.facts, &with_log);
            let Some((known, zone)) = known.zip(zones::of(self.facts, &others[spare..=spare]))
            else {
                return;
            };
            if even(&with_log) {
                return;
            }
            if known.is_disjoint(&zone) {
                others[..=spare].rotate_right(1);
            }
        }
    }

    /// Members without a vote that leave. A removal is repeated until it was answered: that it is
    /// not listed any more is no proof.
    fn leavers(&self) -> Option<Step> {
        let mut leaving = self
            .record
            .members
            .iter()
            .filter(|(_, e)| e.retired && !e.removed);
        let (n, _) = leaving.next()?;
        if !self.record.took_part(*n) && self.role(*n).is_none() {
            return Some(Step::RecordRemoved(*n));
        }
        Some(Step::Remove(*n))
    }
}
