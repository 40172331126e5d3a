//! The life of a cluster after it is made: sizes, updates, moves, storage, rest, return.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use dqlite_client::{Connection, Options};
use dqlite_e2e::{
    World,
    provider::Capability::*,
    world::{READY, is_true},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use operator_api::DqliteCluster;
use serde_json::json;

/// Names of the members by role.
async fn roles(world: &World) -> BTreeMap<String, usize> {
    let mut roles = BTreeMap::new();
    for member in world.ready().await.member_list {
        *roles.entry(member.role.unwrap()).or_default() += 1;
    }
    roles
}

async fn pod_uids(world: &World) -> BTreeMap<String, String> {
    let pods = world.pods().await;
    pods.iter()
        .map(|p| (p.name_any(), p.uid().unwrap()))
        .collect()
}

async fn names(world: &World) -> Vec<String> {
    let list = world.ready().await.member_list;
    list.into_iter().map(|m| m.name).collect()
}

#[tokio::test]
async fn two_four_and_nine_members_become_ready() {
    let test = "two_four_and_nine_members_become_ready";
    let Some(world) = World::with(test, json!({"members": 2}), &[PodNetwork]).await else {
        return;
    };
    let mut writer = Some(world.writer().await);
    let mut tallies = Vec::new();
    for (members, expected) in [
        (2, vec![("standby", 1), ("voter", 1)]),
        (4, vec![("standby", 1), ("voter", 3)]),
        (9, vec![("spare", 1), ("standby", 3), ("voter", 5)]),
    ] {
        // Nine members leave two cores little for a writer.
        if members == 9
            && let Some(writer) = writer.take()
        {
            tallies.push(writer.stop(Duration::ZERO).await);
        }
        world.scale(members).await;
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(role, n)| (role.to_owned(), n))
            .collect();
        assert_eq!(roles(&world).await, expected);
        world.pods_ready(members as usize).await;
    }
    // A spare gets no log: its copy of the data is old, and not compared.
    world.scale(3).await;
    world.ready().await;
    world.finish(&tallies, "2, 4, 9, and back to 3").await;
}

#[tokio::test]
async fn a_template_is_rolled_under_a_writer() {
    let test = "a_template_is_rolled_under_a_writer";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    let before = pod_uids(&world).await;
    writer.take_gap();
    let spec = json!({"podMetadata": {"labels": {"tier": "gold"}}});
    world.apply(spec).await.unwrap();
    world
        .until("all pods are new", READY, async |_| {
            let now = pod_uids(&world).await;
            let old = |(n, uid): (&String, &String)| now.get(n) == Some(uid);
            let none = !before.iter().any(old);
            (none && now.len() == 3).then_some(())
        })
        .await;
    world.ready().await;
    let gap = writer.take_gap();
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    writer.more(50).await;
    let tally = writer.stop(Duration::ZERO).await;
    let note = format!("longest gap while rolled {:.2} s", gap.as_secs_f64());
    world.finish(&[tally], note).await;
}

#[tokio::test]
async fn a_bad_image_stops_at_the_first_member_and_the_spec_put_back_mends_it() {
    let test = "a_bad_image_stops_at_the_first_member_and_the_spec_put_back_mends_it";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    let before = pod_uids(&world).await;
    let kept = async || {
        let now = pod_uids(&world).await;
        let same = before.iter().filter(|(n, uid)| now.get(*n) == Some(uid));
        same.count()
    };
    let image = "docker.io/dqlite/no-such-image:never";
    world.apply(json!({"image": image})).await.unwrap();
    let said = world.reason("ImageNotFound").await;
    let names_it = |said: &str| said.contains("spec.image") && said.contains(image);
    assert!(names_it(&said), "{said}");
    writer.more(200).await;
    let blocked = async |c: &DqliteCluster| c.status.as_ref()?.blocked_by.clone();
    let blocked = world.until("blockedBy", READY, blocked).await;
    // Kubernetes tells of it in other words by now.
    assert!(names_it(&blocked.what), "{blocked:?}");
    assert_eq!(blocked.who_acts, "user");
    let next = format!("kubectl -n {} describe pods", world.names.namespace);
    assert!(blocked.next_command.starts_with(&next), "{blocked:?}");
    assert_eq!(kept().await, 2, "one member only was tried");
    world.apply(json!({})).await.unwrap();
    world.ready().await;
    writer.more(50).await;
    assert_eq!(kept().await, 2, "the others never noticed");
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "2 of 3 pods untouched").await;
}

#[tokio::test]
async fn a_healthy_member_is_moved() {
    let test = "a_healthy_member_is_moved";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    let leader = world.leader().await;
    world.annotate(&leader, "dqlite.io/move", "").await;
    // Nobody can say while leadership moves, or while a new voter has not confirmed the leader yet.
    let unsure = std::cell::Cell::new(Instant::now());
    world
        .until("another in its place", READY, async |cluster| {
            let status = cluster.status.as_ref()?;
            if status.can_lose >= 1 {
                unsure.set(Instant::now());
            }
            assert!(
                unsure.get().elapsed() < Duration::from_secs(3),
                "below what it could lose before: {status:?}"
            );
            let there = status.member_list.iter().any(|m| m.name == leader);
            (!there && status.members == 3 && status.ready_members == 3).then_some(())
        })
        .await;
    world.ready().await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "the leader, on request").await;
}

#[tokio::test]
async fn two_lost_disks_of_five_are_replaced() {
    let test = "two_lost_disks_of_five_are_replaced";
    let Some(world) = World::with(test, json!({"members": 5}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(100).await;
    for member in ["demo-1", "demo-4"] {
        world.lose_disk(member).await;
    }
    world
        .until("two others in their place", READY, async |cluster| {
            let status = cluster.status.as_ref()?;
            let lost = ["demo-1", "demo-4"];
            let gone = !status
                .member_list
                .iter()
                .any(|m| lost.contains(&m.name.as_str()));
            (gone && status.voters == 5 && status.ready_members == 5).then_some(())
        })
        .await;
    world.ready().await;
    writer.more(50).await;
    let tally = writer.stop(Duration::from_secs(20)).await;
    world.finish(&[tally], "").await;
}

#[tokio::test]
async fn a_quorum_of_disks_is_lost_and_nothing_is_touched() {
    let test = "a_quorum_of_disks_is_lost_and_nothing_is_touched";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let members = world.members().await;
    for member in ["demo-1", "demo-2"] {
        world.lose_disk(member).await;
    }
    let said = world.reason("QuorumLost").await;
    assert!(
        said.contains("the disks of demo-1, demo-2") && said.contains("Put the PVCs back"),
        "{said}"
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Those that began to take the first one's place may stay; nobody who was there is gone.
    assert!(world.members().await.is_superset(&members));
    let status = world.status().await;
    assert!(is_true(&status, "Stalled") && !is_true(&status, "Available"));
    assert!(!is_true(&status, "StorageHealthy"));
    let claims = world.api::<PersistentVolumeClaim>();
    assert!(
        claims.get_opt("demo-3").await.unwrap().is_some(),
        "what is left is kept"
    );
    world.note("Stalled(QuorumLost)").await;
}

/// A class like the default one, under another name.
async fn another_class(world: &World) -> String {
    let classes: Api<StorageClass> = Api::all(world.client.clone());
    let all = classes.list(&Default::default()).await.unwrap();
    let mut class = all.items.into_iter().next().expect("a storage class");
    let name = "e2e-other".to_owned();
    class.metadata = kube::api::ObjectMeta {
        name: Some(name.clone()),
        ..Default::default()
    };
    class.allow_volume_expansion = Some(true);
    let _ = classes.create(&PostParams::default(), &class).await;
    name
}

#[tokio::test]
async fn storage_changes_class_grows_in_place_and_shrinks() {
    let test = "storage_changes_class_grows_in_place_and_shrinks";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(50).await;
    let class = another_class(&world).await;
    let claims = world.api::<PersistentVolumeClaim>();
    let is = async |size: &str| {
        for name in names(&world).await {
            let claim = claims.get(&name).await.unwrap().spec.unwrap();
            let asked = &claim.resources.unwrap().requests.unwrap()["storage"].0;
            assert_eq!(
                (claim.storage_class_name.as_deref(), asked.as_str()),
                (Some(class.as_str()), size)
            );
        }
    };
    let storage = |size: &str| json!({"storage": {"size": size, "className": class}});
    world.apply(storage("1Gi")).await.unwrap();
    assert_eq!(
        names(&world).await,
        ["demo-4", "demo-5", "demo-6"],
        "replaced one by one"
    );
    is("1Gi").await;
    world.apply(storage("2Gi")).await.unwrap();
    assert_eq!(
        names(&world).await,
        ["demo-4", "demo-5", "demo-6"],
        "grown in place"
    );
    is("2Gi").await;
    world.apply(storage("512Mi")).await.unwrap();
    assert_eq!(
        names(&world).await,
        ["demo-7", "demo-8", "demo-9"],
        "replaced one by one"
    );
    is("512Mi").await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "class, 1Gi → 2Gi → 512Mi").await;
}

#[tokio::test]
async fn an_object_that_is_applied_again_finds_its_data() {
    let test = "an_object_that_is_applied_again_finds_its_data";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    let id = world.status().await.cluster.unwrap().id;
    let claims = world.api::<PersistentVolumeClaim>();
    // The same, more, fewer, one disk missing.
    for (members, lost) in [(3, None), (5, None), (3, None), (3, Some("demo-2"))] {
        world.delete().await;
        if let Some(lost) = lost {
            let _ = claims.delete(lost, &DeleteParams::default()).await.unwrap();
        }
        world.apply(json!({"members": members})).await.unwrap();
        let status = world.ready().await;
        assert_eq!(status.cluster.unwrap().id, id, "the same cluster");
        world.check_rows(std::slice::from_ref(&tally)).await;
    }
    // A majority missing.
    let left = names(&world).await;
    world.delete().await;
    for lost in &left[..2] {
        let _ = claims.delete(lost, &DeleteParams::default()).await.unwrap();
    }
    world.apply(json!({})).await.unwrap();
    let said = world.reason("QuorumLost").await;
    assert!(said.contains(&left[0]) && said.contains(&left[1]), "{said}");
    assert!(claims.get_opt(&left[2]).await.unwrap().is_some());
    world
        .note("5 ways; 100 rows on every node after each of four")
        .await;
}

#[tokio::test]
async fn a_wiped_status_is_built_again() {
    let test = "a_wiped_status_is_built_again";
    let Some(world) = World::with(test, json!({}), &[]).await else {
        return;
    };
    let before = world.ready().await;
    let clusters = world.api::<DqliteCluster>();
    let mut cluster = world.cluster().await;
    cluster.status = None;
    let wiped = clusters
        .replace_status("demo", &PostParams::default(), &cluster)
        .await;
    assert_eq!(wiped.unwrap().status, None);
    // Writes of the status wake nobody: the operator finds out when it looks by itself.
    let after = world.ready().await;
    assert_eq!(after.cluster, before.cluster);
    let ids = |s: &operator_api::DqliteClusterStatus| -> BTreeSet<String> {
        s.member_list.iter().map(|m| m.id.clone()).collect()
    };
    assert_eq!(ids(&after), ids(&before));
    world.note("").await;
}

#[tokio::test]
async fn a_cluster_hibernates_and_wakes() {
    let test = "a_cluster_hibernates_and_wakes";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    let before = world.ready().await;
    world.apply(json!({"hibernated": true})).await.unwrap();
    world.reason("Hibernated").await;
    let none = async |_: &DqliteCluster| world.pods().await.is_empty().then_some(());
    world.until("no pod", READY, none).await;
    let claims = world.api::<PersistentVolumeClaim>();
    for member in &before.member_list {
        assert!(claims.get_opt(&member.name).await.unwrap().is_some());
    }
    world.apply(json!({})).await.unwrap();
    let after = world.ready().await;
    let members = |s: &operator_api::DqliteClusterStatus| -> Vec<(String, String)> {
        s.member_list
            .iter()
            .map(|m| (m.name.clone(), m.id.clone()))
            .collect()
    };
    assert_eq!(members(&after), members(&before));
    world.finish(&[tally], "the same members returned").await;
}

#[tokio::test]
async fn while_paused_nothing_is_touched() {
    let test = "while_paused_nothing_is_touched";
    let Some(world) = World::with(test, json!({}), &[]).await else {
        return;
    };
    let (members, pods) = (world.members().await, pod_uids(&world).await);
    let record = async || {
        let maps = world.api::<ConfigMap>();
        maps.get(&world.names.record())
            .await
            .unwrap()
            .resource_version()
    };
    let before = record().await;
    let spec = json!({"paused": true, "members": 5, "podMetadata": {"labels": {"a": "b"}}});
    world.apply(spec).await.unwrap();
    let said = world.reason("Paused").await;
    assert!(said.contains("changes nothing"), "{said}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.members().await, members);
    assert_eq!(pod_uids(&world).await, pods);
    assert_eq!(record().await, before);
    world.apply(json!({"members": 5})).await.unwrap();
    assert_eq!(world.ready().await.members, 5);
    world.note("").await;
}

#[tokio::test]
async fn clusters_with_like_names_do_not_meet() {
    let test = "clusters_with_like_names_do_not_meet";
    let Some(world) = World::empty(test, &[PodNetwork]).await else {
        return;
    };
    let elsewhere = World::with("clusters_elsewhere", json!({"members": 1}), &[]);
    let elsewhere = elsewhere.await.unwrap();
    world.apply(json!({"members": 1})).await.unwrap();
    world
        .apply_as("demo-1", json!({"members": 1}))
        .await
        .unwrap();
    let beside = world.beside("demo-1");
    let (one, other) = (world.ready().await, beside.ready().await);
    assert_eq!(one.member_list[0].name, "demo-1");
    assert_eq!(other.member_list[0].name, "demo-1-1");
    let third = elsewhere.ready().await;
    assert_eq!(third.member_list[0].name, "demo-1");
    let ids = [one, other, third].map(|status| status.cluster.unwrap().id);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 3);
    world.scale(3).await;
    world.ready().await;
    assert_eq!(beside.ready().await.members, 1);
    assert_eq!(elsewhere.ready().await.members, 1);
    elsewhere.delete_namespace().await;
    let note = "demo beside demo-1, and demo in another namespace";
    world.note(note).await;
}

/// 100 MB, or as many as `E2E_LARGE_MB` says: `make e2e-large` takes more than the library as released could.
#[tokio::test]
async fn a_large_member_is_seeded() {
    let test = "a_large_member_is_seeded";
    let megabytes = std::env::var("E2E_LARGE_MB").map_or(100, |mb| mb.parse().unwrap());
    let (snapshot, storage) = (
        json!({"threshold": 32, "trailing": 32}),
        json!({"size": "8Gi"}),
    );
    let spec = json!({"snapshot": snapshot, "storage": storage});
    let Some(world) = World::with(test, spec.clone(), &[PodNetwork]).await else {
        return;
    };
    let address = world.leader_service().await;
    // A database of its own: the other is read whole from every node at the end.
    let large = Connection::dial(&address, &Options::default())
        .await
        .unwrap();
    large.open("large").await.unwrap();
    large
        .exec_sql("CREATE TABLE large (b BLOB)", &[])
        .await
        .unwrap();
    for _ in 0..megabytes {
        let insert = "INSERT INTO large VALUES (zeroblob(1000000))";
        large.exec_sql(insert, &[]).await.unwrap();
    }
    drop(large);
    let writer = world.writer().await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    let mut wider = spec;
    wider["members"] = 4.into();
    world.apply(wider).await.unwrap();
    world.ready().await;
    let options = Options {
        max_body: 2 << 30,
        request_timeout: Duration::from_secs(60),
        ..Options::default()
    };
    for front in world.fronts().await {
        let files = Connection::dial(&front, &options)
            .await
            .unwrap()
            .dump("large")
            .await;
        let size: usize = files.unwrap().iter().map(|file| file.bytes.len()).sum();
        assert!(size > megabytes * 1_000_000, "{front} has {size} bytes");
    }
    let note = format!("{megabytes} MB by a snapshot, through the front");
    world.finish(&[tally], note).await;
}
