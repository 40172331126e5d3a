//! The headers of Raft's own messages, which pass between members after CONNECT. Each connection
//! carries the messages of one member to another, and nothing back.
//!
//! A message is a [`Preamble`], a header, and for entries and snapshots a payload, which is not looked
//! into. The layout is that of libdqlite's `uv_encoding.c`.

use crate::{Error, buf::Reader};

/// Largest header, in bytes: libdqlite's own limit.
pub const MAX_HEADER: usize = 4 << 20;
/// Largest payload, in bytes: a snapshot of the databases of a member.
pub const MAX_PAYLOAD: u64 = 8 << 30;

/// Sixteen bytes before every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    kind: u16,
    /// Length of the header in bytes.
    pub header_len: usize,
}

/// What a header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's term.
    pub term: u64,
    /// What it says beside that.
    pub body: Body,
    /// Length of the payload that follows the header, in bytes.
    pub payload: u64,
}

/// The parts of a message that tell where its sender stands. Indexes are those of log entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The leader's entries, or none: a heartbeat.
    Append {
        /// The leader's last committed entry.
        commit: u64,
        /// The last entry of this message.
        last: u64,
    },
    /// A follower's answer to entries or to a snapshot.
    Appended {
        /// The follower's last entry; for a rejection, the last that it could agree on.
        last: u64,
        /// The entries did not fit the follower's log.
        rejected: bool,
    },
    /// The leader's snapshot.
    Snapshot {
        /// The last entry in it.
        last: u64,
    },
    /// Part of an election, or of a transfer of leadership.
    Election,
}

impl Preamble {
    /// Length of a preamble in bytes.
    pub const LEN: usize = 16;

    /// Reads a preamble.
    ///
    /// # Errors
    /// [`Error::Short`] for an empty header, [`Error::TooLarge`] for one over [`MAX_HEADER`].
    pub fn decode(bytes: [u8; Self::LEN]) -> Result<Self, Error> {
        let mut reader = Reader::new(&bytes);
        // Only the low half-word is the type, as libdqlite has it.
        let kind = reader.u64("Raft message type")? as u16;
        let len = reader.u64("Raft header length")?;
        let header_len = usize::try_from(len).unwrap_or(usize::MAX);
        match header_len {
            0 => Err(Error::Short("Raft header")),
            len if len > MAX_HEADER => Err(Error::TooLarge {
                len,
                cap: MAX_HEADER,
            }),
            header_len => Ok(Self { kind, header_len }),
        }
    }

    /// Reads the header that belongs to this preamble.
    ///
    /// # Errors
    /// Any of [`Error`]: of an unknown type, of another length than its type has, or announcing a
    /// payload over [`MAX_PAYLOAD`].
    pub fn message(&self, header: &[u8]) -> Result<Message, Error> {
        let mut reader = Reader::new(header);
        let mut word = || reader.u64("Raft header");
        let term = word()?;
        let (body, payload) = match self.kind {
            1 => {
                let (before, _term, commit, count) = (word()?, word()?, word()?, word()?);
                let last = before.saturating_add(count);
                // libdqlite sends a word more than it writes; what is in it means nothing.
                let len = usize::try_from(count.saturating_mul(16)).unwrap_or(usize::MAX);
                let entries = reader.bytes(len, "Raft entries")?;
                (Body::Append { commit, last }, payload_of(entries))
            }
            2 if [24, 32].contains(&header.len()) => {
                let (rejected, last) = (word()? != 0, word()?);
                (Body::Appended { last, rejected }, 0)
            }
            3 if [32, 40].contains(&header.len()) => (Body::Election, 0),
            4 if [16, 24].contains(&header.len()) => (Body::Election, 0),
            6 if header.len() == 24 => (Body::Election, 0),
            2 | 3 | 4 | 6 => return Err(Error::Short("Raft header, or longer than its type has")),
            5 => {
                let (last, _term, _index) = (word()?, word()?, word()?);
                let configuration = usize::try_from(word()?).unwrap_or(usize::MAX);
                reader.bytes(configuration, "configuration of a snapshot")?;
                (Body::Snapshot { last }, reader.u64("Raft header")?)
            }
            kind => return Err(Error::Type(kind.min(255) as u8)),
        };
        if payload > MAX_PAYLOAD {
            return Err(Error::TooLarge {
                len: usize::try_from(payload).unwrap_or(usize::MAX),
                cap: MAX_PAYLOAD as usize,
            });
        }
        Ok(Message {
            term,
            body,
            payload,
        })
    }
}

/// Sum of the entries' lengths: each has a header of two words, the length in the last four bytes.
fn payload_of(entries: &[u8]) -> u64 {
    let lengths = entries.chunks_exact(16).map(|entry| {
        let [.., a, b, c, d] = entry else { return 0 };
        u64::from(u32::from_le_bytes([*a, *b, *c, *d]))
    });
    lengths.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn read(kind: u64, header: &[u64]) -> Result<Message, Error> {
        let header = words(header);
        let preamble = words(&[kind, header.len() as u64]);
        Preamble::decode(preamble.try_into().unwrap())?.message(&header)
    }

    #[test]
    fn headers_tell_where_the_sender_stands() {
        let entry = |len: u64| [7, 1 | len << 32];
        let header = [&[7, 40, 6, 39, 2][..], &entry(8), &entry(4096)].concat();
        let append = read(1, &header).unwrap();
        assert_eq!(
            append.body,
            Body::Append {
                commit: 39,
                last: 42
            }
        );
        assert_eq!((append.term, append.payload), (7, 4104));
        let heartbeat = read(1, &[7, 42, 7, 41, 0, 0]).unwrap();
        assert_eq!(
            heartbeat.body,
            Body::Append {
                commit: 41,
                last: 42
            }
        );
        let appended = read(2, &[7, 0, 42, 0]).unwrap();
        let body = Body::Appended {
            last: 42,
            rejected: false,
        };
        assert_eq!(appended.body, body);
        let snapshot = read(5, &[7, 900, 6, 1, 8, 99, 1 << 29]).unwrap();
        assert_eq!(snapshot.body, Body::Snapshot { last: 900 });
        assert_eq!(snapshot.payload, 1 << 29);
        for (kind, words) in [(3, 5), (3, 4), (4, 3), (4, 2), (6, 3)] {
            let election = read(kind, &vec![7; words]).unwrap();
            assert_eq!((election.body, election.term), (Body::Election, 7));
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert!(
            read(1, &[7, 40, 6, 39, 3, 7, 8]).is_err(),
            "too few entries"
        );
        assert!(
            read(1, &[7, 40, 6, 39, u64::MAX]).is_err(),
            "too many entries"
        );
        assert!(read(2, &[7]).is_err(), "cut short");
        assert!(read(4, &[7, 1, 2, 3]).is_err(), "too long");
        assert!(
            read(5, &[7, 1, 1, 1, u64::MAX, 1]).is_err(),
            "configuration"
        );
        assert!(
            read(5, &[7, 1, 1, 1, 0, MAX_PAYLOAD + 1]).is_err(),
            "payload"
        );
        assert!(read(9, &[7]).is_err(), "unknown type");
        assert!(read(2, &[]).is_err(), "empty");
        let huge = words(&[1, u64::MAX]).try_into().unwrap();
        assert!(Preamble::decode(huge).is_err());
    }
}
