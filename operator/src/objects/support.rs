//! Small objects beside the members: account, token, disruption budget.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Secret, ServiceAccount},
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::owned;
use crate::wanted::Wanted;

/// The pods' account; they have nothing to say to the API server, so it brings no token.
pub fn service_account(wanted: &Wanted) -> ServiceAccount {
    ServiceAccount {
        metadata: owned(wanted, wanted.names.nodes()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The token that admin requests carry.
pub fn token(wanted: &Wanted, token: &str) -> Secret {
    Secret {
        metadata: owned(wanted, wanted.names.token()),
        string_data: Some(BTreeMap::from([("token".to_owned(), token.to_owned())])),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// Keeps drains from taking more voters than the quorum can spare; none where none can be spared.
pub fn budget(wanted: &Wanted, pods: usize, voters: usize) -> Option<PodDisruptionBudget> {
    let spare = voters - (voters / 2 + 1).min(voters);
    if spare == 0 {
        return None;
    }
    let mut selector = wanted.names.labels();
    selector.retain(|key, _| {
        [operator_api::CLUSTER_LABEL, operator_api::MANAGED_BY_LABEL].contains(&key.as_str())
    });
    Some(PodDisruptionBudget {
        metadata: owned(wanted, wanted.names.cluster.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(
                i32::try_from(pods.saturating_sub(spare)).unwrap_or(i32::MAX),
            )),
            selector: Some(LabelSelector {
                match_labels: Some(selector),
                match_expressions: None,
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
