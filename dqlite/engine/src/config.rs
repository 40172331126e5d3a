//! Settings of an engine, and the running engine.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Error, handle::Handle, is_reserved};

/// Reaches a peer, given its address as the cluster's configuration has it. Gives a connected,
/// blocking socket. Runs on several threads of the engine at once and holds one up while it runs, so
/// it must end within a second.
pub type Connect = Box<dyn Fn(&str) -> io::Result<OwnedFd> + Send + Sync>;

/// When the engine takes a snapshot, and how much log it keeps behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Log entries between two snapshots.
    pub threshold: u32,
    /// Log entries kept behind the last one; at least `threshold`, and at least 4.
    pub trailing: u32,
}

/// An engine that is not started.
pub struct Config {
    id: u64,
    address: String,
    dir: PathBuf,
    bind: String,
    connect: Option<Connect>,
    latency: Option<Duration>,
    busy_timeout: Option<Duration>,
    snapshot: Option<Snapshot>,
}

impl Config {
    /// An engine for the member `id`, known to its peers as `address`, whose files are in `dir`. The
    /// directory must exist; on the volume of a member that is new it is empty, and such an engine
    /// waits to be added to a cluster.
    #[must_use]
    pub fn new(id: u64, address: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self {
            id,
            address: address.into(),
            dir: dir.into(),
            bind: "@".into(),
            connect: None,
            latency: None,
            busy_timeout: None,
            snapshot: None,
        }
    }

    /// Binds elsewhere than to a free abstract socket: a numeric `address:port`, or `@name`.
    #[must_use]
    pub fn bind(mut self, address: impl Into<String>) -> Self {
        self.bind = address.into();
        self
    }

    /// Reaches peers by this function instead of the library's own, which takes numeric IPv4
    /// addresses only and leaves Nagle's algorithm on.
    #[must_use]
    pub fn connect(mut self, connect: Connect) -> Self {
        self.connect = Some(connect);
        self
    }

    /// Expected network latency, in whole milliseconds from 1. The heartbeat is 1.5 times, the
    /// election timeout 15 times this; equal on all members.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// How long a writer waits for another's transaction before it is told "busy".
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = Some(timeout);
        self
    }

    /// Sets [`Snapshot`]; the library's default is 1024 and 8192.
    #[must_use]
    pub fn snapshot(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Starts the engine; returns when it accepts connections.
    ///
    /// # Errors
    /// Any of [`Error`]; nothing is left running. An id of [`FOUNDER_IDS`] is refused: with one, an
    /// empty directory would become a second cluster.
    pub fn start(self) -> Result<Engine, Error> {
        if is_reserved(self.id) {
            return Err(Error::ReservedId(self.id));
        }
        self.start_unchecked()
    }

    /// As [`Config::start`], for the one moment at which a founder's id is right.
    pub(crate) fn start_unchecked(self) -> Result<Engine, Error> {
        ensure_free(&self.dir)?;
        let mut handle = Handle::create(self.id, &self.address, &self.dir)?;
        // Recovery of damaged files by leaving entries out could drop acknowledged writes.
        handle.set_auto_recovery(false)?;
        if let Some(latency) = self.latency {
            handle.set_latency(latency)?;
        }
        if let Some(timeout) = self.busy_timeout {
            handle.set_busy_timeout(timeout)?;
        }
        if let Some(snapshot) = self.snapshot {
            handle.set_snapshot(snapshot)?;
        }
        if let Some(connect) = self.connect {
            handle.set_connect(connect)?;
        }
        handle.bind(&self.bind)?;
        handle.start()?;
        Ok(Engine {
            socket: handle.bound(),
            handle,
        })
    }
}

/// A running engine; stopped when dropped.
pub struct Engine {
    handle: Handle,
    socket: String,
}

impl Engine {
    /// Where the engine listens: `@name` for an abstract socket, which takes connections of this
    /// process only.
    #[must_use]
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// Stops the engine and waits until its files are closed. Hand leadership over before: a leader
    /// that stops leaves its cluster without one for an election timeout.
    ///
    /// # Errors
    /// [`Error::Library`]; the engine is stopped all the same.
    pub fn stop(mut self) -> Result<(), Error> {
        self.handle.stop()
    }
}

/// The directory exists and no engine has it. The library checks both too, but says neither which.
fn ensure_free(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory {
        path: dir.to_owned(),
        source,
    };
    if !dir.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    match File::open(dir.join("dqlite-lock")) {
        Ok(lock) if lock.try_lock().is_err() => Err(Error::InUse(dir.to_owned())),
        _ => Ok(()),
    }
}
