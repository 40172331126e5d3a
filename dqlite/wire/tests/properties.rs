//! What is written is read back; what is read from arbitrary bytes never panics.

#![allow(clippy::unwrap_used, reason = "tests")]

use dqlite_wire::{
    DEFAULT_MAX_BODY, Failure, File, Header, Member, Request, Response, Role, Rows, Value,
    proxy::{Caller, Found, ProxyHeader},
};
use proptest::{collection::vec, prelude::*};

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,40}"
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        any::<i64>().prop_map(Value::UnixTime),
        // NaN is not equal to itself; its bits travel like any other's.
        any::<f64>()
            .prop_filter("NaN", |v| !v.is_nan())
            .prop_map(Value::Float),
        text().prop_map(Value::Text),
        text().prop_map(Value::Iso8601),
        vec(any::<u8>(), 0..40).prop_map(Value::Blob),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Null),
    ]
}

fn params() -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![vec(value(), 0..20), vec(value(), 250..300)]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Voter), Just(Role::Standby), Just(Role::Spare)]
}

fn request() -> impl Strategy<Value = Request> {
    let id = any::<u64>;
    prop_oneof![
        Just(Request::Leader),
        id().prop_map(|id| Request::Client { id }),
        (text(), id(), text()).prop_map(|(name, flags, vfs)| Request::Open { name, flags, vfs }),
        (id(), text(), any::<bool>()).prop_map(|(db, sql, tail)| Request::Prepare {
            db,
            sql,
            tail
        }),
        (any::<u32>(), any::<u32>(), params()).prop_map(|(db, stmt, params)| Request::Exec {
            db,
            stmt,
            params
        }),
        (any::<u32>(), any::<u32>(), params()).prop_map(|(db, stmt, params)| Request::Query {
            db,
            stmt,
            params
        }),
        (any::<u32>(), any::<u32>()).prop_map(|(db, stmt)| Request::Finalize { db, stmt }),
        (id(), text(), params()).prop_map(|(db, sql, params)| Request::ExecSql { db, sql, params }),
        (id(), text(), params()).prop_map(|(db, sql, params)| Request::QuerySql {
            db,
            sql,
            params
        }),
        id().prop_map(|db| Request::Interrupt { db }),
        (id(), text()).prop_map(|(id, address)| Request::Connect { id, address }),
        (id(), text()).prop_map(|(id, address)| Request::Add { id, address }),
        (id(), role()).prop_map(|(id, role)| Request::Assign { id, role }),
        id().prop_map(|id| Request::Remove { id }),
        text().prop_map(|name| Request::Dump { name }),
        id().prop_map(|format| Request::Cluster { format }),
        id().prop_map(|id| Request::Transfer { id }),
        id().prop_map(|format| Request::Describe { format }),
        id().prop_map(|weight| Request::Weight { weight }),
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    (vec(text(), 1..20), any::<bool>()).prop_flat_map(|(columns, more)| {
        let n = columns.len();
        vec(vec(value(), n..=n), 0..5).prop_map(move |rows| Rows {
            columns: columns.clone(),
            rows,
            more,
        })
    })
}

fn response() -> impl Strategy<Value = Response> {
    let id = any::<u64>;
    let member = (id(), text(), role()).prop_map(|(id, address, role)| Member {
        id,
        address,
        role: Some(role),
    });
    let file = (text(), vec(any::<u8>(), 0..99)).prop_map(|(name, bytes)| File { name, bytes });
    prop_oneof![
        (0u64..1 << 32, text())
            .prop_map(|(code, message)| Response::Failure(Failure { code, message })),
        (id(), text()).prop_map(|(id, address)| Response::Leader { id, address }),
        id().prop_map(|heartbeat_timeout| Response::Welcome { heartbeat_timeout }),
        vec(member, 0..9).prop_map(Response::Servers),
        any::<u32>().prop_map(|id| Response::Database { id }),
        (any::<u32>(), any::<u32>(), id(), any::<Option<u64>>()).prop_map(
            |(db, id, params, tail)| Response::Statement {
                db,
                id,
                params,
                tail
            }
        ),
        (id(), id()).prop_map(|(last_insert_id, rows_affected)| Response::Result {
            last_insert_id,
            rows_affected
        }),
        rows().prop_map(Response::Rows),
        Just(Response::Empty),
        vec(file, 0..3).prop_map(Response::Files),
        (id(), id()).prop_map(|(failure_domain, weight)| Response::Metadata {
            failure_domain,
            weight
        }),
    ]
}

fn split(message: &[u8]) -> (Header, &[u8]) {
    let (head, body) = message.split_first_chunk().unwrap();
    let header = Header::decode(*head);
    assert_eq!(
        header.body_len(DEFAULT_MAX_BODY).unwrap(),
        body.len(),
        "whole words"
    );
    assert_eq!(header.encode(), *head);
    (header, body)
}

fn found() -> impl Strategy<Value = Found> {
    (any::<u64>(), any::<Option<std::net::IpAddr>>()).prop_map(|(id, at)| Found {
        id,
        at: at.map(|ip| ip.to_canonical()),
    })
}

proptest! {
    #[test]
    fn requests_come_back(request in request()) {
        let mut out = Vec::new();
        request.encode(&mut out);
        let (header, body) = split(&out);
        prop_assert_eq!(Request::decode(&header, body), Ok(request));
    }

    #[test]
    fn responses_come_back(response in response()) {
        let mut out = Vec::new();
        response.encode(&mut out);
        let (header, body) = split(&out);
        prop_assert_eq!(Response::decode(&header, body, true), Ok(response));
    }

    #[test]
    fn a_failure_behind_rows_is_found(rows in rows(), code in 0u64..1 << 32, message in text()) {
        let mut out = Vec::new();
        Response::Rows(Rows { more: true, ..rows }).encode(&mut out);
        let mut body = out[8..out.len() - 8].to_vec();
        let failure = Response::Failure(Failure { code, message });
        let mut tail = Vec::new();
        failure.encode(&mut tail);
        body.extend_from_slice(&tail[8..]);
        let header = Header { words: (body.len() / 8) as u32, kind: 0, schema: 0, extra: 0 };
        prop_assert_eq!(Response::decode(&header, &body, true), Ok(failure));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(
        kind in 0u8..24, schema in 0u8..3, body in vec(any::<u8>(), 0..400), roles: bool,
    ) {
        let header = Header { words: (body.len() / 8) as u32, kind, schema, extra: 0 };
        let _ = Request::decode(&header, &body);
        let _ = Response::decode(&header, &body, roles);
        let _ = ProxyHeader::decode_fields(&body);
    }

    /// Bytes that are a message but for one flipped byte reach deeper than random ones.
    #[test]
    fn damaged_messages_do_not_panic(response in response(), at: prop::sample::Index, to: u8) {
        let mut out = Vec::new();
        response.encode(&mut out);
        let (header, _) = split(&out);
        let mut body = out[8..].to_vec();
        if !body.is_empty() {
            let i = at.index(body.len());
            body[i] = to;
        }
        let _ = Response::decode(&header, &body, true);
    }

    #[test]
    fn proxy_headers_come_back(
        cluster in "[a-z0-9-]{1,60}", target: u64, c in 0..3, found in prop::option::of(found()),
    ) {
        let caller = [Caller::Member, Caller::Operator, Caller::Forwarded][c as usize];
        let header = ProxyHeader { cluster, target, caller, found };
        let bytes = header.encode();
        let (start, fields) = bytes.split_first_chunk::<16>().unwrap();
        prop_assert_eq!(ProxyHeader::fields_len(start), Ok(fields.len()));
        prop_assert_eq!(ProxyHeader::decode_fields(fields), Ok(header));
    }
}

#[test]
fn a_count_that_cannot_be_true_allocates_nothing() {
    let mut body = u64::MAX.to_le_bytes().to_vec();
    body.extend_from_slice(&[0; 16]);
    for kind in [3, 7, 9] {
        let header = Header {
            words: 3,
            kind,
            schema: 0,
            extra: 0,
        };
        let result = Response::decode(&header, &body, true);
        assert_eq!(
            result,
            Err(dqlite_wire::Error::Count(u64::MAX)),
            "type {kind}"
        );
    }
}

#[test]
fn a_body_over_the_cap_is_refused_by_its_header() {
    let header = Header {
        words: u32::MAX,
        kind: 7,
        schema: 0,
        extra: 0,
    };
    assert!(header.body_len(DEFAULT_MAX_BODY).is_err());
    let header = Header {
        words: 8 << 20,
        kind: 7,
        schema: 0,
        extra: 0,
    };
    assert_eq!(header.body_len(DEFAULT_MAX_BODY), Ok(DEFAULT_MAX_BODY));
}
