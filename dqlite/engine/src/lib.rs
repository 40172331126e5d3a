//! A safe, one-shot handle on one libdqlite node.
//!
//! The C handle allows one order of calls: create, configure, bind, start, stop once, destroy once.
//! Here that order is in the types: [`Config`] is consumed by [`Config::start`], the [`Engine`] it
//! gives by [`Engine::stop`] (or by its drop), so that starting or stopping twice, or stopping before
//! the start, does not compile. What only shows at run time is an [`Error`].
//!
//! The engine binds to an abstract socket that accepts this process only; what reaches it, and how,
//! is for the caller to decide. See [`Engine::socket`].
//!
//! ```text
//! config.rs   settings; creates, configures, starts
//! handle.rs   the C pointer, the only place that calls C
//! found.rs    makes the first member of a new cluster under a random id
//! ```

mod config;
mod error;
mod found;
mod handle;

pub use config::{Config, Connect, Engine, Snapshot};
pub use error::Error;
pub use found::found;

/// The ids under which libdqlite, started in an empty directory, founds a cluster by itself: 1, and
/// the digest of "1". An engine that serves must never have one.
pub const FOUNDER_IDS: [u64; 2] = [1, 0x2dc1_7185_8c31_55be];

/// Whether no engine may serve under this id: 0 is none, and see [`FOUNDER_IDS`].
#[must_use]
pub fn is_reserved(id: u64) -> bool {
    id == 0 || FOUNDER_IDS.contains(&id)
}
