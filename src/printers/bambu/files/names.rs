//! Names a file may have, by likelihood, and how well a listed name fits.

use super::fold::{is_refused, key, loose};
use super::print::{Family, Print, Source, Url, base, without_mount};

/// Names that are asked for in a round, each with one command. All styles of one print that were ever reported are six;
/// the rest are those with other gaps.
pub const PROBES_MAX: usize = 10;

/// Folders that are listed in a round. Each takes a data connection, which the slow printers feel.
pub const FOLDERS_MAX: usize = 4;

/// Longest name that is believed, in characters: what a card can hold.
const NAME_CHARS_MAX: usize = 255;

/// What has to be left of a shortened name before its dots, in letters of [`loose`]. Less fits too much.
const SHORTENED_HEAD_MIN: usize = 6;

/// Shortest text that is compared loosely, in bytes. A name of signs only has nothing left.
const LOOSE_BYTES_MIN: usize = 3;

/// How a file's name fits the print, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is one of the names that the print would have.
    Exact,
    /// Apart from upper and lower case.
    IgnoringCase,
    /// Apart from kinds of gaps, marks on letters and doubled endings.
    Normal,
    /// The same, with the print's plate added.
    WithPlate,
    /// Apart from brackets, commas and the like.
    Loose,
    /// One of the two is shortened with dots, and the other begins and ends as it does.
    Shortened,
}

/// The endings of print files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    GcodeArchive,
    Archive,
    Gcode,
}

impl Ending {
    const ALL: [Ending; 3] = [Ending::GcodeArchive, Ending::Archive, Ending::Gcode];

    fn text(self) -> &'static str {
        match self {
            Ending::GcodeArchive => ".gcode.3mf",
            Ending::Archive => ".3mf",
            Ending::Gcode => ".gcode",
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sought {
    /// Paths that the printer named itself.
    paths: Vec<String>,
    /// Names with endings, by likelihood.
    names: Vec<String>,
    /// Names that say another plate than the printer. A title may lag one plate behind, or just be like that; they are asked
    /// for when the right ones are long missing.
    late: Vec<String>,
    /// Names without endings, for listings.
    stems: Vec<Stem>,
    endings: [Ending; 2],
    /// Names are surer than folders.
    names_first: bool,
    pub folders: &'static [&'static str],
    /// The plate that the printer tells, which an archive has to hold.
    pub plate: Option<u32>,
    /// The same, or else the one that a name tells: enough to choose between names, but some names only look like that.
    likely_plate: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stem {
    text: String,
    /// A plain `.gcode` of this name is the print.
    gcode: bool,
    /// A title without the plate that it names.
    is_base: bool,
}

/// How one listed name fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub fit: Fit,
    /// How good that is, smaller is better: first what kind of likeness it is, then which of the names is meant, then how
    /// close it comes. Two matches of one rank cannot be told apart.
    pub rank: (u8, usize, Fit),
    /// Smaller is likelier.
    pub ending: usize,
    /// The name without endings, as it is written.
    pub written: String,
}

impl Sought {
    /// What to look for; [`None`] where the print has no name at all.
    pub fn of(print: &Print) -> Option<Sought> {
        let source = print.source();
        let file = print.gcode_file.as_deref().and_then(file_of_card);
        let plate = told_plate(print, file);
        let likely_plate = plate.or_else(|| named_plate(print, file));
        let endings = match source {
            Source::Cloud => [Ending::Archive, Ending::GcodeArchive],
            Source::Lan | Source::Screen | Source::Internal | Source::Unknown => {
                [Ending::GcodeArchive, Ending::Archive]
            }
        };
        let folders = folders(source, print.family);
        let mut sought = Sought {
            paths: Vec::new(),
            names: Vec::new(),
            late: Vec::new(),
            stems: Vec::new(),
            endings,
            names_first: matches!(source, Source::Cloud | Source::Screen),
            folders,
            plate,
            likely_plate,
        };
        match &print.url {
            Url::Ftp(path) | Url::File(path) => sought.path(path),
            Url::Internal(name) => sought.name_with_ending(name),
            Url::None | Url::Cloud | Url::Other => {}
        }
        if let Some(file) = file {
            if file.contains('/') {
                sought.path(file);
            }
            sought.name_with_ending(base(file));
        }
        if let Some(title) = &print.title {
            sought.title(title);
        }
        if sought.stems.is_empty() { None } else { Some(sought) }
    }

    /// A path that the printer named.
    fn path(&mut self, path: &str) {
        let path = path.trim_start_matches('/');
        let is_name = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && !part.contains(['\r', '\n', '\0'])
        };
        if path.split('/').all(is_name) && path.chars().count() <= 2 * NAME_CHARS_MAX {
            push(&mut self.paths, format!("/{path}"));
            self.name_with_ending(base(path));
        }
    }

    /// A name that the printer gave with its ending.
    fn name_with_ending(&mut self, name: &str) {
        let Some((stem, ending)) = split_ending(name) else {
            // The endings may have been left out here, too.
            self.title(name);
            return;
        };
        let name = on_card(name);
        if is_sound(&name) {
            push(&mut self.names, name);
            self.stem(&on_card(stem), ending == Ending::Gcode, false);
        }
    }

    /// A title: a name whose ending, gaps and plate may differ.
    fn title(&mut self, title: &str) {
        let title = on_card(title);
        let (stem, ending) = match split_ending(title.trim_end()) {
            Some((stem, ending)) => (stem, Some(ending)),
            None => (title.as_str(), None),
        };
        if !is_sound(stem) || stem.trim().is_empty() {
            return;
        }
        let suffix = PlateSuffix::of(stem);
        let right = self.likely_plate;
        let corrected = suffix
            .as_ref()
            .and_then(|suffix| right.filter(|plate| *plate != suffix.plate).map(|plate| suffix.with(plate)));
        let contradicts = corrected.is_some();
        let mut stems = vec![corrected.unwrap_or_else(|| stem.to_owned())];
        stems.extend(suffix.map(|suffix| suffix.base.to_owned()));
        if contradicts {
            self.late.extend(self.endings.map(|ending| format!("{stem}{}", ending.text())));
        } else if ending.is_some() {
            push(&mut self.names, title.clone());
        }
        for (index, stem) in stems.iter().enumerate() {
            self.stem(stem, ending == Some(Ending::Gcode), index > 0);
        }
        // First the likeliest spelling with each ending, then the spellings that hands on the way may have made of it.
        let spellings: [fn(&str) -> String; 3] = [
            |stem: &str| stem.to_owned(),
            |stem: &str| stem.trim().to_owned(),
            |stem: &str| stem.trim().replace(' ', "_"),
        ];
        for stem in &stems {
            for spelling in &spellings {
                let stem = spelling(stem);
                for ending in self.endings {
                    push(&mut self.names, format!("{stem}{}", ending.text()));
                }
            }
        }
    }

    fn stem(&mut self, text: &str, gcode: bool, is_base: bool) {
        match self.stems.iter_mut().find(|stem| stem.text == text) {
            Some(stem) => {
                stem.gcode |= gcode;
                stem.is_base &= is_base;
            }
            None => self.stems.push(Stem { text: text.to_owned(), gcode, is_base }),
        }
    }

    /// The paths to ask for, by likelihood. `late` adds those that contradict what the printer says about the plate.
    pub fn probes(&self, late: bool) -> Vec<String> {
        let mut probes = self.paths.clone();
        if late {
            let folders = self.folders.iter().take(2);
            let late = folders.flat_map(|folder| self.late.iter().map(|name| join(folder, name)));
            late.for_each(|path| push(&mut probes, path));
        }
        let mut pairs: Vec<(usize, usize)> = (0..self.names.len())
            .flat_map(|name| (0..self.folders.len()).map(move |folder| (name, folder)))
            .collect();
        // From the cloud and from the screen the name is sure and the folder is not; over the LAN the second name in the first
        // folder and the first name in the second are about as likely.
        let weight = if self.names_first { 2 } else { 1 };
        pairs.sort_by_key(|(name, folder)| (name.saturating_mul(weight).saturating_add(*folder), *folder));
        for (name, folder) in pairs {
            if let (Some(name), Some(folder)) = (self.names.get(name), self.folders.get(folder)) {
                push(&mut probes, join(folder, name));
            }
        }
        probes.truncate(PROBES_MAX);
        probes
    }

    /// How a listed name fits.
    pub fn fit(&self, name: &str) -> Option<Match> {
        let (written, ending) = split_ending(name)?;
        let ending_rank =
            self.endings.iter().position(|known| *known == ending).unwrap_or(self.endings.len());
        let suffix = PlateSuffix::of(written);
        let allowed = |stem: &Stem| ending != Ending::Gcode || stem.gcode;
        let ranks = self.stems.iter().enumerate().filter_map(|(index, stem)| {
            let fit = if allowed(stem) { spelled(&stem.text, written, suffix.is_some()) } else { None };
            let fit = fit.or_else(|| self.with_plate(stem, suffix.as_ref()))?;
            let likeness = match fit {
                Fit::Exact | Fit::IgnoringCase | Fit::Normal if !stem.is_base => 0,
                Fit::WithPlate => 1,
                Fit::Exact | Fit::IgnoringCase | Fit::Normal => 2,
                Fit::Loose => 3,
                Fit::Shortened => 4,
            };
            Some((likeness, index, fit))
        });
        let rank = ranks.min()?;
        Some(Match { fit: rank.2, rank, ending: ending_rank, written: written.to_owned() })
    }

    /// A name with a plate behind it is the print's only if it is the print's plate.
    fn with_plate(&self, stem: &Stem, suffix: Option<&PlateSuffix<'_>>) -> Option<Fit> {
        let suffix = suffix?;
        let right = self.likely_plate == Some(suffix.plate) && key(suffix.base) == key(&stem.text);
        right.then_some(Fit::WithPlate)
    }
}

/// How two spellings of a name fit. A listed name with a plate in it has to fit closely: dots could hide another plate.
fn spelled(sought: &str, written: &str, has_plate: bool) -> Option<Fit> {
    if sought == written {
        return Some(Fit::Exact);
    }
    if sought.to_lowercase() == written.to_lowercase() {
        return Some(Fit::IgnoringCase);
    }
    let (sought_key, written_key) = (key(sought), key(written));
    if !sought_key.is_empty() && sought_key == written_key {
        return Some(Fit::Normal);
    }
    let (sought_loose, written_loose) = (loose(sought), loose(written));
    if sought_loose.len() >= LOOSE_BYTES_MIN && sought_loose == written_loose {
        return Some(Fit::Loose);
    }
    let shortened = !has_plate && (is_shortened(written, sought) || is_shortened(sought, written));
    shortened.then_some(Fit::Shortened)
}

/// Whether `short` is `long` with pieces replaced by dots.
fn is_shortened(short: &str, long: &str) -> bool {
    let short = short.replace('…', "...");
    if !short.contains("...") {
        return false;
    }
    let mut pieces = short.split("...").map(|piece| loose(piece.trim_matches('.')));
    let long = loose(long);
    let head = pieces.next().unwrap_or_default();
    let Some(mut rest) = long.strip_prefix(head.as_str()) else { return false };
    if head.chars().count() < SHORTENED_HEAD_MIN {
        return false;
    }
    let mut tail = String::new();
    for piece in pieces {
        match rest.split_once(piece.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
        tail = piece;
    }
    // The last piece is the end of the name, and not only somewhere in it.
    rest.is_empty() || long.ends_with(&tail)
}

/// The `_plate_3` or ` - Plate 3` at the end of a name.
struct PlateSuffix<'a> {
    base: &'a str,
    plate: u32,
    /// Everything before the number.
    head: &'a str,
}

impl<'a> PlateSuffix<'a> {
    fn of(stem: &'a str) -> Option<PlateSuffix<'a>> {
        let lower = stem.to_ascii_lowercase();
        let word = lower.rfind("plate")?;
        let (before, after) = (stem.get(..word)?, lower.get(word..)?.strip_prefix("plate")?);
        let digits = after.trim_start_matches(['_', ' ', '-']);
        if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let base = before.trim_end_matches(['_', ' ', '-']);
        if base.is_empty() || base.len() == before.len() {
            return None;
        }
        let head = stem.get(..stem.len().checked_sub(digits.len())?)?;
        Some(PlateSuffix { base, plate: digits.parse().ok().filter(|plate| *plate > 0)?, head })
    }

    fn with(&self, plate: u32) -> String {
        format!("{}{plate}", self.head)
    }
}

/// The name without its endings, and the last of them. Endings are doubled now and then.
fn split_ending(name: &str) -> Option<(&str, Ending)> {
    let (mut stem, ending) = strip_ending(name)?;
    while let Some((shorter, _)) = strip_ending(stem) {
        stem = shorter;
    }
    Some((stem, ending))
}

fn strip_ending(name: &str) -> Option<(&str, Ending)> {
    Ending::ALL.into_iter().find_map(|ending| {
        let (stem, tail) = name.split_at_checked(name.len().checked_sub(ending.text().len())?)?;
        (tail.eq_ignore_ascii_case(ending.text()) && !stem.is_empty()).then_some((stem, ending))
    })
}

/// `gcode_file` as a path on the card; [`None`] where it is a file in the printer's memory.
fn file_of_card(file: &str) -> Option<&str> {
    let path = without_mount(file);
    let elsewhere = file.starts_with("/data/") || file.starts_with("/usr/") || file.contains("Metadata/");
    (!elsewhere && !path.is_empty()).then_some(path)
}

/// The plate by the command, or by the name of the file in the printer's memory.
fn told_plate(print: &Print, file: Option<&str>) -> Option<u32> {
    let of_memory = || {
        let name = base(print.gcode_file.as_deref().filter(|_| file.is_none())?);
        name.strip_prefix("plate_")?.strip_suffix(".gcode")?.parse().ok()
    };
    print.plate.or_else(of_memory).filter(|plate| *plate > 0)
}

/// The plate by the file's name or the title.
fn named_plate(print: &Print, file: Option<&str>) -> Option<u32> {
    let of_name = |name: &str| {
        let stem = split_ending(name).map_or(name, |(stem, _)| stem);
        PlateSuffix::of(stem).map(|suffix| suffix.plate)
    };
    file.and_then(|file| of_name(base(file))).or_else(|| of_name(print.title.as_deref()?))
}

fn folders(source: Source, family: Family) -> &'static [&'static str] {
    match (source, family) {
        (Source::Cloud, Family::P1A1) => &["/cache", "/", "/model"],
        (Source::Cloud, _) => &["/cache", "/"],
        (Source::Screen | Source::Unknown, Family::P1A1) => &["/", "/cache", "/model", "/models"],
        (Source::Screen | Source::Unknown, Family::Unknown) => &["/", "/cache", "/model"],
        (Source::Lan | Source::Internal, _) | (_, Family::X1 | Family::H2) => &["/", "/cache"],
    }
}

/// A title as a card would have it.
fn on_card(title: &str) -> String {
    title.chars().map(|c| if is_refused(c) { '_' } else { c }).collect()
}

/// Whether a name can be on a card at all.
fn is_sound(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX
}

pub(super) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

fn push(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}
