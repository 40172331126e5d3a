//! Objects beside the members: Services, account, token, disruption budget. Applied when they are
//! missing, when they should change, and when somebody changed them; an idle cluster writes nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Api, ResourceExt};
use operator_plan::Facts;

use super::{Context, observe::Observed};
use crate::{
    api::{self, Object},
    objects::{self, Service},
    wanted::Wanted,
};

/// What was applied last, by kind and name: our text, and the version that came of it.
#[derive(Debug, Default)]
pub struct Applied(Mutex<HashMap<String, (String, Option<String>)>>);

/// Another's object has a name that this cluster needs.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name} exists and is not this cluster's; delete or rename it, or use another name")]
pub struct NameTaken {
    pub kind: String,
    pub name: String,
}

/// An object of an earlier DqliteCluster of the same name is still there.
#[derive(Debug, thiserror::Error)]
#[error("waiting until {kind} {name} of an earlier object is gone")]
pub struct Leaves {
    pub kind: String,
    pub name: String,
}

/// Makes the small objects what they should be.
pub async fn ensure(
    ctx: &Context,
    wanted: &Wanted,
    observed: &Observed,
    facts: &Facts,
) -> anyhow::Result<()> {
    ctx.lease.check()?;
    if let Some((kind, name)) = &observed.foreign {
        return Err(taken(*kind, name.clone()).into());
    }
    keep_or_own(ctx, wanted, observed).await?;
    for which in Service::ALL {
        ensure_one(ctx, wanted, &objects::service(wanted, which)).await?;
    }
    ensure_one(ctx, wanted, &objects::service_account(wanted)).await?;
    if observed.token.is_none() {
        let random = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        api::create(&ctx.client, &objects::token(wanted, &random)).await?;
    }
    if let (Some(record), Some((_, leader))) = (&facts.record, facts.leader()) {
        let pods = record.members.values().filter(|e| !e.removed).count();
        let voter = |s: &&operator_plan::Server| s.role == operator_plan::Role::Voter;
        let voters = leader.servers.iter().filter(voter).count();
        match objects::budget(wanted, pods, voters) {
            Some(budget) => ensure_one(ctx, wanted, &budget).await?,
            None => remove_budget(ctx, wanted).await?,
        }
    }
    Ok(())
}

/// Disks and record belong to the object only while the spec says Delete (rule S6). The disks first: a
/// record that goes while a disk stays would leave members that nobody remembers.
async fn keep_or_own(ctx: &Context, wanted: &Wanted, observed: &Observed) -> anyhow::Result<()> {
    let owners = objects::owners_of_kept(wanted);
    let differs = |meta: &ObjectMeta| {
        let uids = |owners: &[OwnerReference]| -> Vec<String> {
            owners.iter().map(|o| o.uid.clone()).collect()
        };
        !objects::leaves(meta, &wanted.uid)
            && uids(meta.owner_references.as_deref().unwrap_or_default()) != uids(&owners)
    };
    for disk in observed.members.values().filter_map(|m| m.disk.as_ref()) {
        if objects::is_labelled(&disk.metadata, &wanted.names) && differs(&disk.metadata) {
            api::own(&ctx.client, disk, &owners).await?;
        }
    }
    // A set that lost its owner would outlive the object.
    for set in observed.members.values().filter_map(|m| m.set.as_ref()) {
        let meta = &set.metadata;
        let orphan = meta.owner_references.as_ref().is_none_or(Vec::is_empty);
        if orphan && meta.deletion_timestamp.is_none() && objects::is_labelled(meta, &wanted.names)
        {
            api::own(&ctx.client, set, &[objects::owner(wanted)]).await?;
        }
    }
    if let Some((record, _)) = &observed.record
        && differs(&record.metadata)
    {
        api::own(&ctx.client, record, &owners).await?;
        // The version that was read is not the newest any more.
        anyhow::bail!("disks and record follow spec.storage.retain now");
    }
    Ok(())
}

fn taken(kind: impl Into<String>, name: String) -> NameTaken {
    NameTaken {
        kind: kind.into(),
        name,
    }
}

async fn ensure_one<K: Object>(ctx: &Context, wanted: &Wanted, object: &K) -> anyhow::Result<()> {
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    let live: Api<K> = Api::namespaced(ctx.client.clone(), &wanted.names.namespace);
    let live = live.get_opt(&name).await?;
    let key = format!("{kind}/{}/{name}", wanted.names.namespace);
    let text = serde_json::to_string(object)?;
    let Some(live) = live else {
        let made = api::create(&ctx.client, object).await?;
        ctx.applied.note(key, text, version(&made));
        return Ok(());
    };
    if !objects::is_labelled(live.meta(), &wanted.names) {
        return Err(taken(kind, name).into());
    }
    if objects::leaves(live.meta(), &wanted.uid) {
        return Err(Leaves { kind, name }.into());
    }
    if ctx.applied.is(&key, &text, version(&live)) {
        return Ok(());
    }
    let made = api::apply(&ctx.client, object, &live.uid().unwrap_or_default()).await?;
    ctx.applied.note(key, text, version(&made));
    Ok(())
}

/// Grows when somebody changes the object, and not with its status.
fn version<K: ResourceExt>(object: &K) -> Option<String> {
    let meta = object.meta();
    meta.generation
        .map(|g| g.to_string())
        .or_else(|| meta.resource_version.clone())
}

async fn remove_budget(ctx: &Context, wanted: &Wanted) -> anyhow::Result<()> {
    type Budget = k8s_openapi::api::policy::v1::PodDisruptionBudget;
    let live: Api<Budget> = Api::namespaced(ctx.client.clone(), &wanted.names.namespace);
    if let Some(live) = live.get_opt(&wanted.names.cluster).await?
        && objects::is_labelled(&live.metadata, &wanted.names)
        && objects::is_ours(&live.metadata, &wanted.uid)
    {
        api::delete(&ctx.client, &live).await?;
    }
    Ok(())
}

impl Applied {
    fn is(&self, key: &str, text: &str, version: Option<String>) -> bool {
        let applied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        applied
            .get(key)
            .is_some_and(|(t, v)| t == text && *v == version)
    }

    fn note(&self, key: String, text: String, version: Option<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (text, version));
    }
}
