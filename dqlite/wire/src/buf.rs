//! Reading and writing of words, texts and blobs: little-endian, everything padded to 8 bytes.

use crate::Error;

/// A cursor over one body.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Error::Short(what))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        self.bytes(N, what)?
            .try_into()
            .map_err(|_| Error::Short(what))
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// The next word, without taking it.
    pub(crate) fn peek_u64(&self) -> Option<u64> {
        self.clone().u64("word").ok()
    }

    /// UTF-8, a NUL, padding.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, Error> {
        let end = self
            .rest
            .iter()
            .position(|b| *b == 0)
            .ok_or(Error::Short(what))?;
        let raw = self.bytes(padded(end + 1), what)?;
        std::str::from_utf8(&raw[..end])
            .map(str::to_owned)
            .map_err(|_| Error::Text)
    }

    /// Length word, bytes, padding.
    pub(crate) fn blob(&mut self, what: &'static str) -> Result<Vec<u8>, Error> {
        let n = self.u64(what)?;
        let n = usize::try_from(n).map_err(|_| Error::Count(n))?;
        if n > self.rest.len() {
            return Err(Error::Short(what));
        }
        Ok(self.bytes(padded(n), what)?[..n].to_vec())
    }

    /// Every message ends with its last field.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Trailing(self.len()))
        }
    }
}

/// Appends fields to a buffer; the counterpart of [`Reader`].
pub(crate) trait Write {
    fn put_u32(&mut self, v: u32);
    fn put_u64(&mut self, v: u64);
    fn put_text(&mut self, v: &str);
    fn put_blob(&mut self, v: &[u8]);
    /// Fills up to a whole word, counted from `start`.
    fn pad(&mut self, start: usize);
}

impl Write for Vec<u8> {
    fn put_u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_le_bytes());
    }

    fn put_u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_le_bytes());
    }

    fn put_text(&mut self, v: &str) {
        let start = self.len();
        // A NUL would end the text early and shift every field after it.
        self.extend(v.bytes().take_while(|b| *b != 0));
        self.push(0);
        self.pad(start);
    }

    fn put_blob(&mut self, v: &[u8]) {
        self.put_u64(v.len() as u64);
        let start = self.len();
        self.extend_from_slice(v);
        self.pad(start);
    }

    fn pad(&mut self, start: usize) {
        self.resize(start + padded(self.len() - start), 0);
    }
}

/// `n` rounded up to whole words.
pub(crate) const fn padded(n: usize) -> usize {
    n.saturating_add(7) & !7
}
