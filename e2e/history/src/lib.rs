//! Checks what clients did and saw against what a database that does one thing at a time could have shown.
//!
//! Each check takes a whole history and gives the first violation that it finds. What is known to have failed is left
//! out of a history; what may have happened or not was answered [`NEVER`].
//!
//! ```text
//! register.rs  values that are written once and read; linearizable or not, in O(n log n)
//! append.rs    transactions that append to lists and read them; strictly serializable or not
//! bank.rs      transfers that keep a sum
//! ledger.rs    rows that are written once
//! workload.rs  clients that do all this and write it down
//! ```

pub mod append;
pub mod bank;
pub mod ledger;
pub mod register;
pub mod workload;

/// Nanoseconds since a start that all clients share; 0 is before everything.
pub type Time = u64;

/// No answer came, so it may happen at any time, or not at all.
pub const NEVER: Time = Time::MAX;

/// From when something was asked for until it was answered: it happened in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it was asked for.
    pub asked: Time,
    /// When it was answered.
    pub answered: Time,
}

impl Span {
    /// It was over before the other was asked for.
    #[must_use]
    pub fn precedes(self, other: Self) -> bool {
        self.answered < other.asked
    }
}
