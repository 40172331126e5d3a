//! What went wrong, and whether the outcome is known.

use std::{io, time::Duration};

/// Result codes that dqlite adds to SQLite's.
pub mod code {
    /// Several meanings, told apart by the text only.
    pub const BUSY: u64 = 5;
    /// The server does not lead; nothing was done.
    pub const NOT_LEADER: u64 = 10 | 40 << 8;
    /// Leadership was lost while the request ran; it may have been done, or may yet be.
    pub const LEADERSHIP_LOST: u64 = 10 | 41 << 8;
}

/// SQLite's primary codes ABORT, IOERR, FULL.
const IN_DOUBT: [u64; 3] = [4, 10, 13];

/// Whether a failed request may have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not, and will not.
    NotDone,
    /// Nobody can say: never repeat it unless it is idempotent.
    Unknown,
}

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection to this address.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// As it was given.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A node of this process did not start (feature `node` of the crate `dqlite`).
    #[error("the node at {address} cannot start: {source}")]
    NodeStart {
        /// As it was given.
        address: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A node of this process was asked for what it cannot do now.
    #[error("{0}")]
    Node(&'static str),
    /// A change of the membership failed.
    #[error("the membership did not change: {0}")]
    Cluster(#[source] Box<Error>),
    /// None of the addresses led to a leader in time.
    #[error("no leader found: {}", .tried.join("; "))]
    NoLeader {
        /// What each address said.
        tried: Vec<String>,
    },
    /// The server refused or failed the request.
    #[error("{message} (code {code})")]
    Server {
        /// SQLite's extended result code, or one of [`code`].
        code: u64,
        /// The server's words.
        message: String,
    },
    /// One statement of several in one text failed; those before it may have been committed.
    #[error("one statement of several failed: {0}")]
    Script(#[source] Box<Error>),
    /// The connection broke while the request was under way.
    #[error("connection broke during the request: {0}")]
    Broken(#[source] io::Error),
    /// The connection was closed before the request was sent.
    #[error("connection is closed")]
    Closed,
    /// [`Client::close`](crate::Client::close) was called.
    #[error("the client is closed")]
    ClientClosed,
    /// No answer within this time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server's bytes are not the protocol's.
    #[error("server speaks another protocol: {0}")]
    Protocol(#[from] dqlite_wire::Error),
    /// The server answered with another kind of message than the request calls for.
    #[error("unexpected answer to {0}")]
    Unexpected(&'static str),
    /// The statement was kept back: it would stop a server, or be refused by one that guards itself.
    #[error("not sent: {0}")]
    Guarded(String),
    /// A row does not fit the type that it was asked for as.
    #[error("a row does not fit: {0}")]
    Row(String),
    /// The caller's input cannot be sent; nothing was sent.
    #[error("{0}")]
    Input(&'static str),
}

impl Error {
    /// Whether the request may have been done all the same.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Connect { .. } | Self::NoLeader { .. } | Self::Closed | Self::Input(_) => {
                Outcome::NotDone
            }
            Self::NodeStart { .. } | Self::Node(_) | Self::ClientClosed | Self::Guarded(_) => {
                Outcome::NotDone
            }
            Self::Cluster(failed) => failed.outcome(),
            Self::Server {
                code: code::LEADERSHIP_LOST,
                ..
            } => Outcome::Unknown,
            // A leader that could not write its own log, or was stopped, may have sent the entry on.
            Self::Server { code, .. }
                if *code != code::NOT_LEADER && IN_DOUBT.contains(&(code & 0xff)) =>
            {
                Outcome::Unknown
            }
            Self::Server { .. } => Outcome::NotDone,
            // Each statement is a transaction of its own unless the text says otherwise.
            Self::Script(_) => Outcome::Unknown,
            Self::Broken(_) | Self::Timeout(_) | Self::Protocol(_) | Self::Unexpected(_) => {
                Outcome::Unknown
            }
            // The statement ran; only its rows are not what was expected.
            Self::Row(_) => Outcome::Unknown,
        }
    }

    /// Whether the same request may succeed later and repeating it is safe.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::NoLeader { .. } | Self::Closed => true,
            Self::Server { code, .. } => *code == code::NOT_LEADER || code & 0xff == code::BUSY,
            Self::Cluster(failed) => failed.is_retryable(),
            _ => false,
        }
    }

    /// The server's result code, if the server gave one.
    #[must_use]
    pub fn server_code(&self) -> Option<u64> {
        match self {
            Self::Server { code, .. } => Some(*code),
            Self::Script(failed) | Self::Cluster(failed) => failed.server_code(),
            _ => None,
        }
    }
}

impl From<dqlite_wire::Failure> for Error {
    fn from(f: dqlite_wire::Failure) -> Self {
        Self::Server {
            code: f.code,
            message: f.message,
        }
    }
}
