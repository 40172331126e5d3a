//! Types and reasons of conditions. Reasons are part of the interface: people's alerts name them.

/// Everything is as the spec wants it.
pub const READY: &str = "Ready";
/// The cluster has a leader that a majority follows: it takes writes.
pub const AVAILABLE: &str = "Available";
/// The operator is at work; present only while it is.
pub const RECONCILING: &str = "Reconciling";
/// A person must act; present only then.
pub const STALLED: &str = "Stalled";
/// Every voter is up.
pub const QUORUM_HEALTHY: &str = "QuorumHealthy";
/// No member's disk is lost.
pub const STORAGE_HEALTHY: &str = "StorageHealthy";
/// No one zone decides whether the cluster writes; absent where this Kubernetes has no zones.
pub const VOTERS_SPREAD: &str = "VotersSpread";
/// Something in the spec is not what runs; present only then.
pub const UPDATE_PENDING: &str = "UpdatePending";

#[allow(missing_docs)]
pub mod reason {
    pub const ALL_MEMBERS_READY: &str = "AllMembersReady";
    pub const LEADER_ELECTED: &str = "LeaderElected";
    pub const NO_LEADER: &str = "NoLeader";
    pub const ALL_VOTERS_UP: &str = "AllVotersUp";
    pub const VOTER_DOWN: &str = "VoterDown";
    pub const ALL_DISKS_KNOWN: &str = "AllDisksKnown";
    pub const DISK_LOST: &str = "DiskLost";
    pub const DISK_FOREIGN: &str = "DiskForeign";
    pub const CHANGE_RUNNING: &str = "ChangeRunning";
    pub const CHANGE_STUCK: &str = "ChangeStuck";
    pub const PROGRESSING: &str = "Progressing";
    pub const FOUNDING: &str = "Founding";
    pub const SERVICE_STARTING: &str = "ServiceStarting";
    pub const MEMBER_SILENT: &str = "MemberSilent";
    pub const MEMBER_STARTING: &str = "MemberStarting";
    pub const CATCHING_UP: &str = "CatchingUp";
    pub const WAITING_FOR_DELETION: &str = "WaitingForDeletion";
    pub const NAME_TAKEN: &str = "NameTaken";
    pub const RECORD_MISSING: &str = "RecordMissing";
    pub const FOUNDER_LOST: &str = "FounderLost";
    pub const FOUNDER_REFUSED: &str = "FounderRefused";
    pub const QUORUM_LOST: &str = "QuorumLost";
    pub const UNKNOWN_MEMBER: &str = "UnknownMember";
    pub const INVALID_SPEC: &str = "InvalidSpec";
    pub const IMAGE_NOT_FOUND: &str = "ImageNotFound";
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    pub const STEP_FAILED: &str = "StepFailed";
    pub const TEMPLATE_CHANGED: &str = "TemplateChanged";
    pub const UPDATING: &str = "Updating";
    pub const UPDATE_HELD: &str = "UpdateHeld";
    pub const OPERATOR_CHANGED: &str = "OperatorChanged";
    pub const DISK_TOO_SMALL: &str = "DiskTooSmall";
    pub const DISK_UNREACHABLE: &str = "DiskUnreachable";
    pub const HIBERNATED: &str = "Hibernated";
    pub const PAUSED: &str = "Paused";
    pub const NO_ZONE_DECIDES: &str = "NoZoneDecides";
    pub const ZONE_HOLDS_MAJORITY: &str = "ZoneHoldsMajority";
    pub const TOO_FEW_ZONES: &str = "TooFewZones";
    pub const NOT_OBSERVED: &str = "NotObserved";
}
