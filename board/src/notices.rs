//! Sentences for people, left in memory by whoever met something odd since the start: one small file for each.

use std::fs;
use std::path::Path;

use super::read;

/// Where they are left, below the root.
pub const NOTICES: &str = "run/printernizer/notices";
/// Files that are looked at: a handful of programs leave one each.
const NOTICES_MAX: usize = 16;
/// Letters of one of them that are passed on.
const LETTERS_MAX: usize = 2000;

/// The sentences of the system below `root`, in the order of their names; none where nothing is odd.
#[must_use]
pub fn notices(root: &Path) -> Vec<String> {
    notices_in(&root.join(NOTICES))
}

/// The sentences in `directory`.
#[must_use]
pub fn notices_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries
        .take(NOTICES_MAX)
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.is_file() && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|path| read(path))
        .map(|text| {
            text.chars()
                .map(|letter| if letter.is_control() { ' ' } else { letter })
                .take(LETTERS_MAX)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn sentences_come_in_order_and_without_control_letters() {
        let root = tempfile::tempdir().unwrap();
        assert!(notices_in(&root.path().join("n")).is_empty());
        fs::create_dir(root.path().join("n")).unwrap();
        for (name, text) in
            [("b", "two\x1b[31m\n"), ("a", "one\n"), (".c.new", "unfinished"), ("empty", "\n")]
        {
            fs::File::create(root.path().join("n").join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(notices_in(&root.path().join("n")), ["one", "two [31m"]);
    }
}
