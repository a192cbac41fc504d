//! The picture in a print file as the firmware finds it: PNG only, and in text only within the first lines.

use super::content::decoded;

/// Lines of a text file that are looked at.
const LINES_MAX: usize = 2_048;
/// Blocks of a binary file that are looked at before the first code.
const BLOCKS_MAX: usize = 64;

/// Which picture is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly 16 by 16.
    Small,
    /// The first of at least 17 by 17.
    Large,
}

impl Size {
    fn fits(self, width: u32, height: u32) -> bool {
        match self {
            Self::Small => (width, height) == (16, 16),
            Self::Large => width >= 17 && height >= 17,
        }
    }
}

/// The picture, if there is one.
pub fn find(content: &[u8], size: Size) -> Option<Vec<u8>> {
    if content.starts_with(b"GCDE") { find_in_blocks(content, size) } else { find_in_text(content, size) }
}

fn find_in_text(content: &[u8], size: Size) -> Option<Vec<u8>> {
    let mut digits: Option<Vec<u8>> = None;
    for line in content.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        match &mut digits {
            Some(digits) if text.starts_with("; thumbnail end") => return Some(decoded(digits)),
            Some(digits) => digits.extend_from_slice(text.trim_start_matches("; ").as_bytes()),
            None => {
                let Some(rest) = text.strip_prefix("; thumbnail begin ") else { continue };
                let words = rest.split(' ').next().and_then(|word| word.split_once('x'));
                let Some((width, height)) = words else { continue };
                if size.fits(width.parse().unwrap_or(0), height.parse().unwrap_or(0)) {
                    digits = Some(Vec::new());
                }
            }
        }
    }
    None
}

fn find_in_blocks(content: &[u8], size: Size) -> Option<Vec<u8>> {
    let sum_bytes = if content.get(8..10)? == [0, 0] { 0 } else { 4 };
    let mut place = 10;
    for _ in 0..BLOCKS_MAX {
        let kind = number(content, place, 2)?;
        let compression = number(content, place + 2, 2)?;
        let (header, length) = match compression {
            0 => (8, number(content, place + 4, 4)?),
            _ => (12, number(content, place + 8, 4)?),
        };
        let parameters = place + header;
        let data = parameters + if kind == 5 { 6 } else { 2 };
        match kind {
            1 => return None,
            5 if compression == 0 && number(content, parameters, 2)? == 0 => {
                let width = u32::try_from(number(content, parameters + 2, 2)?).ok()?;
                let height = u32::try_from(number(content, parameters + 4, 2)?).ok()?;
                if size.fits(width, height) {
                    return content.get(data..data.checked_add(length)?).map(<[u8]>::to_vec);
                }
            }
            _ => {}
        }
        place = data.checked_add(length)?.checked_add(sum_bytes)?;
    }
    None
}

fn number(content: &[u8], place: usize, count: usize) -> Option<usize> {
    let bytes = content.get(place..place.checked_add(count)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::super::content::{NewFile, Preview, Recipe, png};
    use super::*;

    #[test]
    fn both_forms_give_the_pictures_that_were_put_in() {
        for path in ["a.gcode", "a.bgcode"] {
            let content = NewFile::new(path).content("MK4");
            assert_eq!(find(&content, Size::Small), Some(png(16, 16, path)), "{path}");
            assert_eq!(find(&content, Size::Large), Some(png(220, 124, path)), "{path}");
            let none = Recipe { previews: Vec::new(), ..Recipe::default() };
            let bare = NewFile { recipe: none, ..NewFile::new(path) }.content("MK4");
            assert_eq!((find(&bare, Size::Small), find(&bare, Size::Large)), (None, None));
        }
    }

    #[test]
    fn a_picture_far_down_in_text_is_not_found() {
        let previews = vec![Preview { width: 16, height: 16 }; 700];
        let mut recipe = Recipe { previews, ..Recipe::default() };
        recipe.previews.push(Preview { width: 220, height: 124 });
        let content = NewFile { recipe, ..NewFile::new("a.gcode") }.content("MK4");
        assert_eq!(find(&content, Size::Large), None);
    }

    #[test]
    fn damaged_files_have_no_picture() {
        let content = NewFile::new("a.bgcode").content("MK4");
        for length in 0..content.len().min(3_000) {
            let _ = find(&content[..length], Size::Large);
        }
        assert_eq!(find(b"GCDE", Size::Large), None);
    }
}
