//! The stick in the printer: folders and files with long and short names.

use std::sync::Arc;

use super::names::short_name;

/// Files and folders on one stick. A folder of a few hundred files is large for these printers.
const ENTRIES_MAX: usize = 4_096;

/// A file's content and what belongs to it.
#[derive(Debug, Clone)]
pub struct FileBody {
    /// The bytes.
    pub content: Arc<[u8]>,
    /// The picture that the printer shows of it, where that is not the one inside.
    pub picture: Option<Arc<[u8]>>,
    /// Whether it arrives through Connect, or is being printed and came so: a folder in truth, read-only.
    pub is_partial: bool,
    /// How long a print of it takes, in simulated seconds.
    pub print_seconds: f64,
    /// Degrees of the nozzle.
    pub nozzle_c: f64,
    /// Degrees of the bed.
    pub bed_c: f64,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A folder and what is in it.
    Folder(Vec<Entry>),
    /// A file.
    File(FileBody),
}

/// A file or folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The long name.
    pub long: String,
    /// The short name.
    pub short: String,
    /// Seconds since 1970 by the printer's clock, in steps of two.
    pub modified_s: u64,
    /// Different for everything that was ever on the stick.
    pub number: u32,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    fn is_called(&self, name: &str) -> bool {
        self.long.to_lowercase() == name.to_lowercase() || self.short.eq_ignore_ascii_case(name)
    }

    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&FileBody> {
        match &self.kind {
            Kind::File(body) => Some(body),
            Kind::Folder(_) => None,
        }
    }
}

/// Why something could not be put onto the stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StickError {
    /// An empty name, or one with `..`.
    BadName,
    /// A file is where a folder should be, or the other way.
    InTheWay,
    /// The stick holds as much as it may.
    Full,
}

/// The stick.
#[derive(Debug, Clone, Default)]
pub struct Stick {
    root: Vec<Entry>,
    made: u32,
}

/// The names in a path without empty ones.
fn names(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty()).collect()
}

impl Stick {
    /// What is in the root folder.
    #[must_use]
    pub fn root(&self) -> &[Entry] {
        &self.root
    }

    /// The entry at a path of long or short names, with its path of short names.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(&Entry, String)> {
        let mut folder = self.root.as_slice();
        let mut short = String::new();
        let mut found: Option<&Entry> = None;
        for name in names(path) {
            if let Some(parent) = found {
                let Kind::Folder(children) = &parent.kind else { return None };
                folder = children;
            }
            let entry = folder.iter().find(|entry| entry.is_called(name))?;
            short.push('/');
            short.push_str(&entry.short);
            found = Some(entry);
        }
        found.map(|entry| (entry, short))
    }

    fn find_mut(&mut self, path: &str) -> Option<&mut Entry> {
        let mut names = names(path).into_iter();
        let first = names.next()?;
        let mut entry = self.root.iter_mut().find(|entry| entry.is_called(first))?;
        for name in names {
            let Kind::Folder(children) = &mut entry.kind else { return None };
            entry = children.iter_mut().find(|entry| entry.is_called(name))?;
        }
        Some(entry)
    }

    /// Puts a file there, its folders too, and gives its path of short names. A file of the same name is replaced and
    /// leaves its short name to the new one.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn put(&mut self, path: &str, modified_s: u64, body: FileBody) -> Result<String, StickError> {
        let mut names = names(path);
        if names.is_empty() || names.contains(&"..") {
            return Err(StickError::BadName);
        }
        if self.made as usize >= ENTRIES_MAX {
            return Err(StickError::Full);
        }
        let last = names.pop().unwrap_or_default();
        let modified_s = modified_s / 2 * 2;
        let mut short_path = String::new();
        let mut folder = &mut self.root;
        for name in names {
            let place = match folder.iter().position(|entry| entry.is_called(name)) {
                Some(place) => place,
                None => {
                    self.made += 1;
                    folder.push(entry(folder, name, modified_s, self.made, Kind::Folder(Vec::new())));
                    folder.len() - 1
                }
            };
            let Some(Entry { short, kind: Kind::Folder(children), .. }) = folder.get_mut(place) else {
                return Err(StickError::InTheWay);
            };
            short_path = format!("{short_path}/{short}");
            folder = children;
        }
        self.made += 1;
        if let Some(old) = folder.iter_mut().find(|entry| entry.is_called(last)) {
            if matches!(old.kind, Kind::Folder(_)) {
                return Err(StickError::InTheWay);
            }
            (old.modified_s, old.number, old.kind) = (modified_s, self.made, Kind::File(body));
            return Ok(format!("{short_path}/{}", old.short));
        }
        let new = entry(folder, last, modified_s, self.made, Kind::File(body));
        let short_path = format!("{short_path}/{}", new.short);
        folder.push(new);
        Ok(short_path)
    }

    /// Takes a file or folder away; `false` when there is none.
    pub fn remove(&mut self, path: &str) -> bool {
        let mut names = names(path);
        let Some(last) = names.pop() else { return false };
        let folder = if names.is_empty() {
            &mut self.root
        } else {
            match self.find_mut(&names.join("/")).map(|entry| &mut entry.kind) {
                Some(Kind::Folder(children)) => children,
                _ => return false,
            }
        };
        let before = folder.len();
        folder.retain(|entry| !entry.is_called(last));
        folder.len() < before
    }

    /// Ends the arrival of a file.
    pub fn complete(&mut self, path: &str) {
        if let Some(Entry { kind: Kind::File(body), .. }) = self.find_mut(path) {
            body.is_partial = false;
        }
    }
}

fn entry(folder: &[Entry], long: &str, modified_s: u64, number: u32, kind: Kind) -> Entry {
    let short = short_name(long, |name| folder.iter().any(|entry| entry.short.eq_ignore_ascii_case(name)));
    Entry { long: long.to_owned(), short, modified_s, number, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> FileBody {
        let content = text.as_bytes().into();
        FileBody { content, picture: None, is_partial: false, print_seconds: 1.0, nozzle_c: 0.0, bed_c: 0.0 }
    }

    #[test]
    fn files_are_found_by_both_names_and_short_names_are_reused() {
        let mut stick = Stick::default();
        let path = stick.put("Für Oma/Würfel groß.gcode", 7, body("a")).expect("room");
        assert_eq!(path, "/F_ROMA~1/W_RFEL~1.GCO");
        for path in ["/f_roma~1/w_rfel~1.gco", "Für Oma/würfel GROß.gcode", "F_ROMA~1/Würfel groß.gcode"]
        {
            let (entry, short) = stick.find(path).expect("it is there");
            assert_eq!((entry.modified_s, short.as_str()), (6, "/F_ROMA~1/W_RFEL~1.GCO"));
        }
        let first = stick.find(&path).expect("it is there").0.number;
        assert!(stick.remove(&path) && !stick.remove(&path));
        let other = stick.put("Für Oma/Würfel ganz anders.gcode", 9, body("b")).expect("room");
        assert_eq!(other, path);
        assert_ne!(stick.find(&path).expect("it is there").0.number, first);
    }

    #[test]
    fn nothing_is_put_outside_or_into_files() {
        let mut stick = Stick::default();
        stick.put("a.gcode", 0, body("a")).expect("room");
        assert_eq!(stick.put("../b.gcode", 0, body("b")), Err(StickError::BadName));
        assert_eq!(stick.put("", 0, body("b")), Err(StickError::BadName));
        assert_eq!(stick.put("a.gcode/b.gcode", 0, body("b")), Err(StickError::InTheWay));
        assert!(stick.find("a.gcode/b").is_none() && stick.find("").is_none());
    }
}
