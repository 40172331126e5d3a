//! The dqlite wire protocol, without I/O: bytes in, values out, and back.
//!
//! A connection starts with [`PROTOCOL_VERSION`] as one little-endian word. After it every message
//! is a [`Header`] and a body of whole 8-byte words; the client sends a [`Request`], the server
//! answers with one [`Response`], or with several for rows (see [`Rows::more`]).
//!
//! ```text
//! frame.rs     header of a message, limits
//! value.rs     values, and the two shapes of a tuple (parameters, a row)
//! request.rs   what clients send
//! response.rs  what servers answer
//! proxy.rs     the PROXY v2 header that tells a managed node who is meant and who calls
//! raft.rs      headers of the messages between members, after CONNECT
//! buf.rs       reading and writing words; the only place that touches offsets
//! ```
//!
//! Decoding takes one whole body, never panics, and allocates no more than a small multiple of the
//! body's length; the length itself is checked against a cap by [`Header::body_len`].

mod buf;
mod frame;
pub mod proxy;
pub mod raft;
mod request;
mod response;
mod value;

pub use frame::{DEFAULT_MAX_BODY, Header, LEGACY_PROTOCOL_VERSION, PROTOCOL_VERSION};
pub use request::{Request, kind};
pub use response::{Failure, File, Member, Response, Rows, reply};
pub use value::Value;

/// A server's part in Raft. The numbers are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Votes and replicates.
    Voter = 0,
    /// Replicates, has no vote.
    Standby = 1,
    /// Is listed and gets no log at all.
    Spare = 2,
}

impl TryFrom<u64> for Role {
    type Error = Error;

    fn try_from(code: u64) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Voter),
            1 => Ok(Self::Standby),
            2 => Ok(Self::Spare),
            _ => Err(Error::Role(code)),
        }
    }
}

/// Why bytes are not a message of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The body ends before the field does.
    #[error("message ends inside {0}")]
    Short(&'static str),
    /// The body goes on after its last field; the number is in bytes.
    #[error("{0} bytes follow the last field")]
    Trailing(usize),
    /// A text has no terminating NUL, or is not UTF-8.
    #[error("text is not UTF-8 with a final NUL")]
    Text,
    /// The header announces more than the reader's cap; both in bytes.
    #[error("message of {len} bytes is over the cap of {cap}")]
    TooLarge {
        /// What the header says.
        len: usize,
        /// The reader's limit.
        cap: usize,
    },
    /// No message of this type is known.
    #[error("unknown message type {0}")]
    Type(u8),
    /// The type is known, this schema of it is not.
    #[error("unknown schema {schema} of message type {kind}")]
    Schema {
        /// Message type.
        kind: u8,
        /// Schema byte.
        schema: u8,
    },
    /// No value has this type code.
    #[error("unknown value type {0}")]
    ValueType(u8),
    /// No role has this number.
    #[error("unknown role {0}")]
    Role(u64),
    /// A count cannot be true for a body of this length.
    #[error("count {0} does not fit the message")]
    Count(u64),
    /// The PROXY header is not one that we write.
    #[error("malformed PROXY header: {0}")]
    Proxy(&'static str),
}
