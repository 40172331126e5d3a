//! The quick checks say what the slow ones say, of twenty thousand histories of each kind, half of them spoiled.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod slow;

use dqlite_history::{
    NEVER, Span,
    append::{self, Action, Transaction},
    bank,
    register::{self, Operation, Violation, What},
};
use rand::{SeedableRng, rngs::StdRng};

const HISTORIES: u64 = 20_000;

/// How many of the histories are right, if both say so of the same.
fn compare<H: std::fmt::Debug>(
    random: impl Fn(&mut StdRng) -> H,
    quick: impl Fn(&H) -> bool,
    slow: impl Fn(&H) -> bool,
) -> u64 {
    let right = (0..HISTORIES).filter(|seed| {
        let history = random(&mut StdRng::seed_from_u64(*seed));
        let (quick, slow) = (quick(&history), slow(&history));
        assert_eq!(quick, slow, "seed {seed}: {history:?}");
        slow
    });
    right.count() as u64
}

#[test]
fn the_quick_check_of_registers_is_right() {
    let quick = |h: &Vec<Operation>| register::check(h).is_ok();
    let right = compare(slow::random_register, quick, |h| slow::register(h));
    println!("{right} of {HISTORIES} are linearizable");
    assert!(
        (HISTORIES / 5..HISTORIES * 19 / 20).contains(&right),
        "{right}"
    );
}

#[test]
fn the_quick_check_of_lists_is_right() {
    let quick = |h: &Vec<Transaction>| append::check(h).is_ok();
    let right = compare(slow::random_append, quick, |h| slow::append(h));
    println!("{right} of {HISTORIES} are strictly serializable");
    assert!(
        (HISTORIES / 5..HISTORIES * 19 / 20).contains(&right),
        "{right}"
    );
}

fn span(asked: u64, answered: u64) -> Span {
    Span { asked, answered }
}

#[test]
fn a_stale_read_is_told() {
    let at = |asked, answered, what| Operation {
        span: span(asked, answered),
        what,
    };
    let mut history = vec![
        at(1, 2, What::Write(1)),
        at(3, 4, What::Write(2)),
        at(5, 6, What::Read(Some(1))),
    ];
    let stale = Err(Violation::Amidst(Some(2), Some(1)));
    assert_eq!(register::check(&history), stale);
    // A write of which nothing was heard may be seen or not.
    history[1].span.answered = NEVER;
    assert_eq!(register::check(&history), Ok(()));
    history[2].what = What::Read(Some(2));
    assert_eq!(register::check(&history), Ok(()));
    history[2].what = What::Read(Some(3));
    assert_eq!(register::check(&history), Err(Violation::NeverWritten(3)));
}

#[test]
fn a_cycle_of_two_is_told() {
    // Each misses what the other wrote: no order explains it.
    let half = |reads, appends, value| Transaction {
        span: span(1, 9),
        done: vec![
            Action::Read {
                key: reads,
                values: vec![],
            },
            Action::Append {
                key: appends,
                value,
            },
        ],
    };
    let found = append::check(&[half(0, 1, 1), half(1, 0, 2)]).unwrap_err();
    let append::Violation::Cycle(mut who) = found else {
        panic!("{found:?}");
    };
    who.sort_unstable();
    assert_eq!(who, [0, 1]);
}

#[test]
fn a_lost_transfer_is_told() {
    assert_eq!(bank::check(30, &[vec![10, 20], vec![5, 25]]), Ok(()));
    let found = bank::check(30, &[vec![10, 20], vec![5, 20]]).unwrap_err();
    assert_eq!((found.reading, found.sum), (1, 25));
}

/// A history of the size that a run has takes no time that anybody would notice.
#[test]
fn a_long_history_is_checked() {
    let mut history = Vec::new();
    for i in 0..100_000 {
        let what = if i % 2 == 0 {
            What::Write(i)
        } else {
            What::Read(Some(i - 1))
        };
        let span = span(10 * i + 1, 10 * i + 15 - 10 * (i % 2));
        history.push(Operation { span, what });
    }
    assert_eq!(register::check(&history), Ok(()));
    let mut list = Vec::new();
    let mut history = Vec::new();
    for i in 0..20_000 {
        let (key, value) = (i / 100, i);
        let read = Action::Read {
            key,
            values: std::mem::take(&mut list),
        };
        if let Action::Read { values, .. } = &read
            && i % 100 != 99
        {
            list = [values.as_slice(), &[value]].concat();
        }
        history.push(Transaction {
            span: span(10 * i + 1, 10 * i + 15),
            done: vec![read, Action::Append { key, value }],
        });
    }
    assert_eq!(append::check(&history), Ok(()));
}
