//! Raft between members: from CONNECT on, a connection carries one member's messages to this one. Their
//! headers are checked and read, the payloads pass by.

use std::io;

use dqlite_wire::raft::Preamble;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::invalid;
use crate::progress::Progress;

/// A payload up to this length goes on in one write with its header: a commit waits for both.
const TOGETHER: u64 = 64 << 10;

/// Passes messages of the member `from` on until it ends.
pub async fn relay<R, W>(
    read: &mut R,
    write: &mut W,
    from: u64,
    progress: &Progress,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut message = Vec::new();
    loop {
        let mut start = [0; Preamble::LEN];
        read.read_exact(&mut start).await?;
        let preamble = Preamble::decode(start).map_err(invalid)?;
        message.clear();
        message.extend_from_slice(&start);
        append(read, &mut message, preamble.header_len).await?;
        let told = preamble
            .message(&message[Preamble::LEN..])
            .map_err(invalid)?;
        progress.heard(from, &told);
        if told.payload <= TOGETHER {
            append(read, &mut message, told.payload as usize).await?;
            write.write_all(&message).await?;
        } else {
            write.write_all(&message).await?;
            let copied = tokio::io::copy(&mut (&mut *read).take(told.payload), write).await?;
            if copied < told.payload {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

async fn append<R>(read: &mut R, to: &mut Vec<u8>, n: usize) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    let start = to.len();
    to.resize(start + n, 0);
    read.read_exact(&mut to[start..]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    async fn pass(bytes: &[u8]) -> (Vec<u8>, node_api::Raft, io::ErrorKind) {
        let (progress, mut out) = (Progress::default(), Vec::new());
        let ended = relay(&mut &*bytes, &mut out, 2, &progress).await;
        (out, progress.report(&[2, 3]), ended.unwrap_err().kind())
    }

    #[tokio::test]
    async fn messages_pass_unchanged_and_tell_where_the_others_stand() {
        let append = |length: u64| words(&[1, 56, 7, 40, 6, 39, 1, 7, 1 | length << 32]);
        let mut stream = words(&[2, 32, 7, 0, 38, 0]);
        for length in [8, TOGETHER * 3] {
            stream.extend(append(length));
            stream.extend(vec![9; length as usize]);
        }
        let (out, told, ended) = pass(&stream).await;
        assert_eq!(ended, io::ErrorKind::UnexpectedEof, "the stream's own end");
        assert!(out == stream, "{} of {} bytes", out.len(), stream.len());
        assert_eq!((told.term, told.commit, told.last), (7, 39, 41));
        assert_eq!(told.peers[0].last, 38);
        let leads = words(&[2, 32, 8, 0, 55, 0]);
        let (_, told, _) = pass(&leads).await;
        assert_eq!(
            (told.term, told.commit),
            (8, 55),
            "itself and one of two others"
        );
    }

    #[tokio::test]
    async fn what_is_no_raft_message_reaches_nobody() {
        let bad = words(&[99, 8, 7]);
        let (out, _, ended) = pass(&[words(&[2, 32, 7, 0, 38, 0]), bad].concat()).await;
        assert_eq!(ended, io::ErrorKind::InvalidData);
        assert_eq!(out.len(), 48, "only the message before it");
    }
}
