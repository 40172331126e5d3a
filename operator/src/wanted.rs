//! validate: what the user wants, checked. Pure. Names, namespace and uid are not optional any more.

use kube::{Resource, ResourceExt};
use operator_api::{DqliteCluster, DqliteClusterSpec, Names, Retain};
use operator_plan::default_voters;

/// A DqliteCluster that passed every rule.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub names: Names,
    pub uid: String,
    pub generation: Option<i64>,
    pub spec: DqliteClusterSpec,
    pub image: String,
    pub plan: operator_plan::Spec,
}

/// A rule that the object breaks. The API server refuses most of these before; an older definition of
/// the resource may have let them in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct Invalid {
    pub field: &'static str,
    pub rule: String,
}

fn invalid<T>(field: &'static str, rule: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid {
        field,
        rule: rule.into(),
    })
}

impl Wanted {
    /// Checks an object that was read from the API server.
    pub fn check(object: &DqliteCluster, default_image: &str) -> Result<Self, Invalid> {
        let names = Names {
            cluster: object.name_any(),
            namespace: object.namespace().unwrap_or_else(|| "default".into()),
        };
        let name = &names.cluster;
        if name.len() > 40 {
            return invalid("metadata.name", "must have at most 40 characters");
        }
        if name.contains('.') || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return invalid(
                "metadata.name",
                "must be of a-z, 0-9 and '-', starting with a letter",
            );
        }
        if name.ends_with("-leader") || name.ends_with("-nodes") {
            return invalid("metadata.name", "must not end in -leader or -nodes");
        }
        let spec = object.spec.clone();
        let Some(members) = u32::try_from(spec.members)
            .ok()
            .filter(|m| (1..=9).contains(m))
        else {
            return invalid("spec.members", "must be from 1 to 9");
        };
        let voters = match spec.voters {
            None => default_voters(members),
            Some(voters) => match u32::try_from(voters) {
                Ok(v) if v.is_multiple_of(2) => return invalid("spec.voters", "must be odd"),
                Ok(v) if v > members => {
                    return invalid("spec.voters", "must not be greater than spec.members");
                }
                Ok(v) => v,
                Err(_) => return invalid("spec.voters", "must be from 1 to 9"),
            },
        };
        let delete_disks = spec.storage.retain == Retain::Delete;
        Ok(Wanted {
            uid: object.uid().unwrap_or_default(),
            generation: object.meta().generation,
            image: spec
                .image
                .clone()
                .unwrap_or_else(|| default_image.to_owned()),
            plan: operator_plan::Spec {
                members,
                voters,
                delete_disks,
                hibernated: spec.hibernated,
            },
            names,
            spec,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, spec: serde_json::Value) -> Result<Wanted, String> {
        let object: DqliteCluster = serde_json::from_value(serde_json::json!({
            "apiVersion": "dqlite.io/v1alpha1", "kind": "DqliteCluster",
            "metadata": {"name": name, "namespace": "ns", "uid": "u"}, "spec": spec,
        }))
        .unwrap();
        Wanted::check(&object, "node:1").map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_spec_is_three_voters() {
        let wanted = check("demo", serde_json::json!({})).unwrap();
        assert_eq!((wanted.plan.members, wanted.plan.voters), (3, 3));
        assert_eq!(wanted.image, "node:1");
        assert_eq!(wanted.spec.storage.size, "1Gi");
        assert!(!wanted.plan.delete_disks);
    }

    #[test]
    fn errors_name_the_field_and_the_rule() {
        for (name, spec, message) in [
            (
                "demo",
                serde_json::json!({"members": 0}),
                "spec.members must be from 1 to 9",
            ),
            (
                "demo",
                serde_json::json!({"members": -1}),
                "spec.members must be from 1 to 9",
            ),
            (
                "demo",
                serde_json::json!({"voters": 2}),
                "spec.voters must be odd",
            ),
            (
                "demo",
                serde_json::json!({"voters": 5}),
                "spec.voters must not be greater than",
            ),
            (
                "a-leader",
                serde_json::json!({}),
                "metadata.name must not end in",
            ),
            ("1a", serde_json::json!({}), "metadata.name must be of a-z"),
            (
                &"a".repeat(41),
                serde_json::json!({}),
                "metadata.name must have at most 40",
            ),
        ] {
            let said = check(name, spec).unwrap_err();
            assert!(said.starts_with(message), "{said}");
        }
    }
}
