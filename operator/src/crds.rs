//! Prints the CustomResourceDefinition. `crds/` and the chart hold what this prints.

use kube::CustomResourceExt;
use operator_api::DqliteCluster;
use serde_json::Value;

/// Fields of Kubernetes' own types. They bring pages of text that `kubectl explain pod.spec` has too.
const FOREIGN: [&str; 5] = [
    "affinity",
    "conditions",
    "resources",
    "tolerations",
    "topologySpread",
];

/// The CRD as YAML.
pub fn yaml() -> anyhow::Result<String> {
    let mut crd = serde_json::to_value(DqliteCluster::crd())?;
    shorten(&mut crd);
    Ok(serde_yaml::to_string(&crd)?)
}

fn shorten(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                shorten(child);
                if FOREIGN.contains(&key.as_str())
                    && let Value::Object(field) = child
                {
                    field
                        .iter_mut()
                        .for_each(|(_, inner)| drop_descriptions(inner));
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}

/// Drops descriptions of schemas; a property that is called so is an object, not a text.
fn drop_descriptions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, child| key != "description" || child.is_object());
            map.values_mut().for_each(drop_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_descriptions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_definition_is_current_and_small() {
        let yaml = super::yaml().unwrap();
        assert!(yaml.len() < 100_000);
        for file in [
            "crds/dqliteclusters.yaml",
            "charts/dqlite-operator/files/dqliteclusters.yaml",
        ] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(file);
            let committed = std::fs::read_to_string(path).unwrap();
            assert!(committed == yaml, "{file} is not current: run `make crds`");
        }
    }
}
