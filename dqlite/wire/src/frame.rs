//! The header of a message.

use crate::Error;

/// First word of a connection.
pub const PROTOCOL_VERSION: u64 = 1;
/// First word of a connection of the protocol before 1.0, which nothing here speaks.
pub const LEGACY_PROTOCOL_VERSION: u64 = 0x8610_4dd7_6043_3fe5;
/// Largest body, in bytes, that readers take unless told otherwise: 64 MiB.
pub const DEFAULT_MAX_BODY: usize = 64 << 20;

/// Eight bytes before every body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the body in words of 8 bytes (not in bytes, as upstream's text once says).
    pub words: u32,
    /// Message type, see [`crate::kind`] and [`crate::reply`].
    pub kind: u8,
    /// Variant of the type's body.
    pub schema: u8,
    /// Unused; zero.
    pub extra: u16,
}

impl Header {
    /// Length of a header in bytes.
    pub const LEN: usize = 8;

    /// Reads a header; every eight bytes are one.
    #[must_use]
    pub fn decode(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, kind, schema, e, f] = bytes;
        Self {
            words: u32::from_le_bytes([a, b, c, d]),
            kind,
            schema,
            extra: u16::from_le_bytes([e, f]),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.words.to_le_bytes();
        let [e, f] = self.extra.to_le_bytes();
        [a, b, c, d, self.kind, self.schema, e, f]
    }

    /// Length of the body in bytes, if it is within `cap` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn body_len(&self, cap: usize) -> Result<usize, Error> {
        let len = self.words as usize * 8;
        if len > cap {
            Err(Error::TooLarge { len, cap })
        } else {
            Ok(len)
        }
    }
}

/// Appends a whole message: header, then what `body` writes.
pub(crate) fn message(out: &mut Vec<u8>, kind: u8, schema: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; Header::LEN]);
    body(out);
    let words = (out.len() - start - Header::LEN) / 8;
    let header = Header {
        words: words as u32,
        kind,
        schema,
        extra: 0,
    };
    out[start..start + Header::LEN].copy_from_slice(&header.encode());
}
