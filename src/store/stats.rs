//! The figures of the store.

/// What the store has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Transactions committed.
    pub commits: u64,
    /// Closures whose changes were kept.
    pub kept: u64,
    /// Closures that answered an error and were discarded.
    pub discarded: u64,
    /// Closures that panicked and were discarded.
    pub panicked: u64,
    /// Durable events committed.
    pub events: u64,
    /// The most closures in one commit.
    pub group_max: u64,
    /// Time of all commits in milliseconds.
    pub commit_ms: u64,
    /// The longest commit in milliseconds.
    pub commit_ms_max: u64,
    /// Requests refused because the queue stayed full.
    pub busy: u64,
    /// Requests waiting now.
    pub queued: u64,
    /// The most requests found waiting.
    pub queued_max: u64,
    /// Records found that cannot be read.
    pub damaged_records: u64,
    /// Backups written.
    pub backups: u64,
}
