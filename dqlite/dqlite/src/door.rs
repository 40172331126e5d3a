//! A node's port. The engine listens on a socket that only this process reaches, and this passes connections on to
//! it: so all of them can be closed before the engine stops, which may abort when it is stopped under load.

use std::{
    io,
    net::{self as tcp, SocketAddr},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    runtime::Builder,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// The open door, in a thread of its own: a node serves others whatever its program's tasks do. Closes when dropped.
#[derive(Debug)]
pub struct Door {
    closing: CancellationToken,
    thread: Option<JoinHandle<bool>>,
}

impl Door {
    /// Listens, and passes on to the engine at `socket` (`@name`).
    pub fn open(listen: SocketAddr, socket: &str) -> io::Result<Self> {
        let name = socket
            .strip_prefix('@')
            .ok_or(io::ErrorKind::InvalidInput)?;
        // As tokio names abstract sockets.
        let engine = format!("\0{name}");
        let listener = tcp::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let (runtime, closing) = (
            Builder::new_current_thread().enable_all().build()?,
            CancellationToken::new(),
        );
        let closed = closing.clone();
        let serve = move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener);
                let listener = listener.inspect_err(|e| tracing::error!("cannot listen: {e}"));
                match listener {
                    Ok(listener) => serve(listener, engine, closed).await,
                    Err(_) => false,
                }
            })
        };
        let thread = thread::Builder::new()
            .name("dqlite-door".into())
            .spawn(serve)?;
        let thread = Some(thread);
        Ok(Self { closing, thread })
    }

    /// Closes it, and all connections; whether there were any.
    pub fn close(mut self) -> bool {
        self.closing.cancel();
        let served = self.thread.take().map(JoinHandle::join);
        served.is_some_and(|had_any| had_any.unwrap_or(true))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Until it closes; whether connections were open then.
async fn serve(listener: TcpListener, engine: String, closing: CancellationToken) -> bool {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = closing.cancelled() => return !connections.is_empty(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(pass_on(stream, engine.clone()))),
                Err(e) => {
                    tracing::warn!("cannot take a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass_on(mut stream: TcpStream, engine: String) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut engine = UnixStream::connect(engine).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut engine).await?;
    Ok(())
}
