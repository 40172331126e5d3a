//! observe: reads the API server and asks every node. I/O only; nothing is decided or written here.
//!
//! Everything is read anew, not from a cache: a pass may end in something that cannot be undone.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, PodCondition, Secret},
};
use kube::{Api, ResourceExt, api::ListParams};
use node_api::Status;
use operator_api::MEMBER_LABEL;

use super::{Context, disks, support::Leaves};
use crate::{
    kube_nodes::KubeNode,
    nodes::{Nodes, Target},
    objects::{self, Memory},
    wanted::Wanted,
};

/// What Kubernetes and the nodes say of one cluster.
#[derive(Default)]
pub struct Observed {
    pub record: Option<(ConfigMap, Memory)>,
    /// Kind and name of another's object that stands where the record or the token should be.
    pub foreign: Option<(&'static str, String)>,
    pub token: Option<String>,
    pub members: BTreeMap<u32, Member>,
    /// Zones in which this Kubernetes has nodes.
    pub zones: BTreeSet<String>,
    /// Storage classes that can make a disk larger, of those that are to.
    pub growing: BTreeSet<String>,
}

/// What was found of one member.
#[derive(Clone, Default)]
pub struct Member {
    pub set: Option<StatefulSet>,
    pub disk: Option<PersistentVolumeClaim>,
    pub pod: Option<Pod>,
    /// The Kubernetes node of its pod.
    pub on: KubeNode,
    /// `None`: nothing answered.
    pub node: Option<Status>,
}

impl Member {
    /// Kubernetes calls its pod ready, so that Services lead to it.
    pub fn is_served(&self) -> bool {
        self.served_since().is_some()
    }

    /// Since when it does, in whole seconds.
    pub fn served_since(&self) -> Option<Timestamp> {
        let conditions = self.pod.as_ref()?.status.as_ref()?.conditions.as_ref()?;
        let ready = |c: &&PodCondition| c.type_ == "Ready" && c.status == "True";
        let since = conditions.iter().find(ready)?.last_transition_time.as_ref();
        Some(since.map_or(Timestamp::UNIX_EPOCH, |since| since.0))
    }

    /// Where the pod is reached, once it has an address.
    pub fn target(&self) -> Option<Target> {
        let pod = self
            .pod
            .as_ref()
            .filter(|p| p.metadata.deletion_timestamp.is_none())?;
        let ip = pod.status.as_ref()?.pod_ip.clone()?;
        Some(Target {
            ip,
            pod_uid: pod.uid()?,
        })
    }
}

pub async fn observe(ctx: &Context, wanted: &Wanted) -> anyhow::Result<Observed> {
    let (names, client) = (&wanted.names, &ctx.client);
    let mut observed = Observed::default();

    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &names.namespace);
    if let Some(map) = maps.get_opt(&names.record()).await? {
        if !objects::is_labelled(&map.metadata, names) {
            observed.foreign = Some(("ConfigMap", names.record()));
        } else if !objects::is_ours(&map.metadata, &wanted.uid) {
            let (kind, name) = ("ConfigMap".into(), names.record());
            return Err(Leaves { kind, name }.into());
        } else {
            let memory = Memory::read(&map)
                .map_err(|e| e.context(format!("ConfigMap {}", names.record())))?;
            observed.record = Some((map, memory));
        }
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &names.namespace);
    match secrets.get_opt(&names.token()).await? {
        Some(secret) if !objects::is_labelled(&secret.metadata, names) => {
            observed.foreign = Some(("Secret", names.token()));
        }
        Some(secret) => observed.token = token(&secret),
        None => {}
    }

    let ours = ListParams::default().labels(&names.selector());
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &names.namespace);
    let disks: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &names.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &names.namespace);
    for set in &sets.list(&ours).await? {
        member(&mut observed, set, &names.cluster, "").set = Some(set.clone());
    }
    for disk in &disks.list(&ours).await? {
        member(&mut observed, disk, &names.cluster, "").disk = Some(disk.clone());
    }
    for pod in &pods.list(&ours).await? {
        let on = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
        let on = on.map(|node| ctx.kube_nodes.get(node)).unwrap_or_default();
        let seen = member(&mut observed, pod, &names.cluster, "-0");
        (seen.pod, seen.on) = (Some(pod.clone()), on);
    }
    observed.zones = ctx.kube_nodes.zones();
    observed.members.remove(&0);
    find_foreign(&mut observed, &sets, &disks, wanted).await?;
    observed.growing = disks::growing(client, wanted, &observed).await;
    ask_nodes(ctx, &mut observed).await;
    Ok(observed)
}

/// The member that an object belongs to. The name must fit the number; number 0 is nobody's.
fn member<'a, K: ResourceExt>(
    observed: &'a mut Observed,
    object: &K,
    cluster: &str,
    suffix: &str,
) -> &'a mut Member {
    let number = object
        .labels()
        .get(MEMBER_LABEL)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let fits = object.name_any() == format!("{cluster}-{number}{suffix}");
    observed
        .members
        .entry(if fits { number } else { 0 })
        .or_default()
}

/// Objects under our members' names that a list by label does not show are somebody else's.
async fn find_foreign(
    observed: &mut Observed,
    sets: &Api<StatefulSet>,
    disks: &Api<PersistentVolumeClaim>,
    wanted: &Wanted,
) -> kube::Result<()> {
    let Some((_, memory)) = &observed.record else {
        return Ok(());
    };
    let numbers: Vec<u32> = memory.record.members.keys().copied().collect();
    for n in numbers {
        let name = wanted.names.member(n);
        let found = observed.members.entry(n).or_default();
        if found.set.is_none() {
            found.set = sets.get_opt(&name).await?;
        }
        if found.disk.is_none() {
            found.disk = disks.get_opt(&name).await?;
        }
    }
    Ok(())
}

fn token(secret: &Secret) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get("token")?.0;
    String::from_utf8(bytes.clone()).ok()
}

/// Asks all nodes at once. One that does not answer in time stays unknown.
async fn ask_nodes(ctx: &Context, observed: &mut Observed) {
    let Some(token) = observed.token.clone() else {
        return;
    };
    let nodes = Nodes::new(ctx.http.clone(), token);
    let asked = observed.members.iter().filter_map(|(n, member)| {
        let (nodes, target, n) = (nodes.clone(), member.target()?, *n);
        Some(async move { (n, nodes.status(&target, None).await) })
    });
    for (n, answer) in join_all(asked).await {
        match answer {
            Ok(status) => {
                if let Some(member) = observed.members.get_mut(&n) {
                    member.node = Some(status);
                }
            }
            Err(e) => tracing::debug!(member = n, "unknown: {e}"),
        }
    }
}
