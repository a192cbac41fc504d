//! `first-boot`: the settings of `printernizer.toml` on the boot partition, taken over at each start when they changed.
//!
//! The order, and what a cut after each step leaves:
//! 1. read and check: nothing has changed;
//! 2. settings and secrets onto the data partition, synced: the next start finds the same file and does the same again;
//! 3. secrets overwritten in the file: the next start finds stars, whose values are kept;
//! 4. the free room overwritten: the file that fills it is there since before 3, so the next start does it again;
//! 5. the result beside it, for the person who puts the card into a computer: the next start writes it again;
//! 6. the file's hash noted: the next start has nothing to do.
//!
//! The boot partition has no journal, so it is writable only while something is written, and nothing is written where nothing
//! changed.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::check::{Checked, check};
use super::{Error, Runner, erase, notice, readable, wishes};
use crate::base::error::chain;
use crate::base::file::write_atomic;
use crate::config::FILE_BYTES_MAX;

/// Names that the file may have, in small letters: as it should be, and what editors make of it.
const NAMES: [&str; 3] = ["printernizer.toml", "printernizer.toml.txt", "printernizer.txt"];
/// Lines of the file: sixteen printers with every key, and the template's comments, have three hundred. Each section is looked at
/// together with all others, and another text of that name must not hold the start back.
const LINES_MAX: usize = 1000;
/// Entries of the boot partition that are looked at: it has a dozen.
const ENTRIES_MAX: usize = 512;
/// What the person finds afterwards. A short name in capitals is one entry of the directory.
const RESULT: &str = "RESULT.TXT";
/// Letters of mistakes that the page shows.
const NOTICE_MAX: usize = 1500;
/// The settings of the service before anybody wrote some.
const NO_SETTINGS: &str = "# Written at the start from printernizer.toml on the boot partition.\n";

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub boot: PathBuf,
    pub data: PathBuf,
    pub notices: PathBuf,
    pub remount: bool,
    /// Whether what is written below `data` outlives the plug.
    pub lasts: bool,
}

impl Places {
    /// The settings that the service reads.
    fn config(&self) -> PathBuf {
        self.data.join("config/printernizer.toml")
    }

    fn system(&self, name: &str) -> PathBuf {
        self.data.join("system").join(name)
    }
}

/// Takes the settings over.
pub(super) fn run(places: &Places, runner: &mut dyn Runner) -> Result<(), Error> {
    start(places, runner, &board::set_host_name)
}

/// What could not be done is told on the page, and is no reason to leave the board without its name.
fn start(
    places: &Places,
    runner: &mut dyn Runner,
    set_host_name: &dyn Fn(&str) -> io::Result<()>,
) -> Result<(), Error> {
    let taken = take_settings(places, runner);
    let said = taken.as_ref().err().map(|error| {
        format!("The settings of the card could not be taken over as a whole: {}.", chain(error))
    });
    notice(&places.notices, "first-boot-trouble", said.as_deref());
    if let Ok(name) = fs::read_to_string(places.system("host-name")) {
        set_host_name(name.trim()).map_err(Error::io("the host name cannot be set"))?;
    }
    taken
}

/// Wishes, then settings.
fn take_settings(places: &Places, runner: &mut dyn Runner) -> Result<(), Error> {
    let handed =
        hand_wishes_on(places, runner).map_err(Error::io("a wish on the boot partition cannot be handed on"));
    wishes::forget(&places.data).map_err(Error::io("the old settings cannot be forgotten"))?;
    prepare(places)?;
    // The board has read its firmware from there: that nothing is there means that it could not be mounted.
    if places.remount && fs::read_dir(&places.boot).is_ok_and(|mut entries| entries.next().is_none()) {
        return Err(Error::text(
            "the boot partition cannot be read; what was taken over earlier still counts",
        ));
    }
    let mut files = find(&places.boot).into_iter();
    if let Some(file) = files.next() {
        take_over(places, &file, &files.collect::<Vec<_>>(), runner)?;
    }
    handed
}

/// A wish that could not be taken from the boot partition would come true at every start: then it is left to the service,
/// which remembers what it has done.
fn hand_wishes_on(places: &Places, runner: &mut dyn Runner) -> io::Result<()> {
    let wishes = wishes::on_boot(&places.boot);
    if wishes.is_empty() {
        return Ok(());
    }
    let mut writing = Writing::begin(places, runner);
    if writing.writable().is_err() {
        return Ok(());
    }
    let handed = wishes.into_iter().try_for_each(|(wish, file)| {
        wishes::hand_on(wish, &places.data)?;
        crate::base::file::remove(&file)
    });
    writing.end();
    handed
}

/// The service finds settings also where nobody wrote some.
fn prepare(places: &Places) -> Result<(), Error> {
    for directory in ["config", "system"] {
        let path = places.data.join(directory);
        fs::create_dir_all(&path).map_err(Error::io(format!("{} cannot be made", path.display())))?;
    }
    if places.config().exists() {
        return Ok(());
    }
    // Whatever was taken over went with it: it is taken anew.
    crate::base::file::remove(&places.system("boot-file.sha256"))
        .map_err(Error::io("the note of what was taken cannot be removed"))?;
    keep(&places.config(), NO_SETTINGS, 0o640)
}

/// The files, whatever an editor made of their names; the one that counts first. Who saves the template under another name has two:
/// one in which every line is a comment says nothing. Copies that editors leave follow, such as `printernizer.toml~`.
fn find(boot: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(boot) else { return Vec::new() };
    let entries: Vec<PathBuf> =
        entries.take(ENTRIES_MAX).flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    let named = |wanted: &&str| {
        let is_it = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().eq_ignore_ascii_case(wanted))
        };
        entries.iter().find(is_it).cloned()
    };
    let found: Vec<PathBuf> = NAMES.iter().filter_map(named).collect();
    let (speaking, silent): (Vec<PathBuf>, Vec<PathBuf>) =
        found.into_iter().partition(|file| says_something(file));
    let mut files = if speaking.is_empty() { silent.into_iter().take(1).collect() } else { speaking };
    if !files.is_empty() {
        let mut copies: Vec<PathBuf> = entries.into_iter().filter(|file| is_copy(file)).collect();
        copies.sort();
        files.extend(copies);
    }
    files
}

/// Whether the file has its name from ours and says something. What macOS adds to every file (`._`) holds none of its text.
fn is_copy(file: &Path) -> bool {
    let name = name_of(file).to_ascii_lowercase();
    name.contains("printernizer")
        && !NAMES.contains(&name.as_str())
        && !name.starts_with("._")
        && says_something(file)
}

/// Whether a line of the file is no comment. One that cannot be read says that it cannot.
fn says_something(file: &Path) -> bool {
    let is_said = |line: &str| {
        let line = line.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        !line.is_empty() && !line.starts_with('#')
    };
    read(file).map_or(true, |bytes| String::from_utf8_lossy(&bytes).lines().any(is_said))
}

/// The bytes of the file, and one more than it may have.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Takes `file` over; `others` of its kind lie beside it.
fn take_over(places: &Places, file: &Path, others: &[PathBuf], runner: &mut dyn Runner) -> Result<(), Error> {
    let name = name_of(file);
    let bytes = read(file).map_err(Error::io(format!("{name} cannot be read")))?;
    let others: Vec<String> = others.iter().map(|other| name_of(other)).collect();
    let unfinished = erase::is_unfinished(&places.boot);
    let noted = fs::read_to_string(places.system("boot-file.sha256")).unwrap_or_default();
    let last = fs::read_to_string(places.system("boot-file.mistakes")).unwrap_or_default();
    let kept = fs::read_to_string(places.system("boot-file.toml")).unwrap_or_default();
    if noted == hash(&bytes, &others) && !unfinished && is_whole(places, &kept) {
        // What was wrong then is wrong still.
        notice(&places.notices, "first-boot", (!last.is_empty()).then_some(last.as_str()));
        return Ok(());
    }
    let mut checked = match decode(&bytes) {
        Ok(text) => check(text, &kept),
        Err(mistake) => Checked { mistakes: vec![mistake], ..Checked::default() },
    };
    checked.mistakes.extend(others.iter().map(|other| {
        format!("{other} lies beside it and does not count. Move what you need from it, and delete it: passwords in it stay there.")
    }));
    // What is kept in memory only must stay in the file.
    if !places.lasts {
        checked.secrets.clear();
    }
    let readable = decode(&bytes).is_ok();
    if readable {
        store(places, &checked)?;
    }
    let mut writing = Writing::begin(places, runner);
    let mut left = bytes;
    let mut erased = Ok(());
    if !checked.secrets.is_empty() || unfinished {
        erased = writing.writable().and_then(|()| {
            // Where there is no room for another name, the secrets go all the same.
            let begun = erase::begin(&places.boot);
            left = erase::overwrite(file, &left, &checked.secrets)?;
            begun?;
            let free = board::free_space(&places.boot).map_or(0, |space| space.free_bytes);
            erase::fill_free_room(&places.boot, free)
        });
    }
    let text = result(&name, &checked, readable, erased.as_ref().err());
    let said = summary(&name, &checked);
    let told = writing.result(&places.boot.join(RESULT), &text);
    writing.end();
    notice(&places.notices, "first-boot", said.as_deref());
    keep(&places.system("boot-file.mistakes"), said.as_deref().unwrap_or_default(), 0o600)?;
    // Only what is done is not done again.
    erased.map_err(Error::io(format!("the secrets in {name} cannot be overwritten")))?;
    keep(&places.system("boot-file.sha256"), &hash(&left, &others), 0o600)?;
    told.map_err(Error::io(format!("{RESULT} cannot be written")))
}

/// Whether what was taken over is still there: a check of the file system after a cut may have put a file aside.
fn is_whole(places: &Places, kept: &str) -> bool {
    let lines = super::lines::read(kept);
    let has_wifi = super::lines::sections(&lines).iter().any(|section| section.name == "wifi");
    !has_wifi || places.system("wpa_supplicant.conf").exists()
}

/// Onto the data partition: the service's settings, the wireless client's file, the name; at last what stars stand for.
fn store(places: &Places, checked: &Checked) -> Result<(), Error> {
    keep(&places.config(), &format!("{NO_SETTINGS}{}", checked.config), 0o640)?;
    let client = places.system("wpa_supplicant.conf");
    match &checked.wifi {
        Some(wifi) => keep(&client, &wifi.supplicant(), 0o600)?,
        // A mistake is no wish to leave the network; a section that was taken out is.
        None if checked.mistakes.is_empty() => {
            crate::base::file::remove(&client)
                .map_err(Error::io("the old Wi-Fi settings cannot be removed"))?;
        }
        None => {}
    }
    match &checked.host_name {
        Some(name) => keep(&places.system("host-name"), name, 0o644)?,
        None if checked.mistakes.is_empty() => {
            crate::base::file::remove(&places.system("host-name"))
                .map_err(Error::io("the old host name cannot be removed"))?;
        }
        None => {}
    }
    keep(&places.system("boot-file.toml"), &checked.kept, 0o600)
}

/// Writes a file with the group of its directory, for whom it may be readable.
fn keep(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let write = || {
        write_atomic(path, text.as_bytes())?;
        let group = fs::metadata(path.parent().unwrap_or(path))?.gid();
        if fs::metadata(path)?.gid() != group {
            chown(path, None, Some(group))?;
        }
        readable(path, mode)
    };
    write().map_err(Error::io(format!("{} cannot be written", path.display())))
}

fn decode(bytes: &[u8]) -> Result<&str, String> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(format!("The file is larger than {} KiB; it holds no settings.", FILE_BYTES_MAX / 1024));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("The file is UTF-16. Save it as UTF-8.".to_owned());
    }
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    if ends > LINES_MAX {
        return Err(format!("The file has more than {LINES_MAX} lines; it holds no settings."));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("Line {line}: a letter is not UTF-8. Save the file as UTF-8.")
    })
}

/// Tells a file from a changed one, and from the same one in other company.
fn hash(bytes: &[u8], others: &[String]) -> String {
    let mut sum = Sha256::new_with_prefix(bytes);
    others.iter().for_each(|other| sum.update(other));
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the page says; `None` where all is well.
fn summary(name: &str, checked: &Checked) -> Option<String> {
    if checked.mistakes.is_empty() {
        return None;
    }
    let mut text = format!("{name} on the card has mistakes. {}", checked.mistakes.join(" "));
    if text.len() > NOTICE_MAX {
        let cut = (0..=NOTICE_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push_str(" ... The rest stands in RESULT.TXT on the card.");
    }
    Some(text)
}

/// The text beside the file, with the line ends that every computer shows.
fn result(name: &str, checked: &Checked, readable: bool, erased: Option<&io::Error>) -> String {
    let mut lines = vec![format!("What became of {name}."), String::new()];
    if checked.mistakes.is_empty() {
        lines.push("Everything was understood.".to_owned());
    } else {
        lines.push(
            "This was not understood. Where it is in a section, what an earlier start took from that section still counts:".to_owned(),
        );
        lines.extend(checked.mistakes.iter().map(|mistake| format!("- {mistake}")));
    }
    if readable {
        lines.push(String::new());
        if checked.taken.is_empty() {
            lines.push(
                "Nothing was taken from it: no section stands in it, or every line is a comment.".to_owned(),
            );
        } else {
            lines.push("Taken over:".to_owned());
            lines.extend(checked.taken.iter().map(|taken| format!("- {taken}")));
        }
    }
    lines.push(String::new());
    match erased {
        Some(error) => lines.push(format!("The passwords in the file could NOT be overwritten: {error}.")),
        None if !checked.secrets.is_empty() => {
            lines.push("Passwords and codes that were taken over are stars in the file now. They are kept on the card's data partition.".to_owned());
        }
        None => {}
    }
    if !checked.mistakes.is_empty() {
        lines.push("Passwords in sections that were left out still stand in the file.".to_owned());
    }
    let mut text = lines.join("\r\n");
    text.push_str("\r\n");
    text
}

/// The boot partition while something is written to it.
struct Writing<'r> {
    boot: &'r Path,
    runner: &'r mut dyn Runner,
    remount: bool,
    is_writable: bool,
}

impl<'r> Writing<'r> {
    fn begin(places: &'r Places, runner: &'r mut dyn Runner) -> Writing<'r> {
        Writing { boot: &places.boot, runner, remount: places.remount, is_writable: !places.remount }
    }

    fn mount(&mut self, options: &str) -> io::Result<()> {
        match self.runner.run("mount", &["-o", options, &self.boot.to_string_lossy()])? {
            (Some(0), _) => Ok(()),
            (code, _) => Err(io::Error::other(format!("mount -o {options} ended with {code:?}"))),
        }
    }

    fn writable(&mut self) -> io::Result<()> {
        if !self.is_writable {
            self.mount("remount,rw")?;
            self.is_writable = true;
        }
        Ok(())
    }

    /// Writes the result where it differs from the one that is there.
    fn result(&mut self, path: &Path, text: &str) -> io::Result<()> {
        if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        self.writable()?;
        write_atomic(path, text.as_bytes())
    }

    /// Read-only again; that it is not hinders nothing.
    fn end(&mut self) {
        if self.remount && self.is_writable {
            let _ = self.mount("remount,ro");
            self.is_writable = false;
        }
    }
}

#[cfg(test)]
#[path = "first_boot_tests.rs"]
mod tests;
