//! act: takes one step. I/O only; what is to be done was decided.
//!
//! A write to the record carries the version that was read; an order to a node the uid of its pod; a
//! deletion the uid and version of the object. So a step decided on an old view fails.

use anyhow::Context as _;
use dqlite_wire::Role as WireRole;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Resource;
use operator_plan::{Entry, Facts, Intent, Number, Record, Role, Step};

use super::{Context, events::Events, observe::Observed};
use crate::{
    api,
    nodes::{Change, Leader, Nodes, Target},
    objects::{self, Memory},
    wanted::Wanted,
};

/// Takes the step and, where people may want to know, tells of it.
pub async fn act(
    ctx: &Context,
    wanted: &Wanted,
    observed: &Observed,
    facts: &Facts,
    step: &Step,
    events: &Events,
) -> anyhow::Result<()> {
    ctx.lease.check()?;
    let acting = Acting {
        ctx,
        wanted,
        observed,
        facts,
        events,
        step,
    };
    let name = |n: &Number| wanted.names.member(*n);
    let done = match step {
        Step::Wait(_) | Step::Stalled(_) | Step::Done => return Ok(()),
        Step::CreateRecord => return acting.create_record().await,
        Step::NewMember => return acting.remember(new_member).await,
        Step::CreateDisk(n) => {
            return Ok(api::create(&ctx.client, &objects::disk(wanted, *n))
                .await
                .map(|_| ())?);
        }
        Step::RecordDisk(n, uid) => return acting.entry(*n, |e| e.disk = Some(uid.clone())).await,
        Step::ApplySet(n) => return acting.apply_set(*n).await,
        Step::RecordIntent(n, disk) => return acting.intend(*n, disk).await,
        Step::Found(n) => {
            acting.order(*n, "found").await?;
            format!("{} founded the cluster", name(n))
        }
        Step::DeletePod(n, uid) => {
            acting.delete_pod(*n, uid).await?;
            format!(
                "the pod of {} makes room for one of the new template",
                name(n)
            )
        }
        Step::GrowDisk(n, uid) => {
            let size = &wanted.spec.storage.size;
            api::grow(&ctx.client, acting.disk(*n, uid)?, size).await?;
            format!("the disk of {} grows to {size}", name(n))
        }
        Step::RecordFounded => return acting.remember(|r| r.founded = true).await,
        Step::Open(n) => {
            acting.order(*n, "open").await?;
            format!("{} lets clients in", name(n))
        }
        Step::RecordJoin(n, start) => {
            return acting.entry(*n, |e| e.join = Some(start.clone())).await;
        }
        Step::Join(n) => return acting.order(*n, "join").await,
        Step::Add(n) => {
            let (id, address) = (acting.id(*n)?, wanted.names.address(*n));
            let text = format!("{} is added to the cluster", name(n));
            return acting
                .change(Change::Add { id, address }, text)
                .await
                .map(|_| ());
        }
        Step::Assign(n, role) => {
            let (id, text) = (
                acting.id(*n)?,
                format!("{} is {} now", name(n), role.name()),
            );
            let change = Change::Assign {
                id,
                role: wire(*role),
            };
            return acting.change(change, text).await.map(|_| ());
        }
        Step::Transfer(n) => {
            acting.transfer(*n).await?;
            format!("leadership goes to {}", name(n))
        }
        Step::Restart(n) => {
            acting.order(*n, "restart").await?;
            ctx.changes.helped(&wanted.uid);
            format!(
                "{} starts anew, since a change of the membership does not end",
                name(n)
            )
        }
        Step::Retire(n) => {
            acting.entry(*n, |e| e.retired = true).await?;
            format!("{} leaves the cluster", name(n))
        }
        Step::Remove(n) => {
            let (id, text) = (
                acting.id(*n)?,
                format!("{} is removed from the cluster", name(n)),
            );
            if acting.change(Change::Remove { id }, text).await? {
                acting.entry(*n, |e| e.removed = true).await?;
            }
            return Ok(());
        }
        Step::RemoveRetired(id) => {
            let text = format!("a member that left before (id {id}) is removed again");
            return acting
                .change(Change::Remove { id: *id }, text)
                .await
                .map(|_| ());
        }
        Step::RecordRemoved(n) => return acting.entry(*n, |e| e.removed = true).await,
        Step::MarkDisk(n, uid) => {
            let disk = acting.disk(*n, uid)?;
            return Ok(api::label(&ctx.client, disk, operator_api::REMOVED_LABEL, "true").await?);
        }
        Step::DeleteSet(n, uid) => return acting.delete_set(*n, uid).await,
        Step::DeleteDisk(n, uid) => {
            api::delete(&ctx.client, acting.disk(*n, uid)?).await?;
            format!(
                "the disk of {} is deleted, as spec.storage.retain says",
                name(n)
            )
        }
        Step::Forget(n) => return acting.remember(|r| forget(r, *n)).await,
    };
    events.done(step, &done).await;
    Ok(())
}

struct Acting<'a> {
    ctx: &'a Context,
    wanted: &'a Wanted,
    observed: &'a Observed,
    facts: &'a Facts,
    events: &'a Events,
    step: &'a Step,
}

impl Acting<'_> {
    fn memory(&self) -> anyhow::Result<&Memory> {
        self.observed
            .record
            .as_ref()
            .map(|(_, memory)| memory)
            .context("there is no record")
    }

    fn member(&self, n: Number) -> anyhow::Result<&super::observe::Member> {
        self.observed
            .members
            .get(&n)
            .with_context(|| format!("member {n} was not seen"))
    }

    fn disk(&self, n: Number, uid: &str) -> anyhow::Result<&PersistentVolumeClaim> {
        the_one(self.member(n)?.disk.as_ref(), uid)
    }

    fn id(&self, n: Number) -> anyhow::Result<u64> {
        let entry = self.memory()?.record.members.get(&n);
        Ok(entry
            .with_context(|| format!("member {n} is not recorded"))?
            .id)
    }

    async fn create_record(&self) -> anyhow::Result<()> {
        let cluster = format!("{:032x}", rand::random::<u128>());
        let record = Record {
            next: 1,
            ..Record::default()
        };
        let map = objects::record(self.wanted, &Memory { cluster, record })?;
        api::create(&self.ctx.client, &map).await?;
        Ok(())
    }

    async fn remember(&self, change: impl FnOnce(&mut Record)) -> anyhow::Result<()> {
        let (seen, memory) = self
            .observed
            .record
            .as_ref()
            .context("there is no record")?;
        let mut memory = memory.clone();
        change(&mut memory.record);
        let map = objects::record(self.wanted, &memory)?;
        api::replace(&self.ctx.client, &map, seen).await?;
        Ok(())
    }

    async fn entry(&self, n: Number, change: impl FnOnce(&mut Entry)) -> anyhow::Result<()> {
        self.remember(|record| {
            if let Some(entry) = record.members.get_mut(&n) {
                change(entry);
            }
        })
        .await
    }

    async fn apply_set(&self, n: Number) -> anyhow::Result<()> {
        let memory = self.memory()?;
        let entry = memory
            .record
            .members
            .get(&n)
            .context("the member is not recorded")?;
        let disk = entry
            .disk
            .as_ref()
            .context("the member's disk is not recorded")?;
        let mut set = objects::set(self.wanted, &memory.cluster, n, entry.id, disk);
        // There is nothing to put to sleep yet.
        if let Some(spec) = set.spec.as_mut().filter(|_| !memory.record.founded) {
            spec.replicas = Some(1);
        }
        match self.member(n).ok().and_then(|m| m.set.as_ref()) {
            None => api::create(&self.ctx.client, &set).await?,
            // Whole, so that what the spec says no more goes; what others noted on it stays.
            Some(seen) => {
                let mut next = seen.clone();
                next.spec = set.spec;
                next.metadata.owner_references = set.metadata.owner_references;
                api::replace(&self.ctx.client, &next, seen).await?
            }
        };
        Ok(())
    }

    async fn intend(&self, n: Number, disk: &str) -> anyhow::Result<()> {
        let intent = Intent {
            member: n,
            disk: disk.to_owned(),
        };
        self.remember(|r| r.intent = Some(intent)).await
    }

    async fn delete_set(&self, n: Number, uid: &str) -> anyhow::Result<()> {
        let set = the_one(self.member(n)?.set.as_ref(), uid)?;
        Ok(api::delete(&self.ctx.client, set).await?)
    }

    async fn delete_pod(&self, n: Number, uid: &str) -> anyhow::Result<()> {
        let pod = the_one(self.member(n)?.pod.as_ref(), uid)?;
        Ok(api::delete(&self.ctx.client, pod).await?)
    }

    fn target(&self, n: Number) -> anyhow::Result<Target> {
        self.member(n)?
            .target()
            .with_context(|| format!("member {n} has no address"))
    }

    async fn order(&self, n: Number, order: &str) -> anyhow::Result<()> {
        let token = self
            .observed
            .token
            .clone()
            .context("the admin token is missing")?;
        let nodes = Nodes::new(self.ctx.http.clone(), token);
        let seen = self
            .member(n)?
            .node
            .as_ref()
            .context("the node has not answered")?;
        self.ctx.lease.check()?;
        Ok(nodes.order(&self.target(n)?, &seen.instance, order).await?)
    }

    async fn leader(&self) -> anyhow::Result<Leader> {
        let (n, _) = self.facts.leader().context("no member leads")?;
        let cluster = &self.memory()?.cluster;
        Ok(Leader::dial(&self.target(n)?.ip, cluster, self.id(n)?).await?)
    }

    async fn transfer(&self, to: Number) -> anyhow::Result<()> {
        let leader = self.leader().await?;
        self.ctx.lease.check()?;
        let transferred = leader.transfer(self.id(to)?).await;
        // Also one that failed: the next remedy is another.
        if matches!(self.facts.change, operator_plan::Change::Hangs(_)) {
            self.ctx.changes.helped(&self.wanted.uid);
        }
        Ok(transferred?)
    }

    /// Whether the change was made, now or before; `false` while it is under way.
    async fn change(&self, change: Change, text: String) -> anyhow::Result<bool> {
        let leader = self.leader().await?;
        // The last look before what cannot be undone: do we still hold the lease?
        self.ctx.lease.check()?;
        let (events, step) = (self.events.clone(), self.step.clone());
        let change = async move {
            let made_now = leader.change(&change).await?;
            if made_now {
                events.done(&step, &text).await;
            }
            Ok(())
        };
        let (n, _) = self.facts.leader().context("no member leads")?;
        let changes = &self.ctx.changes;
        let ended = changes.run(&self.wanted.uid, self.id(n)?, change).await;
        Ok(ended.transpose()?.is_some())
    }
}

/// The object that was decided about, if it is the one that was seen.
fn the_one<'a, K: Resource<DynamicType = ()>>(
    seen: Option<&'a K>,
    uid: &str,
) -> anyhow::Result<&'a K> {
    let seen = seen.filter(|object| object.meta().uid.as_deref() == Some(uid));
    seen.with_context(|| format!("the {} is gone", K::kind(&())))
}

fn new_member(record: &mut Record) {
    let n = record.next;
    record.next += 1;
    let taken = |id: u64, record: &Record| {
        // libdqlite founds clusters by itself under the low id 1; stay far away from small numbers.
        id < 1 << 32 || record.by_id(id).is_some() || record.retired.contains(&id)
    };
    // Fits the positive numbers of every language, JSON's safest included.
    let random = || rand::random::<u64>() >> 11;
    let mut id = random();
    while taken(id, record) {
        id = random();
    }
    record.members.insert(
        n,
        Entry {
            id,
            ..Entry::default()
        },
    );
}

fn forget(record: &mut Record, n: Number) {
    if let Some(entry) = record.members.remove(&n) {
        record.retired.insert(entry.id);
    }
}

fn wire(role: Role) -> WireRole {
    match role {
        Role::Voter => WireRole::Voter,
        Role::Standby => WireRole::Standby,
        Role::Spare => WireRole::Spare,
    }
}
