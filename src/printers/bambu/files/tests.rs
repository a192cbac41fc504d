//! Searches on cards that exist in the test only: every way of starting a print, every style of name, every trap.

use std::time::Duration;

use super::*;
use crate::base::clock::Mono;
use crate::net::ftps::{Entry, EntryKind, Listing, Name};

const START: Mono = Mono(1_000_000);
const MEMORY: &str = "/data/Metadata/plate_1.gcode";

/// A card: paths with sizes, changing with time.
#[derive(Default)]
struct Card {
    /// Path, size, and from which second on it is there.
    files: Vec<(Vec<u8>, u64, u64)>,
    /// Paths that are rejected when they are offered.
    wrong: Vec<&'static str>,
    /// Listings are cut.
    partial: bool,
    no_sizes: bool,
    ends_at: Option<u64>,
}

#[derive(Debug, Default)]
struct Told {
    path: Option<String>,
    at_s: u64,
    plate: Option<u32>,
    fit: Option<Fit>,
    probes: usize,
    lists: usize,
    sessions: usize,
    reason: Option<Reason>,
    /// The reason that was given before the print's end.
    before_end: Option<Reason>,
    tried: Vec<String>,
}

impl Card {
    fn of(paths: &[&str]) -> Card {
        let files = paths.iter().map(|path| (path.as_bytes().to_vec(), 1000, 0)).collect();
        Card { files, ..Card::default() }
    }

    fn size(&self, path: &[u8], second: u64) -> Option<u64> {
        let there = self.files.iter().find(|(known, _, from)| known == path && *from <= second);
        there.map(|(_, size, _)| *size)
    }

    fn list(&self, folder: &str, second: u64) -> Option<Listing> {
        let prefix = if folder == "/" { "/".to_owned() } else { format!("{folder}/") };
        let mut listing = Listing { complete: !self.partial, ..Listing::default() };
        for (path, size, from) in &self.files {
            let name = path.strip_prefix(prefix.as_bytes()).and_then(Name::new);
            if let Some(name) = name.filter(|_| *from <= second) {
                listing.entries.push(Entry { name, kind: EntryKind::File, size: *size });
            }
        }
        (folder == "/" || !listing.entries.is_empty()).then_some(listing)
    }

    /// Plays a search to its end.
    fn search(&self, print: Print) -> Told {
        let mut told = Told::default();
        let mut now = START;
        let mut search = Search::new(print, now);
        let mut action = search.step(Input::Tick, now);
        let mut in_session = false;
        for _ in 0..1000 {
            let second = now.since(START).as_secs();
            if matches!(action, Action::Probe(_) | Action::List(_)) && !in_session {
                in_session = true;
                told.sessions += 1;
            }
            action = match action {
                Action::Probe(path) => {
                    told.probes += 1;
                    if self.no_sizes {
                        search.step(Input::NoSizes, now)
                    } else {
                        search.step(Input::Size(self.size(path.as_bytes(), second)), now)
                    }
                }
                Action::List(folder) => {
                    told.lists += 1;
                    search.step(Input::Listed(self.list(folder, second).as_ref()), now)
                }
                Action::Take(found) => {
                    let path = String::from_utf8_lossy(&found.path).into_owned();
                    assert_eq!(self.size(&found.path, second), Some(found.size), "{path}");
                    if self.wrong.contains(&path.as_str()) {
                        search.step(Input::Rejected, now)
                    } else {
                        told.path = Some(path);
                        (told.at_s, told.plate, told.fit) = (second, found.plate, Some(found.fit));
                        return told;
                    }
                }
                Action::Wait(due) => {
                    assert!(due > now, "waiting takes time");
                    in_session = false;
                    let end = self.ends_at.map(|end| START.after(Duration::from_secs(end)));
                    match end.filter(|end| *end > now && *end <= due) {
                        Some(end) => {
                            now = end;
                            search.step(Input::Ended, now)
                        }
                        None => {
                            now = due;
                            search.step(Input::Tick, now)
                        }
                    }
                }
                Action::WaitForEnd(failure) => {
                    in_session = false;
                    told.before_end = Some(failure.reason);
                    now = START.after(Duration::from_secs(self.ends_at.unwrap_or(7200)));
                    search.step(Input::Ended, now)
                }
                Action::GiveUp(failure) => {
                    (told.reason, told.tried) = (Some(failure.reason), failure.tried);
                    told.at_s = second;
                    return told;
                }
            };
        }
        panic!("the search has no end: {told:?}");
    }

    /// The path that is found.
    fn found(&self, print: Print) -> Option<String> {
        self.search(print).path
    }
}

fn print(family: Family, title: &str, file: &str, print_type: PrintType) -> Print {
    Print {
        title: Some(title.to_owned()),
        gcode_file: Some(file.to_owned()),
        family,
        print_type,
        ..Print::default()
    }
}

fn x1(title: &str) -> Print {
    print(Family::X1, title, MEMORY, PrintType::Local)
}

// How prints are started, and where their files are.

#[test]
fn every_way_of_starting_a_print_is_found_with_few_questions() {
    use Family::{H2, P1A1, Unknown, X1};
    use PrintType::{Cloud, Local};
    let table = [
        ("X1, LAN, Studio", print(X1, "X", MEMORY, Local), "/X.gcode.3mf", 1),
        ("X1, LAN, another slicer", print(X1, "X", MEMORY, Local), "/X.3mf", 2),
        ("X1, LAN, says nothing", print(X1, "X", MEMORY, PrintType::Unknown), "/X.gcode.3mf", 1),
        ("X1, cloud", print(X1, "X", MEMORY, Cloud), "/cache/X.3mf", 1),
        ("X1, cloud, says nothing", print(X1, "X", MEMORY, PrintType::Unknown), "/cache/X.3mf", 4),
        ("P1, LAN", print(P1A1, "X", "X.gcode.3mf", Local), "/X.gcode.3mf", 1),
        ("P1, cloud", print(P1A1, "X", "X.3mf", Cloud), "/cache/X.3mf", 1),
        ("P1, cloud, says nothing", print(P1A1, "X", "X.3mf", PrintType::Unknown), "/cache/X.3mf", 1),
        ("A1, cloud, root", print(P1A1, "X", "X.3mf", Cloud), "/X.3mf", 2),
        ("A1, screen, root", print(P1A1, "X.3mf", "X.3mf", Local), "/X.3mf", 1),
        ("A1, screen, cache", print(P1A1, "X.3mf", "X.3mf", Local), "/cache/X.3mf", 2),
        ("A1, screen, library", print(P1A1, "X.3mf", "X.3mf", Local), "/model/X.3mf", 4),
        ("P1S, screen, preloaded", print(P1A1, "X.3mf", "X.3mf", Local), "/models/X.3mf", 6),
        ("A1, screen, LAN file", print(P1A1, "X.gcode.3mf", "X.gcode.3mf", Local), "/X.gcode.3mf", 1),
        ("P1, plain gcode", print(P1A1, "X", "X.gcode", Local), "/X.gcode", 1),
        ("P1, plain gcode, folder", print(P1A1, "X", "/sdcard/sub/X.gcode", Local), "/sub/X.gcode", 1),
        ("H2, LAN to a stick", print(H2, "X", MEMORY, Local), "/X.gcode.3mf", 1),
        ("P2S, cloud to a stick", print(H2, "X", MEMORY, Cloud), "/cache/X.3mf", 1),
        ("unknown model", print(Unknown, "X", "X.3mf", Cloud), "/cache/X.3mf", 1),
        ("no file name", Print { gcode_file: None, ..x1("X") }, "/X.gcode.3mf", 1),
        ("no title", Print { title: None, ..print(P1A1, "", "X.3mf", Cloud) }, "/cache/X.3mf", 1),
    ];
    for (case, print, path, probes) in table {
        let told = Card::of(&[path, "/other.3mf", "/cache/another.gcode.3mf"]).search(print);
        assert_eq!(told.path.as_deref(), Some(path), "{case}: {told:?}");
        assert!(told.probes <= probes, "{case}: {} questions", told.probes);
        assert_eq!((told.lists, told.sessions, told.at_s), (0, 1, 0), "{case}");
    }
}

#[test]
fn the_url_of_the_command_says_it_best() {
    let sent = |url: &str, title: &str| Print { url: Url::parse(url), ..x1(title) };
    for (url, path) in [
        ("ftp://sub/Other name.3mf", "/sub/Other name.3mf"),
        ("ftp:///Other%20name.3mf", "/Other name.3mf"),
        ("file:///sdcard/model/Other.3mf", "/model/Other.3mf"),
        ("file:///media/usb0/deep/er/Other.3mf", "/deep/er/Other.3mf"),
    ] {
        let told = Card::of(&["/X.3mf", "/X.gcode.3mf", path]).search(sent(url, "X"));
        assert_eq!((told.path.as_deref(), told.probes), (Some(path), 1), "{url}");
    }
    let cloud = sent("https://cloud.example/secret?key=1", "X");
    assert_eq!(Card::of(&["/X.gcode.3mf", "/cache/X.3mf"]).found(cloud).as_deref(), Some("/cache/X.3mf"));
    // A path out of the card is not asked for.
    let told = Card::of(&["/X.3mf"]).search(sent("ftp://../../etc/passwd", "X"));
    assert_eq!(told.path.as_deref(), Some("/X.3mf"));
    assert!(!told.tried.iter().any(|path| path.contains("..")), "{:?}", told.tried);
}

#[test]
fn files_in_the_printers_own_memory_are_looked_for_all_the_same() {
    let brtc =
        Print { family: Family::H2, url: Url::parse("brtc://emmc/Named otherwise.gcode.3mf"), ..x1("X") };
    let found = Card::of(&["/Named otherwise.gcode.3mf"]).found(brtc.clone());
    assert_eq!(found.as_deref(), Some("/Named otherwise.gcode.3mf"));
    assert_eq!(Card::of(&["/cache/X.3mf"]).found(brtc.clone()).as_deref(), Some("/cache/X.3mf"));
    let told = Card::of(&["/old.3mf"]).search(brtc);
    let hint = Reason::NotOnStorage(StorageHint::StoreOnExternal);
    assert_eq!((told.before_end, told.reason), (Some(hint.clone()), Some(hint.clone())));
    assert!(hint.to_string().contains("Store sent files on external storage"), "{hint}");
    // Other models have no such setting.
    let told = Card::of(&["/old.3mf"]).search(x1("X"));
    assert_eq!(told.reason, Some(Reason::NotFound));
    let told = Card::default().search(x1("X"));
    assert_eq!(told.reason, Some(Reason::NotOnStorage(StorageHint::InsertStorage)));
}

#[test]
fn calibrations_and_prints_without_names_have_no_file() {
    let card = Card::of(&["/X.3mf", "/auto_cali.gcode"]);
    let usr = print(Family::P1A1, "auto_cali", "/usr/etc/print/auto_cali.gcode", PrintType::Unknown);
    for calibration in [usr, print(Family::X1, "X", "X.3mf", PrintType::System)] {
        let told = card.search(calibration);
        assert_eq!((told.reason, told.probes), (Some(Reason::Calibration), 0));
    }
    for (title, file) in [("", ""), ("  ", MEMORY), ("", "/")] {
        let told = card.search(print(Family::X1, title, file, PrintType::Local));
        assert_eq!((told.reason, told.probes), (Some(Reason::NoName), 0), "{title:?}");
    }
}

// How names are changed on their way.

#[test]
fn names_are_found_in_every_spelling() {
    for (title, path) in [
        ("Size: M", "/Size_ M.gcode.3mf"),
        ("Size_ M", "/Size_ M.gcode.3mf"),
        ("a/b\\c", "/a_b_c.3mf"),
        ("A; B", "/cache/A; B.3mf"),
        ("Two blanks", "/Two_blanks.gcode.3mf"),
        ("Two  blanks", "/Two  blanks.gcode.3mf"),
        ("Two  blanks", "/Two blanks.gcode.3mf"),
        ("Behind ", "/Behind .gcode.3mf"),
        ("Behind ", "/Behind.gcode.3mf"),
        (" Before", "/Before.3mf"),
        ("Würfel", "/Würfel.gcode.3mf"),
        ("Würfel", "/Wu\u{308}rfel.gcode.3mf"),
        ("Wu\u{308}rfel", "/cache/würfel.3mf"),
        ("► – x", "/► – x.3mf"),
        ("Loud", "/LOUD.GCODE.3MF"),
        ("Doubled", "/Doubled.gcode.3mf.gcode.3mf"),
        ("Doubled.gcode.3mf", "/Doubled.gcode.3mf.gcode.3mf"),
        ("With.3mf", "/With.gcode.3mf"),
        ("Lid (2), left", "/Lid 2 left.3mf"),
        ("v1.5 final.v2", "/v1.5 final.v2.gcode.3mf"),
    ] {
        let card = Card::of(&["/Unlike.3mf", path, "/cache/Unlike too.gcode.3mf"]);
        let told = card.search(x1(title));
        assert_eq!(told.path.as_deref(), Some(path), "{title}: {told:?}");
        assert_eq!(told.at_s, 0, "{title}");
    }
}

#[test]
fn bytes_that_are_no_text_are_asked_for_as_they_are() {
    let mut card = Card::of(&[]);
    card.files.push((b"/caf\xe9 Size_ M.3mf".to_vec(), 7, 0));
    // The printer shows what it cannot decode in the same way as we do.
    let told = card.search(x1("caf\u{fffd} size_ m"));
    assert_eq!(told.path.as_deref(), Some("/caf\u{fffd} Size_ M.3mf"));
}

#[test]
fn other_names_are_not_taken() {
    for (title, path) in [
        ("Part 1.1", "/Part 11.gcode.3mf"),
        ("Part 1", "/Part 10.gcode.3mf"),
        ("Part 1", "/Part.gcode.3mf"),
        ("Gear", "/Gearbox.3mf"),
        ("A very long name of a series, volume 1", "/A very long name of a series, volume 2.3mf"),
        ("A very long name of a series, volume 1", "/A very long name of a s.3mf"),
        ("X", "/X.bbl"),
        ("X", "/X.txt"),
        ("X", "/X"),
        ("X", "/cache/X_plate_1.gcode.bak"),
        ("(+)", "/(-).3mf"),
    ] {
        let told = Card::of(&[path, "/else.3mf"]).search(x1(title));
        assert_eq!((told.path, told.reason), (None, Some(Reason::NotFound)), "{title} {path}");
    }
}

#[test]
fn names_shortened_with_dots_are_taken_only_alone() {
    let title = "Bracket left + Bracket right + Cover + Screws";
    let short = "/Bracket left + Bracket right + ... +....3mf";
    assert_eq!(Card::of(&[short, "/other.3mf"]).found(x1(title)).as_deref(), Some(short));
    assert_eq!(Card::of(&[short]).search(x1(title)).fit, Some(Fit::Shortened));
    // A title can be the shortened one as well, and has to end as the name does.
    let shown = x1("Bracket left + ... + Screws");
    assert_eq!(
        Card::of(&["/Bracket left + Cover + Screws.3mf"]).search(shown.clone()).fit,
        Some(Fit::Shortened)
    );
    assert_eq!(Card::of(&["/Bracket left + Cover + Bolts.3mf"]).found(shown), None);
    // Two fit: neither is taken, and both are named.
    let other = "/cache/Bracket left + Bracket right +....3mf";
    let told = Card::of(&[short, other]).search(x1(title));
    assert_eq!(told.path, None);
    assert_eq!(told.reason, Some(Reason::Ambiguous(vec![short.to_owned(), other.to_owned()])));
    // A second one may be in the part of the listing that did not come.
    assert_eq!(Card { partial: true, ..Card::of(&[short]) }.found(x1(title)), None);
    // Too little is left to go by.
    for short in ["/Bra....3mf", "/....3mf", "/... + Screws.3mf"] {
        assert_eq!(Card::of(&[short]).found(x1(title)), None, "{short}");
    }
    // A better fit beside it wins.
    let whole = "/bracket left + bracket right + cover + screws.3mf";
    assert_eq!(Card::of(&[short, whole]).found(x1(title)).as_deref(), Some(whole));
}

#[test]
fn two_names_that_cannot_be_told_apart_are_both_left() {
    let told = Card::of(&["/size m.3mf", "/SIZE_M.3mf"]).search(x1("Size:  M"));
    assert!(matches!(&told.reason, Some(Reason::Ambiguous(names)) if names.len() == 2), "{told:?}");
    // The same name in two places is no doubt about the name.
    let card = Card::of(&["/cache/SIZE_M.3mf", "/SIZE_M.3mf"]);
    assert_eq!(card.found(x1("Size:  M")).as_deref(), Some("/SIZE_M.3mf"));
}

// Plates.

#[test]
fn the_plate_is_told_by_whoever_knows_best() {
    let card = Card::of(&["/X.gcode.3mf", "/X_plate_4.3mf", "/cache/X.3mf"]);
    let memory = |file| print(Family::X1, "X", file, PrintType::Local);
    assert_eq!(card.search(memory("/data/Metadata/plate_3.gcode")).plate, Some(3));
    assert_eq!(card.search(memory("Metadata/plate_3.gcode")).plate, Some(3));
    assert_eq!(
        card.search(Print { plate: Some(2), ..memory("/data/Metadata/plate_3.gcode") }).plate,
        Some(2)
    );
    let named = print(Family::P1A1, "X", "X_plate_4.3mf", PrintType::Local);
    let told = card.search(named);
    // A name may only look like that, so the archive is not measured by it.
    assert_eq!((told.path.as_deref(), told.plate), (Some("/X_plate_4.3mf"), None));
    let titled = Print { gcode_file: None, ..x1("x: plate 4") };
    assert_eq!(card.search(titled).path.as_deref(), Some("/X_plate_4.3mf"));
    let cloud = print(Family::P1A1, "X", "X.3mf", PrintType::Cloud);
    assert_eq!(card.search(cloud).plate, None);
    assert_eq!(card.search(Print { plate: Some(0), ..memory("/data/Metadata/plate_0.gcode") }).plate, None);
}

#[test]
fn a_title_that_lags_one_plate_behind_is_put_right() {
    for (title, right, wrong) in [
        ("X_plate_1", "/X_plate_2.gcode.3mf", "/X_plate_1.gcode.3mf"),
        ("X - Plate 1", "/X - Plate 2.3mf", "/X - Plate 1.3mf"),
        ("X - Plate 1", "/x_plate_2.3mf", "/x_plate_1.3mf"),
    ] {
        let print = Print { plate: Some(2), ..x1(title) };
        let told = Card::of(&[wrong, right]).search(print.clone());
        assert_eq!((told.path.as_deref(), told.plate, told.at_s), (Some(right), Some(2), 0), "{title}");
        // The archive with all plates is the next best.
        let told = Card::of(&[wrong, "/X.gcode.3mf"]).search(print);
        assert_eq!((told.path.as_deref(), told.plate), (Some("/X.gcode.3mf"), Some(2)), "{title}");
    }
}

#[test]
fn a_name_with_the_plate_says_more_than_one_without() {
    let title = Print { plate: Some(2), ..x1("x - Plate 2") };
    assert_eq!(Card::of(&["/X.3mf", "/X_plate_2.3mf"]).found(title).as_deref(), Some("/X_plate_2.3mf"));
    let bare = Print { plate: Some(2), ..x1("x") };
    assert_eq!(Card::of(&["/X.3mf", "/X_plate_2.3mf"]).found(bare).as_deref(), Some("/X.3mf"));
}

#[test]
fn a_plate_in_a_listed_name_has_to_be_the_prints() {
    let print = Print { plate: Some(2), ..x1("A b") };
    let card = Card::of(&["/a_b_plate_1.3mf", "/a_b_plate_2.3mf", "/a_b_plate_12.3mf"]);
    let told = card.search(print.clone());
    assert_eq!((told.path.as_deref(), told.fit), (Some("/a_b_plate_2.3mf"), Some(Fit::WithPlate)));
    assert_eq!(Card::of(&["/a_b_plate_1.3mf"]).found(print.clone()), None);
    assert_eq!(Card::of(&["/a_b..._plate_1.3mf"]).found(print), None);
    // Not knowing the plate is no reason to take any.
    let unknown = Print { gcode_file: None, ..x1("A b") };
    assert_eq!(card.found(unknown), None);
    // What the cloud leaves behind on some printers, and only the right plate of it.
    let cloud = Print { plate: Some(1), ..print_of_cloud("X") };
    let card =
        Card::of(&["/cache/X_plate_2.gcode", "/cache/X_plate_1.gcode", "/cache/X.bbl", "/image/7.png"]);
    assert_eq!(card.found(cloud).as_deref(), Some("/cache/X_plate_1.gcode"));
}

fn print_of_cloud(title: &str) -> Print {
    print(Family::P1A1, title, &format!("{title}.3mf"), PrintType::Cloud)
}

#[test]
fn a_title_that_only_looks_like_a_plate_is_believed_in_the_end() {
    // Something for a car, and the only plate of its project.
    let told = Card::of(&["/License_plate_2.gcode.3mf"]).search(x1("License_plate_2"));
    assert_eq!((told.path.as_deref(), told.plate), (Some("/License_plate_2.gcode.3mf"), Some(1)));
    assert_eq!(told.at_s, 90, "after the names that would be right have been missing for long");
    for (title, path) in
        [("plate_2", "/plate_2.3mf"), ("Template2", "/Template2.3mf"), ("Plates", "/Plates.3mf")]
    {
        assert_eq!(Card::of(&[path]).search(x1(title)).at_s, 0, "{title}");
        assert_eq!(Card::of(&[path]).found(x1(title)).as_deref(), Some(path));
    }
}

#[test]
fn a_file_that_proves_wrong_makes_room_for_the_next() {
    // An older file of the same name in the likelier folder; a project that is not sliced beside the sliced one.
    let card = Card {
        wrong: vec!["/X.gcode.3mf", "/X.3mf"],
        ..Card::of(&["/X.gcode.3mf", "/X.3mf", "/cache/X.3mf"])
    };
    let told = card.search(x1("X"));
    assert_eq!((told.path.as_deref(), told.sessions), (Some("/cache/X.3mf"), 1));
    let card = Card { wrong: vec!["/x y.3mf"], ..Card::of(&["/x y.3mf", "/cache/x y.3mf"]) };
    assert_eq!(card.found(x1("X: Y")).as_deref(), Some("/cache/x y.3mf"));
    // The wrong one is not fetched again, until it is another file of that name.
    let mut card = Card { wrong: vec!["/X.3mf"], ..Card::of(&["/X.3mf"]) };
    let told = card.search(x1("X"));
    assert_eq!((told.path, told.reason), (None, Some(Reason::NotFound)));
    card.wrong.clear();
    assert_eq!(card.found(x1("X")).as_deref(), Some("/X.3mf"));
}

#[test]
fn the_newest_file_is_never_the_answer() {
    let mut card = Card::of(&["/old.3mf"]);
    card.files.push((b"/just written.3mf".to_vec(), 5, 3));
    assert_eq!(card.found(x1("X")), None);
    assert_eq!(card.found(Print { title: None, ..x1("X") }), None);
}

// When.

#[test]
fn a_file_that_comes_late_is_found_in_the_next_round() {
    for (from, found) in [(0, 0), (5, 10), (20, 30), (31, 90), (91, 300), (301, 7205)] {
        let card = Card { files: vec![(b"/cache/X.3mf".to_vec(), 1000, from)], ..Card::default() };
        let told = card.search(print(Family::X1, "X", MEMORY, PrintType::Cloud));
        assert_eq!((told.path.as_deref(), told.at_s), (Some("/cache/X.3mf"), found), "{from}");
        assert_eq!(told.before_end.is_some(), found > 300);
    }
    // One that is empty is not written yet.
    let mut card = Card::of(&[]);
    card.files = vec![(b"/cache/X.3mf".to_vec(), 0, 0)];
    assert_eq!(card.found(print_of_cloud("X")), None);
}

#[test]
fn a_print_that_ends_early_gets_its_last_round_at_once() {
    for end in [1, 12, 200] {
        let card = Card { ends_at: Some(end), ..Card::of(&["/other.3mf"]) };
        let told = card.search(x1("X"));
        assert_eq!((told.at_s, told.reason), (end + 5, Some(Reason::NotFound)), "{end}");
    }
}

#[test]
fn a_whole_search_in_vain_is_bounded() {
    let told = Card::of(&["/other.3mf", "/cache/o.3mf", "/model/o.3mf", "/models/o.3mf"]).search(print(
        Family::P1A1,
        "A b - Plate 2.3mf",
        "A b - Plate 2.3mf",
        PrintType::Local,
    ));
    assert_eq!(told.sessions, 6);
    assert!(told.probes <= 6 * PROBES_MAX && told.lists <= 4 * FOLDERS_MAX, "{told:?}");
    assert!(told.tried.len() <= 20 && !told.tried.is_empty());
    assert_eq!(told.at_s, 7205);
}

#[test]
fn folders_that_do_not_exist_are_asked_about_once() {
    let print = print(Family::P1A1, "X.3mf", "X.3mf", PrintType::Local);
    let full = Card::of(&["/o.3mf", "/cache/o.3mf", "/model/o.3mf", "/models/o.3mf"]).search(print.clone());
    let bare = Card::of(&["/o.3mf"]).search(print);
    assert_eq!((full.lists, bare.lists), (16, 4 + 2 + 2 + 4));
    assert!(bare.probes < full.probes, "{} {}", bare.probes, full.probes);
}

#[test]
fn without_sizes_the_listings_have_to_do() {
    let card = Card { no_sizes: true, ..Card::of(&["/cache/X.3mf", "/Y.3mf"]) };
    let told = card.search(x1("X"));
    assert_eq!((told.path.as_deref(), told.probes, told.at_s), (Some("/cache/X.3mf"), 1, 0));
}

#[test]
fn trouble_ends_a_round_or_the_search() {
    let now = START;
    let mut search = Search::new(x1("X"), now);
    assert!(matches!(search.step(Input::Tick, now), Action::Probe(_)));
    let passing = Trouble::Passing("the printer is busy".to_owned());
    let later = START.after(Duration::from_secs(10));
    assert_eq!(search.step(Input::Trouble(&passing), now), Action::Wait(later));
    assert_eq!(search.step(Input::Tick, now), Action::Wait(later));
    // A round that took long does not make the next one follow at its heels.
    assert!(matches!(search.step(Input::Tick, later), Action::Probe(_)));
    let late = START.after(Duration::from_secs(29));
    assert_eq!(
        search.step(Input::Trouble(&passing), late),
        Action::Wait(START.after(Duration::from_secs(34)))
    );
    // Refused to the end of the plan: asked again after the print.
    let mut now = late;
    let failure = loop {
        match search.step(Input::Tick, now) {
            Action::Wait(due) => now = due,
            Action::Probe(_) => drop(search.step(Input::Trouble(&passing), now)),
            Action::WaitForEnd(failure) => break failure,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure.reason, Reason::Unasked(passing));
    let due = now.after(Duration::from_secs(5));
    assert_eq!(search.step(Input::Ended, now), Action::Wait(due));
    assert!(matches!(search.step(Input::Tick, due), Action::Probe(_)));
    let lasting = Trouble::Lasting("the access code is wrong".to_owned());
    let Action::GiveUp(failure) = search.step(Input::Trouble(&lasting), due) else { panic!() };
    assert_eq!(failure.reason, Reason::Unasked(lasting));
    assert!(matches!(search.step(Input::Ended, due), Action::GiveUp(_)));
}

#[test]
fn news_about_the_print_bring_the_next_round_forward() {
    let now = START;
    let echo = Print { title: Some("Size: M".to_owned()), family: Family::P1A1, ..Print::default() };
    let mut search = Search::new(echo.clone(), now);
    let mut action = search.step(Input::Tick, now);
    let empty = Listing { complete: true, ..Listing::default() };
    let wait = loop {
        action = match action {
            Action::Probe(_) => search.step(Input::Size(None), now),
            Action::List(_) => search.step(Input::Listed(Some(&empty)), now),
            Action::Wait(due) => break due,
            other => panic!("{other:?}"),
        };
    };
    assert_eq!(wait, START.after(Duration::from_secs(10)));
    search.learn(echo.clone(), now);
    assert_eq!(search.step(Input::Tick, now), Action::Wait(wait), "nothing new");
    let now = START.after(Duration::from_secs(3));
    let known = Print { gcode_file: Some("Other.3mf".to_owned()), print_type: PrintType::Cloud, ..echo };
    search.learn(known, now);
    let soon = now.after(Duration::from_secs(1));
    assert_eq!(search.step(Input::Tick, now), Action::Wait(soon));
    assert_eq!(search.step(Input::Tick, soon), Action::Probe("/cache/Other.3mf".to_owned()));
    // A printer that changes its mind for ever does not get a round each time.
    let mut rounds = 0;
    let mut now = soon;
    for number in 0..100 {
        let title = Some(format!("Number {number}"));
        search.learn(Print { title, ..Print::default() }, now);
        now = now.after(Duration::from_secs(2));
        let mut action = search.step(Input::Tick, now);
        rounds += usize::from(matches!(action, Action::Probe(_)));
        while let Action::Probe(_) | Action::List(_) = action {
            let input =
                if matches!(action, Action::Probe(_)) { Input::Size(None) } else { Input::Listed(None) };
            action = search.step(input, now);
        }
    }
    assert!(rounds < 20, "{rounds}");
}

#[test]
fn inputs_out_of_turn_change_nothing() {
    let now = START;
    let listing = Listing::default();
    let trouble = Trouble::Passing(String::new());
    let mut search = Search::new(x1("X"), now);
    let first = search.step(Input::Listed(Some(&listing)), now);
    assert!(matches!(&first, Action::Probe(path) if path == "/X.gcode.3mf"));
    for input in [Input::Tick, Input::Listed(None), Input::Rejected] {
        assert_eq!(search.step(input, now), first);
    }
    let Action::Take(found) = search.step(Input::Size(Some(5)), now) else { panic!() };
    for input in [Input::Tick, Input::Size(None), Input::Listed(None), Input::NoSizes] {
        assert_eq!(search.step(input, now), Action::Take(found.clone()));
    }
    let mut waiting = Search::new(Print::default(), now);
    let Action::Wait(due) = waiting.step(Input::Tick, now) else { panic!() };
    for input in [Input::Size(Some(1)), Input::Rejected, Input::NoSizes, Input::Trouble(&trouble)] {
        let _ = waiting.step(input, now);
    }
    assert_eq!(waiting.step(Input::Tick, now), Action::Wait(due));
}

#[test]
fn strange_texts_are_survived() {
    for text in [
        "....",
        "....3mf",
        ".3mf",
        "..",
        "/",
        "\0\r\n",
        "_plate_",
        "plate 999999999",
        "…",
        "%%%",
        &"ü".repeat(5000),
    ] {
        for file in [text, MEMORY, ""] {
            let print = Print {
                url: Url::Ftp(text.to_owned()),
                ..print(Family::P1A1, text, file, PrintType::Unknown)
            };
            let told = Card::of(&["/....3mf", "/_.3mf", "/….3mf"]).search(print);
            assert!(told.probes <= 6 * PROBES_MAX);
            for path in &told.tried {
                assert!(!path.contains(['\r', '\n', '\0']) && path.chars().count() < 600, "{path:?}");
            }
        }
    }
}
