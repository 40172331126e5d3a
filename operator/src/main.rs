//! The operator: one binary, two sub-commands.
//!
//! ```text
//! run.rs        starts everything, ends everything
//! wanted.rs     what the user wants, checked
//! controller/   one pass over one cluster: observe, validate, decide, act, report
//! objects/      what is made in Kubernetes, one builder per object
//! nodes.rs      talking to nodes: admin port, dqlite protocol
//! api.rs        writes to the API server, each with uid
//! changes.rs    changes of the membership, outside the passes
//! hints.rs      nodes tell when something changes
//! kube_nodes.rs which Kubernetes nodes are about to be drained
//! lease.rs      leader election
//! process.rs    what the process itself needs
//! faults.rs     ends the process in the midst of things, for tests
//! crds.rs       prints the definition of DqliteCluster
//! ```
//! What to do next is decided in the crate `operator-plan`.

mod api;
mod changes;
mod controller;
mod crds;
mod faults;
mod hints;
mod kube_nodes;
mod lease;
mod metrics;
mod nodes;
mod objects;
mod process;
mod run;
mod server;
mod wanted;

use clap::Parser;

/// Manages dqlite clusters on Kubernetes.
#[derive(Parser)]
#[command(name = "dqlite-operator", version)]
enum Command {
    /// Run the operator
    Run(run::Args),
    /// Print the CustomResourceDefinitions as YAML
    Crds,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run(args) => run::run(args).await,
        Command::Crds => {
            print!("{}", crds::yaml()?);
            Ok(())
        }
    }
}
