//! The demo: shows the operator at work on the cluster that `make demo` has set up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the demo ends with what went wrong"
)]

use std::{
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use dqlite_e2e::{Writer, ledger, writer};

const NAMESPACE: &str = "default";
const MANIFEST: &str = "apiVersion: dqlite.io/v1alpha1
kind: DqliteCluster
metadata: {name: demo}
spec: {}
";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    step("apply this and nothing more");
    print!("{MANIFEST}");
    let started = Instant::now();
    kubectl_with_input(&["apply", "-f", "-"], MANIFEST)?;

    step("wait for Ready");
    wait_until_ready()?;
    println!("    after {:.1} s", started.elapsed().as_secs_f64());
    kubectl(&[
        "get",
        "dq,statefulsets,pvc,pods",
        "-l",
        "dqlite.io/cluster=demo",
    ])?;
    kubectl(&["get", "dq"])?;

    step("create a table and write rows through the Service demo-leader");
    let address = format!(
        "{}:9002",
        read(&["get", "svc", "demo-leader", "-o=jsonpath={.spec.clusterIP}"])?
    );
    writer::create_table(&address).await?;
    let first = next_row(&address).await?;
    let running = Writer::start(&address, first);
    running.more(200).await;
    println!("    {} rows acknowledged", running.acknowledged());

    let leader = read(&["get", "dq", "demo", "-o=jsonpath={.status.leader}"])?;
    step(&format!(
        "kill the leader's pod {leader}-0 while the writer runs"
    ));
    running.take_gap();
    kubectl(&[
        "delete",
        "pod",
        &format!("{leader}-0"),
        "--grace-period=0",
        "--force",
    ])?;
    running.more(200).await;
    wait_until_ready()?;
    running.more(100).await;
    let tally = running.stop(Duration::from_secs(60)).await;
    println!(
        "    longest write gap: {:.2} s",
        tally.longest_gap.as_secs_f64()
    );

    step("look for every acknowledged row on every node");
    // What earlier runs of the demo left is not this run's to judge.
    let earlier = writer::Tally {
        unknown: (1..first).collect(),
        ..Default::default()
    };
    let pods = read(&[
        "get",
        "pods",
        "-l=dqlite.io/cluster=demo",
        "-o=jsonpath={.items[*].status.podIP}",
    ])?;
    anyhow::ensure!(
        pods.split_whitespace().count() == 3,
        "three nodes, not: {pods}"
    );
    for pod in pods.split_whitespace() {
        ledger::check(&format!("{pod}:9001"), &[earlier.clone(), tally.clone()]).await?;
        println!(
            "    {pod}: all {} acknowledged rows of this run are there, once",
            tally.acknowledged.len()
        );
    }

    step("kubectl get dq");
    kubectl(&["get", "dq"])?;
    step("kubectl describe dq demo");
    kubectl(&["describe", "dq", "demo"])?;
    step("the end of the demo");
    Ok(())
}

/// Rows of earlier runs of the demo may be there too.
async fn next_row(address: &str) -> anyhow::Result<i64> {
    let connection = writer::connect(address).await?;
    let mut rows = connection
        .query_sql("SELECT coalesce(max(n), 0) + 1 FROM ledger", &[])
        .await?;
    let part = rows.next().await?.context("no row")?;
    match part.rows.first().and_then(|row| row.first()) {
        Some(dqlite_client::Value::Integer(n)) => Ok(*n),
        other => anyhow::bail!("unexpected: {other:?}"),
    }
}

/// Says what comes next, and how long the last step took.
fn step(text: &str) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    if let Some(started) = LAST.lock().unwrap().replace(Instant::now()) {
        println!("    done in {:.1} s", started.elapsed().as_secs_f64());
    }
    println!("\n==> {text}");
}

fn kubectl(args: &[&str]) -> anyhow::Result<()> {
    println!("    $ kubectl {}", args.join(" "));
    let status = Command::new("kubectl")
        .args(["-n", NAMESPACE])
        .args(args)
        .status()?;
    ensure!(status.success(), "kubectl {} failed", args.join(" "));
    Ok(())
}

fn wait_until_ready() -> anyhow::Result<()> {
    kubectl(&[
        "wait",
        "--for=condition=Ready",
        "dqlitecluster/demo",
        "--timeout=5m",
    ])
}

fn read(args: &[&str]) -> anyhow::Result<String> {
    let out = Command::new("kubectl")
        .args(["-n", NAMESPACE])
        .args(args)
        .output()?;
    ensure!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8(out.stdout)?)
}

fn kubectl_with_input(args: &[&str], input: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut child = Command::new("kubectl")
        .args(["-n", NAMESPACE])
        .args(args)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(input.as_bytes())?;
    ensure!(child.wait()?.success(), "kubectl {} failed", args.join(" "));
    // A moment for the operator to say what it thinks of the new generation.
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}
