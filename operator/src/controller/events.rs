//! Events, for people who read `kubectl describe`: what was done and why, and what is wrong.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder},
};
use operator_api::{DqliteCluster, DqliteClusterStatus, conditions::reason};
use operator_plan::{Role, Step};

use super::{
    report,
    verdict::{State, Verdict},
};

/// Speaks of one DqliteCluster.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    about: ObjectReference,
    name: String,
    namespace: Option<String>,
}

impl Events {
    pub fn about(cluster: &DqliteCluster, recorder: &Recorder) -> Self {
        Self {
            recorder: recorder.clone(),
            about: cluster.object_ref(&()),
            name: cluster.name_any(),
            namespace: cluster.namespace(),
        }
    }

    /// A step was taken.
    pub async fn done(&self, step: &Step, text: &str) {
        let (reason, member) = match step {
            Step::Found(n) => ("ClusterFounded", Some(n)),
            Step::Open(n) => ("ClusterOpened", Some(n)),
            Step::Add(n) => ("MemberAdded", Some(n)),
            Step::Assign(n, Role::Voter) => ("MemberPromoted", Some(n)),
            Step::Assign(n, _) => ("RoleAssigned", Some(n)),
            Step::Transfer(n) => ("LeadershipTransferred", Some(n)),
            Step::Restart(n) => ("MemberRestarted", Some(n)),
            Step::Retire(n) => ("MemberRetired", Some(n)),
            Step::Remove(n) => ("MemberRemoved", Some(n)),
            Step::DeletePod(n, _) => ("PodReplaced", Some(n)),
            Step::GrowDisk(n, _) => ("DiskGrown", Some(n)),
            Step::DeleteDisk(n, _) => ("DiskDeleted", Some(n)),
            _ => ("Reconciled", None),
        };
        tracing::info!(cluster = %self.name, reason, "{text}");
        self.publish(EventType::Normal, reason, text, member).await;
    }

    /// Something has gone wrong that had not when the status was written.
    pub async fn wrong(&self, verdict: &Verdict, before: Option<&DqliteClusterStatus>) {
        let before = before.and_then(report::reason_of);
        let wrong = verdict.state == State::Stalled || verdict.reason == reason::STEP_FAILED;
        if wrong && before != Some(verdict.reason) {
            let Verdict {
                reason, message, ..
            } = verdict;
            self.publish(EventType::Warning, reason, message, None)
                .await;
        }
    }

    async fn publish(&self, type_: EventType, reason: &str, text: &str, member: Option<&u32>) {
        // Events that differ in nothing but their text are counted as one.
        let set = member.map(|n| ObjectReference {
            api_version: Some("apps/v1".into()),
            kind: Some("StatefulSet".into()),
            name: Some(format!("{}-{n}", self.name)),
            namespace: self.namespace.clone(),
            ..ObjectReference::default()
        });
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(text.chars().take(1000).collect()),
            action: "Reconcile".into(),
            secondary: set,
        };
        if let Err(e) = self.recorder.publish(&event, &self.about).await {
            tracing::warn!("cannot record an event: {e}");
        }
    }
}
