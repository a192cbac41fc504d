//! Recordings of real printers, where this machine has them, reach a subscriber byte for byte and in order.

mod common;

use std::path::{Path, PathBuf};

use common::Client;
use simulator::bambu::{Command, Config, Model, Printer, Recording};

const SERIAL: &str = "039000000000000";
const CODE: &str = "12345678";

/// Recordings lie beside the repository and are no part of it.
fn recordings() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|folder| folder.join("shared/data/bambu")).find(|folder| folder.is_dir())
}

#[test]
fn every_recording_is_played_whole() {
    let Some(folder) = recordings() else {
        println!("SKIPPED: no ../shared/data/bambu on this machine");
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let recording = Recording::read(&path).unwrap();
        let length = recording.len();
        let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let payloads: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(" :: ")?.1)).collect();
        assert_eq!(length, payloads.len());

        let config = Config { replay: Some(recording), ..Config::manual(Model::A1, SERIAL, CODE) };
        let printer = Printer::start(config).unwrap();
        let mut client = Client::subscribed(printer.addr(), SERIAL, CODE);
        // Not more at a time than the sockets hold, as nobody reads meanwhile.
        for part in payloads.chunks(10) {
            printer.command(Command::ReplayNext { count: part.len() }).unwrap();
            for payload in part {
                assert_eq!(client.payload().unwrap(), payload.as_bytes());
            }
        }
        println!("{}: {length} messages", path.display());
        count += 1;
    }
    assert!(count > 0, "no recording in the folder");
}
