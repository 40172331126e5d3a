//! What clients send.

use crate::{
    Error, Header, Role, Value,
    buf::{Reader, Write},
    frame::message,
    value::{decode_params, encode_params, params_schema},
};

/// Type bytes of requests.
#[allow(missing_docs)]
pub mod kind {
    pub const LEADER: u8 = 0;
    pub const CLIENT: u8 = 1;
    pub const HEARTBEAT: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const PREPARE: u8 = 4;
    pub const EXEC: u8 = 5;
    pub const QUERY: u8 = 6;
    pub const FINALIZE: u8 = 7;
    pub const EXEC_SQL: u8 = 8;
    pub const QUERY_SQL: u8 = 9;
    pub const INTERRUPT: u8 = 10;
    pub const CONNECT: u8 = 11;
    pub const ADD: u8 = 12;
    pub const ASSIGN: u8 = 13;
    pub const REMOVE: u8 = 14;
    pub const DUMP: u8 = 15;
    pub const CLUSTER: u8 = 16;
    pub const TRANSFER: u8 = 17;
    pub const DESCRIBE: u8 = 18;
    pub const WEIGHT: u8 = 19;
}

/// A request of the protocol. The comment of each names the answer that means success.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Request {
    /// Who leads? → `Leader`. Only voters know; others answer id 0.
    Leader,
    /// Names the client → `Welcome`.
    Client { id: u64 },
    /// Opens the connection's one database, at the leader → `Database`.
    Open {
        name: String,
        flags: u64,
        vfs: String,
    },
    /// Prepares one statement (or, with `tail`, the first of several) → `Statement`.
    Prepare { db: u64, sql: String, tail: bool },
    /// Runs a prepared statement → `Result`.
    Exec {
        db: u32,
        stmt: u32,
        params: Vec<Value>,
    },
    /// Runs a prepared statement → `Rows`, one or more.
    Query {
        db: u32,
        stmt: u32,
        params: Vec<Value>,
    },
    /// Forgets a prepared statement → `Empty`.
    Finalize { db: u32, stmt: u32 },
    /// Runs all statements of a text → `Result` of the last.
    ExecSql {
        db: u64,
        sql: String,
        params: Vec<Value>,
    },
    /// Runs one statement → `Rows`, one or more.
    QuerySql {
        db: u64,
        sql: String,
        params: Vec<Value>,
    },
    /// Without effect on a running statement: it is read only after the answer → `Empty`.
    Interrupt { db: u64 },
    /// From here on the connection carries Raft messages from this server. No answer.
    Connect { id: u64, address: String },
    /// Adds a server as spare, at the leader → `Empty`.
    Add { id: u64, address: String },
    /// Changes a server's role, at the leader → `Empty`. To voter: may take over 50 s.
    Assign { id: u64, role: Role },
    /// Removes a server, at the leader → `Empty`.
    Remove { id: u64 },
    /// Copies a database as this server has it → `Files`.
    Dump { name: String },
    /// The configuration as this server has it, perhaps not committed → `Servers`.
    /// Format 0 leaves the roles out, 1 has them.
    Cluster { format: u64 },
    /// Hands leadership over; id 0 lets the server pick → `Empty`.
    Transfer { id: u64 },
    /// Failure domain and weight; the only format is 0 → `Metadata`.
    Describe { format: u64 },
    /// Sets the weight until the next restart → `Empty`.
    Weight { weight: u64 },
}

impl Request {
    /// Appends the whole message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leader => message(out, kind::LEADER, 0, |b| b.put_u64(0)),
            Self::Client { id } => message(out, kind::CLIENT, 0, |b| b.put_u64(*id)),
            Self::Open { name, flags, vfs } => message(out, kind::OPEN, 0, |b| {
                b.put_text(name);
                b.put_u64(*flags);
                b.put_text(vfs);
            }),
            Self::Prepare { db, sql, tail } => message(out, kind::PREPARE, u8::from(*tail), |b| {
                b.put_u64(*db);
                b.put_text(sql);
            }),
            Self::Exec { db, stmt, params } => statement(out, kind::EXEC, *db, *stmt, params),
            Self::Query { db, stmt, params } => statement(out, kind::QUERY, *db, *stmt, params),
            Self::Finalize { db, stmt } => message(out, kind::FINALIZE, 0, |b| {
                b.put_u32(*db);
                b.put_u32(*stmt);
            }),
            Self::ExecSql { db, sql, params } => text(out, kind::EXEC_SQL, *db, sql, params),
            Self::QuerySql { db, sql, params } => text(out, kind::QUERY_SQL, *db, sql, params),
            Self::Interrupt { db } => message(out, kind::INTERRUPT, 0, |b| b.put_u64(*db)),
            Self::Connect { id, address } => server(out, kind::CONNECT, *id, address),
            Self::Add { id, address } => server(out, kind::ADD, *id, address),
            Self::Assign { id, role } => message(out, kind::ASSIGN, 0, |b| {
                b.put_u64(*id);
                b.put_u64(*role as u64);
            }),
            Self::Remove { id } => message(out, kind::REMOVE, 0, |b| b.put_u64(*id)),
            Self::Dump { name } => message(out, kind::DUMP, 0, |b| b.put_text(name)),
            Self::Cluster { format } => message(out, kind::CLUSTER, 0, |b| b.put_u64(*format)),
            Self::Transfer { id } => message(out, kind::TRANSFER, 0, |b| b.put_u64(*id)),
            Self::Describe { format } => message(out, kind::DESCRIBE, 0, |b| b.put_u64(*format)),
            Self::Weight { weight } => message(out, kind::WEIGHT, 0, |b| b.put_u64(*weight)),
        }
    }

    /// Reads the body that belongs to `header`.
    ///
    /// # Errors
    /// Any of [`Error`]; an ASSIGN without a role, as old clients send it, means voter.
    pub fn decode(header: &Header, body: &[u8]) -> Result<Self, Error> {
        let with_params = matches!(
            header.kind,
            kind::EXEC | kind::QUERY | kind::EXEC_SQL | kind::QUERY_SQL
        );
        let schemas = if with_params || header.kind == kind::PREPARE {
            1
        } else {
            0
        };
        if header.schema > schemas {
            return Err(Error::Schema {
                kind: header.kind,
                schema: header.schema,
            });
        }
        let r = &mut Reader::new(body);
        let request = match header.kind {
            kind::LEADER => r.u64("unused word").map(|_| Self::Leader)?,
            kind::CLIENT => Self::Client {
                id: r.u64("client id")?,
            },
            kind::OPEN => Self::Open {
                name: r.text("database name")?,
                flags: r.u64("flags")?,
                vfs: r.text("vfs")?,
            },
            kind::PREPARE => Self::Prepare {
                db: r.u64("database id")?,
                sql: r.text("sql")?,
                tail: header.schema == 1,
            },
            kind::EXEC | kind::QUERY => {
                let (db, stmt) = (r.u32("database id")?, r.u32("statement id")?);
                let params = decode_params(header.schema, r)?;
                if header.kind == kind::EXEC {
                    Self::Exec { db, stmt, params }
                } else {
                    Self::Query { db, stmt, params }
                }
            }
            kind::FINALIZE => Self::Finalize {
                db: r.u32("database id")?,
                stmt: r.u32("statement id")?,
            },
            kind::EXEC_SQL | kind::QUERY_SQL => {
                let (db, sql) = (r.u64("database id")?, r.text("sql")?);
                let params = decode_params(header.schema, r)?;
                if header.kind == kind::EXEC_SQL {
                    Self::ExecSql { db, sql, params }
                } else {
                    Self::QuerySql { db, sql, params }
                }
            }
            kind::INTERRUPT => Self::Interrupt {
                db: r.u64("database id")?,
            },
            kind::CONNECT => Self::Connect {
                id: r.u64("server id")?,
                address: r.text("address")?,
            },
            kind::ADD => Self::Add {
                id: r.u64("server id")?,
                address: r.text("address")?,
            },
            kind::ASSIGN => {
                let id = r.u64("server id")?;
                let role = if r.is_empty() {
                    Role::Voter
                } else {
                    Role::try_from(r.u64("role")?)?
                };
                Self::Assign { id, role }
            }
            kind::REMOVE => Self::Remove {
                id: r.u64("server id")?,
            },
            kind::DUMP => Self::Dump {
                name: r.text("database name")?,
            },
            kind::CLUSTER => Self::Cluster {
                format: r.u64("format")?,
            },
            kind::TRANSFER => Self::Transfer {
                id: r.u64("server id")?,
            },
            kind::DESCRIBE => Self::Describe {
                format: r.u64("format")?,
            },
            kind::WEIGHT => Self::Weight {
                weight: r.u64("weight")?,
            },
            other => return Err(Error::Type(other)),
        };
        r.clone().finish()?;
        Ok(request)
    }
}

fn statement(out: &mut Vec<u8>, kind: u8, db: u32, stmt: u32, params: &[Value]) {
    message(out, kind, params_schema(params), |b| {
        b.put_u32(db);
        b.put_u32(stmt);
        encode_params(b, params);
    });
}

fn text(out: &mut Vec<u8>, kind: u8, db: u64, sql: &str, params: &[Value]) {
    message(out, kind, params_schema(params), |b| {
        b.put_u64(db);
        b.put_text(sql);
        encode_params(b, params);
    });
}

fn server(out: &mut Vec<u8>, kind: u8, id: u64, address: &str) {
    message(out, kind, 0, |b| {
        b.put_u64(id);
        b.put_text(address);
    });
}
