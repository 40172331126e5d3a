//! Starts nodes and plays the operator.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use dqlite_client::{
    Client, Connection, Error, Options, Role, Session,
    proxy::{Caller, Found, ProxyHeader},
};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::cut::Cut;

const TOKEN: &str = "secret";

pub struct Cluster {
    pub id: String,
    net: u8,
    args: Vec<String>,
    /// Stands before every node, if there is one.
    cut: Option<Cut>,
    /// How large a node's disk is; it is a mount of its own then.
    disk: Option<&'static str>,
    pub nodes: Vec<Node>,
}

pub struct Node {
    pub id: u64,
    pub data: TempDir,
    host: String,
    /// Where the members reach it.
    address: String,
    args: Vec<String>,
    is_mount: bool,
    process: Option<Child>,
}

fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).status().unwrap();
    assert!(ended.success(), "{program} {arguments:?}");
}

/// Waits for a condition, at most 20 s.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "waited 20 s for: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Cluster {
    /// Every test has addresses of its own: 127.9.`net`.x.
    pub fn new(net: u8) -> Self {
        Self {
            id: format!("cluster-{net}"),
            net,
            args: Vec::new(),
            cut: None,
            disk: None,
            nodes: Vec::new(),
        }
    }

    pub async fn start(&mut self, name: &str) -> &Node {
        let n = self.nodes.len() + 1;
        let host = format!("127.9.{}.{n}", self.net);
        let address = match &self.cut {
            None => format!("{host}:9001"),
            Some(cut) => {
                let before = format!("127.9.{}.{}:9001", self.net, n + 100);
                cut.stand_before(&before, format!("{host}:9001")).await;
                before
            }
        };
        let data = tempfile::tempdir().unwrap();
        if let Some(size) = self.disk {
            let path = data.path().to_str().unwrap();
            run(
                "mount",
                &["-t", "tmpfs", "-o", size, "dqlite-node-test", path],
            );
        }
        let token = data.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let id = 1000 + n as u64;
        let args = [
            format!("--cluster={}", self.id),
            format!("--member={name}"),
            format!("--id={id}"),
            format!("--address={address}"),
            format!("--pvc-uid=pvc-{n}"),
            format!("--pod-uid=pod-{n}"),
            format!("--leader-address={host}:9002"),
            format!("--data={}", data.path().display()),
            format!("--token-file={}", token.display()),
            format!("--listen={host}"),
        ];
        let mut node = Node {
            id,
            data,
            host,
            address,
            args: [&args[..], &self.args].concat(),
            is_mount: self.disk.is_some(),
            process: None,
        };
        node.start().await;
        self.nodes.push(node);
        self.nodes.last().unwrap()
    }

    /// A cluster of three voters.
    pub async fn of_three(net: u8) -> Self {
        Self::of_three_with(net, &[]).await
    }

    /// As [`Cluster::of_three`], whose nodes get these arguments too.
    pub async fn of_three_with(net: u8, args: &[&str]) -> Self {
        let mut cluster = Self::new(net);
        cluster.args = args.iter().map(ToString::to_string).collect();
        cluster.fill().await;
        cluster
    }

    /// As [`Cluster::of_three`], with something between its nodes that can keep entries back.
    pub async fn of_three_behind(net: u8, cut: Cut) -> Self {
        let mut cluster = Self::new(net);
        cluster.cut = Some(cut);
        cluster.fill().await;
        cluster
    }

    /// As [`Cluster::of_three_behind`], with disks that can be filled. Takes root.
    pub async fn of_three_on_small_disks(net: u8, cut: Cut) -> Self {
        let mut cluster = Self::new(net);
        (cluster.cut, cluster.disk) = (Some(cut), Some("size=256m"));
        cluster.fill().await;
        cluster
    }

    async fn fill(&mut self) {
        for name in ["demo-1", "demo-2", "demo-3"] {
            self.start(name).await;
        }
        let [founder, joiners @ ..] = &self.nodes[..] else {
            panic!()
        };
        founder.order("found").await.unwrap();
        founder.order("open").await.unwrap();
        until("the founder leads", async || founder.leads().await).await;
        let operator = founder.as_operator().await;
        for joiner in joiners {
            joiner.bring_in(&operator).await;
        }
        for node in &self.nodes {
            until("ready", async || node.status().await["ready"] == true).await;
        }
    }

    /// Index of the leader, once two nodes agree on it.
    pub async fn leader(&self) -> usize {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < Duration::from_secs(20), "no leader");
            let mut named = Vec::new();
            for node in self.nodes.iter().filter(|n| n.process.is_some()) {
                let leader = node.as_operator().await.leader().await.ok().flatten();
                named.extend(leader.map(|l| l.id));
            }
            named.sort_unstable();
            if let Some(pair) = named.windows(2).find(|pair| pair[0] == pair[1]) {
                return self.nodes.iter().position(|n| n.id == pair[0]).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Node {
    pub fn address(&self) -> String {
        self.address.clone()
    }

    fn spawn(&mut self) {
        let process = Command::new(env!("CARGO_BIN_EXE_dqlite-node"))
            .args(&self.args)
            .env("UV_THREADPOOL_SIZE", "16")
            .stdout(Stdio::inherit())
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Until it is ready, within 100 s. A process that has ended by itself, if it may, is started again, as a kubelet does.
    pub async fn is_kept_running(&mut self, may_end: bool) {
        let started = Instant::now();
        loop {
            let process = self.process.as_mut().unwrap();
            if let Some(status) = process.try_wait().unwrap() {
                assert!(may_end, "{} ended by itself: {status}", self.id);
                self.start().await;
            }
            let status = self.try_status().await;
            if status.is_ok_and(|s| s["ready"] == true) {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(100),
                "{} is not ready",
                self.id
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts a process that must end by itself.
    pub async fn start_in_vain(&mut self) -> ExitStatus {
        self.spawn();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.ended()).await;
        ended.unwrap()
    }

    pub async fn start(&mut self) {
        self.spawn();
        let live = format!("http://{}:9004/livez", self.host);
        until("the node is up", async || reqwest::get(&live).await.is_ok()).await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}:9003/v1/{path}", self.host)
    }

    fn with_token(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let n = self.id - 1000;
        request
            .header(node_api::TOKEN_HEADER, format!("Bearer {TOKEN}"))
            .header(node_api::POD_HEADER, format!("pod-{n}"))
    }

    pub async fn status(&self) -> serde_json::Value {
        self.try_status().await.unwrap()
    }

    async fn try_status(&self) -> reqwest::Result<serde_json::Value> {
        let request = reqwest::Client::new().get(self.url("status"));
        self.with_token(request).send().await?.json().await
    }

    pub async fn order(&self, order: &str) -> Result<(), String> {
        let instance = self.status().await["instance"].as_str().unwrap().to_owned();
        self.order_to(&instance, order).await
    }

    /// An order that means a certain start of the process.
    pub async fn order_to(&self, instance: &str, order: &str) -> Result<(), String> {
        let request = reqwest::Client::new().post(self.url(order));
        let request = request.header(node_api::INSTANCE_HEADER, instance);
        let answer = self.with_token(request).send().await.unwrap();
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(answer.text().await.unwrap())
        }
    }

    /// Joins, is added, catches up, gets a vote.
    pub async fn bring_in(&self, leader: &Connection) {
        self.order("join").await.unwrap();
        leader.add(self.id, &self.address).await.unwrap();
        leader.assign(self.id, Role::Standby).await.unwrap();
        let seeded = async || self.status().await["phase"]["name"] == "seeded";
        until("seeded", seeded).await;
        leader.assign(self.id, Role::Voter).await.unwrap();
    }

    /// Where it listens, whatever stands before it.
    pub fn real_address(&self) -> String {
        format!("{}:9001", self.host)
    }

    /// Says to another that it is where it is. On loopback its own greeting comes from 127.0.0.1.
    pub async fn greets(&self, other: &Node) {
        self.greets_from(&self.host, other).await;
    }

    /// Says to another that it is there, be it so or not.
    pub async fn greets_from(&self, host: &str, other: &Node) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{}:0", host).parse().unwrap()).unwrap();
        let to = other.real_address().parse().unwrap();
        let header = ProxyHeader {
            cluster: self.cluster().into(),
            target: other.id,
            caller: Caller::Member,
            found: Some(Found {
                id: self.id,
                at: None,
            }),
        };
        let options = Options {
            proxy: Some(header),
            ..Options::default()
        };
        let connection = Connection::over(socket.connect(to).await.unwrap(), &options);
        connection.leader().await.unwrap();
    }

    fn cluster(&self) -> &str {
        self.args[0].trim_start_matches("--cluster=")
    }

    /// As a client without a header.
    pub fn front(&self) -> Lazy<'_> {
        Lazy(self)
    }

    pub async fn as_operator(&self) -> Connection {
        self.as_operator_for(self.address.clone(), self.cluster(), self.id)
            .await
    }

    pub async fn as_operator_for(&self, to: String, cluster: &str, target: u64) -> Connection {
        let header = ProxyHeader {
            cluster: cluster.into(),
            target,
            caller: Caller::Operator,
            found: None,
        };
        let options = Options {
            proxy: Some(header),
            ..Options::default()
        };
        Connection::dial(&to, &options).await.unwrap()
    }

    pub async fn leads(&self) -> bool {
        let leader = self.as_operator().await.leader().await;
        leader.ok().flatten().is_some_and(|l| l.id == self.id)
    }

    pub async fn session(&self) -> Session {
        self.try_session().await.unwrap()
    }

    pub async fn try_session(&self) -> Result<Session, Error> {
        Client::new([self.leader_port()]).open("app").await
    }

    pub fn leader_port(&self) -> String {
        format!("{}:9002", self.host)
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, signal: &str) {
        let process = self.process.as_ref().unwrap().id().to_string();
        run("kill", &["-s", signal, &process]);
    }

    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub fn terminate(&mut self) -> impl Future<Output = ExitStatus> + use<> {
        self.signal("TERM");
        let mut process = self.process.take().unwrap();
        let waiting = tokio::task::spawn_blocking(move || process.wait().unwrap());
        async { waiting.await.unwrap() }
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        tokio::task::spawn_blocking(move || process.wait().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        if self.is_mount {
            // Whatever the test died of is to be told, not this.
            let unmount = ["--lazy", self.data.path().to_str().unwrap()];
            let _ = Command::new("umount").args(unmount).status();
        }
    }
}

/// A connection without a header, made for each request.
pub struct Lazy<'a>(&'a Node);

impl Lazy<'_> {
    async fn dial(&self) -> Result<Connection, Error> {
        Connection::dial(&self.0.address(), &Options::default()).await
    }

    pub async fn leader(&self) -> Result<Option<dqlite_client::Server>, Error> {
        self.dial().await?.leader().await
    }

    pub async fn dump(&self, name: &str) -> Result<Vec<dqlite_client::File>, Error> {
        self.dial().await?.dump(name).await
    }

    pub async fn remove(&self, id: u64) -> Result<(), Error> {
        self.dial().await?.remove(id).await
    }
}
