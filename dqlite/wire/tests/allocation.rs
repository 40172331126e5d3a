//! Decoding takes no more memory than a small multiple of the body, whatever the body claims.

#![allow(clippy::unwrap_used, reason = "tests")]

use dqlite_wire::{Header, Request, Response, Rows, Value, raft::Preamble};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Bytes that were allocated at once, at most, while `work` ran.
fn peak(work: impl FnOnce()) -> usize {
    let profiler = dhat::Profiler::builder().testing().build();
    work();
    let peak = dhat::HeapStats::get().max_bytes;
    drop(profiler);
    peak
}

/// Bodies that claim more than they hold: counts and lengths of every size, in every word.
fn hostile() -> Vec<Vec<u8>> {
    let claims = [
        u64::MAX,
        u64::from(u32::MAX),
        1 << 40,
        1 << 63,
        0x00ff_ffff,
        255,
        0,
    ];
    let mut bodies = Vec::new();
    for words in [1usize, 2, 3, 8, 512] {
        for claim in claims {
            for at in 0..words.min(4) {
                let mut body = vec![0x01u8; words * 8];
                body[at * 8..][..8].copy_from_slice(&claim.to_le_bytes());
                bodies.push(body);
            }
            bodies.push(claim.to_le_bytes().repeat(words));
        }
    }
    // Honest ones, whose many small values take more room than their bytes.
    let request = Request::ExecSql {
        db: 0,
        sql: "x".into(),
        params: vec![Value::Null; 4000],
    };
    let rows = Response::Rows(Rows {
        columns: vec![String::new(); 300],
        rows: vec![vec![Value::Null; 300]; 20],
        more: false,
    });
    let encoded = |encode: &dyn Fn(&mut Vec<u8>)| {
        let mut message = Vec::new();
        encode(&mut message);
        message.split_off(Header::LEN)
    };
    bodies.push(encoded(&|out| request.encode(out)));
    bodies.push(encoded(&|out| rows.encode(out)));
    bodies
}

/// One test: the allocator is the process's own.
#[test]
fn a_body_never_claims_more_memory_than_a_multiple_of_its_length() {
    let mut worst = (0, 0);
    for body in hostile() {
        for kind in 0..=255 {
            for schema in 0..=1 {
                let header = Header {
                    words: (body.len() / 8) as u32,
                    kind,
                    schema,
                    extra: 0,
                };
                let used = peak(|| {
                    let _ = Request::decode(&header, &body);
                    let _ = Response::decode(&header, &body, true);
                });
                worst = worst.max((used, body.len()));
                assert!(
                    used <= 16 * body.len() + 4096,
                    "{header:?}: {used} bytes for {}",
                    body.len()
                );
            }
        }
        for kind in 0..=16u64 {
            let start = [kind.to_le_bytes(), (body.len() as u64).to_le_bytes()].concat();
            let preamble = Preamble::decode(start.try_into().unwrap()).unwrap();
            let used = peak(|| {
                let _ = preamble.message(&body);
            });
            assert!(used <= 1024, "Raft message {kind}: {used} bytes");
        }
    }
    assert!(worst.0 > worst.1, "nothing was measured");
    println!("at most {} bytes, for a body of {}", worst.0, worst.1);
}
