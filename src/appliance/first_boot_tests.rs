//! First starts in made directories.

use super::*;

/// Stands for `mount`, and may refuse.
#[derive(Default)]
struct Mounts {
    asked: Vec<String>,
    refuse: bool,
}

impl Runner for Mounts {
    fn run(&mut self, program: &str, words: &[&str]) -> io::Result<(Option<i32>, String)> {
        self.asked.push(format!("{program} {}", words.get(1).copied().unwrap_or_default()));
        Ok((Some(i32::from(self.refuse)), String::new()))
    }
}

struct Card {
    _dir: tempfile::TempDir,
    places: Places,
    mounts: Mounts,
}

impl Card {
    fn new(name: &str, text: &str) -> Card {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for directory in ["boot", "data"] {
            fs::create_dir(path(directory)).unwrap();
        }
        let places = Places {
            boot: path("boot"),
            data: path("data"),
            notices: path("notices"),
            remount: true,
            lasts: true,
        };
        // What the board has started from.
        fs::File::create(path("boot/config.txt")).unwrap();
        let card = Card { _dir: dir, places, mounts: Mounts::default() };
        if !name.is_empty() {
            write_atomic(&card.places.boot.join(name), text.as_bytes()).unwrap();
        }
        card
    }

    fn start(&mut self) -> Result<(), Error> {
        self.mounts.asked.clear();
        // The host name of the machine that runs the tests stays as it is: it is set by the command alone.
        take_settings(&self.places.clone(), &mut self.mounts)
    }

    fn put(&self, name: &str, text: &str) {
        write_atomic(&self.places.boot.join(name), text.as_bytes()).unwrap();
    }

    fn boot(&self, name: &str) -> String {
        fs::read_to_string(self.places.boot.join(name)).unwrap_or_default()
    }

    fn data(&self, name: &str) -> String {
        fs::read_to_string(self.places.data.join(name)).unwrap_or_default()
    }

    fn said(&self) -> Vec<String> {
        board::notices_in(&self.places.notices)
    }
}

const TEXT: &str = "[wifi]\r\nssid = Home\r\npassword = correct horse\r\n\r\n[web]\r\nname = \"attic\"\r\npassword = \"a long sentence\"\r\n";

#[test]
fn settings_go_to_the_data_partition_and_secrets_leave_the_boot_partition() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.start().unwrap();
    assert_eq!(card.mounts.asked, ["mount remount,rw", "mount remount,ro"]);
    assert!(card.data("system/wpa_supplicant.conf").contains("psk=\"correct horse\""));
    assert!(card.data("config/printernizer.toml").contains("a long sentence"));
    assert_eq!(card.data("system/host-name"), "attic");
    let left = card.boot("printernizer.toml");
    assert!(!left.contains("correct") && !left.contains("sentence") && left.len() == TEXT.len(), "{left}");
    let result = card.boot("RESULT.TXT");
    assert!(
        result.contains("Everything was understood.\r\n") && result.contains("Wi-Fi \"Home\""),
        "{result}"
    );
    assert!(!result.contains("horse"));
    assert!(card.said().is_empty());
    use std::os::unix::fs::PermissionsExt as _;
    for (file, mode) in [
        ("config/printernizer.toml", 0o640),
        ("system/wpa_supplicant.conf", 0o600),
        ("system/boot-file.toml", 0o600),
    ] {
        assert_eq!(
            fs::metadata(card.places.data.join(file)).unwrap().permissions().mode() & 0o777,
            mode,
            "{file}"
        );
    }
    // The next start writes nothing.
    card.start().unwrap();
    assert!(card.mounts.asked.is_empty());
    // A changed file is taken, with the secrets that stars stand for.
    write_atomic(
        &card.places.boot.join("printernizer.toml"),
        left.replace("\"attic\"", "\"cellar\"").as_bytes(),
    )
    .unwrap();
    card.start().unwrap();
    assert_eq!(card.data("system/host-name"), "cellar");
    assert!(card.data("system/wpa_supplicant.conf").contains("psk=\"correct horse\""));
    // A section that is gone is gone.
    write_atomic(&card.places.boot.join("printernizer.toml"), b"[time]\nzone = UTC\n").unwrap();
    card.start().unwrap();
    assert!(!card.places.data.join("system/wpa_supplicant.conf").exists());
    assert!(!card.places.data.join("system/host-name").exists());
}

#[test]
fn mistakes_are_told_on_the_card_and_on_the_page_at_every_start() {
    let mut card = Card::new("PRINTERNIZER.TOML.txt", "[wifi]\nssid = Home\npassword = short\n");
    for _ in 0..2 {
        card.start().unwrap();
        assert!(
            card.said()[0].contains("Line 3: password: a Wi-Fi password has 8 to 63"),
            "{:?}",
            card.said()
        );
        fs::remove_dir_all(&card.places.notices).unwrap();
    }
    let result = card.boot("RESULT.TXT");
    assert!(result.contains("- Line 3: password") && result.contains("still stand in the file"), "{result}");
    assert!(!card.places.data.join("system/wpa_supplicant.conf").exists());
    // What was right before stays when the file becomes wrong.
    write_atomic(&card.places.boot.join("PRINTERNIZER.TOML.txt"), TEXT.as_bytes()).unwrap();
    card.start().unwrap();
    write_atomic(&card.places.boot.join("PRINTERNIZER.TOML.txt"), &TEXT.replace("Home", "").into_bytes())
        .unwrap();
    card.start().unwrap();
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
}

#[test]
fn files_that_are_no_text_are_told_and_nothing_is_touched() {
    for (bytes, word) in [
        (b"\xff\xfe[\0w\0".to_vec(), "UTF-16"),
        (b"[wifi]\nssid = \"B\xfcro\"\n".to_vec(), "Line 2: a letter is not UTF-8"),
        (vec![b'#'; 70_000], "larger than 64 KiB"),
        (b"[a]\n".repeat(1001), "more than 1000 lines"),
    ] {
        let mut card = Card::new("", "");
        write_atomic(&card.places.boot.join("printernizer.toml"), &bytes).unwrap();
        card.start().unwrap();
        assert!(card.said()[0].contains(word), "{:?}", card.said());
        assert_eq!(fs::read(card.places.boot.join("printernizer.toml")).unwrap(), bytes);
        assert_eq!(card.data("config/printernizer.toml"), NO_SETTINGS);
    }
}

#[test]
fn without_a_file_the_service_has_settings_to_read() {
    let mut card = Card::new("", "");
    card.start().unwrap();
    assert_eq!(card.data("config/printernizer.toml"), NO_SETTINGS);
    assert!(card.mounts.asked.is_empty() && card.said().is_empty());
    // Nor does a directory of that name matter.
    fs::create_dir(card.places.boot.join("printernizer.toml")).unwrap();
    card.start().unwrap();
}

#[test]
fn a_cut_after_any_step_is_made_good_by_the_next_start() {
    let mut whole = Card::new("printernizer.toml", TEXT);
    whole.start().unwrap();
    // Cut after the settings were stored: the file is as it was.
    let mut card = Card::new("printernizer.toml", TEXT);
    prepare(&card.places).unwrap();
    store(&card.places, &check(TEXT, "")).unwrap();
    card.start().unwrap();
    assert_eq!(card.boot("printernizer.toml"), whole.boot("printernizer.toml"));
    // Cut while secrets were overwritten: one is stars, the other is not.
    let mut card = Card::new("printernizer.toml", TEXT);
    prepare(&card.places).unwrap();
    store(&card.places, &check(TEXT, "")).unwrap();
    let half = whole.boot("printernizer.toml").replace("\"***\"            \r\n", "\"a long sentence\"\r\n");
    assert!(half.contains("a long sentence") && half.contains("***"), "{half}");
    write_atomic(&card.places.boot.join("printernizer.toml"), half.as_bytes()).unwrap();
    card.start().unwrap();
    assert_eq!(card.boot("printernizer.toml"), whole.boot("printernizer.toml"));
    assert_eq!(card.data("config/printernizer.toml"), whole.data("config/printernizer.toml"));
    assert!(card.said().is_empty(), "{:?}", card.said());
    // Cut before the hash was noted: done again, with nothing to erase.
    fs::remove_file(card.places.data.join("system/boot-file.sha256")).unwrap();
    card.start().unwrap();
    assert_eq!(card.data("system/wpa_supplicant.conf"), whole.data("system/wpa_supplicant.conf"));
}

#[test]
fn a_boot_partition_that_cannot_be_written_is_told_and_tried_again() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.mounts.refuse = true;
    assert!(card.start().is_err());
    // The settings are there all the same, and the next start tries again.
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    assert!(card.boot("printernizer.toml").contains("correct horse"));
    card.mounts.refuse = false;
    card.start().unwrap();
    assert!(!card.boot("printernizer.toml").contains("correct horse"));
}

#[test]
fn wishes_on_the_boot_partition_are_handed_to_the_service() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.start().unwrap();
    let wish = |card: &Card, name: &str| {
        fs::File::create(card.places.boot.join(name)).unwrap();
    };
    wish(&card, "Reset-Password.TXT");
    card.start().unwrap();
    assert!(card.places.data.join("printernizer/reset-password").exists());
    assert!(!card.places.boot.join("Reset-Password.TXT").exists());
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    // Everything is forgotten, before the service starts and for as long as the service has not done its part.
    wish(&card, "factory-reset");
    card.start().unwrap();
    assert!(card.places.data.join("printernizer/factory-reset").exists());
    assert!(!card.places.boot.join("factory-reset").exists());
    for file in ["system/wpa_supplicant.conf", "system/host-name"] {
        assert!(!card.places.data.join(file).exists(), "{file}");
    }
    assert!(!card.data("config/printernizer.toml").contains("a long sentence"));
    assert!(card.said()[0].contains("none is kept"), "{:?}", card.said());
    // A card that cannot be written keeps its wish; nothing is done twice.
    wish(&card, "reset-password");
    fs::remove_file(card.places.data.join("printernizer/reset-password")).unwrap();
    card.mounts.refuse = true;
    let _ = card.start();
    assert!(!card.places.data.join("printernizer/reset-password").exists());
    assert!(card.places.boot.join("reset-password").exists());
}

#[test]
fn a_cut_while_the_free_room_is_overwritten_leaves_nothing_behind() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.start().unwrap();
    // The secrets are stars, and the filling has taken all room.
    card.put("FILLING.TMP", "zeros");
    fs::remove_file(card.places.data.join("system/boot-file.sha256")).unwrap();
    card.start().unwrap();
    assert!(!card.places.boot.join("FILLING.TMP").exists());
    // Nor does one stay that came back after everything was noted.
    card.put("FILLING.TMP", "zeros");
    card.start().unwrap();
    assert!(!card.places.boot.join("FILLING.TMP").exists());
    card.start().unwrap();
    assert!(card.mounts.asked.is_empty() && card.said().is_empty());
}

#[test]
fn of_two_files_the_one_that_says_something_counts() {
    // Saved by an editor that adds to the name, beside the template.
    let mut card = Card::new("printernizer.toml", "# a comment\r\n\r\n#! [wifi]\r\n");
    card.put("printernizer.toml.txt", TEXT);
    card.start().unwrap();
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    assert!(!card.boot("printernizer.toml.txt").contains("correct horse"));
    assert!(card.said().is_empty(), "{:?}", card.said());
    // Both say something: the right name counts, and the other is told, at each start.
    card.put("printernizer.toml", "[web]\nname = cellar\n");
    for _ in 0..2 {
        card.start().unwrap();
        assert_eq!(card.data("system/host-name"), "cellar");
        assert!(card.said()[0].contains("printernizer.toml.txt lies beside it"), "{:?}", card.said());
    }
    fs::remove_file(card.places.boot.join("printernizer.toml.txt")).unwrap();
    card.start().unwrap();
    assert!(card.said().is_empty(), "{:?}", card.said());
    // So is a copy that an editor left; what macOS adds to every file is none.
    card.put("printernizer.toml~", TEXT);
    card.put("._printernizer.toml", "\u{0}\u{5}\u{16}\u{7}");
    card.start().unwrap();
    assert_eq!(card.said().len(), 1);
    assert!(
        card.said()[0].contains("printernizer.toml~ lies beside it") && !card.said()[0].contains("._"),
        "{:?}",
        card.said()
    );
}

#[test]
fn a_mistake_takes_nothing_away_and_stars_are_remembered() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.start().unwrap();
    let left = card.boot("printernizer.toml");
    card.put(
        "printernizer.toml",
        &left.replace("\"attic\"", "\"no name\"").replace("[web]", "country = x\r\n[web]"),
    );
    card.start().unwrap();
    assert_eq!(card.said().len(), 1);
    assert!(card.data("config/printernizer.toml").contains("a long sentence"));
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    card.put("printernizer.toml", &left.replace("\"attic\"", "\"cellar\""));
    card.start().unwrap();
    assert!(card.said().is_empty(), "{:?}", card.said());
    assert_eq!(card.data("system/host-name"), "cellar");
    assert!(card.data("config/printernizer.toml").contains("a long sentence"));
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
}

#[test]
fn what_was_lost_from_the_data_partition_is_taken_anew() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.start().unwrap();
    for file in ["config/printernizer.toml", "system/wpa_supplicant.conf"] {
        fs::remove_file(card.places.data.join(file)).unwrap();
        card.start().unwrap();
    }
    assert!(card.data("config/printernizer.toml").contains("a long sentence"));
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    assert!(card.said().is_empty(), "{:?}", card.said());
}

#[test]
fn secrets_stay_in_the_file_where_the_data_partition_is_memory() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.places.lasts = false;
    card.start().unwrap();
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    assert_eq!(card.boot("printernizer.toml"), TEXT);
    assert!(!card.boot("RESULT.TXT").contains("stars"));
}

#[test]
fn what_cannot_be_done_is_told_and_the_board_has_its_name() {
    let mut card = Card::new("printernizer.toml", TEXT);
    card.mounts.refuse = true;
    let names = std::cell::RefCell::new(Vec::new());
    let set = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        Ok(())
    };
    let places = card.places.clone();
    assert!(start(&places, &mut card.mounts, &set).is_err());
    assert_eq!(*names.borrow(), ["attic"]);
    assert!(
        card.said()[0].contains("secrets in printernizer.toml cannot be overwritten"),
        "{:?}",
        card.said()
    );
    // A boot partition that cannot be mounted is an empty directory.
    fs::remove_dir_all(&places.boot).unwrap();
    fs::create_dir(&places.boot).unwrap();
    assert!(start(&places, &mut card.mounts, &set).is_err());
    assert_eq!(*names.borrow(), ["attic", "attic"]);
    assert!(card.said()[0].contains("boot partition cannot be read"), "{:?}", card.said());
}

#[test]
fn a_wish_that_cannot_be_handed_on_keeps_no_settings_back() {
    let mut card = Card::new("printernizer.toml", TEXT);
    fs::File::create(card.places.boot.join("reset-password")).unwrap();
    // A file where the service's directory should be.
    fs::File::create(card.places.data.join("printernizer")).unwrap();
    assert!(card.start().is_err());
    assert!(card.data("system/wpa_supplicant.conf").contains("correct horse"));
    assert_eq!(card.mounts.asked.last().unwrap(), "mount remount,ro");
    assert_eq!(card.mounts.asked.len(), 4);
}
