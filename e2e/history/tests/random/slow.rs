//! Checks that try every order, and are right for that reason; histories to try the quick ones against them.

use std::collections::BTreeMap;

use dqlite_history::{
    NEVER, Span, Time,
    append::{Action, Transaction},
    register::{Operation, What},
};
use rand::{Rng, rngs::StdRng};

/// Whether the operations, each with its span, can happen one after the other, as `apply` says from a state. Those that
/// were never answered may be left out.
fn some_order<T, S: Clone>(
    left: &[(Span, &T)],
    state: &S,
    apply: &impl Fn(&S, &T) -> Option<S>,
) -> bool {
    left.iter().all(|(span, _)| span.answered == NEVER)
        || (0..left.len()).any(|i| {
            let mut rest = left.to_vec();
            let (span, operation) = rest.remove(i);
            let may_be_next = !rest.iter().any(|(other, _)| other.precedes(span));
            may_be_next
                && apply(state, operation).is_some_and(|next| some_order(&rest, &next, apply))
        })
}

pub fn register(history: &[Operation]) -> bool {
    let operations: Vec<_> = history.iter().map(|o| (o.span, &o.what)).collect();
    some_order(
        &operations,
        &None,
        &|state: &Option<u64>, what| match what {
            What::Write(value) => Some(Some(*value)),
            What::Read(read) => (read == state).then_some(*state),
        },
    )
}

type State = BTreeMap<u64, Vec<u64>>;

pub fn append(history: &[Transaction]) -> bool {
    let transactions: Vec<_> = history.iter().map(|t| (t.span, &t.done)).collect();
    some_order(&transactions, &State::new(), &|state: &State, done| {
        let mut state = state.clone();
        let agrees = done.iter().all(|action| match action {
            Action::Append { key, value } => {
                state.entry(*key).or_default().push(*value);
                true
            }
            Action::Read { key, values } => state.get(key).map_or(&[][..], Vec::as_slice) == values,
        });
        agrees.then_some(state)
    })
}

/// Times around a moment, so that operations of neighbouring moments overlap.
fn around(moment: Time, random: &mut StdRng) -> Span {
    Span {
        asked: moment - random.random_range(0..25),
        answered: moment + random.random_range(0..25),
    }
}

/// What a register does in some order; every second time something is changed then, which may show or not.
pub fn random_register(random: &mut StdRng) -> Vec<Operation> {
    let (mut held, mut history) = (None, Vec::new());
    for i in 1..=random.random_range(2..8) {
        let mut span = around(100 + 10 * i, random);
        let what = if random.random_bool(0.5) {
            let happens = random.random_bool(0.9);
            if happens {
                held = Some(i);
            }
            if !happens || random.random_bool(0.1) {
                span.answered = NEVER;
            }
            What::Write(i)
        } else {
            What::Read(held)
        };
        history.push(Operation { span, what });
    }
    if random.random_bool(0.5) {
        let spoiled = random.random_range(0..history.len());
        let other = random.random_range(0..history.len());
        match (random.random_range(0..3), history[other].what) {
            (0, What::Write(value)) => {
                if let What::Read(read) = &mut history[spoiled].what {
                    *read = Some(value);
                }
            }
            (0, What::Read(_)) => {
                if let What::Read(read) = &mut history[spoiled].what {
                    *read = None;
                }
            }
            (1, _) => {
                let span = history[spoiled].span;
                history[spoiled].span = history[other].span;
                history[other].span = span;
            }
            _ => history[spoiled].span = around(100 + 10 * random.random_range(1..8), random),
        }
    }
    // Reads that were not answered are no part of a history.
    history.retain(|o| matches!(o.what, What::Write(_)) || o.span.answered != NEVER);
    history
}

/// As [`random_register`], of transactions on two lists.
pub fn random_append(random: &mut StdRng) -> Vec<Transaction> {
    let (mut lists, mut history) = (State::new(), Vec::new());
    for i in 1..=random.random_range(2..7) {
        let mut span = around(100 + 10 * i, random);
        let happens = random.random_bool(0.9);
        if !happens || random.random_bool(0.1) {
            span.answered = NEVER;
        }
        let mut after = lists.clone();
        let done = (0..random.random_range(1..4)).map(|j| {
            let key = random.random_range(0..2);
            if random.random_bool(0.5) {
                let value = 10 * i + j;
                after.entry(key).or_default().push(value);
                Action::Append { key, value }
            } else {
                let values = after.get(&key).cloned().unwrap_or_default();
                Action::Read { key, values }
            }
        });
        let done = done.collect();
        if happens {
            lists = after;
        }
        history.push(Transaction { span, done });
    }
    if random.random_bool(0.6) {
        let spoiled = random.random_range(0..history.len());
        let other = random.random_range(0..history.len());
        if random.random_bool(0.4) {
            let span = history[spoiled].span;
            history[spoiled].span = history[other].span;
            history[other].span = span;
        } else {
            spoil_a_read(&mut history[spoiled], &lists, random);
        }
    }
    history
}

fn spoil_a_read(transaction: &mut Transaction, lists: &State, random: &mut StdRng) {
    for action in &mut transaction.done {
        let Action::Read { key, values } = action else {
            continue;
        };
        let list = lists.get(key).cloned().unwrap_or_default();
        match random.random_range(0..4) {
            0 => drop(values.pop()),
            1 => values.reverse(),
            2 => *values = list[..random.random_range(0..=list.len())].to_vec(),
            _ => values.extend(list.get(values.len())),
        }
        return;
    }
}
