//! Zones: where members are in three or more, none of them should hold so many voters that the others
//! are no majority.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Facts, Number};

/// How the votes are spread over zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spread {
    /// The zone of a voter is not known now.
    Unknown,
    /// The cluster writes on without any one zone.
    Even,
    /// Without this zone it does not: these voters are in it.
    Majority(String, Vec<Number>),
}

/// How these members are spread.
pub(crate) fn spread(facts: &Facts, voters: &[Number]) -> Spread {
    let mut zones: BTreeMap<&str, Vec<Number>> = BTreeMap::new();
    for n in voters {
        let Some(zone) = zone(facts, *n) else {
            return Spread::Unknown;
        };
        zones.entry(zone).or_default().push(*n);
    }
    let majority = zones
        .into_iter()
        .find(|(_, there)| there.len() * 2 > voters.len());
    majority.map_or(Spread::Even, |(zone, there)| {
        Spread::Majority(zone.to_owned(), there)
    })
}

/// So many of these members that no zone has a majority of them, if there are such: from the zones with
/// fewest first, and else in the order given. `None` where the order given will do, or nothing does.
pub(crate) fn better(facts: &Facts, able: &[Number], count: usize) -> Option<Vec<Number>> {
    let usual = able.get(..count).filter(|_| count > 1)?;
    if of(facts, able)?.len() < 3 || spread(facts, usual) == Spread::Even {
        return None;
    }
    let mut left = able.to_vec();
    let mut chosen: Vec<Number> = Vec::new();
    while chosen.len() < count {
        let there = |n: Number| {
            let same = chosen.iter().filter(|c| zone(facts, **c) == zone(facts, n));
            same.count()
        };
        let (i, _) = left
            .iter()
            .enumerate()
            .min_by_key(|(i, n)| (there(**n), *i))?;
        chosen.push(left.remove(i));
    }
    (spread(facts, &chosen) == Spread::Even).then_some(chosen)
}

/// Whether so many voters could be spread over these members.
pub(crate) fn can_be_even(facts: &Facts, members: &[Number], count: usize) -> bool {
    let usual = members.get(..count);
    usual.is_some_and(|usual| spread(facts, usual) == Spread::Even)
        || better(facts, members, count).is_some()
}

/// Zones of these members, if all are known.
pub(crate) fn of<'a>(facts: &'a Facts, members: &[Number]) -> Option<BTreeSet<&'a str>> {
    members.iter().map(|n| zone(facts, *n)).collect()
}

fn zone(facts: &Facts, n: Number) -> Option<&str> {
    facts.seen.get(&n)?.zone.as_deref()
}
