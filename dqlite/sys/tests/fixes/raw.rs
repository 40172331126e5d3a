//! Starts bare engines, of the library as it was released or with our fixes.

use std::{
    env, io,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dqlite_client::{Connection, Error, Options, Value};
use dqlite_wire::{Header, PROTOCOL_VERSION, Request};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A build of libdqlite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// 1.18.7 as it was released.
    Released,
    /// With the fixes.
    Fixed,
}

pub const BOTH: [Build; 2] = [Build::Released, Build::Fixed];

impl Build {
    fn library(self) -> PathBuf {
        let argument = match self {
            Self::Released => "--released",
            Self::Fixed => "--path",
        };
        let out = Command::new("libdqlite/build.sh")
            .arg(argument)
            .output()
            .unwrap();
        let dir = PathBuf::from(String::from_utf8(out.stdout).unwrap().trim());
        dir.join("shared/libdqlite.so.0")
    }
}

pub struct Node {
    /// As the cluster knows it.
    pub address: String,
    pub listens: String,
    process: Child,
    _directory: TempDir,
}

impl Node {
    /// The only voter of a cluster of its own when its id is 1.
    pub fn start(build: Build, id: u64, host: Ipv4Addr) -> Self {
        Self::with(build, id, host, None)
    }

    /// Takes a snapshot every so many entries, and keeps as many behind it.
    pub fn with(build: Build, id: u64, host: Ipv4Addr, snapshots: Option<u32>) -> Self {
        Self::run(build, id, host, host, snapshots)
    }

    /// Known by an address at which something else stands.
    pub fn behind(build: Build, id: u64, host: Ipv4Addr, known: Ipv4Addr) -> Self {
        Self::run(build, id, host, known, None)
    }

    fn run(build: Build, id: u64, host: Ipv4Addr, known: Ipv4Addr, every: Option<u32>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, listens) = (format!("{known}:9001"), format!("{host}:9001"));
        // Next to the test's own binary's directory.
        let mut example = env::current_exe().unwrap();
        example.pop();
        example.pop();
        let process = Command::new(example.join("examples/raw-node"))
            .arg(build.library())
            .args([&id.to_string(), &address, &listens])
            .arg(directory.path())
            .args(every.map(|n| n.to_string()))
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            address,
            listens,
            process,
            _directory: directory,
        }
    }

    pub async fn dial(&self) -> Connection {
        let started = Instant::now();
        loop {
            match Connection::dial(&self.listens, &Options::default()).await {
                Ok(connection) => return connection,
                Err(e) => assert!(started.elapsed() < Duration::from_secs(10), "{e}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A connection with an open database, once this node leads.
    pub async fn leading(&self) -> Connection {
        let started = Instant::now();
        loop {
            let connection = self.dial().await;
            match connection.open("app").await {
                Ok(()) => return connection,
                Err(e) => assert!(started.elapsed() < Duration::from_secs(10), "{e}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the process has ended, by a signal or otherwise.
    pub fn died(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            if self.process.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The highest memory that the process ever had, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmHWM"));
        let kib = line.and_then(|l| l.split_whitespace().nth(1));
        kib.and_then(|k| k.parse::<u64>().ok()).unwrap_or_default() / 1024
    }

    /// How many files the process has open.
    pub fn open_files(&self) -> usize {
        let files = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(files).unwrap().count()
    }

    /// The processor's time that the process took so far, in clock ticks.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // Behind the name, which may hold anything, user and system time are fields 12 and 13.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields = fields.split_whitespace().skip(11).take(2);
        fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All rows of a query.
pub async fn rows(connection: &Connection, sql: &str) -> Result<Vec<Vec<Value>>, Error> {
    let mut stream = connection.query_sql(sql, &[]).await?;
    let mut all = Vec::new();
    while let Some(part) = stream.next().await? {
        all.extend(part.rows);
    }
    Ok(all)
}

/// Sends bytes as they are and gives the answer's type, or why there is none.
pub async fn send(address: &str, requests: &[u8]) -> io::Result<u8> {
    let (header, _) = ask(address, requests, Duration::from_secs(3)).await?;
    Ok(header.kind)
}

/// As [`send`], with the length of the whole answer, which may be larger than memory.
pub async fn answered_bytes(address: &str, requests: &[u8]) -> io::Result<u64> {
    let (header, stream) = ask(address, requests, Duration::from_secs(60)).await?;
    let len = u64::from(header.words) * 8;
    let read = tokio::io::copy(&mut stream.take(len), &mut tokio::io::sink()).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(len)
}

async fn ask(address: &str, requests: &[u8], within: Duration) -> io::Result<(Header, TcpStream)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&PROTOCOL_VERSION.to_le_bytes()).await?;
    stream.write_all(requests).await?;
    let mut head = [0; Header::LEN];
    timeout(within, stream.read_exact(&mut head)).await??;
    Ok((Header::decode(head), stream))
}

pub fn encoded(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        request.encode(&mut bytes);
    }
    bytes
}

/// Id of the engine that opened a connection for Raft.
pub async fn caller(stream: &mut TcpStream) -> u64 {
    // The protocol's version, the header of CONNECT, the id.
    let mut start = [[0; 8]; 3];
    stream.read_exact(start.as_flattened_mut()).await.unwrap();
    u64::from_le_bytes(start[2])
}
