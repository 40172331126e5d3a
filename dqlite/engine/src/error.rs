//! What can go wrong with an engine.

use std::{io, path::PathBuf};

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory does not exist, or is no directory.
    #[error("data directory {path}: {source}")]
    Directory {
        /// As it was given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another engine, in this process or another, has the directory.
    #[error("data directory {0} is in use by another engine")]
    InUse(PathBuf),
    /// The address cannot be bound: taken, or neither numeric nor abstract.
    #[error("cannot bind {0}: taken, or not a numeric address or '@name'")]
    Bind(String),
    /// An id that no engine may serve under.
    #[error("id {0} is reserved: 0 is no id, the others found a cluster by themselves")]
    ReservedId(u64),
    /// A text with a NUL inside.
    #[error("{0} contains NUL")]
    Nul(&'static str),
    /// A setting is out of range.
    #[error("setting {0} is out of range")]
    Setting(&'static str),
    /// The library failed; its words.
    #[error("{call} failed with {code}: {message}")]
    Library {
        /// Which call.
        call: &'static str,
        /// Its return value.
        code: i32,
        /// The handle's error message.
        message: String,
    },
}
