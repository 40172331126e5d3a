//! Writes to the API server. Each names the object that it means, by uid, and one that destroys also
//! by resourceVersion (rule S10).

use std::fmt::Debug;

use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::NamespaceResourceScope,
};
use operator_api::FIELD_MANAGER;
use serde::{Serialize, de::DeserializeOwned};

/// What the operator writes.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// Makes an object that must not exist. Another's under this name is left alone.
pub async fn create<K: Object>(client: &kube::Client, object: &K) -> kube::Result<K> {
    api(client, object.meta())
        .create(&PostParams::default(), object)
        .await
}

/// Brings an object that exists up to date; `uid` is the one that was seen.
pub async fn apply<K: Object>(client: &kube::Client, object: &K, uid: &str) -> kube::Result<K> {
    let mut object = object.clone();
    object.meta_mut().uid = Some(uid.to_owned());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api(client, object.meta())
        .patch(&object.name_any(), &params, &Patch::Apply(typed(&object)))
        .await
}

/// Writes over the version that was read, and over no other.
pub async fn replace<K: Object>(client: &kube::Client, object: &K, seen: &K) -> kube::Result<K> {
    let mut object = object.clone();
    object.meta_mut().uid = seen.uid();
    object.meta_mut().resource_version = seen.resource_version();
    api(client, object.meta())
        .replace(&object.name_any(), &PostParams::default(), &object)
        .await
}

/// Deletes the very version that was seen; one that is gone already is as good.
pub async fn delete<K: Object>(client: &kube::Client, seen: &K) -> kube::Result<()> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: seen.uid(),
            resource_version: seen.resource_version(),
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    match api::<K>(client, seen.meta())
        .delete(&seen.name_any(), &params)
        .await
    {
        Err(kube::Error::Api(e)) if e.is_not_found() => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Sets a label on the very version that was seen.
pub async fn label<K: Object>(
    client: &kube::Client,
    seen: &K,
    key: &str,
    value: &str,
) -> kube::Result<()> {
    change_metadata(client, seen, "labels", serde_json::json!({ key: value })).await
}

/// Sets the owners of the very version that was seen.
pub async fn own<K: Object>(
    client: &kube::Client,
    seen: &K,
    owners: &[OwnerReference],
) -> kube::Result<()> {
    change_metadata(client, seen, "ownerReferences", serde_json::json!(owners)).await
}

/// Asks for more room in the very version that was seen.
pub async fn grow(
    client: &kube::Client,
    seen: &PersistentVolumeClaim,
    size: &str,
) -> kube::Result<()> {
    let spec = serde_json::json!({ "resources": { "requests": { "storage": size } } });
    patch(client, seen, serde_json::json!({}), Some(spec)).await
}

async fn change_metadata<K: Object>(
    client: &kube::Client,
    seen: &K,
    field: &str,
    value: serde_json::Value,
) -> kube::Result<()> {
    patch(client, seen, serde_json::json!({ field: value }), None).await
}

async fn patch<K: Object>(
    client: &kube::Client,
    seen: &K,
    mut metadata: serde_json::Value,
    spec: Option<serde_json::Value>,
) -> kube::Result<()> {
    metadata["uid"] = seen.uid().into();
    metadata["resourceVersion"] = seen.resource_version().into();
    let mut patch = serde_json::json!({ "metadata": metadata });
    if let Some(spec) = spec {
        patch["spec"] = spec;
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..Default::default()
    };
    let api = api::<K>(client, seen.meta());
    api.patch(&seen.name_any(), &params, &Patch::Merge(patch))
        .await
        .map(|_| ())
}

fn api<K: Object>(client: &kube::Client, meta: &ObjectMeta) -> Api<K> {
    Api::namespaced(
        client.clone(),
        meta.namespace.as_deref().unwrap_or("default"),
    )
}

/// Server-side apply needs the object's kind, which typed objects leave out.
fn typed<K: Object>(object: &K) -> serde_json::Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    value
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// Requests, as method and body.
    type Sent = Arc<Mutex<Vec<(String, Value)>>>;

    /// A client that keeps what it is asked to send.
    fn recorder() -> (kube::Client, Sent) {
        let sent = Sent::default();
        let seen = Arc::clone(&sent);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let seen = Arc::clone(&seen);
            async move {
                let method = request.method().to_string();
                let body = request.into_body().collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                seen.lock().unwrap().push((method, body));
                let answer = json!({"metadata": {"name": "a"}}).to_string();
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(
                    answer.into_bytes(),
                )))
            }
        });
        (kube::Client::new(service, "ns"), sent)
    }

    fn seen() -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
        }))
        .unwrap()
    }

    /// Rule S10: another object under the same name, or a newer version, is never what we write to.
    #[tokio::test]
    async fn every_write_names_the_object_that_was_seen() {
        let (client, sent) = recorder();
        let plain: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "ns"}})).unwrap();
        apply(&client, &plain, "u").await.unwrap();
        replace(&client, &plain, &seen()).await.unwrap();
        label(&client, &seen(), "k", "v").await.unwrap();
        own(&client, &seen(), &[]).await.unwrap();
        delete(&client, &seen()).await.unwrap();
        let sent = sent.lock().unwrap();
        let (applied, rest) = sent.split_first().unwrap();
        assert_eq!(applied.1["metadata"]["uid"], "u");
        let (deleted, changed) = rest.split_last().unwrap();
        assert_eq!(deleted.0, "DELETE");
        let precondition = json!({"uid": "u", "resourceVersion": "7"});
        assert_eq!(deleted.1["preconditions"], precondition);
        assert_eq!(changed.len(), 3);
        for (method, body) in changed {
            assert_eq!(body["metadata"]["uid"], "u", "{method}");
            assert_eq!(body["metadata"]["resourceVersion"], "7", "{method}");
        }
    }
}
