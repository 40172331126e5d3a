//! Connections to the engine of this process, through its abstract socket.
//!
//! Not tokio's own: the kernel says "writable" each time the engine has read something, and a socket that listens
//! for that wakes the process once more for each message that passes. These listen only while they wait for room.

#![expect(
    deprecated,
    reason = "the successor of AsyncFd::with_interest is unsafe, for types that may lose their descriptor; these keep it"
)]

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::{linux::net::SocketAddrExt, unix::net},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use dqlite_client::{Connection, Options};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

/// What the engine says.
pub struct EngineRead(AsyncFd<Arc<net::UnixStream>>);

/// What is said to the engine.
pub struct EngineWrite {
    socket: Arc<net::UnixStream>,
    /// While it waits for room.
    room: Option<AsyncFd<net::UnixStream>>,
}

/// Opens a connection to the engine that listens on `socket` (`@name`).
pub fn connect(socket: &str) -> io::Result<(EngineRead, EngineWrite)> {
    let name = socket
        .strip_prefix('@')
        .ok_or(io::ErrorKind::InvalidInput)?;
    let address = net::SocketAddr::from_abstract_name(name)?;
    over(net::UnixStream::connect_addr(&address)?)
}

fn over(socket: net::UnixStream) -> io::Result<(EngineRead, EngineWrite)> {
    socket.set_nonblocking(true)?;
    let (socket, room) = (Arc::new(socket), None);
    let read = AsyncFd::with_interest(Arc::clone(&socket), Interest::READABLE)?;
    Ok((EngineRead(read), EngineWrite { socket, room }))
}

/// As [`connect`], with a client of the protocol on it.
pub fn client(socket: &str, options: &Options) -> Result<Connection, dqlite_client::Error> {
    match connect(socket) {
        Ok((read, write)) => Ok(Connection::over(tokio::io::join(read, write), options)),
        Err(source) => Err(dqlite_client::Error::Connect {
            address: socket.to_owned(),
            source,
        }),
    }
}

impl AsyncRead for EngineRead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut may = ready!(self.0.poll_read_ready(cx))?;
            let free = into.initialize_unfilled();
            let Ok(read) = may.try_io(|fd| fd.get_ref().as_ref().read(free)) else {
                continue;
            };
            let n = read?;
            // Less than there was room for: there is no more now, and no need to ask.
            if 0 < n && n < free.len() {
                may.clear_ready();
            }
            into.advance(n);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for EngineWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(room) = &self.room {
                ready!(room.poll_write_ready(cx))?.retain_ready();
                self.room = None;
            }
            match self.socket.as_ref().write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let again = self.socket.try_clone()?;
                    self.room = Some(AsyncFd::with_interest(again, Interest::WRITABLE)?);
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// More than the kernel holds, both ways at once, and then the end.
    #[tokio::test]
    async fn all_bytes_pass_in_order_whoever_is_slower() {
        let (ours, theirs) = net::UnixStream::pair().unwrap();
        let (mut read, mut write) = over(ours).unwrap();
        let sent: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
        let echo = std::thread::spawn(move || {
            let (mut from, mut to) = (&theirs, &theirs);
            io::copy(&mut from, &mut to).unwrap();
        });
        let all = sent.clone();
        let writer = tokio::spawn(async move {
            write.write_all(&all).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        let mut part = [0; 3000];
        while got.len() < sent.len() {
            let n = read.read(&mut part).await.unwrap();
            got.extend_from_slice(&part[..n]);
        }
        assert!(got == sent);
        writer.await.unwrap();
        echo.join().unwrap();
        assert_eq!(read.read(&mut part).await.unwrap(), 0, "the end");
    }
}
