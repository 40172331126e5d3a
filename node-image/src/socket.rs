//! Settings of every TCP connection of a node, its own and those of its peers and clients.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A peer that went away without a word, as in a power failure, is noticed after three of these.
const PROBE: Duration = Duration::from_secs(3);
/// Sent bytes that nobody acknowledges end the connection after this.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Sends small messages at once, and notices a peer that is gone.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(PROBE)
            .with_interval(PROBE)
            .with_retries(3),
    )?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}
