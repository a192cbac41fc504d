//! The card: folders and files in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use crate::archive::Recipe;
use crate::wait::{epoch_seconds, lock};

/// Files on one card; the one that was put there first goes first.
pub const FILES_MAX: usize = 256;

/// What a file holds: bytes, or what makes them when they are first asked for. Cheap to clone.
#[derive(Clone)]
pub struct Content(Arc<Source>);

struct Source {
    kind: Kind,
    made: OnceLock<Arc<[u8]>>,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Given,
    Archive(Arc<Recipe>),
    Gcode(Arc<Recipe>),
    SmallCover(Arc<Recipe>),
}

impl Content {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(Arc::new(Source { kind: Kind::Given, made: OnceLock::from(bytes.into()) }))
    }

    /// The archive of a recipe.
    #[must_use]
    pub fn archive(recipe: Arc<Recipe>) -> Self {
        Self::made_by(Kind::Archive(recipe))
    }

    /// The G-code of a recipe's printed plate.
    #[must_use]
    pub fn gcode(recipe: Arc<Recipe>) -> Self {
        Self::made_by(Kind::Gcode(recipe))
    }

    /// The small cover of a recipe's printed plate.
    #[must_use]
    pub fn small_cover(recipe: Arc<Recipe>) -> Self {
        Self::made_by(Kind::SmallCover(recipe))
    }

    fn made_by(kind: Kind) -> Self {
        Self(Arc::new(Source { kind, made: OnceLock::new() }))
    }

    /// All of it.
    #[must_use]
    pub fn get(&self) -> Arc<[u8]> {
        let make = || match &self.0.kind {
            Kind::Given => Arc::default(),
            Kind::Archive(recipe) => recipe.archive().into(),
            Kind::Gcode(recipe) => recipe.gcode().into(),
            Kind::SmallCover(recipe) => recipe.small_cover().into(),
        };
        Arc::clone(self.0.made.get_or_init(make))
    }

    /// Whether it is the same without a look at the bytes.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.kind != Kind::Given && self.0.kind == other.0.kind)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.get() == other.get()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Given => write!(f, "{} bytes", self.get().len()),
            Kind::Archive(recipe) => write!(f, "the archive of {:?}", recipe.name),
            Kind::Gcode(recipe) => write!(f, "the G-code of {:?}", recipe.name),
            Kind::SmallCover(recipe) => write!(f, "the cover of {:?}", recipe.name),
        }
    }
}

/// A file as a client may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// What it holds.
    pub content: Content,
    /// How much of that is written, of 100 parts.
    pub percent: u8,
    /// Seconds since 1970 when it was put there.
    pub modified_s: u64,
    number: u64,
}

impl File {
    /// The bytes that are written.
    #[must_use]
    pub fn bytes(&self) -> Arc<[u8]> {
        let all = self.content.get();
        if self.percent >= 100 {
            return all;
        }
        let size = all.len() / 100 * usize::from(self.percent);
        all.get(..size).unwrap_or(&all).into()
    }

    /// How many they are.
    #[must_use]
    pub fn size(&self) -> u64 {
        let all = self.content.get().len();
        let size = if self.percent >= 100 { all } else { all / 100 * usize::from(self.percent) };
        u64::try_from(size).unwrap_or(u64::MAX)
    }
}

/// The card. Paths begin with `/` and have no `.` or `..` in them.
#[derive(Debug, Default)]
pub struct Files {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, File>,
    folders: BTreeSet<String>,
    next: u64,
}

impl Files {
    /// Adds a folder and those that it is in.
    pub fn add_folder(&self, path: &str) {
        lock(&self.inner).add_folder(path);
    }

    /// Puts a file there, in place of an older one of the same path. A file that is already there with the same content
    /// keeps its date.
    pub fn put(&self, path: &str, content: Content) {
        self.put_in_part(path, content, 100);
    }

    /// Puts a file there of which only so many of 100 parts are written yet.
    pub fn put_in_part(&self, path: &str, content: Content, percent: u8) {
        let mut inner = lock(&self.inner);
        inner.add_folder(parent(path));
        inner.next += 1;
        let number = inner.next;
        let old = inner.files.get(path).filter(|old| old.content.is_same(&content));
        let (modified_s, content) = match old {
            // The same recipe need not be followed twice.
            Some(old) => (old.modified_s, old.content.clone()),
            None => (epoch_seconds(), content),
        };
        inner.files.insert(path.to_owned(), File { content, percent, modified_s, number });
        while inner.files.len() > FILES_MAX {
            let oldest = inner.files.iter().min_by_key(|(_, file)| file.number).map(|(path, _)| path.clone());
            let Some(oldest) = oldest else { return };
            inner.files.remove(&oldest);
        }
    }

    /// Removes a file; tells whether it was there.
    pub fn remove(&self, path: &str) -> bool {
        lock(&self.inner).files.remove(path).is_some()
    }

    /// The file of that path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<File> {
        lock(&self.inner).files.get(path).cloned()
    }

    /// Whether there is such a folder.
    #[must_use]
    pub fn is_folder(&self, path: &str) -> bool {
        path == "/" || lock(&self.inner).folders.contains(path)
    }

    /// The paths of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        lock(&self.inner).files.keys().cloned().collect()
    }

    /// What a folder holds: its folders, and its files by name.
    #[must_use]
    pub fn list(&self, folder: &str) -> (Vec<String>, Vec<(String, File)>) {
        let inner = lock(&self.inner);
        let is_in = |path: &str| parent(path) == folder;
        let folders = inner.folders.iter().filter(|path| is_in(path)).map(|path| name(path).to_owned());
        let files = inner.files.iter().filter(|(path, _)| is_in(path));
        (folders.collect(), files.map(|(path, file)| (name(path).to_owned(), file.clone())).collect())
    }
}

impl Inner {
    fn add_folder(&mut self, path: &str) {
        let mut path = path;
        while path != "/" && !path.is_empty() {
            self.folders.insert(path.to_owned());
            path = parent(path);
        }
    }
}

/// The folder that a path is in.
#[must_use]
pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The last part of a path.
#[must_use]
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// A path as a client means it, seen from `folder`.
#[must_use]
pub fn resolved(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_folder_and_never_leave_the_card() {
        for (folder, path, whole) in [
            ("/", "a b.3mf", "/a b.3mf"),
            ("/cache", "x", "/cache/x"),
            ("/cache", "/x", "/x"),
            ("/cache", "..", "/"),
            ("/", "../../etc/./passwd", "/etc/passwd"),
            ("/", "/cache/", "/cache"),
        ] {
            assert_eq!(resolved(folder, path), whole);
        }
    }

    #[test]
    fn folders_show_what_is_in_them_and_old_files_make_room() {
        let files = Files::default();
        files.put("/cache/a.3mf", Content::bytes(*b"four"));
        files.put_in_part("/b.3mf", Content::bytes(vec![0; 1_000]), 50);
        let (folders, listed) = files.list("/");
        assert_eq!((folders, listed.len()), (vec!["cache".to_owned()], 1));
        assert_eq!(
            (listed[0].0.as_str(), listed[0].1.size(), listed[0].1.bytes().len()),
            ("b.3mf", 500, 500)
        );
        for number in 0..FILES_MAX {
            files.put(&format!("/{number}"), Content::bytes(*b""));
        }
        assert_eq!(files.paths().len(), FILES_MAX);
        assert!(files.get("/cache/a.3mf").is_none() && files.is_folder("/cache"));
    }
}
