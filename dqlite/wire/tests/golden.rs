//! The codec against bytes of the real engine, which `dqlite/engine/tests/golden.rs` records. Each
//! file is a request and its answers: a line of bytes, below it what they mean.

#![allow(clippy::unwrap_used, reason = "tests")]

use dqlite_wire::{Header, Request, Response};

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn every_recorded_message_means_what_it_meant_and_is_written_the_same() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut messages = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for pair in lines.chunks(2) {
            let (direction, hex) = pair[0].split_at(2);
            let message = bytes(hex);
            let header = Header::decode(message[..8].try_into().unwrap());
            let mut again = Vec::new();
            let meant = if direction == "> " {
                let request = Request::decode(&header, &message[8..]).unwrap();
                request.encode(&mut again);
                format!("  {request:?}")
            } else {
                let roles = name != "cluster_without_roles";
                let response = Response::decode(&header, &message[8..], roles).unwrap();
                response.encode(&mut again);
                format!("  {response:?}")
            };
            assert_eq!(meant, pair[1], "{name}");
            // A failure after rows has the rows before it, which nobody writes on purpose; and the
            // engine leaves what was there before in the padding of a text.
            if direction == "> " || name != "error_after_rows" {
                assert_eq!(again.len(), message.len(), "{name}");
            }
            if direction == "> " {
                assert_eq!(again, message, "{name}");
            }
            messages += 1;
        }
    }
    assert!(messages >= 70, "{messages} messages");
}
