//! Transfers between accounts keep their sum, in every state that anybody sees.

/// Balances that were read at once and do not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Place of the reading in the history.
    pub reading: usize,
    /// What they add up to.
    pub sum: i64,
}

/// Whether all readings of all accounts add up to `total`.
///
/// # Errors
///
/// The first that does not.
pub fn check(total: i64, readings: &[Vec<i64>]) -> Result<(), Violation> {
    let sums = readings.iter().map(|balances| balances.iter().sum::<i64>());
    match sums.enumerate().find(|(_, sum)| *sum != total) {
        Some((reading, sum)) => Err(Violation { reading, sum }),
        None => Ok(()),
    }
}
