//! The decoders of `dqlite-wire`. What one of them takes, it must give back: written and read again, it is the
//! same. (Bytes are compared, since a NaN is not equal to itself.)

use dqlite_wire::{
    DEFAULT_MAX_BODY, Header, Request, Response, Rows,
    proxy::{self, MAX_LEN, ProxyHeader},
    raft::{MAX_HEADER, MAX_PAYLOAD, Preamble},
    reply,
};

/// Bytes: type, schema, body.
pub fn requests(bytes: &[u8]) {
    let [kind, schema, body @ ..] = bytes else {
        return;
    };
    let Ok(request) = Request::decode(&header(*kind, *schema, body), body) else {
        return;
    };
    let first = written(|out| request.encode(out));
    let (header, body) = message(&first);
    let again = Request::decode(&header, body).expect("what was written is read");
    assert_eq!(written(|out| again.encode(out)), first, "{request:?}");
}

/// Bytes: type, schema, whether CLUSTER was asked with roles, body.
pub fn responses(bytes: &[u8]) {
    let [kind, schema, roles, body @ ..] = bytes else {
        return;
    };
    response(*kind, *schema, roles % 2 == 1, body);
}

/// Bytes: the body of an answer with rows.
pub fn rows(body: &[u8]) {
    let Some(Response::Rows(rows)) = response(reply::ROWS, 0, false, body) else {
        return;
    };
    // The front goes by the last word alone, unread.
    let (_, last) = body.split_last_chunk().expect("an end of the rows");
    assert_eq!(Rows::announces_more(*last), rows.more);
    assert!(rows.rows.iter().all(|row| row.len() == rows.columns.len()));
}

fn response(kind: u8, schema: u8, roles: bool, body: &[u8]) -> Option<Response> {
    let response = Response::decode(&header(kind, schema, body), body, roles).ok()?;
    let first = written(|out| response.encode(out));
    let (header, body) = message(&first);
    let again = Response::decode(&header, body, roles).expect("what was written is read");
    assert_eq!(written(|out| again.encode(out)), first, "{response:?}");
    Some(response)
}

/// Bytes: what a connection starts with and the lengths that follow, read as the front reads them; and all of it
/// once more as messages of Raft.
pub fn frames(bytes: &[u8]) {
    start(bytes);
    raft(bytes);
}

fn start(mut bytes: &[u8]) -> Option<()> {
    if proxy::is_proxy(bytes)? {
        let (start, rest) = bytes.split_first_chunk::<16>()?;
        let len = ProxyHeader::fields_len(start).ok()?;
        assert!(16 + len <= MAX_LEN);
        let (fields, rest) = rest.split_at_checked(len)?;
        let header = ProxyHeader::decode_fields(fields).ok()?;
        let written = header.encode();
        let again = ProxyHeader::decode_fields(&written[16..]).expect("what was written is read");
        assert_eq!(again, header);
        bytes = rest;
    }
    loop {
        let (head, rest) = bytes.split_first_chunk()?;
        let header = Header::decode(*head);
        assert_eq!(header.encode(), *head);
        let len = header.body_len(DEFAULT_MAX_BODY).ok()?;
        assert!(len <= DEFAULT_MAX_BODY && len % 8 == 0);
        bytes = rest.split_at_checked(len)?.1;
    }
}

fn raft(mut bytes: &[u8]) -> Option<()> {
    loop {
        let (start, rest) = bytes.split_first_chunk()?;
        let preamble = Preamble::decode(*start).ok()?;
        assert!((1..=MAX_HEADER).contains(&preamble.header_len));
        let (header, rest) = rest.split_at_checked(preamble.header_len)?;
        let message = preamble.message(header).ok()?;
        assert!(message.payload <= MAX_PAYLOAD);
        bytes = rest
            .split_at_checked(usize::try_from(message.payload).ok()?)?
            .1;
    }
}

fn header(kind: u8, schema: u8, body: &[u8]) -> Header {
    let words = u32::try_from(body.len() / 8).expect("short inputs");
    Header {
        words,
        kind,
        schema,
        extra: 0,
    }
}

fn written(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

/// A whole message as header and body.
fn message(bytes: &[u8]) -> (Header, &[u8]) {
    let (head, body) = bytes.split_first_chunk().expect("a header");
    let header = Header::decode(*head);
    assert_eq!(body.len(), header.words as usize * 8);
    (header, body)
}
