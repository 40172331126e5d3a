//! Which frames reach the engine. Pure: a frame in, a verdict out.

use dqlite_client::sql;
use dqlite_wire::{Failure, Header, Request, kind, proxy::Caller};

/// What becomes of a frame.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The engine gets it.
    Pass,
    /// The engine gets it behind the guard of membership changes.
    Guard(Request),
    /// The connection carries Raft from here on, from this member.
    Raft { id: u64, address: String },
    /// The caller gets this answer, in its turn, and the connection lives.
    Refuse(Failure),
    /// No request at all: the connection closes.
    Close(String),
}

/// What the front remembers of a connection between two frames.
#[derive(Debug, Default)]
pub struct Statements {
    /// Prepared statements with a RETURNING clause.
    returning: std::collections::HashSet<u32>,
    /// The text of the PREPARE under way has one.
    preparing: bool,
}

impl Statements {
    /// The engine's answer to a PREPARE: it gave the statement this id.
    pub fn prepared(&mut self, id: u32) {
        if std::mem::take(&mut self.preparing) {
            self.returning.insert(id);
        } else {
            // The engine gives the ids of finalized statements again.
            self.returning.remove(&id);
        }
    }
}

const MISUSE: u64 = 21;
const NOT_AUTHORIZED: u64 = 23;

fn refuse(code: u64, message: impl Into<String>) -> Verdict {
    Verdict::Refuse(Failure {
        code,
        message: message.into(),
    })
}

/// Judges a frame. `caller` is what the connection's header said, if it brought one.
pub fn check(
    header: &Header,
    body: &[u8],
    caller: Option<Caller>,
    statements: &mut Statements,
) -> Verdict {
    if body.is_empty() {
        return Verdict::Close("a request without a body".into());
    }
    if header.kind == kind::HEARTBEAT {
        return refuse(MISUSE, "HEARTBEAT is not supported");
    }
    let request = match Request::decode(header, body) {
        Ok(request) => request,
        Err(e) => return Verdict::Close(format!("not a request: {e}")),
    };
    let inside = matches!(caller, Some(Caller::Member | Caller::Operator));
    match request {
        Request::Connect { id: 0, .. }
        | Request::Add { id: 0, .. }
        | Request::Assign { id: 0, .. }
        | Request::Remove { id: 0 } => refuse(MISUSE, "0 is no server id"),
        Request::Connect { id, address } if caller == Some(Caller::Member) => {
            Verdict::Raft { id, address }
        }
        Request::Connect { .. } => Verdict::Close("Raft is for members of this cluster".into()),
        Request::Add { .. }
        | Request::Assign { .. }
        | Request::Remove { .. }
        | Request::Transfer { .. }
            if !inside =>
        {
            refuse(
                NOT_AUTHORIZED,
                "membership is the operator's: change spec.members of the DqliteCluster",
            )
        }
        Request::Add { .. } | Request::Assign { .. } | Request::Remove { .. } => {
            Verdict::Guard(request)
        }
        Request::Describe { format } if format != 0 => refuse(MISUSE, "DESCRIBE knows format 0"),
        Request::Cluster { format } if format > 1 => {
            refuse(MISUSE, "CLUSTER knows the formats 0 and 1")
        }
        Request::Open { name, .. } | Request::Dump { name } if !is_database_name(&name) => {
            refuse(MISUSE, "database name: 1 to 128 of A-Z a-z 0-9 . _ -")
        }
        Request::Prepare { sql, .. } => {
            statements.preparing = sql::returns_rows_of_a_write(&sql);
            text(&sql)
        }
        Request::Exec { stmt, .. } if statements.returning.contains(&stmt) => returning(),
        Request::Finalize { stmt, .. } => {
            statements.returning.remove(&stmt);
            Verdict::Pass
        }
        Request::ExecSql { sql, .. } if sql::returns_rows_of_a_write(&sql) => returning(),
        Request::ExecSql { sql, .. } | Request::QuerySql { sql, .. } => text(&sql),
        _ => Verdict::Pass,
    }
}

fn returning() -> Verdict {
    refuse(
        MISUSE,
        "a statement with RETURNING gives rows: send it as a query",
    )
}

fn text(sql: &str) -> Verdict {
    sql::refusal(sql).map_or(Verdict::Pass, |reason| refuse(NOT_AUTHORIZED, reason))
}

fn is_database_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use dqlite_wire::Role;

    use super::*;

    fn judge(request: &Request, caller: Option<Caller>) -> Verdict {
        judge_after(request, caller, &mut Statements::default())
    }

    fn judge_after(r: &Request, caller: Option<Caller>, s: &mut Statements) -> Verdict {
        let mut out = Vec::new();
        r.encode(&mut out);
        let (head, body) = out.split_first_chunk().unwrap();
        check(&Header::decode(*head), body, caller, s)
    }

    fn open(name: &str) -> Request {
        Request::Open {
            name: name.into(),
            flags: 0,
            vfs: String::new(),
        }
    }

    #[test]
    fn ordinary_requests_pass() {
        for request in [
            Request::Leader,
            Request::Cluster { format: 1 },
            Request::Describe { format: 0 },
            open("app.db"),
            Request::ExecSql {
                db: 0,
                sql: "INSERT INTO t VALUES (1)".into(),
                params: vec![],
            },
            Request::Transfer { id: 0 },
        ] {
            let caller = matches!(request, Request::Transfer { .. }).then_some(Caller::Operator);
            assert_eq!(judge(&request, caller), Verdict::Pass, "{request:?}");
        }
    }

    #[test]
    fn what_harms_the_engine_is_refused_in_turn() {
        let returning = "INSERT INTO t VALUES (1) RETURNING n".to_owned();
        for request in [
            Request::Describe { format: 1 },
            Request::Cluster { format: 2 },
            Request::Add {
                id: 0,
                address: "a:1".into(),
            },
            Request::Remove { id: 0 },
            Request::Assign {
                id: 0,
                role: Role::Voter,
            },
            open(""),
            open("../x"),
            open(&"x".repeat(129)),
            Request::Dump { name: "a b".into() },
            Request::ExecSql {
                db: 0,
                sql: returning.clone(),
                params: vec![],
            },
            Request::QuerySql {
                db: 0,
                sql: "PRAGMA journal_mode".into(),
                params: vec![],
            },
        ] {
            let verdict = judge(&request, Some(Caller::Operator));
            assert!(
                matches!(verdict, Verdict::Refuse(_)),
                "{request:?}: {verdict:?}"
            );
        }
        assert_eq!(
            judge(
                &Request::QuerySql {
                    db: 0,
                    sql: returning,
                    params: vec![]
                },
                None
            ),
            Verdict::Pass,
            "its rows are asked for"
        );
    }

    #[test]
    fn a_prepared_returning_is_refused_by_exec_until_finalized() {
        let mut s = Statements::default();
        let sql = "INSERT INTO t VALUES (1) RETURNING n".to_owned();
        let prepare = |sql| Request::Prepare {
            db: 0,
            sql,
            tail: false,
        };
        let exec = Request::Exec {
            db: 0,
            stmt: 3,
            params: vec![],
        };
        assert_eq!(judge_after(&prepare(sql), None, &mut s), Verdict::Pass);
        s.prepared(3);
        assert!(matches!(
            judge_after(&exec, None, &mut s),
            Verdict::Refuse(_)
        ));
        let query = Request::Query {
            db: 0,
            stmt: 3,
            params: vec![],
        };
        assert_eq!(judge_after(&query, None, &mut s), Verdict::Pass);
        judge_after(&Request::Finalize { db: 0, stmt: 3 }, None, &mut s);
        judge_after(&prepare("SELECT 1".into()), None, &mut s);
        s.prepared(3);
        assert_eq!(judge_after(&exec, None, &mut s), Verdict::Pass);
    }

    #[test]
    fn membership_needs_the_header_of_a_member_or_the_operator() {
        let remove = Request::Remove { id: 7 };
        for caller in [None, Some(Caller::Forwarded)] {
            assert!(matches!(judge(&remove, caller), Verdict::Refuse(f) if f.code == 23));
        }
        assert_eq!(
            judge(&remove, Some(Caller::Operator)),
            Verdict::Guard(remove.clone())
        );
        let connect = Request::Connect {
            id: 7,
            address: "a:1".into(),
        };
        assert!(matches!(judge(&connect, None), Verdict::Close(_)));
        assert!(matches!(
            judge(&connect, Some(Caller::Operator)),
            Verdict::Close(_)
        ));
        let raft = Verdict::Raft {
            id: 7,
            address: "a:1".into(),
        };
        assert_eq!(judge(&connect, Some(Caller::Member)), raft);
    }

    #[test]
    fn what_is_no_request_closes_the_connection() {
        let header = |kind, schema| Header {
            words: 1,
            kind,
            schema,
            extra: 0,
        };
        for (header, body) in [
            (header(kind::LEADER, 0), &[][..]),
            (header(77, 0), &[0; 8]),
            (header(kind::LEADER, 1), &[0; 8]),
            (header(kind::EXEC_SQL, 2), &[0; 16]),
            (header(kind::OPEN, 0), &[0; 8]),
        ] {
            let verdict = check(&header, body, None, &mut Statements::default());
            assert!(
                matches!(verdict, Verdict::Close(_)),
                "{header:?}: {verdict:?}"
            );
        }
    }
}
