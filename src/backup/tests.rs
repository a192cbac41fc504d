//! Backups of real stores: made, damaged, cut, carried over, and crashed at every step.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use embedded_svc::storage::RawStorage as _;
use sha2::{Digest as _, Sha256};

use super::frame::{Section, Writer};
use super::make::{Blob, row_into};
use super::place::switch_with;
use super::stage::receive_with;
use super::*;
use crate::base::clock::{Clock, RELEASE_FLOOR};
use crate::base::secret::Secret;
use crate::events::{Event, PrinterRef};
use crate::model::{Checksum, Printer, PrinterId};
use crate::store::tests::{printer as plain_printer, scratch};
use crate::store::{JOB_JUMP, OpenedStore, Read as _, Row, SEQ_JUMP, Snapshot, Store, StoreOptions, Table};

const CODE: &str = "code-of-the-printer-77";
const HASH: &[u8] = b"hash-of-the-password-88";
const PHRASE: &str = "a sentence that nobody guesses";

fn open(dir: &Path) -> OpenedStore {
    Store::open(StoreOptions::new(dir, Clock::manual(RELEASE_FLOOR), Arc::new(|_| {}))).unwrap()
}

fn close(opened: OpenedStore) {
    let OpenedStore { store, thread, .. } = opened;
    drop(store);
    smol::block_on(thread.close(Duration::from_secs(5))).unwrap();
}

fn secret_printer() -> Printer {
    let mut one = plain_printer(PrinterId(1));
    one.connection.access_code = Some(Secret::new(CODE));
    one.connection.serial = Some("01P00A1".into());
    one
}

/// The bytes of some files, by their number.
fn content(number: u8) -> Vec<u8> {
    (0..60_000_u32).map(|at| u8::try_from(at % 251).unwrap() ^ number).collect()
}

fn name_of(bytes: &[u8]) -> String {
    let digits = Checksum(Sha256::digest(bytes).into()).to_string();
    format!("files/{}/{digits}.gcode.3mf", &digits[..2])
}

fn picture_name(bytes: &[u8]) -> String {
    let digits = Checksum(Sha256::digest(bytes).into()).to_string();
    format!("thumbs/{}/{digits}-2-l.png", &digits[..2])
}

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::base::file::write_atomic(&path, bytes).unwrap();
}

/// A data directory with a printer, settings, some events, three files and their pictures.
fn filled(dir: &Path) {
    let opened = open(dir);
    opened
        .store
        .write_blocking(|txn| {
            let printer = secret_printer();
            assert_eq!(txn.next_printer_id(), printer.id);
            txn.put_printer(&printer)?;
            txn.settings().set_raw("settings", b"{\"plain\":1}")?;
            txn.settings().set_raw("guard.password", HASH)?;
            for _ in 0..5 {
                txn.emit(Event::PrinterAdded(PrinterRef::of(&printer)), None, None);
            }
            Ok::<(), StoreError>(())
        })
        .unwrap();
    close(opened);
    for number in 0..3 {
        let bytes = content(number);
        put(dir, &name_of(&bytes), &bytes);
        put(dir, &picture_name(&bytes), b"not really a PNG");
    }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn make(dir: &Path, choice: Choice, phrase: Option<&str>) -> (Vec<u8>, Made) {
    let mut snapshot = Snapshot::of_directory(dir).unwrap();
    let (mut out, phrase) = (Vec::new(), phrase.map(passphrase));
    let made = write(&mut snapshot, dir, choice, phrase.as_ref(), RELEASE_FLOOR, &mut out).unwrap();
    assert_eq!(made.bytes, u64::try_from(out.len()).unwrap());
    (out, made)
}

const ALL: Choice = Choice { files: true, pictures: true };

fn with_phrase(text: &str) -> Wishes {
    Wishes { passphrase: Some(passphrase(text)), ..Wishes::default() }
}

fn take(dir: &Path, bytes: &[u8], wishes: &Wishes) -> Result<Received, BackupError> {
    receive(dir, &mut &bytes[..], wishes)
}

/// What a data directory says to who opens it: printers, settings, newest seq, next job number.
fn look(dir: &Path) -> (Vec<Printer>, Vec<Option<Vec<u8>>>, u64) {
    let opened = open(dir);
    let seen = opened
        .store
        .read_blocking(|view| {
            let settings = ["settings", "guard.password"].map(|name| view.setting(name));
            let settings = settings.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok::<_, StoreError>((view.printers()?, settings, view.newest_seq()?))
        })
        .unwrap();
    close(opened);
    seen
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_new_card_goes_on_where_the_old_one_was() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    let (bytes, made) = make(old.path(), ALL, Some(PHRASE));
    assert_eq!((made.files, made.pictures, made.left_out, made.secrets), (3, 3, 0, true));
    let received = take(new.path(), &bytes, &with_phrase(PHRASE)).unwrap();
    assert!(received.secrets && progress(new.path()).unwrap().ready);
    assert_eq!(switch(new.path()).unwrap().map(|manifest| manifest.id), Some(received.manifest.id));
    assert!(!new.path().join(RESTORE_DIR).exists());
    assert_eq!(switch(new.path()).unwrap(), None, "once");
    let (before, after) = (look(old.path()), look(new.path()));
    assert_eq!(after.0, before.0);
    assert_eq!(after.0[0].connection.access_code, Some(Secret::new(CODE)));
    assert_eq!(after.1, [Some(b"{\"plain\":1}".to_vec()), Some(HASH.to_vec())]);
    // Numbers go on, ahead of what the old card may have announced after the backup.
    assert_eq!(after.2, before.2 + SEQ_JUMP);
    let opened = open(new.path());
    let job = opened.store.write_blocking(|txn| Ok::<_, StoreError>(txn.next_job_id())).unwrap();
    assert!(job.0 > JOB_JUMP);
    close(opened);
    for number in 0..3 {
        let bytes = content(number);
        assert_eq!(fs::read(new.path().join(name_of(&bytes))).unwrap(), bytes);
        assert!(new.path().join(picture_name(&bytes)).exists());
    }
}

#[test]
fn a_restore_replaces_what_was_there_and_keeps_it_beside() {
    let (old, other) = (scratch(), scratch());
    filled(old.path());
    filled(other.path());
    let opened = open(other.path());
    opened.store.write_blocking(|txn| txn.delete_printer(PrinterId(1))).unwrap();
    let _ = smol::block_on(opened.store.backup());
    close(opened);
    let mine = content(9);
    put(other.path(), &name_of(&mine), &mine);
    let (bytes, made) = make(old.path(), Choice::default(), None);
    assert_eq!((made.files, made.pictures, made.secrets), (0, 0, false));
    take(other.path(), &bytes, &Wishes::default()).unwrap();
    assert!(look(other.path()).0.is_empty(), "nothing has changed before the switch");
    switch(other.path()).unwrap().unwrap();
    assert!(!other.path().join("backup/records.redb").exists(), "an old copy must not come back");
    assert!(other.path().join("printernizer.redb.replaced").exists());
    let (printers, settings, _) = look(other.path());
    assert_eq!((printers.len(), &printers[0].connection.access_code), (1, &None));
    assert_eq!(settings[1], None);
    assert!(other.path().join(name_of(&mine)).exists());
}

#[test]
fn secrets_are_in_no_backup_in_clear() {
    let old = scratch();
    filled(old.path());
    for phrase in [None, Some(PHRASE)] {
        let (bytes, _) = make(old.path(), ALL, phrase);
        for secret in [CODE.as_bytes(), HASH, PHRASE.as_bytes()] {
            assert!(!holds(&bytes, secret), "{phrase:?}");
        }
        assert!(holds(&bytes, b"01P00A1"), "what is no secret is there");
    }
    let main = fs::read(old.path().join("printernizer.redb")).unwrap();
    assert!(holds(&main, CODE.as_bytes()) && holds(&main, HASH), "the test knows what it looks for");
}

#[test]
fn the_passphrase_decides() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    let (bytes, _) = make(old.path(), Choice::default(), Some(PHRASE));
    let (again, _) = make(old.path(), Choice::default(), Some(PHRASE));
    assert_ne!(bytes, again, "another salt, another number");
    assert!(matches!(take(new.path(), &bytes, &Wishes::default()), Err(BackupError::PassphraseNeeded)));
    let wrong = take(new.path(), &bytes, &with_phrase("another sentence"));
    assert!(matches!(wrong, Err(BackupError::WrongPassphrase)));
    assert_eq!(progress(new.path()), None);
    let without = Wishes { without_secrets: true, ..Wishes::default() };
    assert!(!take(new.path(), &bytes, &without).unwrap().secrets);
    switch(new.path()).unwrap().unwrap();
    assert_eq!(look(new.path()).0[0].connection.access_code, None);
    for bad in ["short", &"x".repeat(300)] {
        assert!(matches!(Passphrase::new(bad), Err(BackupError::BadPassphrase)));
    }
    assert_eq!(format!("{:?}", passphrase(PHRASE)), "Passphrase");
}

#[test]
fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    let (bytes, _) = make(old.path(), ALL, None);
    let refuse = |bytes: &[u8]| match take(new.path(), bytes, &Wishes::default()) {
        Err(error) => error,
        Ok(_) => panic!("taken"),
    };
    assert!(matches!(refuse(b""), BackupError::Foreign));
    assert!(matches!(refuse(b"PK\x03\x04 an archive"), BackupError::Foreign));
    let mut newer = bytes.clone();
    newer[14] = 2;
    assert!(matches!(refuse(&newer), BackupError::Newer));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(refuse(&longer), BackupError::Damaged(_)));
    // Every byte near frames, and a sample of the rest.
    let mut random = fastrand::Rng::with_seed(5);
    let sample: Vec<usize> = (0..300).map(|_| random.usize(..bytes.len())).collect();
    let places = (0..600).chain(sample).chain(bytes.len() - 100..bytes.len());
    for at in places {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << random.u8(..8);
        let error = refuse(&damaged);
        assert!(!matches!(error, BackupError::Io(_) | BackupError::Store(_)), "byte {at}: {error:?}");
        assert!(progress(new.path()).is_none_or(|progress| !progress.ready), "byte {at}");
    }
    for cut in (0..bytes.len()).step_by(997).chain(bytes.len() - 80..bytes.len()) {
        let error = refuse(&bytes[..cut]);
        assert!(matches!(error, BackupError::Cut | BackupError::Foreign), "cut at {cut}: {error:?}");
    }
    assert_eq!(switch(new.path()).unwrap(), None);
    assert!(look(new.path()).0.is_empty());
}

/// A backup with these sections, whole by its hashes.
fn made_up(sections: &[(Section, &str, Vec<u8>)]) -> Vec<u8> {
    let manifest = Manifest {
        id: "0".repeat(32),
        version: "9".into(),
        created_at: RELEASE_FLOOR.to_string(),
        seq: 1,
        holds: ALL,
        secrets: None,
    };
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, &manifest.to_bytes()).unwrap();
    for (section, name, bytes) in sections {
        writer.section(*section, name).unwrap();
        writer.data(bytes).unwrap();
        writer.end_section().unwrap();
    }
    writer.finish().unwrap();
    out
}

fn row(table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    row_into(&mut out, &Row { table, key: key.to_vec(), value: value.to_vec() });
    out
}

#[test]
fn a_made_up_backup_writes_nowhere_else() {
    let dir = scratch();
    let refuse = |sections: &[(Section, &str, Vec<u8>)]| {
        take(dir.path(), &made_up(sections), &Wishes::default()).map(drop).unwrap_err()
    };
    let records = (Section::Records, "", row(Table::Settings, b"x", b"y"));
    let file = |name: &'static str| (Section::Blob, name, b"bytes".to_vec());
    for name in ["../../etc/passwd", "/etc/passwd", "files/../../x", "run-state", "files/aa/short"] {
        assert!(matches!(refuse(&[records.clone(), file(name)]), BackupError::Damaged(_)), "{name}");
    }
    let wrong = Box::leak(format!("files/ab/ab{}.gcode", "0".repeat(62)).into_boxed_str());
    assert!(matches!(refuse(&[records.clone(), file(wrong)]), BackupError::Damaged(_)), "not its hash");
    assert!(matches!(refuse(&[]), BackupError::Damaged(_)), "no records");
    assert!(matches!(refuse(&[file("files/x")]), BackupError::Damaged(_)), "files first");
    assert!(matches!(refuse(&[records.clone(), records.clone()]), BackupError::Damaged(_)), "records twice");
    let newer = row(Table::Printers, &1_u64.to_be_bytes(), &[200, 1, 2, 3]);
    assert!(matches!(refuse(&[(Section::Records, "", newer)]), BackupError::Newer));
    let rubbish = row(Table::Printers, &1_u64.to_be_bytes(), &[1, 2, 3]);
    assert!(matches!(refuse(&[(Section::Records, "", rubbish)]), BackupError::Damaged(_)));
    let format = row(Table::Meta, b"format", &99_u64.to_be_bytes());
    assert!(matches!(refuse(&[(Section::Records, "", format)]), BackupError::Newer));
    let journal = row(Table::Journal, &1_u64.to_be_bytes(), b"\x01{}");
    assert!(matches!(refuse(&[(Section::Records, "", journal)]), BackupError::Damaged(_)));
    let mut unknown = records.2.clone();
    unknown[1..9].copy_from_slice(b"elsewhat");
    assert!(matches!(refuse(&[(Section::Records, "", unknown)]), BackupError::Newer));
    assert!(matches!(refuse(&[(Section::Records, "", vec![3, 1])]), BackupError::Damaged(_)));
    let left: Vec<_> =
        fs::read_dir(dir.path().join(RESTORE_DIR)).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
    let _ = take(dir.path(), &made_up(&[records]), &Wishes::default()).unwrap();
}

#[test]
fn names_of_files_are_those_that_are_given_here() {
    let digits = "0a".repeat(32);
    for good in [
        format!("files/0a/{digits}"),
        format!("files/0a/{digits}.gcode.3mf"),
        format!("files/0a/{digits}.bgcode"),
    ] {
        assert!(matches!(Blob::of(&good), Some(Blob::Content(_))), "{good}");
    }
    assert_eq!(Blob::of(&format!("thumbs/0a/{digits}-0-s.png")), Some(Blob::Picture));
    for bad in [
        format!("files/0b/{digits}"),
        format!("files/0a/{digits}."),
        format!("files/0a/{digits}..x"),
        format!("files/0a/{digits}.x/y"),
        format!("files/0a/{}", digits.to_uppercase()),
        format!("files/part/{digits}"),
        format!("other/0a/{digits}"),
        format!("thumbs/0a/{digits}-0-x.png"),
        format!("thumbs/0a/{digits}-a-s.png"),
        format!("thumbs/0a/{digits}.png.new"),
        "files/0a".to_owned(),
        String::new(),
    ] {
        assert_eq!(Blob::of(&bad), None, "{bad}");
    }
}

/// Brings some bytes and then breaks off, as a line does.
struct Line<'b> {
    bytes: &'b [u8],
    left: usize,
}

impl Read for Line<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.left).min(self.bytes.len()).min(7000);
        into[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        self.left -= length;
        Ok(length)
    }
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    for number in 10..60 {
        let bytes = content(number).repeat(5);
        put(old.path(), &name_of(&bytes), &bytes);
    }
    let (bytes, _) = make(old.path(), ALL, Some(PHRASE));
    let (mut offset, mut sent, mut tries) = (0_u64, 0, 0);
    loop {
        tries += 1;
        let from = usize::try_from(offset).unwrap();
        let allowed = 6_000_000 + tries * 1000;
        sent += allowed.min(bytes.len() - from);
        let mut line = Line { bytes: &bytes[from..], left: allowed };
        match receive(new.path(), &mut line, &Wishes { offset, ..with_phrase(PHRASE) }) {
            Ok(_) => break,
            Err(BackupError::Cut) => offset = progress(new.path()).map_or(0, |progress| progress.offset),
            Err(other) => panic!("{other:?}"),
        }
        assert!(tries < 20, "it does not get on");
    }
    assert!(tries > 2 && sent < 2 * bytes.len(), "{tries} tries, {sent} of {}", bytes.len());
    // Another place than the one where it goes on is told.
    let mut rest = Line { bytes: &bytes[100..], left: 1000 };
    let elsewhere = receive(new.path(), &mut rest, &Wishes { offset: 100, ..with_phrase(PHRASE) });
    assert!(matches!(elsewhere, Err(BackupError::ElsewhereNow { .. })));
    assert!(progress(new.path()).unwrap().ready, "and what was whole stays so");
    switch(new.path()).unwrap().unwrap();
    assert_eq!(look(new.path()).0, look(old.path()).0);
    assert_eq!(fs::read(new.path().join(name_of(&content(59).repeat(5)))).unwrap(), content(59).repeat(5));
}

#[test]
fn two_restores_at_once_are_one() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    let (bytes, _) = make(old.path(), ALL, None);
    struct Nested<'a>(&'a Path, &'a [u8], &'a [u8]);
    impl Read for Nested<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let second = take(self.0, self.1, &Wishes::default());
            assert!(matches!(second, Err(BackupError::Busy)));
            self.2.read(into)
        }
    }
    receive(new.path(), &mut Nested(new.path(), &bytes, &bytes), &Wishes::default()).unwrap();
}

#[test]
fn a_full_card_is_no_place_for_it() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    let (bytes, _) = make(old.path(), ALL, None);
    let greedy = Wishes { reserve_bytes: u64::MAX / 2, ..Wishes::default() };
    assert!(matches!(take(new.path(), &bytes, &greedy), Err(BackupError::NoSpace)));
    assert_eq!(progress(new.path()), None);
}

/// Counts steps and ends the world at one of them.
fn crash_at(number: usize) -> impl FnMut(&'static str) -> io::Result<()> {
    let mut steps = 0;
    move |_| {
        steps += 1;
        if steps > number { Err(io::Error::other("the plug was pulled")) } else { Ok(()) }
    }
}

#[test]
fn the_plug_may_be_pulled_at_every_step_of_taking_it() {
    let (old, target) = (scratch(), scratch());
    filled(old.path());
    let (bytes, _) = make(old.path(), ALL, Some(PHRASE));
    filled(target.path());
    let before = look(target.path());
    let mut number = 0;
    loop {
        let taken = receive_with(target.path(), &mut &bytes[..], &with_phrase(PHRASE), &mut crash_at(number));
        if taken.is_ok() {
            break;
        }
        // The next start finds what there was, and nothing of the restore.
        assert_eq!(switch(target.path()).unwrap(), None, "step {number}");
        let after = look(target.path());
        assert_eq!((&after.0, &after.1), (&before.0, &before.1), "step {number}");
        // And the transfer goes on from where the card says.
        if let Some(progress) = progress(target.path()) {
            assert!(!progress.ready);
            let from = usize::try_from(progress.offset).unwrap();
            let wishes = Wishes { offset: progress.offset, ..with_phrase(PHRASE) };
            receive(target.path(), &mut &bytes[from..], &wishes).unwrap();
        }
        number += 1;
        assert!(number < 200);
    }
    assert!(number > 10, "{number} steps");
    assert!(progress(target.path()).unwrap().ready);
}

#[test]
fn the_plug_may_be_pulled_at_every_step_of_the_switch() {
    let old = scratch();
    filled(old.path());
    let opened = open(old.path());
    opened
        .store
        .write_blocking(|txn| {
            txn.settings().set_raw("settings", b"{\"new\":2}")?;
            Ok::<(), StoreError>(())
        })
        .unwrap();
    close(opened);
    let (bytes, _) = make(old.path(), ALL, Some(PHRASE));
    let mut number = 0;
    loop {
        let target = scratch();
        filled(target.path());
        let opened = open(target.path());
        smol::block_on(opened.store.backup()).unwrap();
        close(opened);
        for number in 0..3 {
            // The files have to come with the restore.
            fs::remove_file(target.path().join(name_of(&content(number)))).unwrap();
        }
        take(target.path(), &bytes, &with_phrase(PHRASE)).unwrap();
        let done = switch_with(target.path(), &mut crash_at(number)).is_ok();
        if !done {
            // Whatever was left: the next start finishes it, as often as it takes.
            let _ = switch_with(target.path(), &mut crash_at(number / 2));
            let _ = switch(target.path()).unwrap();
        }
        let (printers, settings, _) = look(target.path());
        assert_eq!(settings[0].as_deref(), Some(&b"{\"new\":2}"[..]), "step {number}");
        assert_eq!(printers[0].connection.access_code, Some(Secret::new(CODE)), "step {number}");
        for file in 0..3 {
            assert!(target.path().join(name_of(&content(file))).exists(), "step {number}");
        }
        assert!(
            !target.path().join(RESTORE_DIR).exists() && !target.path().join("backup/records.redb").exists()
        );
        if done {
            break;
        }
        number += 1;
        assert!(number < 200);
    }
    assert!(number > 8, "{number} steps");
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let (old, target) = (scratch(), scratch());
    filled(old.path());
    let (bytes, _) = make(old.path(), ALL, None);
    let opened = open(target.path());
    take(target.path(), &bytes, &Wishes::default()).unwrap();
    assert_eq!(switch(target.path()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert!(matches!(Snapshot::of_directory(target.path()), Err(StoreError::AlreadyOpen(_))));
    close(opened);
    assert!(switch(target.path()).unwrap().is_some());
    assert_eq!(look(target.path()).0.len(), 1);
}

#[test]
fn a_running_store_is_copied_as_it_was_at_one_moment() {
    let (old, new) = (scratch(), scratch());
    filled(old.path());
    let opened = open(old.path());
    let mut snapshot = opened.store.snapshot().unwrap();
    opened.store.write_blocking(|txn| txn.delete_printer(PrinterId(1))).unwrap();
    let mut out = Vec::new();
    write(&mut snapshot, old.path(), Choice::default(), None, RELEASE_FLOOR, &mut out).unwrap();
    drop(snapshot);
    close(opened);
    take(new.path(), &out, &Wishes::default()).unwrap();
    switch(new.path()).unwrap().unwrap();
    assert_eq!(look(new.path()).0.len(), 1);
    assert!(look(old.path()).0.is_empty());
}
