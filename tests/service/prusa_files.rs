//! The files of a Prusa printer, as the driver reads them: lists, details, downloads, pictures, and what goes wrong with each.

use std::io::Read as _;
use std::time::Duration;

use printernizer::base::secret::Secret;
use printernizer::model::ConnectionConfig;
use printernizer::printers::prusalink::files::{EntryKind, Files, FilesErrorKind as Kind};
use simulator::prusa::{Command, Config, Fault, Faults, Model, NewFile, Printer, Target};

use crate::prusa::{PASSWORD, advance, config, manual, order};

fn files(printer: &Printer) -> Files {
    let way = ConnectionConfig {
        host: "127.0.0.1".into(),
        password: Some(Secret::new(PASSWORD)),
        http_port: printer.port(),
        ..ConnectionConfig::default()
    };
    Files::new(&way, printer.addr())
}

#[test]
fn what_is_listed_can_be_fetched_whole() {
    let mut config = config(Model::Mk4);
    let long = format!("{}.gcode", "Sehr langer Name ".repeat(8).trim());
    for name in ["Teile/Halter 100 % #2.gcode", "Teile/Innen/Deckel.bgcode", &long] {
        config.files.push(NewFile::new(name));
    }
    let printer = Printer::start(config).unwrap();
    let files = files(&printer);
    assert_eq!(files.roots().unwrap(), ["/usb"]);
    let listing = files.list_all("/usb").unwrap();
    assert!(listing.complete);
    let mut names: Vec<&str> = listing.files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["Deckel.bgcode", "Halter 100 % #2.gcode", &long, "Spice rack, left.bgcode", "Würfel groß.gcode"];
    assert_eq!(names, expected);
    for file in &listing.files {
        assert_eq!((file.kind, file.size, file.is_ready), (EntryKind::Print, None, true), "{file:?}");
        let details = files.details(&file.path).unwrap();
        let mut download = files.download(&details).unwrap();
        assert_eq!(Some(download.size), details.size);
        let mut bytes = Vec::new();
        download.read_to_end(&mut bytes).unwrap();
        let on_stick = printer.content(file.path.strip_prefix("/usb").unwrap()).unwrap();
        assert!(bytes == *on_stick, "{}", file.name);
    }
    let seen = printer.observations();
    assert_eq!((seen.connections, seen.peak_active_requests, seen.refusals(), seen.too_long), (1, 1, 0, 0));
    assert_eq!(files.list("/usb/NOWHERE").unwrap_err().kind, Kind::NotFound);
    assert_eq!(files.details("/usb/NOTHING.GCO").unwrap_err().kind, Kind::NotFound);
    assert_eq!(files.list("/local").unwrap_err().kind, Kind::Refused);
    assert_eq!(files.details(&format!("/usb/{}", "x".repeat(200))).unwrap_err().kind, Kind::BadName);
}

#[test]
fn the_printed_file_and_its_picture_are_found() {
    let printer = manual(Model::Mk4);
    let files = files(&printer);
    assert_eq!(files.current().unwrap(), None);
    order(&printer, Command::start("Würfel groß.gcode"));
    advance(&printer, 150.0);
    let current = files.current().unwrap().unwrap();
    assert_eq!(
        (current.path.as_str(), current.name.as_str()),
        (&*printer.short_path("Würfel groß.gcode").unwrap(), "Würfel groß.gcode")
    );
    assert_eq!(files.details(&current.path).unwrap().size, current.size);
    let pictures: Vec<_> = files
        .list_all("/usb")
        .unwrap()
        .files
        .iter()
        .filter_map(|file| files.thumbnail(&files.details(&file.path).unwrap()).unwrap())
        .collect();
    assert!(pictures.iter().all(|png| png.starts_with(b"\x89PNG")));
    assert_eq!(printer.observations().of(Target::Thumb), 2);
}

#[test]
fn a_file_that_arrives_or_is_printed_while_it_did_is_not_there_yet() {
    let printer = manual(Model::Mk4);
    let files = files(&printer);
    order(&printer, Command::Receive { file: NewFile::new("Neu.gcode"), bytes_per_s: 1_000_000 });
    let entry = files.list("/usb").unwrap().into_iter().find(|entry| entry.name == "Neu.gcode").unwrap();
    assert!(!entry.is_ready);
    let details = files.details(&entry.path).unwrap();
    assert_eq!(files.download(&details).unwrap_err().kind, Kind::Arriving);
    order(&printer, Command::start("Neu.gcode"));
    advance(&printer, 150.0);
    let current = files.current().unwrap().unwrap();
    assert_eq!(files.download(&current).unwrap_err().kind, Kind::NotWhilePrinting);
}

#[test]
fn a_broken_download_is_never_taken_for_a_whole_one() {
    for (fault, expected) in [
        (Fault::Cut(1_000), Kind::Interrupted),
        (Fault::Reset(1_000), Kind::Interrupted),
        (Fault::Length(5), Kind::SizeMismatch),
        (Fault::Length(-5), Kind::SizeMismatch),
        (Fault::Status(500), Kind::Refused),
        (Fault::Status(404), Kind::NotFound),
    ] {
        let printer = manual(Model::Mini);
        let files = files(&printer);
        let path = printer.short_path("Würfel groß.gcode").unwrap();
        let details = files.details(&path).unwrap();
        printer.change_faults(|faults| *faults = Faults::at(Target::Download, fault)).unwrap();
        let kind = match files.download(&details) {
            Err(error) => error.kind,
            Ok(mut download) => {
                let mut buffer = [0; 4096];
                loop {
                    match download.read(&mut buffer) {
                        Ok(0) => panic!("{fault:?} was not noticed"),
                        Ok(_) => {}
                        Err(error) => break error.kind,
                    }
                }
            }
        };
        assert_eq!(kind, expected, "{fault:?}");
    }
}

#[test]
fn cancelling_ends_a_slow_download_at_once() {
    let printer = Printer::start(Config { bytes_per_s: Some(2_000), ..config(Model::Mk4) }).unwrap();
    let files = files(&printer);
    let details = files.details(&printer.short_path("Würfel groß.gcode").unwrap()).unwrap();
    let mut download = files.download(&details).unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut download, &mut std::io::sink()));
    printer.wait_for(Duration::from_secs(60), |seen| seen.downloads == 1).unwrap();
    files.cancel();
    assert!(reader.join().unwrap().is_err());
    assert_eq!(files.roots().unwrap_err().kind, Kind::Cancelled);
}
