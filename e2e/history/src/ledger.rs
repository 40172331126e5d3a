//! Rows that are written once: each that was acknowledged is there once, none that failed, and of the rest nobody knows.

use std::collections::BTreeMap;

/// What became of rows, each with a number of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Answered with success.
    pub acknowledged: Vec<i64>,
    /// Known not to be there.
    pub failed: Vec<i64>,
    /// Not answered.
    pub unknown: Vec<i64>,
}

/// Why a table is not this ledger's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An acknowledged row is not there.
    Lost(i64),
    /// A row is there so many times.
    Repeated(i64, usize),
    /// A row is there that failed, or that nobody wrote.
    Ghost(i64),
}

impl Ledger {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.failed.extend(other.failed);
        self.unknown.extend(other.unknown);
    }

    /// Compares the ledger with the rows of a database.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn check(&self, rows: &[i64]) -> Result<(), Violation> {
        let mut times = BTreeMap::new();
        for row in rows {
            *times.entry(*row).or_insert(0) += 1;
        }
        if let Some((row, n)) = times.iter().find(|(_, n)| **n > 1) {
            return Err(Violation::Repeated(*row, *n));
        }
        for row in &self.acknowledged {
            times.remove(row).ok_or(Violation::Lost(*row))?;
        }
        for row in &self.unknown {
            times.remove(row);
        }
        match times.keys().next() {
            Some(row) => Err(Violation::Ghost(*row)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_there_as_it_was_answered() {
        let ledger = Ledger {
            acknowledged: vec![1, 2],
            failed: vec![3],
            unknown: vec![4],
        };
        assert_eq!(ledger.check(&[2, 1]), Ok(()));
        assert_eq!(ledger.check(&[1, 2, 4]), Ok(()), "nobody knows of 4");
        assert_eq!(ledger.check(&[1, 4]), Err(Violation::Lost(2)));
        assert_eq!(ledger.check(&[1, 2, 2]), Err(Violation::Repeated(2, 2)));
        assert_eq!(ledger.check(&[1, 2, 4, 4]), Err(Violation::Repeated(4, 2)));
        assert_eq!(
            ledger.check(&[1, 2, 3]),
            Err(Violation::Ghost(3)),
            "it failed"
        );
        assert_eq!(
            ledger.check(&[1, 2, 5]),
            Err(Violation::Ghost(5)),
            "nobody wrote it"
        );
    }
}
