//! One dqlite member in its pod: everything but the process around it (`main.rs`).
//!
//! ```text
//! settings.rs     who this member is, from the environment
//! volume.rs       whose the disk is; founding and joining in one rename
//! member.rs       what it is told, the engine that it runs, its status
//! watcher.rs      looks at engine and disk; ends the process when going on would do harm
//! peers.rs        reaching other members, with the header that names who is meant
//! greeting.rs     tells the others where this one is
//! whereabouts.rs  where members were found lately
//! progress.rs     how far Raft has come, by the headers that pass
//! front/          port 9001: everything that reaches the engine comes through here
//! leader_port.rs  port 9002: forwards to today's leader
//! admin.rs        port 9003: the operator's orders
//! health.rs       port 9004: probes and metrics
//! shutdown.rs     hands leadership over at the end
//! ```

mod admin;
mod engine_link;
mod front;
mod greeting;
mod health;
mod leader_port;
mod member;
mod metrics;
mod peers;
mod progress;
mod settings;
mod shutdown;
mod socket;
mod volume;
mod watcher;
mod whereabouts;

use std::time::Duration;

use anyhow::Context;
use tokio::{net::TcpListener, signal::unix};

use crate::watcher::Pulse;
pub use crate::{
    front::{Front, Port},
    member::Member,
    metrics::Metrics,
    settings::Settings,
    volume::{Identity, Phase},
};

/// Connections that the engine closes before it stops: it may abort when stopped under load.
const DRAIN: Duration = Duration::from_millis(200);

/// Runs the member until it is asked to stop.
///
/// # Errors
/// Why going on would do harm: a port that is taken, a disk or an engine that is not to be trusted.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let bind = async |port| {
        let address = settings.listen_on(port);
        TcpListener::bind(&address)
            .await
            .with_context(|| format!("cannot listen on {address}"))
    };
    let listeners = (
        bind(node_api::FRONT_PORT).await?,
        bind(node_api::LEADER_PORT).await?,
        bind(node_api::ADMIN_PORT).await?,
        bind(node_api::HEALTH_PORT).await?,
    );
    let mut term = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;

    let member = Member::start(settings).await?;
    let (pulse, metrics) = (Pulse::new(), Metrics::new());
    let front = Front::new(member.clone(), metrics.clone());
    let health = health::Health {
        member: member.clone(),
        pulse: pulse.clone(),
        metrics,
        limits: front.limits.clone(),
    };
    tokio::spawn(front.clone().listen(listeners.0, Port::Front));
    tokio::spawn(front.clone().listen(listeners.1, Port::Leader));
    tokio::spawn(greeting::greet_all(member.clone()));
    let admin = axum::serve(listeners.2, admin::router(member.clone()));
    let health = axum::serve(listeners.3, health::router(health));

    let ended = tokio::select! {
        _ = term.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = member.restart.cancelled() => Ok(()),
        reason = watcher::watch_disk(member.clone()) => Err(reason),
        reason = watcher::run(member.clone(), pulse) => Err(reason),
        e = admin => Err(anyhow::anyhow!("the admin port ended: {e:?}")),
        e = health => Err(anyhow::anyhow!("the health port ended: {e:?}")),
    };
    // On an error the disk or the engine is not to be trusted: nothing more is said to anyone.
    ended?;
    tracing::info!("asked to stop");
    front.closing.cancel();
    shutdown::hand_over(&member).await;
    front.stop.cancel();
    tokio::time::sleep(DRAIN).await;
    member.stop().await;
    Ok(())
}
