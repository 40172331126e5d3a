//! What servers answer.

use crate::{
    Error, Header, Role, Value,
    buf::{Reader, Write},
    frame::message,
    value::{decode_row, encode_row},
};

/// Type bytes of responses.
#[allow(missing_docs)]
pub mod reply {
    pub const FAILURE: u8 = 0;
    pub const LEADER: u8 = 1;
    pub const WELCOME: u8 = 2;
    pub const SERVERS: u8 = 3;
    pub const DATABASE: u8 = 4;
    pub const STATEMENT: u8 = 5;
    pub const RESULT: u8 = 6;
    pub const ROWS: u8 = 7;
    pub const EMPTY: u8 = 8;
    pub const FILES: u8 = 9;
    pub const METADATA: u8 = 10;
}

/// Ends a part of the rows; another message with more of them follows.
const ROWS_PART: u64 = 0xeeee_eeee_eeee_eeee;
/// Ends the rows.
const ROWS_DONE: u64 = u64::MAX;

/// One server of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Raft id.
    pub id: u64,
    /// Address as the configuration has it, verbatim.
    pub address: String,
    /// Its role; absent where the answer has format 0.
    pub role: Option<Role>,
}

/// A request that failed at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// SQLite's extended result code, or one of dqlite's own.
    pub code: u64,
    /// The server's words.
    pub message: String,
}

/// One file of a dumped database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Name of the database, or that with `-wal`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Some or all rows of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Column names; repeated in every part.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
    /// Whether another message with more rows follows.
    pub more: bool,
}

impl Rows {
    /// Whether the body of a `ROWS` message announces another part. `last_word` is its last word.
    #[must_use]
    pub fn announces_more(last_word: [u8; 8]) -> bool {
        u64::from_le_bytes(last_word) == ROWS_PART
    }
}

/// An answer of the protocol.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Response {
    Failure(Failure),
    /// Id 0 and no address: none known.
    Leader {
        id: u64,
        address: String,
    },
    /// The time after which a silent client might be dropped, in milliseconds; never enforced.
    Welcome {
        heartbeat_timeout: u64,
    },
    Servers(Vec<Member>),
    Database {
        id: u32,
    },
    /// `tail`: byte offset of the next statement in the text, where it was asked for.
    Statement {
        db: u32,
        id: u32,
        params: u64,
        tail: Option<u64>,
    },
    Result {
        last_insert_id: u64,
        rows_affected: u64,
    },
    Rows(Rows),
    Empty,
    Files(Vec<File>),
    Metadata {
        failure_domain: u64,
        weight: u64,
    },
}

impl Response {
    /// Reads the body that belongs to `header`. `roles` tells whether CLUSTER was asked with format
    /// 1: the answer does not say so itself.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub fn decode(header: &Header, body: &[u8], roles: bool) -> Result<Self, Error> {
        if header.schema > u8::from(header.kind == reply::STATEMENT) {
            return Err(Error::Schema {
                kind: header.kind,
                schema: header.schema,
            });
        }
        if header.kind == reply::FAILURE {
            return decode_failure(body).map(Self::Failure);
        }
        let r = &mut Reader::new(body);
        let response = match header.kind {
            reply::LEADER => Self::Leader {
                id: r.u64("server id")?,
                address: r.text("address")?,
            },
            reply::WELCOME => Self::Welcome {
                heartbeat_timeout: r.u64("heartbeat timeout")?,
            },
            reply::SERVERS => Self::Servers(decode_servers(r, roles)?),
            reply::DATABASE => {
                let id = r.u32("database id")?;
                r.u32("padding")?;
                Self::Database { id }
            }
            reply::STATEMENT => Self::Statement {
                db: r.u32("database id")?,
                id: r.u32("statement id")?,
                params: r.u64("parameter count")?,
                tail: if header.schema == 1 {
                    Some(r.u64("tail offset")?)
                } else {
                    None
                },
            },
            reply::RESULT => Self::Result {
                last_insert_id: r.u64("last insert id")?,
                rows_affected: r.u64("rows affected")?,
            },
            reply::ROWS => Self::Rows(decode_rows(r)?),
            reply::EMPTY => r.u64("unused word").map(|_| Self::Empty)?,
            reply::FILES => Self::Files(decode_files(r)?),
            reply::METADATA => Self::Metadata {
                failure_domain: r.u64("failure domain")?,
                weight: r.u64("weight")?,
            },
            other => return Err(Error::Type(other)),
        };
        r.clone().finish()?;
        Ok(response)
    }

    /// Appends the whole message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Failure(Failure {
                code,
                message: text,
            }) => {
                message(out, reply::FAILURE, 0, |b| {
                    b.put_u64(*code);
                    b.put_text(text);
                });
            }
            Self::Leader { id, address } => message(out, reply::LEADER, 0, |b| {
                b.put_u64(*id);
                b.put_text(address);
            }),
            Self::Welcome { heartbeat_timeout } => {
                message(out, reply::WELCOME, 0, |b| b.put_u64(*heartbeat_timeout));
            }
            Self::Servers(members) => message(out, reply::SERVERS, 0, |b| {
                b.put_u64(members.len() as u64);
                for m in members {
                    b.put_u64(m.id);
                    b.put_text(&m.address);
                    if let Some(role) = m.role {
                        b.put_u64(role as u64);
                    }
                }
            }),
            Self::Database { id } => message(out, reply::DATABASE, 0, |b| {
                b.put_u32(*id);
                b.put_u32(0);
            }),
            Self::Statement {
                db,
                id,
                params,
                tail,
            } => {
                message(out, reply::STATEMENT, u8::from(tail.is_some()), |b| {
                    b.put_u32(*db);
                    b.put_u32(*id);
                    b.put_u64(*params);
                    if let Some(tail) = tail {
                        b.put_u64(*tail);
                    }
                });
            }
            Self::Result {
                last_insert_id,
                rows_affected,
            } => message(out, reply::RESULT, 0, |b| {
                b.put_u64(*last_insert_id);
                b.put_u64(*rows_affected);
            }),
            Self::Rows(rows) => message(out, reply::ROWS, 0, |b| {
                b.put_u64(rows.columns.len() as u64);
                rows.columns.iter().for_each(|name| b.put_text(name));
                rows.rows.iter().for_each(|row| encode_row(b, row));
                b.put_u64(if rows.more { ROWS_PART } else { ROWS_DONE });
            }),
            Self::Empty => message(out, reply::EMPTY, 0, |b| b.put_u64(0)),
            Self::Files(files) => message(out, reply::FILES, 0, |b| {
                b.put_u64(files.len() as u64);
                for file in files {
                    b.put_text(&file.name);
                    b.put_blob(&file.bytes);
                }
            }),
            Self::Metadata {
                failure_domain,
                weight,
            } => message(out, reply::METADATA, 0, |b| {
                b.put_u64(*failure_domain);
                b.put_u64(*weight);
            }),
        }
    }
}

/// An error while rows are produced comes behind the rows written so far, so the failure is read
/// from the body's end. A code is far below 2^56 and so has a zero byte; eight bytes inside a text
/// have none. So the text starts after the last word, but the final one, that holds a zero byte.
fn decode_failure(body: &[u8]) -> Result<Failure, Error> {
    let (words, odd) = body.as_chunks::<8>();
    let [head @ .., _last] = words else {
        return Err(Error::Short("failure"));
    };
    if !odd.is_empty() {
        return Err(Error::Trailing(odd.len()));
    }
    let code = head
        .iter()
        .rposition(|word| word.contains(&0))
        .ok_or(Error::Short("failure code"))?;
    let r = &mut Reader::new(&body[code * 8..]);
    let failure = Failure {
        code: r.u64("failure code")?,
        message: r.text("failure message")?,
    };
    r.clone().finish()?;
    Ok(failure)
}

/// A count of things that take at least `least` bytes each must fit what is left of the body.
fn count(r: &mut Reader<'_>, least: usize, what: &'static str) -> Result<usize, Error> {
    let n = r.u64(what)?;
    usize::try_from(n)
        .ok()
        .filter(|n| *n <= r.len() / least)
        .ok_or(Error::Count(n))
}

fn decode_servers(r: &mut Reader<'_>, roles: bool) -> Result<Vec<Member>, Error> {
    let n = count(r, 16, "number of servers")?;
    (0..n)
        .map(|_| {
            Ok(Member {
                id: r.u64("server id")?,
                address: r.text("address")?,
                role: if roles {
                    Some(Role::try_from(r.u64("role")?)?)
                } else {
                    None
                },
            })
        })
        .collect()
}

fn decode_files(r: &mut Reader<'_>) -> Result<Vec<File>, Error> {
    let n = count(r, 16, "number of files")?;
    (0..n)
        .map(|_| {
            Ok(File {
                name: r.text("file name")?,
                bytes: r.blob("file")?,
            })
        })
        .collect()
}

fn decode_rows(r: &mut Reader<'_>) -> Result<Rows, Error> {
    let n = count(r, 8, "number of columns")?;
    let columns = (0..n)
        .map(|_| r.text("column name"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    loop {
        // No row starts like this: 14 and 15 are no type codes.
        match r.peek_u64() {
            Some(ROWS_PART | ROWS_DONE) => {
                let more = r.u64("end of rows")? == ROWS_PART;
                return Ok(Rows {
                    columns,
                    rows,
                    more,
                });
            }
            Some(_) if n > 0 => rows.push(decode_row(n, r)?),
            _ => return Err(Error::Short("rows")),
        }
    }
}
