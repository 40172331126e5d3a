//! Where the Kubernetes comes from. Tests ask for what they need, never for the provider's name.

use std::{env, path::PathBuf, process::Stdio};

use anyhow::{Context, ensure};
use tokio::process::Command;

/// A Kubernetes with the operator installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `e2e/local/cluster.sh`: nodes that are sets of namespaces on this machine.
    Local {
        /// Its name there.
        name: String,
    },
    /// A cluster of kind, whose nodes are Docker containers.
    Kind,
    /// Whatever `KUBECONFIG` leads to.
    Given,
}

/// Something that a test needs and not every provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Commands run on nodes.
    NodeShell,
    /// Addresses of pods and Services are reached from here.
    PodNetwork,
    /// Nodes can be powered off and on.
    NodePower,
}

impl Provider {
    /// By `E2E_PROVIDER`: `local` (default), `kind` or `given`.
    pub fn from_env() -> Self {
        match env::var("E2E_PROVIDER").as_deref() {
            Ok("kind") => Self::Kind,
            Ok("given") => Self::Given,
            _ => Self::Local {
                name: env::var("E2E_CLUSTER").unwrap_or_else(|_| "test".into()),
            },
        }
    }

    pub fn has(&self, capability: Capability) -> bool {
        match (self, capability) {
            (Self::Local { .. }, _)
            | (Self::Kind, Capability::NodeShell | Capability::NodePower) => true,
            (Self::Given, Capability::NodeShell | Capability::NodePower) => false,
            (Self::Kind | Self::Given, Capability::PodNetwork) => {
                env::var("E2E_POD_NETWORK").is_ok()
            }
        }
    }

    /// Runs a shell command on a node; its output.
    pub async fn on_node(&self, node: &str, script: &str) -> anyhow::Result<String> {
        self.tell(
            &["sh", node, "bash", "-c", script],
            &["exec", node, "bash", "-c", script],
        )
        .await
    }

    /// Names of its nodes, those that are off included.
    pub async fn nodes(&self) -> anyhow::Result<Vec<String>> {
        let names = self.tell(
            &["nodes"],
            &[
                "ps",
                "-a",
                "--filter=label=io.x-k8s.kind.role",
                "--format={{.Names}}",
            ],
        );
        Ok(names.await?.lines().map(str::to_owned).collect())
    }

    /// Ends a node as a power failure does: at once, and without a word.
    pub async fn power_off(&self, node: &str) -> anyhow::Result<()> {
        self.tell(&["node-off", node], &["kill", node]).await?;
        Ok(())
    }

    /// Starts a node that was powered off.
    pub async fn power_on(&self, node: &str) -> anyhow::Result<()> {
        self.tell(&["node-on", node], &["start", node]).await?;
        Ok(())
    }

    /// Runs one of these, by what there is; its output.
    async fn tell(&self, local: &[&str], docker: &[&str]) -> anyhow::Result<String> {
        let mut command = match self {
            Self::Local { name } => {
                let mut command = Command::new(root().join("e2e/local/cluster.sh"));
                command.arg(name).args(local);
                command
            }
            Self::Kind => {
                let mut command = Command::new("docker");
                command.args(docker);
                command
            }
            Self::Given => anyhow::bail!("nodes of a given cluster are not ours"),
        };
        let out = command
            .stderr(Stdio::piped())
            .output()
            .await
            .context("cannot start")?;
        let stderr = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{local:?}: {stderr}");
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
