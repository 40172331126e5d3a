//! Clusters of bare engines.

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use dqlite_client::{Client, Connection, Role};
use tempfile::TempDir;

/// Three voters, each a process of `bare-node`.
pub struct Bare {
    pub nodes: Vec<Engine>,
    library: Library,
    options: Vec<String>,
}

/// Which libdqlite the engines are.
#[derive(Clone, Copy)]
pub enum Library {
    Ours,
    /// Without our fixes.
    Released,
}

impl Library {
    fn program(self) -> PathBuf {
        // From this benchmark's own program, in target/<profile>/deps.
        let profile = env::current_exe()
            .unwrap()
            .ancestors()
            .nth(2)
            .unwrap()
            .to_owned();
        let name = profile.file_name().unwrap();
        let profile = match self {
            Self::Ours => profile.clone(),
            Self::Released => profile.with_file_name("released").join(name),
        };
        profile.join("examples/bare-node")
    }
}

pub struct Engine {
    pub address: String,
    id: u64,
    directory: TempDir,
    process: Child,
}

impl Bare {
    /// On 127.9.`net`.x, with these options of `bare-node`.
    pub async fn of_three(net: u8, options: &[&str]) -> Self {
        Self::of_three_of(Library::Ours, net, options).await
    }

    /// As [`Bare::of_three`], of another libdqlite.
    pub async fn of_three_of(library: Library, net: u8, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let engine = |n: u64| {
            let (directory, address) = (
                tempfile::tempdir().unwrap(),
                format!("127.9.{net}.{n}:9001"),
            );
            let found = (n == 1).then_some("found");
            let process = start(library, 1000 + n, &address, &directory, found, &options);
            Engine {
                address,
                id: 1000 + n,
                directory,
                process,
            }
        };
        let bare = Self {
            nodes: (1..=3).map(engine).collect(),
            library,
            options,
        };
        let leader = bare.leader().await;
        for node in &bare.nodes[1..] {
            leader.add(node.id, &node.address).await.unwrap();
            leader.assign(node.id, Role::Voter).await.unwrap();
        }
        bare
    }

    pub fn client(&self) -> Client {
        Client::new(self.nodes.iter().map(|n| n.address.clone()))
    }

    async fn leader(&self) -> Connection {
        loop {
            if let Ok((_, connection)) = self.client().leader().await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn kill_leader(&mut self) -> usize {
        let leader = self.client().leader().await.unwrap().0.address;
        let i = self.nodes.iter().position(|n| n.address == leader).unwrap();
        self.nodes[i].end();
        i
    }

    pub fn restart(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        node.process = start(
            self.library,
            node.id,
            &node.address,
            &node.directory,
            None,
            &self.options,
        );
    }
}

fn start(
    library: Library,
    id: u64,
    address: &str,
    directory: &TempDir,
    found: Option<&str>,
    options: &[String],
) -> Child {
    Command::new(library.program())
        .args([&id.to_string(), address])
        .arg(directory.path())
        .args(found)
        .args(options)
        .env("UV_THREADPOOL_SIZE", "16")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Engine {
    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
