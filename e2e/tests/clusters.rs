//! Tests that do not disturb each other: each has a namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use dqlite_client::{Connection, Options, params};
use dqlite_e2e::{
    World,
    provider::Capability::*,
    world::{READY, is_ready, is_true},
    writer,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::ResourceExt;
use serde_json::json;

#[tokio::test]
async fn the_four_line_object_becomes_ready_with_three_voters() {
    let test = "the_four_line_object_becomes_ready_with_three_voters";
    let Some(world) = World::empty(test, &[PodNetwork]).await else {
        return;
    };
    let applied = Instant::now();
    world.apply(json!({})).await.unwrap();
    let status = world.ready().await;
    let took = applied.elapsed();
    assert_eq!((status.voters, status.can_lose), (3, 1));
    assert_eq!(status.cluster.as_ref().map(|c| c.founded), Some(true));
    let names: Vec<_> = status.member_list.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["demo-1", "demo-2", "demo-3"]);
    let writer = world.writer().await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    world
        .finish(&[tally], format!("ready after {:.1} s", took.as_secs_f64()))
        .await;
}

#[tokio::test]
async fn one_member_becomes_ready() {
    let Some(world) = World::with(
        "one_member_becomes_ready",
        json!({"members": 1}),
        &[PodNetwork],
    )
    .await
    else {
        return;
    };
    let status = world.status().await;
    assert_eq!((status.voters, status.can_lose), (1, 0));
    let writer = world.writer().await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "").await;
}

#[tokio::test]
async fn five_members_become_ready() {
    let Some(world) = World::with(
        "five_members_become_ready",
        json!({"members": 5}),
        &[PodNetwork],
    )
    .await
    else {
        return;
    };
    let status = world.status().await;
    assert_eq!((status.voters, status.can_lose), (5, 2));
    let writer = world.writer().await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "").await;
}

#[tokio::test]
async fn scaled_3_5_3_1_3_under_a_writer() {
    let test = "scaled_3_5_3_1_3_under_a_writer";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    let mut ids = BTreeSet::new();
    let mut names = world.members().await;
    let remember = async |ids: &mut BTreeSet<String>, names: &mut BTreeSet<String>| {
        for member in world.status().await.member_list {
            if names.insert(member.name.clone()) || ids.is_empty() {
                assert!(
                    ids.insert(member.id),
                    "an id is used again: {}",
                    member.name
                );
            } else {
                ids.insert(member.id);
            }
        }
    };
    remember(&mut ids, &mut names).await;
    for members in [5, 3, 1, 3] {
        writer.more(50).await;
        world.scale(members).await;
        world.ready().await;
        let live = world.members().await;
        assert_eq!(live.len(), members as usize, "{live:?}");
        remember(&mut ids, &mut names).await;
    }
    // 1 2 3, then 4 5, which leave; 2 3 leave; 6 7: nothing comes twice.
    let expected: BTreeSet<_> = (1..=7).map(|n| format!("demo-{n}")).collect();
    assert_eq!(names, expected);
    assert_eq!(world.members().await.len(), 3);
    writer.more(50).await;
    let tally = writer.stop(Duration::ZERO).await;
    let gap = tally.longest_gap;
    assert!(
        gap < Duration::from_secs(2),
        "the leader moves before it is removed: {gap:?}"
    );
    world.finish(&[tally], "").await;
}

#[tokio::test]
async fn the_leader_is_moved_before_it_is_removed() {
    let test = "the_leader_is_moved_before_it_is_removed";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    // The highest number leaves first: make it the leader.
    world.make_leader("demo-3").await;
    let writer = world.writer().await;
    writer.more(50).await;
    writer.take_gap();
    world.scale(1).await;
    world.ready().await;
    writer.more(50).await;
    let gap = writer.take_gap();
    let tally = writer.stop(Duration::ZERO).await;
    // A Service may lead to the pods that were removed for a moment; no election takes place.
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    let events = world.api::<k8s_openapi::api::events::v1::Event>();
    let events = events.list(&Default::default()).await.unwrap();
    let at = |reason: &str, set: &str| {
        let this = |e: &&k8s_openapi::api::events::v1::Event| {
            let about = e.related.as_ref().and_then(|r| r.name.as_deref());
            e.reason.as_deref() == Some(reason) && about == Some(set)
        };
        let event = events.iter().find(this);
        event
            .unwrap_or_else(|| panic!("no {reason} of {set}"))
            .event_time
            .clone()
            .unwrap()
    };
    assert!(at("LeadershipTransferred", "demo-1") < at("MemberRemoved", "demo-3"));
    world.finish(&[tally], "demo-3 led").await;
}

#[tokio::test]
async fn the_leaders_pod_is_deleted_under_a_writer() {
    let test = "the_leaders_pod_is_deleted_under_a_writer";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(100).await;
    let leader = world.leader().await;
    let before = world.pod(&format!("{leader}-0")).await.uid();
    world.delete_pod(&format!("{leader}-0")).await;
    let back = async |_: &operator_api::DqliteCluster| {
        let pods = world.pods().await;
        let pod = pods
            .iter()
            .find(|p| p.name_any() == format!("{leader}-0"))?;
        (pod.uid() != before && is_ready(pod)).then_some(())
    };
    world
        .until("the pod is back", Duration::from_secs(60), back)
        .await;
    writer.more(100).await;
    let tally = writer.stop(Duration::ZERO).await;
    let gap = tally.longest_gap;
    assert!(
        gap < Duration::from_secs(1),
        "TRANSFER comes first: {gap:?}"
    );
    world.finish(&[tally], "gap must be < 1 s").await;
}

#[tokio::test]
async fn all_pods_are_deleted_at_once() {
    let test = "all_pods_are_deleted_at_once";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    writer.more(100).await;
    writer.take_gap();
    for pod in world.pods().await {
        world.delete_pod(&pod.name_any()).await;
    }
    writer.more(100).await;
    world.ready().await;
    writer.more(300).await;
    let gap = writer.take_gap();
    assert!(gap < Duration::from_secs(40), "{gap:?}");
    let tally = writer.stop(gap).await;
    world.finish(&[tally], "").await;
}

#[tokio::test]
async fn a_statement_of_three_seconds_commits_without_a_change_of_leader() {
    let test = "a_statement_of_three_seconds_commits_without_a_change_of_leader";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let address = world.leader_service().await;
    writer::create_table(&address).await.unwrap();
    let leader = world.leader().await;
    let options = Options {
        request_timeout: Duration::from_secs(60),
        ..Options::default()
    };
    let slow = Connection::dial(&address, &options).await.unwrap();
    slow.open(writer::DATABASE).await.unwrap();
    let (mut steps, mut row) = (3_000_000_i64, 0);
    loop {
        let sql = "INSERT INTO ledger WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL \
                   SELECT n + 1 FROM c WHERE n < ?) SELECT max(n) * 0 + ? FROM c";
        let started = Instant::now();
        slow.exec_sql(sql, &params![steps, row]).await.unwrap();
        row += 1;
        assert_eq!(world.leader().await, leader);
        if started.elapsed() >= Duration::from_secs(3) {
            println!("{steps} steps ran {:?}", started.elapsed());
            break;
        }
        steps = steps * 3 / 2;
    }
    let tally = writer::Tally {
        acknowledged: (0..row).collect(),
        ..writer::Tally::default()
    };
    world.finish(&[tally], format!("{steps} steps")).await;
}

#[tokio::test]
async fn bad_objects_are_refused_and_change_nothing() {
    let test = "bad_objects_are_refused_and_change_nothing";
    let Some(world) = World::with(test, json!({}), &[PodNetwork]).await else {
        return;
    };
    let writer = world.writer().await;
    let before = world.cluster().await.metadata.generation;
    for (name, spec, said) in [
        (
            "demo",
            json!({"members": 0}),
            "spec.members in body should be greater than or equal to 1",
        ),
        (
            "demo",
            json!({"members": 10}),
            "spec.members in body should be less than or equal to 9",
        ),
        (
            "demo",
            json!({"members": -1}),
            "spec.members in body should be greater than or equal",
        ),
        ("demo", json!({"voters": 2}), "spec.voters must be odd"),
        (
            "demo",
            json!({"voters": 5}),
            "spec.voters must not be greater than spec.members",
        ),
        (
            "demo",
            json!({"storage": {"size": "lots"}}),
            "spec.storage.size must be a quantity",
        ),
        (
            &"a".repeat(41),
            json!({}),
            "metadata.name must have at most 40 characters",
        ),
        (
            "a-leader",
            json!({}),
            "metadata.name must not end in -leader or -nodes",
        ),
        ("1a", json!({}), "metadata.name must be of a-z"),
    ] {
        let refused = world
            .apply_as(name, spec.clone())
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(said), "{name} {spec}: {refused}");
    }
    assert_eq!(world.cluster().await.metadata.generation, before);

    let members = world.members().await;
    world
        .apply(json!({"storage": {"size": "64Mi"}}))
        .await
        .unwrap();
    let said = world.reason("DiskTooSmall").await;
    assert!(
        said.contains("spec.storage.size of 64Mi must be at least"),
        "{said}"
    );
    world.apply(json!({})).await.unwrap();
    world.ready().await;
    assert_eq!(world.members().await, members, "nobody was replaced");

    let image = "docker.io/dqlite/no-such-image:never";
    world
        .apply_as("bad", json!({"image": image, "members": 1}))
        .await
        .unwrap();
    let bad = world.beside("bad");
    let said = bad.reason("ImageNotFound").await;
    assert!(
        said.contains("spec.image") && said.contains(image),
        "{said}"
    );
    world.ready().await;
    world.apply_as("bad", json!({"members": 1})).await.unwrap();
    bad.ready().await;
    let tally = writer.stop(Duration::ZERO).await;
    world.finish(&[tally], "a writer beside them").await;
}

#[tokio::test]
async fn the_examples_are_accepted() {
    let Some(world) = World::empty("the_examples_are_accepted", &[]).await else {
        return;
    };
    let directory = dqlite_e2e::provider::root().join("crds/examples");
    let mut seen = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let object: operator_api::DqliteCluster = serde_yaml::from_str(&text).unwrap();
        let api = world.api::<operator_api::DqliteCluster>();
        api.create(&Default::default(), &object).await.unwrap();
        // The operator takes it, and founds it unless it finds no place for so many members.
        let example = world.beside(&object.name_any());
        let taken = async |c: &operator_api::DqliteCluster| {
            let status = c.status.as_ref()?;
            assert!(!is_true(status, "Stalled"), "{text}: {status:?}");
            status.cluster.as_ref().filter(|c| c.founded).map(|_| ())
        };
        example.until("founded", READY, taken).await;
        api.delete(&object.name_any(), &Default::default())
            .await
            .unwrap();
        seen += 1;
    }
    assert!(seen >= 3, "{seen} examples");
    world.note("").await;
}

/// Rule S10: an object of another's under a name that we need is not touched.
#[tokio::test]
async fn a_service_that_is_not_ours_is_left_alone() {
    let test = "a_service_that_is_not_ours_is_left_alone";
    let Some(world) = World::empty(test, &[]).await else {
        return;
    };
    let services = world.api::<Service>();
    let foreign: Service = serde_json::from_value(json!({
        "metadata": {"name": "demo-leader"}, "spec": {"ports": [{"port": 80}]},
    }))
    .unwrap();
    let before = services
        .create(&Default::default(), &foreign)
        .await
        .unwrap();
    world.apply(json!({"members": 1})).await.unwrap();
    let said = world.reason("NameTaken").await;
    assert!(said.contains("Service demo-leader"), "{said}");
    let after = services.get("demo-leader").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
    assert!(world.members().await.is_empty());
    services
        .delete("demo-leader", &Default::default())
        .await
        .unwrap();
    world.ready().await;
    world.note("").await;
}

/// Rule S6: the garbage collector takes disks only while the spec says Delete.
#[tokio::test]
async fn disks_follow_retain() {
    let test = "disks_follow_retain";
    let Some(world) = World::empty(test, &[]).await else {
        return;
    };
    let claims = world.api::<PersistentVolumeClaim>();
    let owned = async |owners: usize| {
        let look = async |_: &operator_api::DqliteCluster| {
            let claims = claims.list(&Default::default()).await.ok()?;
            let fits = |c: &PersistentVolumeClaim| c.owner_references().len() == owners;
            (claims.items.len() == 1 && claims.iter().all(fits)).then_some(())
        };
        world.until("the owner of the disk", READY, look).await;
    };
    let storage = |retain| json!({"members": 1, "storage": {"retain": retain}});
    world.apply(storage("Delete")).await.unwrap();
    world.ready().await;
    owned(1).await;
    world.apply(storage("Retain")).await.unwrap();
    owned(0).await;
    world.ready().await;
    let before = claims.get("demo-1").await.unwrap().uid();
    let clusters = world.api::<operator_api::DqliteCluster>();
    clusters.delete("demo", &Default::default()).await.unwrap();
    while !world.pods().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Applied again, the object finds its disk and its memory: the same member comes back.
    world.apply(storage("Delete")).await.unwrap();
    let status = world.ready().await;
    assert_eq!(status.member_list[0].name, "demo-1");
    assert_eq!(claims.get("demo-1").await.unwrap().uid(), before);
    owned(1).await;
    clusters.delete("demo", &Default::default()).await.unwrap();
    let started = Instant::now();
    while !claims
        .list(&Default::default())
        .await
        .unwrap()
        .items
        .is_empty()
    {
        assert!(started.elapsed() < READY, "the disk is not deleted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.note("").await;
}
