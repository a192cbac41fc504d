//! Names of uploaded files. A name is only a label here: bytes are kept under their checksum, so that no name can lead out
//! of a directory. It is checked all the same, because it is shown to people and given to other systems.

use crate::model::text::NAME_BYTES_MAX;

/// The name as it is kept; `None` where it cannot be a file's name: empty, a path, too long, with characters that do not
/// show or turn the direction of reading.
#[must_use]
pub fn check(name: &str) -> Option<String> {
    let name = name.trim();
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '/' | '\\' | '\u{FEFF}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let fits = !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(odd);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["Würfel.gcode.3mf", "a b (1).bgcode", "..gcode", "日本.3mf", "C:x.gcode", "%2e%2e%2f"]
        {
            assert_eq!(check(name).as_deref(), Some(name));
        }
        assert_eq!(check("  a.gcode ").as_deref(), Some("a.gcode"));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let odd =
            ["", " ", ".", "..", "../a", "/etc/passwd", "a\\b", "a\0", "a\nb", "x\u{202E}g", long.as_str()];
        for name in odd {
            assert_eq!(check(name), None, "{name:?}");
        }
    }
}
