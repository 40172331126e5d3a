//! The PROXY v2 header with which a connection to a managed node may start: it names the cluster and
//! the member that the caller means, and what the caller is. Addresses in Kubernetes get re-used by
//! strangers; a node that is not the one meant closes the connection.
//!
//! The header is written by nodes (to peers, and when they pass a client on to the leader) and by the
//! operator. A client writes none.

use std::net::{IpAddr, Ipv6Addr};

use crate::Error;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command LOCAL: no addresses follow, only fields.
const VERSION_COMMAND: u8 = 0x20;
const FAMILY_UNSPECIFIED: u8 = 0;
const FIELD_CLUSTER: u8 = 0xe0;
const FIELD_TARGET: u8 = 0xe1;
const FIELD_CALLER: u8 = 0xe2;
const FIELD_FOUND: u8 = 0xe3;
/// Longest header, in bytes, that readers take.
pub const MAX_LEN: usize = 16 + 256;

/// What kind of program opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Another member: Raft, and questions about the cluster.
    Member = 1,
    /// The operator.
    Operator = 2,
    /// A client, passed on by a member's leader port: one hop, never two.
    Forwarded = 3,
}

/// Who is meant, and who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Id of the cluster, as recorded at its founding.
    pub cluster: String,
    /// Raft id of the member that is meant.
    pub target: u64,
    /// The caller's part.
    pub caller: Caller,
    /// News of where a member is.
    pub found: Option<Found>,
}

/// Where a member is to be found from now on. Hearsay: whoever is told looks for himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Raft id of the member.
    pub id: u64,
    /// Its address; `None`: where this connection comes from.
    pub at: Option<IpAddr>,
}

impl Found {
    /// The id, and the address as IPv6 if there is one: 8 or 24 bytes.
    fn encode(self) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        match self.at {
            Some(IpAddr::V4(v4)) => bytes.extend(v4.to_ipv6_mapped().octets()),
            Some(IpAddr::V6(v6)) => bytes.extend(v6.octets()),
            None => {}
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, at) = bytes.split_first_chunk()?;
        let id = u64::from_be_bytes(*id);
        let at = match at {
            [] => None,
            at => Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(at).ok()?)).to_canonical()),
        };
        Some(Self { id, at })
    }
}

/// Whether a connection that starts with these bytes brings a PROXY header: `None` while eight bytes
/// are not there. A dqlite client's first word is the protocol version, which no header starts with.
#[must_use]
pub fn is_proxy(first: &[u8]) -> Option<bool> {
    first.get(..8).map(|word| word == &SIGNATURE[..8])
}

impl ProxyHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let mut field = |kind: u8, value: &[u8]| {
            fields.push(kind);
            fields.extend_from_slice(&(value.len() as u16).to_be_bytes());
            fields.extend_from_slice(value);
        };
        field(FIELD_CLUSTER, self.cluster.as_bytes());
        field(FIELD_TARGET, &self.target.to_be_bytes());
        field(FIELD_CALLER, &[self.caller as u8]);
        if let Some(found) = self.found {
            field(FIELD_FOUND, &found.encode());
        }
        let mut out = SIGNATURE.to_vec();
        out.extend_from_slice(&[VERSION_COMMAND, FAMILY_UNSPECIFIED]);
        out.extend_from_slice(&(fields.len() as u16).to_be_bytes());
        out.extend_from_slice(&fields);
        out
    }

    /// Length of the fields that follow the first 16 bytes.
    ///
    /// # Errors
    /// [`Error::Proxy`] when these bytes start no header of ours.
    pub fn fields_len(start: &[u8; 16]) -> Result<usize, Error> {
        if start[..12] != SIGNATURE || start[12..14] != [VERSION_COMMAND, FAMILY_UNSPECIFIED] {
            return Err(Error::Proxy("not a LOCAL header of version 2"));
        }
        let len = usize::from(u16::from_be_bytes([start[14], start[15]]));
        if len > MAX_LEN - 16 {
            Err(Error::Proxy("too long"))
        } else {
            Ok(len)
        }
    }

    /// Reads the fields; unknown ones are passed over.
    ///
    /// # Errors
    /// [`Error::Proxy`].
    pub fn decode_fields(mut fields: &[u8]) -> Result<Self, Error> {
        let (mut cluster, mut target, mut caller, mut found) = (None, None, None, None);
        while let [kind, hi, lo, rest @ ..] = fields {
            let len = usize::from(u16::from_be_bytes([*hi, *lo]));
            let (value, rest) = rest
                .split_at_checked(len)
                .ok_or(Error::Proxy("field ends too early"))?;
            match *kind {
                FIELD_CLUSTER => cluster = std::str::from_utf8(value).ok().map(str::to_owned),
                FIELD_TARGET => target = value.try_into().ok().map(u64::from_be_bytes),
                FIELD_FOUND => found = Found::decode(value),
                FIELD_CALLER => {
                    caller = match value {
                        [1] => Some(Caller::Member),
                        [2] => Some(Caller::Operator),
                        [3] => Some(Caller::Forwarded),
                        _ => None,
                    }
                }
                _ => {}
            }
            fields = rest;
        }
        match (fields, cluster, target, caller) {
            ([], Some(cluster), Some(target), Some(caller)) => Ok(Self {
                cluster,
                target,
                caller,
                found,
            }),
            _ => Err(Error::Proxy("a field is missing or malformed")),
        }
    }
}
