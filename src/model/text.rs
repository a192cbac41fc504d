//! Texts from printers and people, cut to a length before they are kept.

/// Bytes of a name that are kept: the longest file name of the printers' file systems (FAT and ext4: 255).
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of an explaining text that are kept: a few sentences.
pub const MESSAGE_BYTES_MAX: usize = 512;

/// `text` without control characters and blanks around it, cut at a character boundary to at most `bytes_max` bytes.
#[must_use]
pub fn clean(text: &str, bytes_max: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(bytes_max));
    for character in text.trim().chars().filter(|character| !character.is_control()) {
        if kept.len() + character.len_utf8() > bytes_max {
            break;
        }
        kept.push(character);
    }
    kept.truncate(kept.trim_end().len());
    kept
}

/// [`clean`] with the length of a name; `None` when nothing is left.
#[must_use]
pub fn name(text: &str) -> Option<String> {
    Some(clean(text, NAME_BYTES_MAX)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert_eq!(clean("  Würfel\u{0}\n ", 255), "Würfel");
        assert_eq!(clean("ääää", 5), "ää");
        assert_eq!(name(" \t "), None);
        assert_eq!(name(&"x".repeat(1000)).unwrap().len(), NAME_BYTES_MAX);
    }
}
