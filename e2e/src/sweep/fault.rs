//! What happens to a call that changes something, or with it.

use std::time::Duration;

use super::meddler::{FAILING, Weather};

/// Calls go to the API server or to a member; of the latter, whatever an API server alone can answer is a
/// connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The operator ends, and the call is never made.
    Before,
    /// The operator ends with the answer on its way.
    After,
    /// The operator ends; the call arrives when the next one has been at work for a while.
    Late,
    /// The call is made, its answer is lost.
    AnswerLost,
    /// The call is made and answered as an error of the server.
    AnsweredBadly,
    /// Not made: somebody else was faster.
    Conflict,
    /// Not made: too many requests.
    Throttled,
    /// Lists and watches are told that what they ask for is too old, for a while.
    Gone,
    /// The operator ends; the next one's watches show the past for a while.
    Frozen,
    /// Events of watches are lost for a while.
    Deaf,
    /// The API server is away for a minute.
    Away,
    /// Nothing can be changed for a while.
    Failing,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    /// Neither made nor answered.
    Cut,
    /// Made, not answered.
    Unanswered,
    /// Made after a while, not answered.
    Late,
    /// Made, and answered with this status.
    Answered(u16),
    /// Answered with this status, not made.
    Refused(u16),
}

impl Fault {
    pub const ALL: [Self; 12] = [
        Self::Before,
        Self::After,
        Self::Late,
        Self::AnswerLost,
        Self::AnsweredBadly,
        Self::Conflict,
        Self::Throttled,
        Self::Gone,
        Self::Frozen,
        Self::Deaf,
        Self::Away,
        Self::Failing,
    ];

    /// Whether it ends the operator.
    pub fn ends_it(self) -> bool {
        matches!(self, Self::Before | Self::After | Self::Late | Self::Frozen)
    }

    /// What lasts longer than the call that it meets, and how long.
    pub fn weather(self) -> Option<(Weather, Duration)> {
        let (weather, seconds) = match self {
            Self::Gone => (Weather::Gone, 4),
            Self::Frozen => (Weather::Frozen, 8),
            Self::Deaf => (Weather::Deaf, 8),
            Self::Away => (Weather::Away, 60),
            Self::Failing => (Weather::Failing, FAILING.as_secs()),
            _ => return None,
        };
        Some((weather, Duration::from_secs(seconds)))
    }

    /// Of the call that it meets.
    pub fn fate(self) -> Fate {
        match self {
            Self::Before | Self::Away => Fate::Cut,
            Self::After | Self::AnswerLost | Self::Frozen => Fate::Unanswered,
            Self::Late => Fate::Late,
            Self::AnsweredBadly => Fate::Answered(500),
            Self::Failing => Fate::Refused(500),
            Self::Conflict => Fate::Refused(409),
            Self::Throttled => Fate::Refused(429),
            Self::Gone | Self::Deaf => Fate::Pass,
        }
    }
}
