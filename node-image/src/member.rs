//! The member's life: what its volume holds, what it is told, the engine that it runs.
//!
//! A node obeys and refuses. It never decides to found or to join: with an empty volume it waits,
//! since only the operator knows whether its id was ever used. With an identity it starts by itself.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use dqlite_engine::{Config, Engine, Snapshot};
use node_api::{Status, View};
use tokio::{
    runtime::Handle,
    sync::{Mutex, MutexGuard, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    peers::Peers,
    progress::Progress,
    settings::Settings,
    volume::{self, Content, Identity, Phase, Volume},
};

/// How long a writer waits for another's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One member in its pod. Shared by all tasks.
pub struct Member {
    pub(crate) settings: Settings,
    pub(crate) peers: Arc<Peers>,
    pub(crate) progress: Progress,
    /// Told to end and start anew.
    pub restart: CancellationToken,
    status: watch::Sender<Status>,
    /// Where the engine listens, while one runs.
    engine: watch::Sender<Option<String>>,
    own: Mutex<Own>,
}

/// What only one task at a time may touch.
struct Own {
    volume: Volume,
    content: Content,
    engine: Option<Engine>,
}

impl Member {
    /// Takes the volume, and starts the engine if a member of ours is on it.
    pub async fn start(settings: Settings) -> anyhow::Result<Arc<Self>> {
        let volume = Volume::open(&settings.data)
            .with_context(|| format!("cannot take the volume {}", settings.data.display()))?;
        let content = volume.content(&settings)?;
        let member = Self::new(settings, volume, content);
        tracing::info!(phase = ?member.status.borrow().phase, "volume taken");
        let mut own = member.own.lock().await;
        if !matches!(
            own.content,
            Content::Member(Identity {
                phase: Phase::Founding,
                ..
            })
        ) {
            member.run_engine(&mut own).await?;
        }
        drop(own);
        Ok(member)
    }

    fn new(settings: Settings, volume: Volume, content: Content) -> Arc<Self> {
        let (engine, engine_seen) = watch::channel(None);
        let status = watch::Sender::new(Status {
            revision: 1,
            instance: format!("{:016x}", rand::random::<u64>()),
            member: settings.member.clone(),
            id: settings.id,
            cluster: settings.cluster.clone(),
            pvc_uid: settings.pvc_uid.clone(),
            phase: reported(&content),
            engine: None,
            ready: false,
            used_bytes: 0,
            raft: node_api::Raft::default(),
        });
        Arc::new(Self {
            peers: Peers::new(settings.cluster.clone(), settings.id, engine_seen),
            progress: Progress::default(),
            restart: CancellationToken::new(),
            status,
            engine,
            own: Mutex::new(Own {
                volume,
                content,
                engine: None,
            }),
            settings,
        })
    }

    /// An open member whose engine somebody else plays, listening on `socket` (`@name`): for tests of what stands
    /// before an engine.
    ///
    /// # Errors
    /// The volume cannot be taken.
    #[cfg(feature = "played-engine")]
    pub fn with_played_engine(settings: Settings, socket: &str) -> std::io::Result<Arc<Self>> {
        let volume = Volume::open(&settings.data)?;
        let content = Content::Member(Identity::expected(&settings, Phase::Open));
        let member = Self::new(settings, volume, content);
        member.engine.send_replace(Some(socket.to_owned()));
        Ok(member)
    }

    /// What the node is, now.
    pub fn status(&self) -> Status {
        let status = self.status.borrow().clone();
        let led = status
            .engine
            .as_ref()
            .filter(|v| v.leader == Some(status.id));
        let voters = led.map(|view| view.voters()).unwrap_or_default();
        let others: Vec<u64> = voters.into_iter().filter(|id| *id != status.id).collect();
        Status {
            raft: self.progress.report(&others),
            ..status
        }
    }

    /// Bytes of the engine's files. A file may go while they are counted.
    pub fn used_bytes(&self) -> u64 {
        let files = std::fs::read_dir(volume::directory(&self.settings.data));
        let sizes = files.into_iter().flatten().flatten();
        sizes.filter_map(|f| Some(f.metadata().ok()?.len())).sum()
    }

    /// Changes of [`Member::status`].
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Where the engine listens, while one runs.
    pub fn engine(&self) -> Option<String> {
        self.engine.borrow().clone()
    }

    /// Whether an engine belongs to what the volume holds, and no order is under way that starts it.
    pub fn should_run(&self) -> bool {
        let Ok(own) = self.own.try_lock() else {
            return false;
        };
        let founding = matches!(
            own.content,
            Content::Member(Identity {
                phase: Phase::Founding,
                ..
            })
        );
        matches!(own.content, Content::Member(_)) && !founding && own.engine.is_none()
    }

    /// Whether the identity file, once there is to be one, is there. An error is no loss. Takes no
    /// lock: this must show within a second, whatever else goes on.
    pub fn identity_is_there(&self) -> bool {
        use node_api::Phase::{Empty, Refused};
        if matches!(self.status.borrow().phase, Empty | Refused { .. }) {
            return true;
        }
        volume::identity_file(&self.settings.data)
            .try_exists()
            .unwrap_or(true)
    }

    /// Makes the one member of a new cluster. Until it is opened, repeating it changes nothing.
    pub async fn found(&self) -> anyhow::Result<()> {
        let identity = Identity::expected(&self.settings, Phase::Founding);
        let own = &mut *self.own.lock().await;
        if own.content == Content::Member(identity.clone()) {
            return Ok(());
        }
        let (id, address) = (self.settings.id, self.settings.address.clone());
        self.create(own, identity, move |dir| {
            Ok(dqlite_engine::found(dir, id, &address)?)
        })?;
        tracing::info!("founded a cluster; no client is let in yet");
        Ok(())
    }

    /// Makes a member that waits to be added to the cluster.
    pub async fn join(&self) -> anyhow::Result<()> {
        let own = &mut *self.own.lock().await;
        let joined = matches!(
            own.content,
            Content::Member(Identity {
                phase: Phase::Joining | Phase::Seeded,
                ..
            })
        );
        if !joined {
            let identity = Identity::expected(&self.settings, Phase::Joining);
            self.create(own, identity, |_| Ok(()))?;
            tracing::info!("joining; waiting to be added");
        }
        self.run_engine(own).await
    }

    /// Lets clients in after a founding.
    pub async fn open(&self) -> anyhow::Result<()> {
        let own = &mut *self.own.lock().await;
        let Content::Member(identity) = &mut own.content else {
            anyhow::bail!("cannot open: the volume holds no member");
        };
        match identity.phase {
            Phase::Open => {}
            Phase::Founding => {
                own.volume.advance(identity, Phase::Open)?;
                self.report(|status| status.phase = reported(&own.content));
                tracing::info!("open to clients");
            }
            other => anyhow::bail!("cannot open: the member is {other:?}, not Founding"),
        }
        self.run_engine(own).await
    }

    /// Takes over what the engine says, and records that the member is seeded when that shows.
    pub async fn observe(&self, view: Option<View>) {
        let id = self.settings.id;
        let listed = view.as_ref().and_then(|v| v.role_of(id));
        if listed.is_some() && self.status.borrow().phase == node_api::Phase::Joining {
            self.record_seeded(self.own.lock().await);
        }
        self.report(|status| {
            status.ready = match (&status.phase, &view, listed) {
                (node_api::Phase::Open | node_api::Phase::Seeded, Some(view), Some(role)) => {
                    role != node_api::Role::Voter || view.leader.is_some()
                }
                _ => false,
            };
            status.engine = view;
        });
    }

    fn record_seeded(&self, mut own: MutexGuard<'_, Own>) {
        let Own {
            volume,
            content: Content::Member(identity),
            ..
        } = &mut *own
        else {
            return;
        };
        if identity.phase != Phase::Joining {
            return;
        }
        match volume.advance(identity, Phase::Seeded) {
            Ok(()) => self.report(|status| status.phase = node_api::Phase::Seeded),
            // Tried again with the next look; until then the member counts as joining.
            Err(e) => tracing::warn!("cannot record that the member is seeded: {e}"),
        }
    }

    /// Stops the engine, if one runs, and waits for it.
    pub async fn stop(&self) {
        let engine = self.own.lock().await.engine.take();
        self.engine.send_replace(None);
        if let Some(engine) = engine
            && let Ok(Err(e)) = tokio::task::spawn_blocking(|| engine.stop()).await
        {
            tracing::warn!("the engine did not stop cleanly: {e}");
        }
    }

    fn create(
        &self,
        own: &mut Own,
        identity: Identity,
        fill: impl FnOnce(&std::path::Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if own.content != Content::Empty {
            anyhow::bail!("the volume is not empty: {:?}", reported(&own.content));
        }
        tokio::task::block_in_place(|| own.volume.create(&identity, fill))?;
        own.content = Content::Member(identity);
        self.report(|status| status.phase = reported(&own.content));
        Ok(())
    }

    /// Starts the engine of the member that is on the volume, unless it runs.
    async fn run_engine(&self, own: &mut Own) -> anyhow::Result<()> {
        if own.engine.is_some() || !matches!(own.content, Content::Member(_)) {
            return Ok(());
        }
        let s = &self.settings;
        let config = Config::new(s.id, &s.address, own.volume.directory())
            .latency(s.latency())
            .busy_timeout(BUSY_TIMEOUT)
            .snapshot(Snapshot {
                threshold: s.snapshot_threshold,
                trailing: s.snapshot_trailing,
            })
            .connect(self.peers.for_engine(Handle::current()));
        let engine = tokio::task::spawn_blocking(|| config.start()).await??;
        tracing::info!(id = s.id, "engine started");
        self.engine.send_replace(Some(engine.socket().to_owned()));
        own.engine = Some(engine);
        Ok(())
    }

    fn report(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            let changed = *status != before;
            status.revision += u64::from(changed);
            changed
        });
    }
}

fn reported(content: &Content) -> node_api::Phase {
    match content {
        Content::Empty => node_api::Phase::Empty,
        Content::Unfit(reason) => node_api::Phase::Refused {
            reason: reason.clone(),
        },
        Content::Member(identity) => match identity.phase {
            Phase::Founding => node_api::Phase::Founding,
            Phase::Open => node_api::Phase::Open,
            Phase::Joining => node_api::Phase::Joining,
            Phase::Seeded => node_api::Phase::Seeded,
        },
    }
}
