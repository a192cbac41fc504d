//! The bytes of a configuration file: bounded, decoded, with lines to point at.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::mistake::{Mistakes, Place};

/// Bytes of a configuration file that are read: 16 printers with every key need about 8 KiB.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A text that knows its file, so that a byte offset becomes a line and a column.
#[derive(Debug)]
pub(super) struct Source {
    file: PathBuf,
    text: String,
}

impl Source {
    /// Reads `file`; what hinders goes to `mistakes`. That it does not exist is a mistake only where it was `named`.
    pub fn read(file: &Path, named: bool, mistakes: &mut Mistakes) -> Option<Source> {
        let mut refuse = |what: String| mistakes.add(Place::File(file.to_owned()), "", what, "");
        let bytes = match read_bounded(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound && !named => return None,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                refuse("this file does not exist".to_owned());
                return None;
            }
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                refuse("this is a directory; name a file".to_owned());
                return None;
            }
            Err(error) => {
                refuse(format!("this file cannot be read: {error}"));
                return None;
            }
        };
        if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
            refuse(format!(
                "this file is larger than {} KiB; it is not a configuration",
                FILE_BYTES_MAX / 1024
            ));
            return None;
        }
        Source::decode(file, bytes, mistakes)
    }

    /// Takes the bytes of `file`: UTF-8, with or without a byte order mark.
    pub fn decode(file: &Path, bytes: Vec<u8>, mistakes: &mut Mistakes) -> Option<Source> {
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            mistakes.add(Place::File(file.to_owned()), "", "this file is UTF-16; save it as UTF-8", "");
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(mut text) => {
                if text.starts_with('\u{FEFF}') {
                    text.drain(..'\u{FEFF}'.len_utf8());
                }
                Some(Source { file: file.to_owned(), text })
            }
            Err(error) => {
                let end = error.utf8_error().valid_up_to();
                let valid = error.as_bytes().get(..end).unwrap_or_default();
                let source =
                    Source { file: file.to_owned(), text: String::from_utf8_lossy(valid).into_owned() };
                let what = "this character is not UTF-8; save the file as UTF-8";
                mistakes.add(source.place(end), "", what, "");
                None
            }
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte offset; an offset past the end is the end.
    pub fn place(&self, offset: usize) -> Place {
        let mut before = offset.min(self.text.len());
        while !self.text.is_char_boundary(before) {
            before -= 1;
        }
        let before = self.text.get(..before).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column =
            before.rsplit('\n').next().unwrap_or_default().chars().filter(|c| *c != '\u{FEFF}').count() + 1;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Place::Line { file: self.file.clone(), line: number(line), column: number(column) }
    }
}

/// The bytes of a file that holds one secret; `None` where there is none, and where a mistake was noted.
pub(super) fn read_secret(file: &Path, mistakes: &mut Mistakes) -> Option<Vec<u8>> {
    let what = match read_bounded(file) {
        // The value's own limit is far below.
        Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) => {
            return Some(bytes);
        }
        Ok(_) => "this file is too large for a secret".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => format!("this file cannot be read: {error}"),
    };
    mistakes.add(Place::File(file.to_owned()), "", what, "");
    None
}

fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<String, String> {
        let mut mistakes = Mistakes::default();
        let source = Source::decode(Path::new("f.toml"), bytes.to_vec(), &mut mistakes);
        source.map(|source| source.text).ok_or_else(|| mistakes.to_string())
    }

    #[test]
    fn a_byte_order_mark_is_taken_off() {
        assert_eq!(decode(b"\xEF\xBB\xBF[web]\r\n").unwrap(), "[web]\r\n");
    }

    #[test]
    fn other_encodings_are_named_with_their_place() {
        assert!(decode(b"\xFF\xFE[\0w\0").unwrap_err().contains("UTF-16"));
        let said = decode(b"[web]\nname = \"B\xFCro\"\n").unwrap_err();
        assert!(said.starts_with("f.toml:2:10: ") && said.contains("UTF-8"), "{said}");
    }

    #[test]
    fn columns_count_characters() {
        let source = Source { file: "f".into(), text: "a = 1\r\nüüü = 2".into() };
        let place = |offset| source.place(offset).to_string();
        assert_eq!(place(0), "f:1:1");
        assert_eq!(place(7), "f:2:1");
        assert_eq!(place(13), "f:2:4");
        assert_eq!(place(8), "f:2:1", "within a character");
        assert_eq!(place(9999), "f:2:8");
    }
}
