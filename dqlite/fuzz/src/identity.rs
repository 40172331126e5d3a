//! The file on a disk that says whose it is.

use std::sync::OnceLock;

use dqlite_node::{Identity, Settings};

/// What a condition of the object may hold is 32 KiB; the reason is only a part of it.
const REASON: usize = 4096;

/// Bytes: the file.
pub fn identity(file: &[u8]) {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    let pod = SETTINGS.get_or_init(|| crate::settings("/nowhere"));
    match Identity::read(file, pod) {
        Ok(found) => {
            assert_eq!(
                (&found.cluster, &found.member, found.id),
                (&pod.cluster, &pod.member, pod.id)
            );
            assert_eq!(
                (&found.address, &found.pvc_uid),
                (&pod.address, &pod.pvc_uid)
            );
            let written = serde_json::to_vec(&found).unwrap();
            assert_eq!(Identity::read(&written, pod), Ok(found));
        }
        Err(reason) => assert!(reason.len() < REASON, "a reason of {} bytes", reason.len()),
    }
}
