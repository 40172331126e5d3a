//! The member's volume: whose it is, and the steps in which it becomes a member's.
//!
//! ```text
//! /data/lock            one process at a time
//! /data/dqlite/         identity.json and the engine's files; appears in one rename, whole
//! /data/new/            scratch of a founding or joining that was cut short; deleted at start
//! ```
//! A crash at any point leaves either no member or a whole one (rules S2 and S3).

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

const IDENTITY: &str = "identity.json";

/// Which member the files belong to. Everything but the phase is fixed when they are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Id of the cluster.
    pub cluster: String,
    /// Name of the member.
    pub member: String,
    /// Its Raft id.
    pub id: u64,
    /// `host:port` under which the members know it.
    pub address: String,
    /// Uid of the PVC that it was made on.
    pub pvc_uid: String,
    /// How far it is.
    pub phase: Phase,
}

/// How far the member is. `founding → open`, or `joining → seeded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// First of a new cluster; lets no client in yet.
    Founding,
    /// A member that founded, and lets clients in.
    Open,
    /// Waits to be added.
    Joining,
    /// A member that joined, and was added.
    Seeded,
}

impl Identity {
    /// The identity that the pod's environment calls for.
    pub(crate) fn expected(settings: &Settings, phase: Phase) -> Self {
        Self {
            cluster: settings.cluster.clone(),
            member: settings.member.clone(),
            id: settings.id,
            address: settings.address.clone(),
            pvc_uid: settings.pvc_uid.clone(),
            phase,
        }
    }

    /// Reads the identity file of a disk, for the pod that these settings are of.
    ///
    /// # Errors
    /// Why no member may run on that disk: the file is damaged, or of another member.
    pub fn read(file: &[u8], settings: &Settings) -> Result<Self, String> {
        let found: Self =
            serde_json::from_slice(file).map_err(|e| format!("{IDENTITY} is damaged: {e}"))?;
        let expected = Self::expected(settings, found.phase);
        if found == expected {
            return Ok(found);
        }
        let (found, expected) = (label(&found), label(&expected));
        Err(format!("the disk is of {found}, the pod of {expected}"))
    }
}

/// Where a volume holds its member: identity and the engine's files.
pub fn directory(root: &Path) -> PathBuf {
    root.join("dqlite")
}

/// The file on a volume whose loss ends the process.
pub fn identity_file(root: &Path) -> PathBuf {
    directory(root).join(IDENTITY)
}

/// What a volume holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    Empty,
    Member(Identity),
    /// Files that no member of ours may run on, and why.
    Unfit(String),
}

/// The locked volume.
#[derive(Debug)]
pub struct Volume {
    root: PathBuf,
    _lock: File,
}

impl Volume {
    /// Locks the volume and deletes what an unfinished step left. Fails when another process has it.
    pub fn open(root: &Path) -> io::Result<Self> {
        let lock = File::create(root.join("lock"))?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => io::Error::other("another process has the volume"),
            fs::TryLockError::Error(e) => e,
        })?;
        let volume = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        remove_if_there(&volume.scratch())?;
        Ok(volume)
    }

    /// The directory of the engine's files.
    pub fn directory(&self) -> PathBuf {
        directory(&self.root)
    }

    fn identity_file(&self) -> PathBuf {
        identity_file(&self.root)
    }

    fn scratch(&self) -> PathBuf {
        self.root.join("new")
    }

    /// What is there, held against what the pod says it should be.
    pub fn content(&self, settings: &Settings) -> io::Result<Content> {
        let dir = self.directory();
        // A disk that cannot be read is not an empty one.
        if !dir.try_exists()? {
            return Ok(Content::Empty);
        }
        let file = match fs::read(self.identity_file()) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Content::Unfit(format!(
                    "a data directory without {IDENTITY}"
                )));
            }
            Err(e) => return Err(e),
        };
        let found = match Identity::read(&file, settings) {
            Ok(found) => found,
            Err(unfit) => return Ok(Content::Unfit(unfit)),
        };
        // Before it is seeded a member has no term yet, and so no metadata.
        if found.phase != Phase::Joining && !has_metadata(&dir)? {
            return Ok(Content::Unfit(
                "the engine's metadata is missing or damaged".into(),
            ));
        }
        Ok(Content::Member(found))
    }

    /// Makes a member in the scratch directory, where `fill` writes the engine's files, and renames
    /// it into place in one step. Only on an empty volume.
    pub fn create(
        &self,
        identity: &Identity,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        anyhow::ensure!(!self.directory().try_exists()?, "the volume is not empty");
        let scratch = self.scratch();
        remove_if_there(&scratch)?;
        fs::create_dir(&scratch)?;
        fill(&scratch)?;
        write_identity(&scratch, identity)?;
        sync_files(&scratch)?;
        fs::rename(&scratch, self.directory())?;
        sync(&self.root)?;
        Ok(())
    }

    /// Records the next phase.
    pub fn advance(&self, identity: &mut Identity, phase: Phase) -> io::Result<()> {
        let next = Identity {
            phase,
            ..identity.clone()
        };
        write_identity(&self.directory(), &next)?;
        *identity = next;
        Ok(())
    }
}

fn label(i: &Identity) -> String {
    format!(
        "{} (id {}, {}, cluster {}, PVC {})",
        i.member, i.id, i.address, i.cluster, i.pvc_uid
    )
}

fn write_identity(dir: &Path, identity: &Identity) -> io::Result<()> {
    let temporary = dir.join("identity.json.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(identity)?)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(IDENTITY))?;
    sync(dir)
}

fn sync_files(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        sync(&entry?.path())?;
    }
    sync(dir)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn remove_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// One of the two metadata files holds a format and a version, each a little-endian word.
fn has_metadata(dir: &Path) -> io::Result<bool> {
    for name in ["metadata1", "metadata2"] {
        match fs::read(dir.join(name)) {
            Ok(bytes) => {
                let (words, _) = bytes.as_chunks::<8>();
                if let [format, version, _term, _vote] = words
                    && u64::from_le_bytes(*format) == 1
                    && u64::from_le_bytes(*version) > 0
                {
                    return Ok(true);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn settings(pvc: &str) -> Settings {
        Settings::parse_from([
            "dqlite-node",
            "--cluster=c1",
            "--member=demo-1",
            "--id=77",
            "--address=demo-1:9001",
            &format!("--pvc-uid={pvc}"),
            "--pod-uid=p",
            "--leader-address=l:9002",
        ])
    }

    fn found(volume: &Volume, settings: &Settings) -> anyhow::Result<()> {
        let identity = Identity::expected(settings, Phase::Founding);
        volume.create(&identity, |dir| {
            Ok(dqlite_engine::found(dir, 77, "demo-1:9001")?)
        })
    }

    #[test]
    fn founding_makes_a_whole_member_and_advances() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings("v1");
        let volume = Volume::open(dir.path()).unwrap();
        assert_eq!(volume.content(&settings).unwrap(), Content::Empty);
        found(&volume, &settings).unwrap();
        let mut identity = Identity::expected(&settings, Phase::Founding);
        assert_eq!(
            volume.content(&settings).unwrap(),
            Content::Member(identity.clone())
        );
        assert!(
            found(&volume, &settings).is_err(),
            "never founded over what is there"
        );
        volume.advance(&mut identity, Phase::Open).unwrap();
        assert_eq!(
            volume.content(&settings).unwrap(),
            Content::Member(identity)
        );
    }

    /// Rule S2: cut short at any point before the rename, a founding leaves nothing that starts.
    #[test]
    fn a_founding_cut_short_leaves_an_empty_volume() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings("v1");
        for cut in ["before", "after", "identity"] {
            let volume = Volume::open(dir.path()).unwrap();
            let identity = Identity::expected(&settings, Phase::Founding);
            let died = volume.create(&identity, |scratch| {
                if cut != "before" {
                    dqlite_engine::found(scratch, 77, "demo-1:9001")?;
                }
                if cut == "identity" {
                    write_identity(scratch, &identity)?;
                }
                anyhow::bail!("the process dies here")
            });
            assert!(died.is_err());
            assert!(dir.path().join("new").exists());
            drop(volume);
            let volume = Volume::open(dir.path()).unwrap();
            assert!(
                !dir.path().join("new").exists(),
                "cut {cut}: scratch is deleted at start"
            );
            assert_eq!(
                volume.content(&settings).unwrap(),
                Content::Empty,
                "cut {cut}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path()).unwrap();
        let ours = settings("v1");
        found(&volume, &ours).unwrap();
        let unfit = |settings: &Settings| match volume.content(settings).unwrap() {
            Content::Unfit(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert!(unfit(&settings("v2")).contains("PVC v1"), "a copied disk");
        for file in ["metadata1", "metadata2"] {
            let _ = fs::remove_file(volume.directory().join(file));
        }
        assert!(unfit(&ours).contains("metadata"));
        fs::write(volume.identity_file(), "{").unwrap();
        assert!(unfit(&ours).contains("damaged"));
        fs::remove_file(volume.identity_file()).unwrap();
        assert!(unfit(&ours).contains("without identity.json"));
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Volume::open(dir.path()).unwrap();
        assert!(Volume::open(dir.path()).is_err());
    }
}
