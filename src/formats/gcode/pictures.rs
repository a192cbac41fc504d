//! Picture blocks in the comments of G-code, in every form that slicers use.
//!
//! PNG, JPEG and QOI in base64 are decoded; RGB565, ColPic and hexadecimal forms for printer displays are named and
//! reported as unsupported. The bytes decide what a picture is, the tag does not.

use super::base64::Base64;
use crate::formats::lines::Line;
use crate::formats::result::short_text;
use crate::formats::{images, limits};

/// What a line completed.
pub(crate) enum Found {
    /// A picture. `offset` and `length` tell the range of its lines.
    Picture { tag: String, bytes: Vec<u8>, offset: u64, length: u64 },
    /// A block that holds no picture that we can read, and why.
    Damaged { tag: String, why: &'static str },
    /// A form that is not decoded here.
    Unsupported { form: &'static str },
}

/// Watches the lines for blocks.
#[derive(Default)]
pub(crate) struct Blocks {
    open: Option<Open>,
}

struct Open {
    tag: String,
    offset: u64,
    decoder: Base64,
    bytes: Vec<u8>,
    bad: bool,
    /// Lines that look like no part of a block; a few are forgiven, because post-processors insert their own.
    strange: u32,
}

impl Blocks {
    /// Whether a block has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes one line; tells whether it belonged to a block, and hands what it completed to `found`.
    pub fn line(&mut self, line: &Line<'_>, found: &mut dyn FnMut(Found)) -> bool {
        let Some(text) = comment(line.bytes) else {
            if line.bytes.iter().all(u8::is_ascii_whitespace) {
                return self.is_open();
            }
            // A command ends every block: a script may have cut it short.
            if let Some(open) = self.open.take() {
                found(open.close(line.start));
            }
            if let Some(form) = command_form(line.bytes) {
                found(Found::Unsupported { form });
                return true;
            }
            return false;
        };
        if let Some(tag) = opening(text) {
            if let Some(open) = self.open.take() {
                found(open.close(line.start));
            }
            self.open = Some(Open {
                tag,
                offset: line.start,
                decoder: Base64::default(),
                bytes: Vec::new(),
                bad: false,
                strange: 0,
            });
            return true;
        }
        if let Some(data) = data_uri(text) {
            let mut bytes = Vec::new();
            let good = Base64::default().push(data, &mut bytes, picture_max()).is_ok();
            let tag = "thumbnail".to_owned();
            found(if good {
                classify(tag, bytes, line.start, line.end)
            } else {
                Found::Damaged { tag, why: "its base64 text is damaged" }
            });
            return true;
        }
        if let Some(form) = comment_form(text) {
            found(Found::Unsupported { form });
            return true;
        }
        let Some(open) = &mut self.open else { return false };
        if closes(text, &open.tag) {
            if let Some(open) = self.open.take() {
                found(open.close(line.end));
            }
            return true;
        }
        if text.is_empty() {
            return true;
        }
        if open.decoder.push(text, &mut open.bytes, picture_max()).is_err() {
            open.bad = true;
            open.strange += 1;
            if open.strange > 3
                && let Some(open) = self.open.take()
            {
                found(open.close(line.start));
            }
            // It may be a figure that somebody's script put here.
            return false;
        }
        true
    }

    /// The stream ended.
    pub fn finish(&mut self, end: u64, found: &mut dyn FnMut(Found)) {
        if let Some(open) = self.open.take() {
            found(open.close(end));
        }
    }
}

impl Open {
    fn close(self, end: u64) -> Found {
        let Self { tag, offset, bytes, bad, .. } = self;
        if bad && !images::is_complete(&bytes) {
            return Found::Damaged { tag, why: "its base64 text is damaged" };
        }
        classify(tag, bytes, offset, end)
    }
}

fn classify(tag: String, bytes: Vec<u8>, offset: u64, end: u64) -> Found {
    if images::sniff(&bytes).is_none() {
        let why = if bytes.is_empty() { "it is empty" } else { "it is neither PNG, JPEG nor QOI" };
        return Found::Damaged { tag, why };
    }
    if !images::is_complete(&bytes) {
        return Found::Damaged { tag, why: "it is cut short" };
    }
    Found::Picture { tag, bytes, offset, length: end.saturating_sub(offset) }
}

fn picture_max() -> usize {
    usize::try_from(limits::PICTURE_STORED_MAX).unwrap_or(usize::MAX)
}

/// The text of a comment line without its `;` and blanks.
pub(crate) fn comment(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    line.strip_prefix(b";").map(|rest| {
        let rest = rest.trim_ascii_start();
        // Some write two.
        rest.strip_prefix(b";").map_or(rest, <[u8]>::trim_ascii_start)
    })
}

/// The tag of `TAG begin WxH LEN`, where the sizes may be joined by x, X, * or a blank.
fn opening(text: &[u8]) -> Option<String> {
    if text.len() > limits::NAME_MAX {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let tag = words.next()?;
    if !words.next()?.eq_ignore_ascii_case("begin") {
        return None;
    }
    let sizes = words.next()?;
    let mut sizes = sizes.split(['x', 'X', '*']).chain(words);
    let mut size = || sizes.next()?.parse::<u32>().ok();
    size().zip(size()).map(|_| short_text(tag))
}

fn closes(text: &[u8], tag: &str) -> bool {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (Some(first), Some(second), None) = (words.next(), words.next(), words.next()) else { return false };
    second.eq_ignore_ascii_case(b"end")
        && (first.eq_ignore_ascii_case(tag.as_bytes())
            || first.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"thumbnail")))
}

/// The base64 text of `thumbnail: data:image/...;base64,...`.
fn data_uri(text: &[u8]) -> Option<&[u8]> {
    let start = text.get(..10)?;
    if !start.eq_ignore_ascii_case(b"thumbnail:") {
        return None;
    }
    let rest = text.get(10..)?.trim_ascii_start().strip_prefix(b"data:image/")?;
    let marker = b";base64,";
    let at = rest.get(..32)?.windows(marker.len()).position(|window| window == marker)?;
    rest.get(at.checked_add(marker.len())?..)
}

/// Display forms that stand in comments.
fn comment_form(text: &[u8]) -> Option<&'static str> {
    if text.starts_with(b"gimage:") || text.starts_with(b"simage:") {
        Some("a display picture (gimage/simage: ColPic or RGB565)")
    } else if text.eq_ignore_ascii_case(b"bigtree thumbnail end") {
        Some("a BigTreeTech display picture (RGB565)")
    } else {
        None
    }
}

/// Display forms that stand in commands.
fn command_form(line: &[u8]) -> Option<&'static str> {
    let line = line.trim_ascii();
    if line.starts_with(b"M4010 ") {
        Some("a Qidi display picture (M4010: RGB565)")
    } else if line.starts_with(b"W221") {
        Some("a Weedo display picture (W221: hexadecimal JPEG)")
    } else if line.starts_with(b"M10086") {
        Some("an MKS display picture (M10086: RGB565)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_of_all_slicers_are_known() {
        for text in [
            "thumbnail begin 16x16 616",
            "thumbnail_QOI begin 16x16 616",
            "jpg begin 200*200 9156 3 197 500",
            "thumbnail begin 220 124 5000",
            "thumbnail_JPG begin 32X32 10",
        ] {
            assert!(opening(text.as_bytes()).is_some(), "{text}");
        }
        for text in ["thumbnail end", "we begin here", "thumbnail begin", "loop begin soon"] {
            assert!(opening(text.as_bytes()).is_none(), "{text}");
        }
    }
}
