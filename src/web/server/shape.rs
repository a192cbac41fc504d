//! Finds out which field of a JSON text an error of `serde_json` speaks of.
//!
//! `serde_json` tells a line and a column, a person wants a name. The text up to that place is walked once, with
//! the names of the objects that are open there. Pure; never fails: where nothing can be said, the name is empty.

/// Nesting that is followed; what lies deeper is named by its outer part.
const DEPTH_MAX: usize = 16;

enum Level {
    /// In an object: the last name seen.
    Object(String),
    /// In a list: the index of the current item.
    List(usize),
}

/// The dotted path of the field at `line` and `column` (both from 1, columns in bytes) of `body`. `message` is the
/// error's text: for a missing field it is the only place that holds the name.
pub(super) fn field_at(body: &[u8], line: usize, column: usize, message: &str) -> String {
    let start = match line {
        0 | 1 => 0,
        _ => body
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(line - 2)
            .map_or(0, |(at, _)| at + 1),
    };
    let end = start.saturating_add(column).min(body.len());
    let missing = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|words| message.strip_prefix(words))
        .and_then(|rest| rest.split_once('`'))
        .map(|(name, _)| name);
    let end = match body.get(end.wrapping_sub(1)) {
        // A missing field is noticed at the closing brace, which would take its object out of the path.
        Some(b'}') if missing.is_some() => end - 1,
        // A whole object or list of the wrong type is noticed at one of its ends; its inside is not at fault.
        Some(b'{' | b'[') if missing.is_none() => end - 1,
        _ => end,
    };
    let mut path = walk(body.get(..end).unwrap_or_default(), missing.is_some());
    if let Some(name) = missing {
        if let Some(Level::Object(last)) = path.last_mut() {
            *last = name.to_owned();
        } else {
            path.push(Level::Object(name.to_owned()));
        }
    }
    render(&path)
}

/// The levels that are open at the end of `text`. Where its last byte closes one, that one counts as open unless
/// `close_last`.
fn walk(text: &[u8], close_last: bool) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut skipped = 0_usize;
    let mut bytes = text.iter().copied().peekable();
    // In an object a text is a name until the colon was seen.
    let mut name_next = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                let mut word = Vec::new();
                while let Some(inner) = bytes.next() {
                    match inner {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        other => word.push(other),
                    }
                }
                if let (true, 0, Some(Level::Object(name))) = (name_next, skipped, levels.last_mut()) {
                    *name = String::from_utf8_lossy(&word).into_owned();
                    name_next = false;
                }
            }
            b'{' | b'[' if levels.len() == DEPTH_MAX => skipped += 1,
            b'{' => {
                levels.push(Level::Object(String::new()));
                name_next = true;
            }
            b'[' => {
                levels.push(Level::List(0));
                name_next = false;
            }
            b'}' | b']' if skipped > 0 => skipped -= 1,
            b'}' | b']' if close_last || bytes.peek().is_some() => {
                levels.pop();
                name_next = false;
            }
            b',' if skipped == 0 => match levels.last_mut() {
                Some(Level::Object(_)) => name_next = true,
                Some(Level::List(index)) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    levels
}

fn render(levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(name) if name.is_empty() => {}
            Level::Object(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Level::List(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}
