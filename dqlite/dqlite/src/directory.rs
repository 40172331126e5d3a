//! A node's files.
//!
//! ```text
//! <data>/lock          one process at a time
//! <data>/node.json     in member/: id and address, fixed when the files are made
//! <data>/member/       node.json and the engine's files; appears in one rename, whole
//! <data>/new/          what a start that was cut short left; deleted by the next
//! ```

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Who the files belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub id: u64,
    pub address: String,
}

/// The locked directory.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory, with its parents, and locks it.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let lock = File::create(root.join("lock"))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => io::Error::other("another node has the directory"),
            TryLockError::Error(e) => e,
        })?;
        if root.join("metadata1").try_exists()? {
            return Err(io::Error::other(
                "the directory holds files of a node that this crate did not make",
            ));
        }
        let directory = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        match fs::remove_dir_all(directory.scratch()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(directory),
        }
    }

    /// Where the engine's files are.
    pub fn member(&self) -> PathBuf {
        self.root.join("member")
    }

    fn scratch(&self) -> PathBuf {
        self.root.join("new")
    }

    /// Whose files these are; `None` where there are none.
    pub fn identity(&self) -> io::Result<Option<Identity>> {
        // A disk that cannot be read is not an empty one.
        if !self.member().try_exists()? {
            return Ok(None);
        }
        let file = fs::read(self.member().join("node.json"))?;
        Ok(Some(serde_json::from_slice(&file)?))
    }

    /// Makes the files of a node: `fill` writes the engine's, and one rename makes them count.
    pub fn create<E: From<io::Error>>(
        &self,
        identity: &Identity,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let scratch = self.scratch();
        fs::create_dir(&scratch)?;
        fill(&scratch)?;
        let file = serde_json::to_vec(identity).map_err(io::Error::from)?;
        fs::write(scratch.join("node.json"), file)?;
        for entry in fs::read_dir(&scratch)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(&scratch)?.sync_all()?;
        fs::rename(&scratch, self.member())?;
        Ok(File::open(&self.root)?.sync_all()?)
    }
}
