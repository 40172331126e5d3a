//! What operators do over and over: each flow begins with one wish of the user and ends in a whole cluster.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    Found,
    ScaleOut,
    ScaleIn,
    Replace,
    Update,
    Delete,
    Adopt,
    /// The object goes, and leaves everything as it is; then it returns.
    Orphan,
    /// Disks are to go with the object.
    Release,
    Hibernate,
    Wake,
    /// Larger disks than these can become.
    Grow,
    /// The object goes, and its disks too.
    Vanish,
}

/// Where a flow started from.
#[derive(Default)]
pub struct Before {
    pods: BTreeSet<String>,
    id: Option<String>,
}

impl Before {
    /// `id` is that of the cluster which is to be found again.
    pub async fn look(world: &World, flow: Flow, id: Option<String>) -> Self {
        let pods = match flow {
            Flow::Found | Flow::Adopt | Flow::Wake => BTreeSet::new(),
            _ => pod_uids(world).await,
        };
        Self { pods, id }
    }
}

impl Flow {
    /// In the order in which each makes sense after the one before.
    pub const ALL: [Self; 13] = [
        Self::Found,
        Self::ScaleOut,
        Self::ScaleIn,
        Self::Replace,
        Self::Update,
        Self::Delete,
        Self::Adopt,
        Self::Orphan,
        Self::Release,
        Self::Hibernate,
        Self::Wake,
        Self::Grow,
        Self::Vanish,
    ];

    /// Those that end-to-end tests take too, with real members.
    pub const FIRST: &'static [Self] = Self::ALL.split_at(7).0;

    pub async fn begin(self, world: &World) {
        match self {
            Self::Found | Self::Adopt => apply(world, json!({})).await,
            Self::ScaleOut => world.scale(5).await,
            Self::ScaleIn => world.scale(3).await,
            Self::Replace => world.lose_disk("demo-2").await,
            Self::Update => {
                apply(world, json!({"podMetadata": {"labels": {"tier": "gold"}}})).await;
            }
            Self::Delete | Self::Vanish => world.delete().await,
            Self::Orphan => {
                world.orphan().await;
                apply(world, json!({})).await;
            }
            Self::Release | Self::Wake => {
                apply(world, json!({"storage": {"retain": "Delete"}})).await
            }
            Self::Hibernate => {
                let spec = json!({"storage": {"retain": "Delete"}, "hibernated": true});
                apply(world, spec).await;
            }
            Self::Grow => {
                apply(
                    world,
                    json!({"storage": {"retain": "Delete", "size": "2Gi"}}),
                )
                .await
            }
        }
    }

    /// Whether it has come to its end.
    pub async fn is_over(self, world: &World, before: &Before) -> bool {
        if matches!(self, Self::Delete | Self::Vanish) {
            let disks_go = self == Self::Vanish;
            let nothing = world.pods().await.is_empty() && world.members().await.is_empty();
            return nothing && (!disks_go || disks(world).await.is_empty());
        }
        if self == Self::Hibernate {
            let status = world.status_if_any().await.unwrap_or_default();
            let sleeps = status.conditions.iter().any(|c| c.reason == "Hibernated");
            return sleeps && world.pods().await.is_empty();
        }
        let Some(status) = world.is_ready().await else {
            return false;
        };
        let voters = if self == Self::ScaleOut { 5 } else { 3 };
        let ours = match self {
            Self::Replace => status.member_list.iter().all(|m| m.name != "demo-2"),
            Self::Update => pod_uids(world).await.is_disjoint(&before.pods),
            Self::Adopt | Self::Orphan => status.cluster.map(|c| c.id) == before.id,
            Self::Release => disks(world)
                .await
                .iter()
                .all(|d| !d.owner_references().is_empty()),
            Self::Grow => {
                let sets = world.members().await;
                let mut disks = disks(world).await;
                disks.retain(|d| sets.contains(&d.name_any()));
                disks.iter().all(|d| asks_for(d, "2Gi"))
            }
            _ => true,
        };
        ours && status.voters == voters && status.members == voters
    }
}

async fn apply(world: &World, spec: Value) {
    let _ = world.apply(spec).await.unwrap();
}

async fn disks(world: &World) -> Vec<PersistentVolumeClaim> {
    let ours = ListParams::default().labels(&world.names.selector());
    let claims = world.api::<PersistentVolumeClaim>();
    claims.list(&ours).await.unwrap().items
}

fn asks_for(disk: &PersistentVolumeClaim, size: &str) -> bool {
    let resources = disk.spec.as_ref().and_then(|s| s.resources.as_ref());
    let requests = resources.and_then(|r| r.requests.as_ref());
    requests.is_some_and(|r| r["storage"].0 == size)
}

async fn pod_uids(world: &World) -> BTreeSet<String> {
    world.pods().await.iter().filter_map(|p| p.uid()).collect()
}
