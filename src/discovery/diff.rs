//! What a listing changes. Pure: what is known and what was seen in, what is to be done out.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Listing, Seen};
use crate::model::{FileId, FileRecord, FileStatus};

/// What is known of the newest version of a file at its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its record.
    pub id: FileId,
    /// Where it stands.
    pub status: FileStatus,
    /// Bytes.
    pub size: Option<u64>,
    /// What else tells versions apart.
    pub mark: Option<String>,
    /// Whether it is kept here and was found gone from its source.
    pub gone: bool,
}

impl Known {
    /// What matters of a record.
    #[must_use]
    pub fn of(file: &FileRecord, gone: bool) -> Known {
        let (id, status, size, mark) = (file.id, file.status, file.size, file.mark.clone());
        Known { id, status, size, mark, gone }
    }

    /// Whether it counts as being at its source.
    fn is_there(&self) -> bool {
        !self.gone && self.status != FileStatus::Unavailable
    }
}

/// Files by the SHA-256 of their paths.
pub type KnownFiles = BTreeMap<[u8; 32], Known>;

/// The key of a path.
#[must_use]
pub fn digest(path: &[u8]) -> [u8; 32] {
    Sha256::digest(path).into()
}

/// What is to be done for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not known: a new record.
    New(Seen),
    /// Its bytes are here or on their way, and the source has others now: a new record beside it.
    Replaced(Seen),
    /// It was only listed so far, and is another one now: its record changes.
    Changed(FileId, Seen),
    /// It is there again, or its record lacks what is known now.
    Back(FileId, Seen),
    /// It is gone from its source and was never fetched.
    Gone(FileId),
    /// It is gone from its source, and its bytes stay here.
    GoneButKept(FileId),
}

/// What a listing comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What is to be done, in the order of the listing; what is gone last.
    pub changes: Vec<Change>,
    /// Files that were not known, replaced ones included.
    pub new: u32,
    /// Files that were known.
    pub existing: u32,
    /// Files that are gone since the last listing.
    pub removed: u32,
}

impl Diff {
    /// Whether nothing is worth a durable event.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.new == 0 && self.removed == 0 && self.changes.is_empty()
    }
}

/// Compares. A path that is listed twice counts once.
#[must_use]
pub fn diff(known: &KnownFiles, listing: Listing) -> Diff {
    let mut diff = Diff::default();
    let mut seen_paths = std::collections::BTreeSet::new();
    for seen in listing.files {
        let key = digest(&seen.path);
        if !seen_paths.insert(key) {
            continue;
        }
        let Some(old) = known.get(&key) else {
            diff.new += 1;
            diff.changes.push(Change::New(seen));
            continue;
        };
        if differs(old.size.as_ref(), seen.size.as_ref()) || differs(old.mark.as_ref(), seen.mark.as_ref()) {
            diff.new += 1;
            diff.changes.push(match old.status {
                FileStatus::Downloaded
                | FileStatus::Local
                | FileStatus::Downloading
                | FileStatus::Deleted => Change::Replaced(seen),
                FileStatus::Available | FileStatus::Error | FileStatus::Unavailable => {
                    Change::Changed(old.id, seen)
                }
            });
            continue;
        }
        diff.existing += 1;
        let learns =
            (old.size.is_none() && seen.size.is_some()) || (old.mark.is_none() && seen.mark.is_some());
        if learns || !old.is_there() {
            diff.changes.push(Change::Back(old.id, seen));
        }
    }
    if listing.complete {
        for (_, old) in known.iter().filter(|(key, old)| old.is_there() && !seen_paths.contains(*key)) {
            diff.removed += 1;
            diff.changes.push(match old.status {
                FileStatus::Available | FileStatus::Error | FileStatus::Unavailable => Change::Gone(old.id),
                FileStatus::Downloaded
                | FileStatus::Local
                | FileStatus::Downloading
                | FileStatus::Deleted => Change::GoneButKept(old.id),
            });
        }
    }
    diff
}

/// Whether both are known and not the same.
fn differs<T: PartialEq>(old: Option<&T>, new: Option<&T>) -> bool {
    matches!((old, new), (Some(old), Some(new)) if old != new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use FileStatus as S;

    fn seen(name: &str, size: u64, mark: Option<&str>) -> Seen {
        Seen { path: name.into(), name: name.into(), size: Some(size), mark: mark.map(Into::into) }
    }

    fn listing(files: Vec<Seen>, complete: bool) -> Listing {
        Listing { files, complete, ..Listing::default() }
    }

    /// Path, record, status, size, mark, gone.
    type Row<'r> = (&'r str, u64, S, u64, Option<&'r str>, bool);

    fn known(files: &[Row<'_>]) -> KnownFiles {
        let entry = |(path, id, status, size, mark, gone): &Row<'_>| {
            let (size, mark) = (Some(*size), mark.map(Into::into));
            (digest(path.as_bytes()), Known { id: FileId(*id), status: *status, size, mark, gone: *gone })
        };
        files.iter().map(entry).collect()
    }

    #[test]
    fn each_case() {
        use Change as C;
        let id = FileId(1);
        let b = || seen("b.gcode", 20, None);
        // status, known size and mark, gone; seen; what is to be done, counted as (new, existing, removed)
        for (status, size, mark, gone, now, wanted, counts) in [
            (S::Available, 20, None, false, Some(b()), vec![], (0, 1, 0)),
            (S::Downloaded, 20, None, false, Some(b()), vec![], (0, 1, 0)),
            (S::Downloaded, 10, None, false, Some(b()), vec![C::Replaced(b())], (1, 0, 0)),
            (S::Downloading, 10, None, false, Some(b()), vec![C::Replaced(b())], (1, 0, 0)),
            (S::Deleted, 10, None, false, Some(b()), vec![C::Replaced(b())], (1, 0, 0)),
            (S::Available, 10, None, false, Some(b()), vec![C::Changed(id, b())], (1, 0, 0)),
            (S::Error, 10, None, false, Some(b()), vec![C::Changed(id, b())], (1, 0, 0)),
            (S::Unavailable, 20, None, false, Some(b()), vec![C::Back(id, b())], (0, 1, 0)),
            (S::Downloaded, 20, None, true, Some(b()), vec![C::Back(id, b())], (0, 1, 0)),
            (S::Available, 20, Some("then"), false, Some(b()), vec![], (0, 1, 0)),
            (S::Available, 20, None, false, None, vec![C::Gone(id)], (0, 0, 1)),
            (S::Error, 20, None, false, None, vec![C::Gone(id)], (0, 0, 1)),
            (S::Downloaded, 20, None, false, None, vec![C::GoneButKept(id)], (0, 0, 1)),
            (S::Downloading, 20, None, false, None, vec![C::GoneButKept(id)], (0, 0, 1)),
            (S::Deleted, 20, None, false, None, vec![C::GoneButKept(id)], (0, 0, 1)),
            (S::Downloaded, 20, None, true, None, vec![], (0, 0, 0)),
            (S::Unavailable, 20, None, false, None, vec![], (0, 0, 0)),
        ] {
            let known = known(&[("b.gcode", 1, status, size, mark, gone)]);
            let found = diff(&known, listing(now.clone().into_iter().collect(), true));
            assert_eq!(found.changes, wanted, "{status:?} {now:?}");
            assert_eq!((found.new, found.existing, found.removed), counts, "{status:?} {now:?}");
            // A partial listing takes nothing away.
            let partial = diff(&known, listing(now.clone().into_iter().collect(), false));
            assert_eq!(partial.removed, 0);
            assert!(!partial.changes.iter().any(|change| matches!(change, C::Gone(_) | C::GoneButKept(_))));
        }
    }

    #[test]
    fn marks_tell_versions_apart() {
        let known = known(&[
            ("a.gcode", 1, S::Downloaded, 5, Some("x"), false),
            ("b.gcode", 2, S::Available, 5, None, false),
        ]);
        let files = vec![seen("a.gcode", 5, Some("y")), seen("b.gcode", 5, Some("z"))];
        let found = diff(&known, listing(files.clone(), true));
        let [a, b] = files.try_into().unwrap();
        assert_eq!(found.changes, [Change::Replaced(a), Change::Back(FileId(2), b)]);
    }

    #[test]
    fn a_name_that_comes_twice_counts_once() {
        let files = vec![seen("a.gcode", 5, None), seen("a.gcode", 6, None), seen("A.gcode", 5, None)];
        let found = diff(&KnownFiles::new(), listing(files, true));
        assert_eq!((found.new, found.changes.len()), (2, 2));
        assert!(!found.is_quiet() && diff(&KnownFiles::new(), listing(vec![], true)).is_quiet());
    }
}
