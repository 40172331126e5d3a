//! One connection. An actor task owns the socket; callers send it requests and await the answers.
//! So a caller that is dropped half-way leaves no half-read answer behind: the actor reads on.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dqlite_wire::{
    DEFAULT_MAX_BODY, Header, PROTOCOL_VERSION, Request, Response, Rows, proxy::ProxyHeader,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Error;

/// Requests that may wait for the actor before the caller does.
const QUEUE: usize = 8;

/// How to connect and how long to wait.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest wait for a TCP connection, name look-up included. Default 1 s.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, or for the next part of one. Default 10 s. A role change to voter
    /// has a limit of its own.
    pub request_timeout: Duration,
    /// Largest answer taken, in bytes. Default 64 MiB.
    pub max_body: usize,
    /// Keeps statements back that stop a server which does not guard itself, or that it refuses: see
    /// [`Error::Guarded`]. Default on.
    pub guard: bool,
    /// Sent first, to nodes that an operator manages. Ordinary clients have none.
    pub proxy: Option<ProxyHeader>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(10),
            max_body: DEFAULT_MAX_BODY,
            guard: true,
            proxy: None,
        }
    }
}

struct Job {
    request: Request,
    reply: mpsc::Sender<Result<Response, Error>>,
    /// From here on the server may have it.
    sent: Arc<AtomicBool>,
}

/// A handle on one connection; clones share it, and requests run in the order in which they are
/// sent. The connection closes when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Connection {
    jobs: mpsc::Sender<Job>,
    /// Dropped with the last handle.
    _held: Arc<DropGuard>,
    pub(crate) timeout: Duration,
    pub(crate) guards: bool,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request.fmt(f)
    }
}

impl Connection {
    /// Connects to `address` (`host:port`; names are looked up).
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn dial(address: &str, options: &Options) -> Result<Self, Error> {
        let failed = |source| Error::Connect {
            address: address.to_owned(),
            source,
        };
        let stream = timeout(options.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        // Without it the small messages of a commit wait for delayed acknowledgements.
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self::over(stream, options))
    }

    /// Speaks the protocol over a stream that is connected already.
    pub fn over<S>(stream: S, options: &Options) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let mut start = options
            .proxy
            .as_ref()
            .map(ProxyHeader::encode)
            .unwrap_or_default();
        start.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        let actor = Actor {
            stream: BufStream::new(stream),
            max_body: options.max_body,
        };
        let dropped = CancellationToken::new();
        tokio::spawn(actor.run(start, queue, dropped.clone()));
        Self {
            jobs,
            _held: Arc::new(dropped.drop_guard()),
            timeout: options.request_timeout,
            guards: options.guard,
        }
    }

    /// Whether the connection is known to be of no more use.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.jobs.is_closed()
    }

    /// Sends a request and gives its answers, one or (for rows) several.
    pub(crate) async fn start(&self, request: Request) -> Result<Answers, Error> {
        let (reply, answers) = mpsc::channel(2);
        let sent = Arc::new(AtomicBool::new(false));
        let job = Job {
            request,
            reply,
            sent: sent.clone(),
        };
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        Ok(Answers { answers, sent })
    }

    /// Sends a request that has one answer; failures become errors.
    pub(crate) async fn call(&self, request: Request, limit: Duration) -> Result<Response, Error> {
        self.start(request).await?.next(limit).await
    }

    /// Puts a request in the queue for nobody to wait for. `false`: the queue is full, which means that the connection
    /// is stuck.
    pub(crate) fn send_and_forget(&self, request: Request) -> bool {
        let (reply, _) = mpsc::channel(1);
        let sent = Arc::default();
        let job = Job {
            request,
            reply,
            sent,
        };
        self.jobs.try_send(job).is_ok()
    }
}

/// The answers to one request.
#[derive(Debug)]
pub(crate) struct Answers {
    answers: mpsc::Receiver<Result<Response, Error>>,
    sent: Arc<AtomicBool>,
}

impl Answers {
    pub(crate) async fn next(&mut self, limit: Duration) -> Result<Response, Error> {
        match timeout(limit, self.answers.recv()).await {
            Err(_) => Err(Error::Timeout(limit)),
            // The actor ended, perhaps with the runtime that it ran on.
            Ok(None) if self.sent.load(Ordering::SeqCst) => {
                Err(Error::Broken(io::ErrorKind::ConnectionAborted.into()))
            }
            Ok(None) => Err(Error::Closed),
            Ok(Some(Ok(Response::Failure(failure)))) => Err(failure.into()),
            Ok(Some(answer)) => answer,
        }
    }
}

struct Actor<S> {
    stream: BufStream<S>,
    max_body: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Actor<S> {
    async fn run(
        mut self,
        start: Vec<u8>,
        mut queue: mpsc::Receiver<Job>,
        dropped: CancellationToken,
    ) {
        if self.stream.write_all(&start).await.is_err() {
            return;
        }
        let mut bytes = Vec::new();
        loop {
            let job = tokio::select! {
                job = queue.recv() => job,
                // Between requests a server says nothing: bytes or an end both end the connection,
                // and the next request learns that before it is sent.
                _ = self.stream.fill_buf_once() => None,
            };
            let Some(job) = job else { return };
            bytes.clear();
            job.request.encode(&mut bytes);
            // A server that hangs must not keep what nobody waits for any more.
            let given_up = async {
                dropped.cancelled().await;
                job.reply.closed().await;
            };
            let exchanged = tokio::select! {
                biased;
                exchanged = self.exchange(&bytes, &job) => exchanged,
                () = given_up => return,
            };
            if let Err(error) = exchanged {
                let _ = job.reply.send(Err(error)).await;
                return;
            }
        }
    }

    async fn exchange(&mut self, bytes: &[u8], job: &Job) -> Result<(), Error> {
        job.sent.store(true, Ordering::SeqCst);
        self.stream.write_all(bytes).await.map_err(Error::Broken)?;
        self.stream.flush().await.map_err(Error::Broken)?;
        let roles = matches!(job.request, Request::Cluster { format: 1 });
        loop {
            let answer = self.read(roles).await?;
            let more = matches!(answer, Response::Rows(Rows { more: true, .. }));
            // Nobody may be waiting any more; the rest is read all the same.
            let _ = job.reply.send(Ok(answer)).await;
            if !more {
                return Ok(());
            }
        }
    }

    async fn read(&mut self, roles: bool) -> Result<Response, Error> {
        let mut head = [0; Header::LEN];
        self.stream
            .read_exact(&mut head)
            .await
            .map_err(Error::Broken)?;
        let header = Header::decode(head);
        let mut body = vec![0; header.body_len(self.max_body)?];
        self.stream
            .read_exact(&mut body)
            .await
            .map_err(Error::Broken)?;
        Ok(Response::decode(&header, &body, roles)?)
    }
}

trait FillOnce {
    async fn fill_buf_once(&mut self);
}

impl<S: AsyncRead + AsyncWrite + Unpin> FillOnce for BufStream<S> {
    async fn fill_buf_once(&mut self) {
        let _ = tokio::io::AsyncBufReadExt::fill_buf(self).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_keeps_no_connection_that_nobody_holds() {
        let (ours, mut server) = tokio::io::duplex(4096);
        let connection = Connection::over(ours, &Options::default());
        let held = connection.clone();
        let hangs = held.call(Request::Leader, Duration::from_secs(1)).await;
        assert!(matches!(hangs, Err(Error::Timeout(_))));
        drop(connection);
        let mut bytes = Vec::new();
        let end = timeout(Duration::from_secs(1), server.read_to_end(&mut bytes));
        assert!(end.await.is_err(), "one handle is left");
        drop(held);
        let end = timeout(Duration::from_secs(1), server.read_to_end(&mut bytes));
        end.await.expect("the connection ends").unwrap();
    }
}
