//! What operators were granted, and what they used of it.

use std::collections::BTreeSet;

use http::Method;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;

/// One verb on one kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub group: String,
    pub resource: String,
    pub verb: String,
}

/// Asked for by admission where the API server is told to check who may block a deletion: no request of ours.
const FOR_ADMISSION: &str = "dqliteclusters/finalizers";

impl Right {
    /// That a request needs, by its path and query.
    pub fn of(method: &Method, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.trim_matches('/').split('/').peekable();
        let group = match parts.next() {
            Some("apis") => parts.next().unwrap_or_default(),
            _ => "",
        };
        let _version = parts.next();
        if parts.next_if_eq(&"namespaces").is_some() {
            let _namespace = parts.next();
        }
        let kind = parts.next().unwrap_or_default();
        let name = parts.next();
        let resource = match parts.next() {
            Some(part) => format!("{kind}/{part}"),
            None => kind.to_owned(),
        };
        let watches = query.split('&').any(|q| q == "watch=true");
        let verb = match (method, name) {
            (&Method::GET, Some(_)) => "get",
            (&Method::GET, None) if watches => "watch",
            (&Method::GET, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            _ => "delete",
        };
        Self {
            group: group.to_owned(),
            resource,
            verb: verb.to_owned(),
        }
    }
}

/// What the chart grants in all namespaces.
pub async fn granted(client: kube::Client) -> anyhow::Result<BTreeSet<Right>> {
    let roles: Api<ClusterRole> = Api::all(client);
    let rules = roles
        .get("dqlite-operator")
        .await?
        .rules
        .unwrap_or_default();
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    let (group, resource) = (group.clone(), resource.clone());
                    let verb = verb.clone();
                    granted.insert(Right {
                        group,
                        resource,
                        verb,
                    });
                }
            }
        }
    }
    granted.retain(|r| r.resource != FOR_ADMISSION);
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_need_what_their_paths_say() {
        let of = |method: Method, path: &str| {
            let right = Right::of(&method, path);
            format!("{} {} {}", right.verb, right.group, right.resource)
        };
        assert_eq!(
            of(Method::GET, "/api/v1/pods?watch=true&a=b"),
            "watch  pods"
        );
        assert_eq!(of(Method::GET, "/api/v1/namespaces/n/pods"), "list  pods");
        assert_eq!(of(Method::GET, "/api/v1/namespaces/n/pods/p"), "get  pods");
        let status = "/apis/dqlite.io/v1alpha1/namespaces/n/dqliteclusters/d/status?force=true";
        let needed = "patch dqlite.io dqliteclusters/status";
        assert_eq!(of(Method::PATCH, status), needed);
        assert_eq!(
            of(Method::DELETE, "/apis/apps/v1/namespaces/n/statefulsets/s"),
            "delete apps statefulsets"
        );
    }
}
