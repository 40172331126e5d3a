//! A register whose values are all different, so that a read tells which write it saw.
//!
//! The method is Gibbons' and Korach's: all operations on one value make up a zone, from the first answer to the last
//! question. If the answer came first, the register held the value all that time; else there was a moment at which all of them
//! may have happened. The history is linearizable if no two zones of the first kind overlap, and no one of the second kind
//! lies within one of the first.

use std::collections::BTreeMap;

use crate::{Span, Time};

/// What was done to the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// This was written.
    Write(u64),
    /// This was read; `None` is what was there before the first write.
    Read(Option<u64>),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When.
    pub span: Span,
    /// What.
    pub what: What,
}

/// Why a history is not one of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The check needs values that differ.
    WrittenTwice(u64),
    /// A value was read that nobody wrote.
    NeverWritten(u64),
    /// A value was read before anybody asked for it to be written.
    ReadBeforeItWasWritten(u64),
    /// Both values would have been there at the same time.
    BothAtOnce(Option<u64>, Option<u64>),
    /// The first value can only have been there while the second was.
    Amidst(Option<u64>, Option<u64>),
}

struct Zone {
    value: Option<u64>,
    first_answer: Time,
    last_ask: Time,
}

/// Whether the register's history is linearizable. Reads that failed are left out.
///
/// # Errors
///
/// The first violation, by time.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let (mut held, moments): (Vec<_>, Vec<_>) = zones(history)?
        .into_iter()
        .partition(|zone| zone.first_answer < zone.last_ask);
    held.sort_by_key(|zone| zone.first_answer);
    for pair in held.windows(2) {
        if pair[1].first_answer < pair[0].last_ask {
            return Err(Violation::BothAtOnce(pair[0].value, pair[1].value));
        }
    }
    for moment in moments {
        let before = held.partition_point(|zone| zone.first_answer < moment.last_ask);
        let around = before.checked_sub(1).map(|i| &held[i]);
        if let Some(zone) = around.filter(|zone| moment.first_answer < zone.last_ask) {
            return Err(Violation::Amidst(moment.value, zone.value));
        }
    }
    Ok(())
}

fn zones(history: &[Operation]) -> Result<Vec<Zone>, Violation> {
    let mut written = BTreeMap::new();
    for operation in history {
        if let What::Write(value) = operation.what
            && written.insert(value, operation.span).is_some()
        {
            return Err(Violation::WrittenTwice(value));
        }
    }
    let zone = |value, span: Span| Zone {
        value,
        first_answer: span.answered,
        last_ask: span.asked,
    };
    let before_all = Span {
        asked: 0,
        answered: 0,
    };
    let mut zones = BTreeMap::from([(None, zone(None, before_all))]);
    zones.extend(
        written
            .iter()
            .map(|(v, span)| (Some(*v), zone(Some(*v), *span))),
    );
    for operation in history {
        let What::Read(read) = operation.what else {
            continue;
        };
        if let Some(value) = read {
            let write = written.get(&value).ok_or(Violation::NeverWritten(value))?;
            if operation.span.precedes(*write) {
                return Err(Violation::ReadBeforeItWasWritten(value));
            }
        }
        if let Some(zone) = zones.get_mut(&read) {
            zone.first_answer = zone.first_answer.min(operation.span.answered);
            zone.last_ask = zone.last_ask.max(operation.span.asked);
        }
    }
    Ok(zones.into_values().collect())
}
