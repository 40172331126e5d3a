//! Values, and the two shapes of a tuple: parameters of a statement, a row of a result.

use crate::{
    Error,
    buf::{Reader, Write},
};

/// One SQL value as the protocol carries it.
///
/// dqlite derives the type of a result column from the column's *declared* type: a NULL in a column
/// declared `BOOLEAN` arrives as `Boolean(false)`, one in a `DATE`, `DATETIME` or `TIMESTAMP` column
/// as `Iso8601("")`. Select `+column` to get the real type back.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// 64-bit signed integer.
    Integer(i64),
    /// 64-bit float.
    Float(f64),
    /// UTF-8 text; the protocol cannot carry a NUL inside.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// SQL NULL.
    Null,
    /// Seconds since 1970-01-01 UTC.
    UnixTime(i64),
    /// Date and time as text.
    Iso8601(String),
    /// Truth value.
    Boolean(bool),
}

impl Value {
    const fn code(&self) -> u8 {
        match self {
            Self::Integer(_) => 1,
            Self::Float(_) => 2,
            Self::Text(_) => 3,
            Self::Blob(_) => 4,
            Self::Null => 5,
            Self::UnixTime(_) => 9,
            Self::Iso8601(_) => 10,
            Self::Boolean(_) => 11,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(v) | Self::UnixTime(v) => out.put_u64(v.cast_unsigned()),
            Self::Float(v) => out.put_u64(v.to_bits()),
            Self::Text(v) | Self::Iso8601(v) => out.put_text(v),
            Self::Blob(v) => out.put_blob(v),
            Self::Null => out.put_u64(0),
            Self::Boolean(v) => out.put_u64(u64::from(*v)),
        }
    }

    fn decode(code: u8, r: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match code {
            1 => Self::Integer(r.u64("integer")?.cast_signed()),
            2 => Self::Float(f64::from_bits(r.u64("float")?)),
            3 => Self::Text(r.text("text")?),
            4 => Self::Blob(r.blob("blob")?),
            5 => r.u64("null").map(|_| Self::Null)?,
            9 => Self::UnixTime(r.u64("unix time")?.cast_signed()),
            10 => Self::Iso8601(r.text("date")?),
            11 => Self::Boolean(r.u64("boolean")? != 0),
            other => return Err(Error::ValueType(other)),
        })
    }
}

/// The schema byte that parameters need: one-byte count while it is enough, since servers before
/// 1.15 know no other.
pub(crate) fn params_schema(params: &[Value]) -> u8 {
    u8::from(params.len() > usize::from(u8::MAX))
}

/// Parameters: count and type codes in whole words, then the values. No parameters: nothing at all.
pub(crate) fn encode_params(out: &mut Vec<u8>, params: &[Value]) {
    if params.is_empty() {
        return;
    }
    let start = out.len();
    if params_schema(params) == 0 {
        out.push(params.len() as u8);
    } else {
        out.put_u32(params.len() as u32);
    }
    out.extend(params.iter().map(Value::code));
    out.pad(start);
    for value in params {
        value.encode(out);
    }
}

pub(crate) fn decode_params(schema: u8, r: &mut Reader<'_>) -> Result<Vec<Value>, Error> {
    if r.is_empty() {
        return Ok(Vec::new());
    }
    let (count, head) = match schema {
        0 => (usize::from(r.u8("parameter count")?), 1),
        _ => (r.u32("parameter count")? as usize, 4),
    };
    let codes = r.bytes(count, "parameter types")?;
    let used = head + count;
    r.bytes(crate::buf::padded(used) - used, "parameter padding")?;
    codes.iter().map(|code| Value::decode(*code, r)).collect()
}

/// A row: four-bit type codes, low nibble first, in whole words; then the values.
pub(crate) fn encode_row(out: &mut Vec<u8>, row: &[Value]) {
    let start = out.len();
    for pair in row.chunks(2) {
        out.push(
            pair.iter()
                .rev()
                .fold(0, |byte, value| byte << 4 | value.code()),
        );
    }
    out.pad(start);
    for value in row {
        value.encode(out);
    }
}

pub(crate) fn decode_row(columns: usize, r: &mut Reader<'_>) -> Result<Vec<Value>, Error> {
    let codes = r.bytes(crate::buf::padded(columns.div_ceil(2)), "row types")?;
    (0..columns)
        .map(|i| Value::decode(codes[i / 2] >> (4 * (i % 2)) & 0xf, r))
        .collect()
}

macro_rules! from {
    ($($variant:ident: $($type:ty),+);+ $(;)?) => {
        $($(impl From<$type> for Value {
            fn from(v: $type) -> Self {
                Self::$variant(v.into())
            }
        })+)+
    };
}

from! {
    Integer: i64, i32, u32, i16, u8;
    Float: f64;
    Text: String, &str;
    Blob: Vec<u8>, &[u8];
    Boolean: bool;
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}
