//! 3MF packages: `.gcode.3mf` of Bambu Studio and OrcaSlicer, projects of theirs and of PrusaSlicer, plain 3MF.
//!
//! The figures are those of one plate, the one that is printed. What an archive with tool paths says about it stands in
//! `slice_info.config` and at the head of the plate's G-code, of which only a prefix is inflated; the 3D model is never
//! read beyond its metadata elements. So the cost does not depend on the size of moves or models.

pub(crate) mod held;
pub(crate) mod pictures;
pub(crate) mod plates;
pub(crate) mod xml;

use std::collections::VecDeque;
use std::io::BufReader;

use plates::{PlateSettings, SlicedPlate};
use xml::{Event, Xml};

use super::figures::keys::{self, Key, Origin, Store};
use super::gcode::pictures::comment;
use super::gcode::text::{TextReader, put_producer, put_producer_line};
use super::lines::LineSplitter;
use super::result::{Failure, Format, Inspection, Kind, no_metadata};
use super::source::Source;
use super::zip::part::{self, PartReader};
use super::zip::{Directory, Entry, Method};
use super::{Options, figures, gcode, json, limits};
use crate::base::md5::Md5;

/// What all parts say about the plates.
#[derive(Default)]
struct Package {
    sliced: Vec<SlicedPlate>,
    settings: Vec<PlateSettings>,
    /// Plate number and part name of every G-code part.
    gcode: Vec<(u32, String)>,
    /// Thumbnail parts that the package's relationships name.
    thumbnails: Vec<String>,
    model: Option<String>,
}

/// Reads a 3MF package.
pub(crate) fn inspect(source: &mut Source<'_>, options: &Options) -> Result<Inspection, Failure> {
    let directory = Directory::read(source)?;
    let mut out = Inspection { format: Some(Format::ThreeMf), ..Inspection::default() };
    directory.warnings.iter().for_each(|warning| out.warn(warning.clone()));
    let package = Package::read(source, &directory, &mut out);
    if package.model.is_none() && !is_package(&directory) {
        let other = || Failure::unsupported("this is a ZIP archive, but no 3MF package");
        return Err(directory.warnings.first().cloned().unwrap_or_else(other));
    }
    out.sliced = !package.gcode.is_empty();
    out.plate_count = package.plate_count(&directory);
    out.plate = package.choose(options, &mut out);

    let roles = pictures::named_roles(&package.settings);
    let candidates = pictures::candidates(&directory, &roles, &package.thumbnails, out.plate);
    pictures::list(source, &directory, &candidates, options, &mut out);

    figures_of(source, &directory, &package, options, &mut out);
    if !out.sliced {
        let failure = Failure::new(
            Kind::NotSliced,
            "this is a project, not sliced: it has no print time and no tool paths",
        );
        if out.metadata.is_empty() && out.thumbnails.is_empty() {
            let damage = out.warnings.iter().find(|warning| warning.kind != Kind::NotSliced).cloned();
            out.error = Some(damage.unwrap_or_else(|| failure.clone()));
        }
        out.warn(failure);
    } else if out.metadata.is_empty() && out.thumbnails.is_empty() {
        out.error = Some(out.warnings.first().cloned().unwrap_or_else(no_metadata));
    }
    Ok(out)
}

/// Whether the archive is a package of the 3MF kind, or of its relative that some slicers write for Ultimaker. Packages
/// of the same kind hold documents of offices too, so the package's relationships alone say nothing.
fn is_package(directory: &Directory) -> bool {
    directory.entries.iter().any(|entry| {
        let name = entry.name.as_str();
        name.eq_ignore_ascii_case("3D/3dmodel.model")
            || name.starts_with("Metadata/")
            || name.ends_with(".model")
            || name.ends_with(".gcode")
    })
}

impl Package {
    fn read(source: &mut Source<'_>, directory: &Directory, out: &mut Inspection) -> Self {
        let mut package = Self::default();
        package.relationships(source, directory, out);
        let mut sliced = Vec::new();
        with_xml(source, directory, "Metadata/slice_info.config", limits::SLICE_INFO_MAX, out, |xml| {
            plates::slice_info(xml, &mut sliced)
        });
        let mut settings = Vec::new();
        with_xml(
            source,
            directory,
            "Metadata/model_settings.config",
            limits::MODEL_SETTINGS_MAX,
            out,
            |xml| plates::model_settings(xml, &mut settings),
        );
        package.sliced = sliced;
        package.settings = settings;
        package.find_gcode(directory);
        package
    }

    fn relationships(&mut self, source: &mut Source<'_>, directory: &Directory, out: &mut Inspection) {
        with_xml(source, directory, "_rels/.rels", limits::RELATIONSHIPS_MAX, out, |xml| {
            while let Some(event) = xml.next()? {
                let (Some(kind), Some(target)) = (event.attribute("Type"), event.attribute("Target")) else {
                    continue;
                };
                let target = target.trim_start_matches('/').to_owned();
                if kind.ends_with("/3dmodel") {
                    self.model.get_or_insert(target);
                } else if kind.contains("thumbnail") && self.thumbnails.len() < limits::PICTURES_MAX {
                    self.thumbnails.push(target);
                }
            }
            Ok(())
        });
    }

    /// The G-code parts: those that the settings of a plate name, those called `plate_N.gcode`, and otherwise any.
    fn find_gcode(&mut self, directory: &Directory) {
        for plate in &self.settings {
            if let Some(name) = &plate.gcode_file
                && directory.find(name).is_some()
            {
                self.gcode.push((plate.index, name.clone()));
            }
        }
        for entry in &directory.entries {
            let known = self.gcode.iter().any(|(_, name)| *name == entry.name);
            if let Some(index) = plate_number(&entry.name)
                && !known
                && self.gcode.len() < limits::PLATES_MAX
            {
                self.gcode.push((index, entry.name.clone()));
            }
        }
        if self.gcode.is_empty()
            && let Some(entry) = directory.entries.iter().find(|entry| entry.name.ends_with(".gcode"))
        {
            // Its name does not tell the plate; an only plate is the one.
            let index = if let [only] = self.sliced.as_slice() { only.index } else { 1 };
            self.gcode.push((index, entry.name.clone()));
        }
        self.gcode.sort_by_key(|(index, _)| *index);
        self.gcode.dedup_by_key(|(index, _)| *index);
    }

    fn plate_count(&self, directory: &Directory) -> u32 {
        let count = if !self.gcode.is_empty() {
            self.gcode.len()
        } else if !self.sliced.is_empty() || !self.settings.is_empty() {
            self.sliced.len().max(self.settings.len())
        } else {
            let covers = directory.entries.iter().filter(|entry| {
                entry
                    .name
                    .strip_prefix("Metadata/plate_")
                    .and_then(|rest| rest.strip_suffix(".png"))
                    .is_some_and(|number| {
                        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                    })
            });
            covers.count().max(1)
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The plate that is printed: the one that was asked for, else the only one with G-code, else the first with it.
    /// `None` for packages without plates.
    fn choose(&self, options: &Options, out: &mut Inspection) -> Option<u32> {
        let known = |index: u32| {
            self.gcode.iter().any(|(plate, _)| *plate == index)
                || self.sliced.iter().any(|plate| plate.index == index)
                || (self.gcode.is_empty() && self.settings.iter().any(|plate| plate.index == index))
        };
        let hint = &options.plate;
        let by_file = hint.gcode_file.as_deref().and_then(|file| self.plate_of_file(file));
        if let Some(index) = hint.index.into_iter().chain(by_file).find(|&index| known(index)) {
            return Some(index);
        }
        if hint.index.is_some() || hint.gcode_file.is_some() {
            let name = hint
                .index
                .map_or_else(|| hint.gcode_file.clone().unwrap_or_default(), |index| index.to_string());
            out.warn(Failure::new(Kind::PlateMissing, format!("plate {name} is not in this file")));
        }
        let first_gcode = self.gcode.first().map(|(index, _)| *index);
        let first_sliced = self
            .sliced
            .iter()
            .map(|plate| plate.index)
            .find(|&index| self.gcode.is_empty() || self.gcode.iter().any(|(plate, _)| *plate == index));
        let first_settings = self.settings.iter().map(|plate| plate.index).min();
        first_sliced.or(first_gcode).or(first_settings)
    }

    /// Printers name the part with or without its folder, some with the folder where they unpacked it.
    fn plate_of_file(&self, file: &str) -> Option<u32> {
        let file = file.rsplit('/').next()?;
        let by_name = self
            .gcode
            .iter()
            .find(|(_, name)| name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(file)));
        by_name.map(|(index, _)| *index).or_else(|| plate_number(file))
    }
}

/// The number in `.../plate_N.gcode`.
pub(crate) fn plate_number(name: &str) -> Option<u32> {
    let last = name.rsplit('/').next()?;
    let digits = last.strip_prefix("plate_")?.strip_suffix(".gcode")?;
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Collects the figures of the chosen plate.
fn figures_of(
    source: &mut Source<'_>,
    directory: &Directory,
    package: &Package,
    options: &Options,
    out: &mut Inspection,
) {
    let sliced =
        package.sliced.iter().find(|plate| Some(plate.index) == out.plate).cloned().unwrap_or_default();
    let mut facts = sliced.facts;
    let mut store = sliced.store;
    let mut tools_seen = Vec::new();
    // What another plate's moves say would be a lie about this one.
    let gcode = package.gcode.iter().find(|(index, _)| Some(*index) == out.plate);
    let gcode_entry = gcode.and_then(|(_, name)| directory.find(name));
    let mut md5_ok = None;
    if let Some(entry) = gcode_entry {
        let wanted = announced_md5(source, directory, entry).unwrap_or_else(|failure| {
            out.warn(part_failure(&md5_name(&entry.name), failure));
            None
        });
        let result = if options.whole_gcode {
            super::zip::check_ratio(entry).and_then(|()| whole_gcode(source, directory, entry))
        } else {
            gcode_ends(source, directory, entry, options).map(|reader| (reader, None))
        };
        // What is wrong further on does not hide what stands at the start.
        let result = result.or_else(|failure| {
            out.warn(part_failure(&entry.name, failure));
            md5_ok = wanted.as_ref().filter(|_| options.whole_gcode).map(|_| false);
            gcode_ends(source, directory, entry, options).map(|reader| (reader, None))
        });
        if let Ok((reader, sum)) = result {
            tools_seen = reader.tools_seen;
            store.merge(reader.store);
            if let (Some(sum), Some(wanted)) = (sum, &wanted) {
                md5_ok = Some(sum == *wanted);
            }
        }
        if md5_ok == Some(false) {
            out.warn(Failure::corrupt(format!("the MD5 checksum of {} is wrong", entry.name)));
        }
    }
    if facts.objects.as_ref().is_none_or(Vec::is_empty)
        && let Some(plate) = out.plate
    {
        plate_json(source, directory, plate, &mut store, out);
        let settings = package.settings.iter().find(|settings| settings.index == plate);
        if store.objects.is_none()
            && let Some(settings) = settings.filter(|settings| !settings.objects.is_empty())
        {
            facts.objects = Some(settings.objects.clone());
        }
    }
    project_settings(source, directory, &mut store, out);
    slicer_config(source, directory, &mut store, out);
    model_metadata(source, directory, package.model.as_deref(), &mut store);

    let resolved = figures::resolve(&store, Some(&facts), &tools_seen, out.sliced);
    out.metadata = resolved.metadata;
    out.sources = resolved.sources;
    if let Some(ok) = md5_ok {
        out.metadata.gcode_md5_ok = Some(ok);
        out.sources.insert("gcode_md5_ok", md5_name(gcode_entry.map_or("", |entry| entry.name.as_str())));
    }
}

fn part_failure(name: &str, failure: Failure) -> Failure {
    if failure.message.contains(name) {
        failure
    } else {
        Failure::new(failure.kind, format!("{name}: {}", failure.message))
    }
}

/// What the plate's G-code says, and its MD5: all of it is unpacked, the moves in the middle are passed over.
fn whole_gcode(
    source: &mut Source<'_>,
    directory: &Directory,
    entry: &Entry,
) -> Result<(TextReader, Option<String>), Failure> {
    let mut reader = TextReader::default();
    let mut head = LineSplitter::default();
    let mut ignore = |_| {};
    let mut md5 = Md5::default();
    let mut read = 0u64;
    let mut in_head = true;
    let mut tail: VecDeque<u8> = VecDeque::new();
    let tail_max = usize::try_from(limits::GCODE_TAIL).unwrap_or(usize::MAX);
    part::prefix(source, directory, entry, limits::VERIFY_PLAIN_MAX, |chunk| {
        md5.update(chunk);
        read += chunk.len() as u64;
        if in_head {
            head.push(chunk, |line| reader.line(&line, &mut ignore));
            in_head = read < limits::GCODE_PREFIX_MAX
                || (read < limits::GCODE_HEAD_MAX && (reader.in_config || reader.blocks.is_open()));
        } else {
            let excess = (tail.len() + chunk.len()).saturating_sub(tail_max).min(tail.len());
            tail.drain(..excess);
            tail.extend(chunk);
        }
        true
    })?;
    if in_head {
        head.finish(|line| reader.line(&line, &mut ignore));
    } else {
        reader.in_config = false;
        reader.blocks.finish(read, &mut ignore);
        let mut splitter = LineSplitter::starting_at(read.saturating_sub(tail.len() as u64));
        // The first line is a part of one, or follows on the head's last.
        let mut first = true;
        let (front, back) = tail.as_slices();
        for piece in [front, back] {
            splitter.push(piece, |line| {
                if !std::mem::take(&mut first) {
                    reader.line(&line, &mut ignore);
                }
            });
        }
        splitter.finish(|line| reader.line(&line, &mut ignore));
    }
    reader.finish();
    Ok((reader, Some(super::hex(&md5.finish()))))
}

/// What the plate's G-code says: head and tail where it is stored, a prefix where it is packed.
fn gcode_ends(
    source: &mut Source<'_>,
    directory: &Directory,
    entry: &Entry,
    options: &Options,
) -> Result<TextReader, Failure> {
    if entry.method == Method::Stored {
        let start = super::zip::data_offset(source, directory, entry)?;
        let mut window = source.window(start, entry.stored_length);
        // Pictures inside the G-code of a package repeat the package's own.
        let mut aside = Inspection::default();
        return gcode::read(&mut window, &Options { hashes: false, ..options.clone() }, &mut aside);
    }
    let mut reader = TextReader::default();
    let mut splitter = LineSplitter::default();
    let mut ignore = |_| {};
    let mut read = 0u64;
    let mut result = Ok(());
    let prefix = part::prefix(source, directory, entry, limits::GCODE_HEAD_MAX, |chunk| {
        read += chunk.len() as u64;
        splitter.push(chunk, |line| reader.line(&line, &mut ignore));
        // A configuration block that is still open is worth reading to its end.
        read < limits::GCODE_PREFIX_MAX || reader.in_config || reader.blocks.is_open()
    });
    if let Err(failure) = prefix {
        result = Err(failure);
    }
    if read >= entry.plain_length {
        splitter.finish(|line| reader.line(&line, &mut ignore));
    }
    reader.finish();
    // What came out before the damage is kept.
    if reader.store.is_empty() { result.map(|()| reader) } else { Ok(reader) }
}

fn md5_name(gcode: &str) -> String {
    format!("{gcode}.md5")
}

fn md5_entry<'d>(directory: &'d Directory, gcode: &Entry) -> Option<&'d Entry> {
    directory.find(&md5_name(&gcode.name))
}

/// The MD5 that the archive gives for a G-code part, as 32 lower-case digits.
pub(crate) fn announced_md5(
    source: &mut Source<'_>,
    directory: &Directory,
    gcode: &Entry,
) -> Result<Option<String>, Failure> {
    let Some(entry) = md5_entry(directory, gcode) else { return Ok(None) };
    let text = part::bytes(source, directory, entry, 1024)?;
    let text: String = String::from_utf8_lossy(&text).trim().chars().take(32).collect();
    let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(valid.then(|| text.to_ascii_lowercase()))
}

fn plate_json(
    source: &mut Source<'_>,
    directory: &Directory,
    plate: u32,
    store: &mut Store,
    out: &mut Inspection,
) {
    let Some(entry) = directory.find(&format!("Metadata/plate_{plate}.json")) else { return };
    match part::bytes(source, directory, entry, limits::PLATE_JSON_MAX) {
        Ok(bytes) => {
            let objects = json::object_names(&String::from_utf8_lossy(&bytes));
            if let Some((names, count)) = objects
                && store.objects.is_none()
            {
                store.objects = Some((names, count, Origin::PlateJson));
            }
        }
        Err(failure) => out.warn(part_failure(&entry.name, failure)),
    }
}

fn project_settings(source: &mut Source<'_>, directory: &Directory, store: &mut Store, out: &mut Inspection) {
    let Some(entry) = directory.find("Metadata/project_settings.config") else { return };
    let mut settings = Store::default();
    let result =
        PartReader::open(source, directory, entry, limits::PROJECT_SETTINGS_MAX).and_then(|mut reader| {
            let result = json::harvest(BufReader::new(&mut reader), &mut settings, Origin::ProjectSettings);
            match reader.into_failure() {
                Some(failure) => Err(failure),
                None => result,
            }
        });
    if let Err(failure) = result {
        out.warn(part_failure(&entry.name, failure));
    }
    store.merge(settings);
}

/// The settings as comment lines of PrusaSlicer and its relatives. SuperSlicer writes all three, its own being the
/// complete one.
fn slicer_config(source: &mut Source<'_>, directory: &Directory, store: &mut Store, out: &mut Inspection) {
    const NAMES: [&str; 3] =
        ["Metadata/SuperSlicer.config", "Metadata/Slic3r_PE.config", "Metadata/Slic3r.config"];
    let Some(entry) = NAMES.iter().find_map(|name| directory.find(name)) else { return };
    let mut settings = Store::default();
    let mut line = |bytes: &[u8]| {
        let Some(text) = comment(bytes) else { return };
        let text = String::from_utf8_lossy(text);
        match text.split_once(" = ") {
            Some((name, value)) => {
                if let Some(key) = keys::key(name.trim()) {
                    settings.put(key, value, Origin::SlicerConfig);
                }
            }
            None => {
                put_producer_line(&mut settings, &text, Origin::SlicerConfig);
            }
        }
    };
    let mut splitter = LineSplitter::default();
    let result = part::prefix(source, directory, entry, limits::PROJECT_SETTINGS_MAX, |chunk| {
        splitter.push(chunk, |each| line(each.bytes));
        true
    });
    splitter.finish(|each| line(each.bytes));
    if let Err(failure) = result {
        out.warn(part_failure(&entry.name, failure));
    }
    store.merge(settings);
}

/// The metadata elements in front of the model's resources: who wrote it, and when.
fn model_metadata(source: &mut Source<'_>, directory: &Directory, model: Option<&str>, store: &mut Store) {
    let Some(entry) = directory.find(model.unwrap_or("3D/3dmodel.model")) else { return };
    let Ok(reader) = PartReader::open_prefix(source, directory, entry, limits::MODEL_PREFIX_MAX) else {
        return;
    };
    let mut xml = Xml::new(reader);
    let mut open: Option<String> = None;
    let mut found = Store::default();
    // The prefix ends in the middle of something, so an error is what is expected here.
    while let Ok(Some(event)) = xml.next() {
        match event {
            Event::Start { ref name, .. } if name == "metadata" => {
                open = event.attribute("name").map(str::to_owned)
            }
            Event::Start { name, .. } if name == "resources" || name == "build" => break,
            Event::Text(text) => match open.as_deref() {
                Some("Application") => put_producer(&mut found, &text, Origin::Model),
                Some("CreationDate") => found.put(Key::CreatedAt, &text, Origin::Model),
                _ => {}
            },
            Event::Start { .. } => {}
            Event::End { .. } => open = None,
        }
    }
    if store.has(Key::Slicer) {
        // A name from one place and a version from another would be a lie.
        let date = found.text(Key::CreatedAt).map(str::to_owned);
        found = Store::default();
        if let Some(date) = date {
            found.put(Key::CreatedAt, &date, Origin::Model);
        }
    }
    store.merge(found);
}

/// Runs `parse` over the XML part called `name`, if there is one; a failure becomes a warning.
fn with_xml<'a>(
    source: &mut Source<'a>,
    directory: &Directory,
    name: &str,
    limit: u64,
    out: &mut Inspection,
    parse: impl FnOnce(&mut Xml<PartReader<'_, 'a>>) -> Result<(), Failure>,
) {
    let Some(entry) = directory.find(name) else { return };
    let result = PartReader::open(source, directory, entry, limit).and_then(|reader| {
        let mut xml = Xml::new(reader);
        let result = parse(&mut xml);
        match xml.into_inner().into_failure() {
            Some(failure) => Err(failure),
            None => result,
        }
    });
    if let Err(failure) = result {
        out.warn(part_failure(name, failure));
    }
}
