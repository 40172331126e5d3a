//! The operator's memory, in ConfigMap `<cluster>-record`. Every write carries the resourceVersion
//! that was read, so that nobody writes over what they have not seen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use k8s_openapi::api::core::v1::ConfigMap;
use operator_plan::{Entry, Intent, Record};
use serde::{Deserialize, Serialize};

use super::kept;
use crate::wanted::Wanted;

const KEY: &str = "record.json";

/// What the record holds: the plan's part, and the cluster's id.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Id of the cluster, random; nodes of another cluster refuse our connections.
    pub cluster: String,
    /// What `decide` knows.
    pub record: Record,
}

/// A ConfigMap that holds this memory.
pub fn record(wanted: &Wanted, memory: &Memory) -> anyhow::Result<ConfigMap> {
    let text = serde_json::to_string_pretty(&Stored::from(memory))?;
    Ok(ConfigMap {
        metadata: kept(wanted, wanted.names.record()),
        data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
        ..ConfigMap::default()
    })
}

impl Memory {
    /// Reads a ConfigMap. A record that cannot be read is an error, never an empty record.
    pub fn read(map: &ConfigMap) -> anyhow::Result<Self> {
        let text = map
            .data
            .as_ref()
            .and_then(|d| d.get(KEY))
            .context("has no record.json")?;
        let stored: Stored = serde_json::from_str(text).context("record.json is damaged")?;
        Ok(stored.into())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    cluster: String,
    founded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<StoredIntent>,
    next: u32,
    members: BTreeMap<u32, StoredEntry>,
    retired: BTreeSet<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredIntent {
    member: u32,
    disk: String,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    join: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retired: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

impl From<&Memory> for Stored {
    fn from(memory: &Memory) -> Self {
        // Taken apart without `..`: a new field cannot be forgotten.
        let Record {
            intent,
            founded,
            next,
            members,
            retired,
        } = memory.record.clone();
        let stored = |e: Entry| {
            let Entry {
                id,
                disk,
                join,
                retired,
                removed,
            } = e;
            StoredEntry {
                id,
                disk,
                join,
                retired,
                removed,
            }
        };
        Self {
            cluster: memory.cluster.clone(),
            founded,
            intent: intent.map(|Intent { member, disk }| StoredIntent { member, disk }),
            next,
            members: members.into_iter().map(|(n, e)| (n, stored(e))).collect(),
            retired,
        }
    }
}

impl From<Stored> for Memory {
    fn from(stored: Stored) -> Self {
        let Stored {
            cluster,
            founded,
            intent,
            next,
            members,
            retired,
        } = stored;
        let entry = |e: StoredEntry| {
            let StoredEntry {
                id,
                disk,
                join,
                retired,
                removed,
            } = e;
            Entry {
                id,
                disk,
                join,
                retired,
                removed,
            }
        };
        let intent = intent.map(|StoredIntent { member, disk }| Intent { member, disk });
        let members = members.into_iter().map(|(n, e)| (n, entry(e))).collect();
        Self {
            cluster,
            record: Record {
                intent,
                founded,
                next,
                members,
                retired,
            },
        }
    }
}
