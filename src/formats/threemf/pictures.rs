//! Which parts of a package are pictures that a viewer could want, and what they show.

use std::collections::BTreeMap;

use super::plates::PlateSettings;
use crate::formats::images;
use crate::formats::limits;
use crate::formats::result::{Failure, Inspection, Location, PictureFormat, Role, Thumbnail, short_text};
use crate::formats::source::Source;
use crate::formats::zip::{Directory, Entry, part};
use crate::formats::{Options, hex};

/// A picture part: its place in the directory, plate and role.
pub(crate) struct Candidate {
    at: usize,
    pub plate: Option<u32>,
    pub role: Role,
}

/// What the settings of the plates say about part names: the role, or `None` for pictures that are not to be shown.
pub(crate) fn named_roles(plates: &[PlateSettings]) -> BTreeMap<String, (u32, Option<Role>)> {
    let mut out = BTreeMap::new();
    for plate in plates {
        let roles = [
            (&plate.pick, None),
            (&plate.top, Some(Role::Top)),
            (&plate.unlit, Some(Role::Unlit)),
            (&plate.thumbnail, Some(Role::Cover)),
        ];
        for (name, role) in roles {
            if let Some(name) = name {
                out.insert(name.clone(), (plate.index, role));
            }
        }
    }
    out
}

/// Finds the picture parts, those of plate `chosen` first, each plate's best first.
pub(crate) fn candidates(
    directory: &Directory,
    roles: &BTreeMap<String, (u32, Option<Role>)>,
    package: &[String],
    chosen: Option<u32>,
) -> Vec<Candidate> {
    let mut out: Vec<Candidate> = Vec::new();
    for (at, entry) in directory.entries.iter().enumerate() {
        let is_package = package.iter().any(|name| name.eq_ignore_ascii_case(&entry.name));
        if !is_package && !looks_like_picture(&entry.name) {
            continue;
        }
        let (plate, role) = match (roles.get(&entry.name), by_name(&entry.name)) {
            (Some((_, None)), _) | (None, Some((_, None))) => continue,
            (Some((plate, Some(role))), _) => (Some(*plate), *role),
            (None, Some((plate, Some(role)))) => (Some(plate), role),
            (None, None) if is_package => (None, Role::Package),
            (None, None) => (None, Role::Other),
        };
        // The same name twice is one picture.
        if !out
            .iter()
            .any(|other| directory.entries.get(other.at).is_some_and(|other| other.name == entry.name))
        {
            out.push(Candidate { at, plate, role });
        }
    }
    out.sort_by_key(|candidate| {
        let distance = match candidate.plate {
            Some(plate) if Some(plate) == chosen => 0,
            None => 1,
            Some(_) => 2,
        };
        (distance, candidate.plate, candidate.role)
    });
    out
}

/// Whether a part may be a thumbnail. Pictures below `3D` are textures; of the auxiliaries only the covers count, not
/// the photographs of the model's page.
pub(crate) fn looks_like_picture(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let extension = [".png", ".jpg", ".jpeg", ".qoi"].iter().any(|extension| lower.ends_with(extension));
    extension
        && !lower.starts_with("3d/")
        && (!lower.starts_with("auxiliaries/") || lower.starts_with("auxiliaries/.thumbnails/"))
}

/// Plate and role by the names that Bambu Studio and its relatives use, for packages whose settings do not tell.
pub(crate) fn by_name(name: &str) -> Option<(u32, Option<Role>)> {
    let stem = name.strip_prefix("Metadata/")?.strip_suffix(".png")?;
    let number =
        |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(rest) = stem.strip_prefix("plate_no_light_") {
        return Some((number(rest)?, Some(Role::Unlit)));
    }
    if let Some(rest) = stem.strip_prefix("plate_") {
        return match rest.strip_suffix("_small") {
            Some(rest) => Some((number(rest)?, Some(Role::Small))),
            None => Some((number(rest)?, Some(Role::Cover))),
        };
    }
    if let Some(rest) = stem.strip_prefix("top_") {
        return Some((number(rest)?, Some(Role::Top)));
    }
    Some((number(stem.strip_prefix("pick_")?)?, None))
}

/// Measures the candidates and adds them to the answer.
pub(crate) fn list(
    source: &mut Source<'_>,
    directory: &Directory,
    candidates: &[Candidate],
    options: &Options,
    out: &mut Inspection,
) {
    let mut hash_left = limits::PICTURES_TOTAL_MAX;
    for candidate in candidates {
        if out.thumbnails.len() >= limits::PICTURES_MAX {
            out.warn(Failure::too_large("there are more pictures than are listed"));
            return;
        }
        let Some(entry) = directory.entries.get(candidate.at) else { continue };
        // Past the limit pictures are listed all the same, without their sums.
        let hashes = options.hashes && entry.plain_length <= hash_left;
        if hashes {
            hash_left -= entry.plain_length;
        }
        match measure(source, directory, entry, hashes) {
            Ok((picture, sha256)) => out.thumbnails.push(Thumbnail {
                source: short_text(&entry.name),
                format: picture.format,
                width: picture.width,
                height: picture.height,
                bytes: entry.plain_length,
                sha256,
                plate: candidate.plate,
                role: candidate.role,
                location: Location::Part { name: entry.name.clone() },
            }),
            Err(failure) => out.warn(Failure::new(
                failure.kind,
                format!("the embedded picture {} cannot be read: {}", entry.name, failure.message),
            )),
        }
    }
}

fn measure(
    source: &mut Source<'_>,
    directory: &Directory,
    entry: &Entry,
    hashes: bool,
) -> Result<(images::Picture, Option<String>), Failure> {
    use sha2::Digest;
    /// Room for what a camera puts in front of a JPEG's frame header.
    const HEAD: usize = 64 * 1024;
    /// Enough for the header of a PNG or QOI.
    const SHORT_HEAD: usize = 64;

    if entry.plain_length > limits::PICTURE_STORED_MAX {
        return Err(Failure::too_large(format!("it has {} bytes", entry.plain_length)));
    }
    let mut head: Vec<u8> = Vec::new();
    let mut hash = sha2::Sha256::new();
    let mut part = part::Part::open(source, directory, entry)?;
    let mut buffer = vec![0; limits::READ_CHUNK];
    loop {
        let count = part.read(source, &mut buffer)?;
        let chunk = buffer.get(..count).unwrap_or_default();
        let wanted = if head.starts_with(&[0xFF, 0xD8]) || head.is_empty() { HEAD } else { SHORT_HEAD };
        head.extend_from_slice(
            chunk.get(..chunk.len().min(wanted.saturating_sub(head.len()))).unwrap_or_default(),
        );
        let known = images::sniff(&head);
        if !hashes && let Some(picture) = known {
            return Ok((picture, None));
        }
        if count == 0 {
            let unknown = || Failure::corrupt("it is neither PNG, JPEG nor QOI");
            let picture = known.ok_or_else(unknown)?;
            debug_assert!(matches!(
                picture.format,
                PictureFormat::Png | PictureFormat::Jpeg | PictureFormat::Qoi
            ));
            return Ok((picture, hashes.then(|| hex(&hash.finalize()))));
        }
        hash.update(chunk);
    }
}
