//! Which plates an archive holds, and what it says of each one's G-code: whether a file can be the printed one, and a mark
//! that tells two versions of it apart.

use super::{Package, announced_md5};
use crate::formats::result::{Failure, Inspection};
use crate::formats::source::Source;
use crate::formats::zip::Directory;

/// A plate with G-code in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPlate {
    /// Its number, from 1.
    pub plate: u32,
    /// The MD5 of its G-code as the archive states it.
    pub md5: Option<[u8; 16]>,
}

/// The plates with G-code. Reads the directory and a few small parts, wherever the moves are; an archive whose end is
/// missing is an error.
pub(crate) fn plates(source: &mut Source<'_>) -> Result<Vec<HeldPlate>, Failure> {
    let directory = Directory::read(source)?;
    let package = Package::read(source, &directory, &mut Inspection::default());
    let mut held = Vec::with_capacity(package.gcode.len());
    for (plate, name) in &package.gcode {
        let Some(entry) = directory.find(name) else { continue };
        // A part that cannot be read costs only the mark.
        let md5 = announced_md5(source, &directory, entry).ok().flatten();
        held.push(HeldPlate { plate: *plate, md5: md5.as_deref().and_then(bytes_of) });
    }
    Ok(held)
}

/// 32 hex digits as bytes.
pub(crate) fn bytes_of(digits: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes() {
        assert_eq!(bytes_of("00ff00ff00ff00ff00ff00ff00ff00ff").map(|bytes| bytes[1]), Some(255));
        assert_eq!(bytes_of("00"), None);
        assert_eq!(bytes_of(&"ü".repeat(16)), None);
    }
}
