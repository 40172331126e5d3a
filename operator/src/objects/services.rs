//! Services: names of the pods, of the ready members, of the leader.

use k8s_openapi::{
    api::core::v1::{Service as KubeService, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use node_api::{FRONT_PORT, LEADER_PORT};

use super::owned;
use crate::wanted::Wanted;

/// The three Services of a cluster.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// Headless: a DNS name for every pod, ready or not, since members must find each other first.
    Nodes,
    /// Ready members.
    Members,
    /// Whatever member takes the connection leads it to the leader.
    Leader,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nodes, Self::Members, Self::Leader];
}

/// One of the cluster's Services.
pub fn service(wanted: &Wanted, which: Service) -> KubeService {
    let names = &wanted.names;
    let (name, port) = match which {
        Service::Nodes => (names.nodes(), ("dqlite", FRONT_PORT)),
        Service::Members => (names.cluster.clone(), ("dqlite", FRONT_PORT)),
        Service::Leader => (names.leader(), ("leader", LEADER_PORT)),
    };
    let headless = matches!(which, Service::Nodes);
    let selector = [
        (operator_api::CLUSTER_LABEL, names.cluster.as_str()),
        (operator_api::MANAGED_BY_LABEL, operator_api::MANAGED_BY),
    ];
    KubeService {
        metadata: owned(wanted, name),
        spec: Some(ServiceSpec {
            cluster_ip: headless.then(|| "None".into()),
            publish_not_ready_addresses: headless.then_some(true),
            selector: Some(selector.map(|(k, v)| (k.into(), v.into())).into()),
            ports: Some(vec![ServicePort {
                name: Some(port.0.into()),
                port: port.1.into(),
                target_port: Some(IntOrString::String(port.0.into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
