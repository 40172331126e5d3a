//! Connections to the engine of this process, through its abstract socket.

use std::{
    io,
    os::{linux::net::SocketAddrExt, unix::net},
};

use dqlite_client::{Connection, Options};
use tokio::net::UnixStream;

/// Opens a connection to the engine that listens on `socket` (`@name`).
pub fn connect(socket: &str) -> io::Result<UnixStream> {
    let name = socket
        .strip_prefix('@')
        .ok_or(io::ErrorKind::InvalidInput)?;
    let address = net::SocketAddr::from_abstract_name(name)?;
    let stream = net::UnixStream::connect_addr(&address)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// As [`connect`], with a client of the protocol on it.
pub fn client(socket: &str, options: &Options) -> Result<Connection, dqlite_client::Error> {
    match connect(socket) {
        Ok(stream) => Ok(Connection::over(stream, options)),
        Err(source) => Err(dqlite_client::Error::Connect {
            address: socket.to_owned(),
            source,
        }),
    }
}
