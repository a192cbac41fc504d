//! The stick as the network shows it.

use std::time::Instant;

use serde_json::{Value, json};
use simulator::prusa::{Command, NewFile, Preview, Recipe};
use simulator::wait::now;

use crate::client::{Client, PASSWORD, PATIENCE, advance, get, once, printer, with};

fn child<'a>(folder: &'a Value, long: &str) -> &'a Value {
    let children = folder["children"].as_array().unwrap();
    children.iter().find(|child| child["display_name"] == long).unwrap()
}

#[test]
fn folders_are_told_one_level_at_a_time_without_sizes() {
    let printer = printer();
    let root = get(&printer, "/api/v1/files/usb").json();
    assert_eq!(
        (&root["type"], &root["name"], root.get("m_timestamp")),
        (&json!("FOLDER"), &json!("usb"), None)
    );
    assert_eq!(root["children"].as_array().unwrap().len(), 2, "hidden files are hidden: {root}");
    let folder = child(&root, "Für Oma");
    assert_eq!((&folder["name"], &folder["type"]), (&json!("F_ROMA~1"), &json!("FOLDER")));
    assert!(folder.get("children").is_none() && folder.get("refs").is_none());
    let file = child(&root, "Spice rack.gcode");
    assert_eq!((file.get("size"), &file["ro"], &file["type"]), (None, &json!(false), &json!("PRINT_FILE")));
    assert_eq!(file["refs"]["download"], "/usb/SPICER~1.GCO");
    assert_eq!(file["refs"]["thumbnail"], "/thumb/l/usb/SPICER~1.GCO");
    let inside = get(&printer, "/api/v1/files/usb/F_ROMA~1").json();
    assert!(inside["m_timestamp"].is_u64());
    assert_eq!(child(&inside, "Notes.txt")["type"], "FILE");
    let cube = child(&inside, "Würfel groß 100 %.bgcode");
    assert_eq!(cube["name"], "W_RFEL~1.BGC");
    assert_eq!(cube["m_timestamp"].as_u64().unwrap() % 2, 0);
}

#[test]
fn details_have_the_size_and_names_may_be_long() {
    let printer = printer();
    let long = "/api/v1/files/usb/F%C3%BCr%20Oma/W%C3%BCrfel%20gro%C3%9F%20100%20%25.bgcode";
    for target in
        [long, "/api/v1/files/usb/F_ROMA~1/W_RFEL~1.BGC", "/api/v1/files/usb/f_roma~1/w_rfel~1.bgc?x=1"]
    {
        let answer = get(&printer, target);
        let file = answer.json();
        assert_eq!(file["refs"]["download"], "/usb/F_ROMA~1/W_RFEL~1.BGC");
        assert_eq!(file["display_name"], "Würfel groß 100 %.bgcode");
        let size = printer.content("Für Oma/Würfel groß 100 %.bgcode").unwrap().len();
        assert_eq!(file["size"].as_u64().unwrap(), size as u64);
        assert_eq!(answer.field("Currently-Printing"), Some("false"));
    }
    let mut client = Client::new(printer.addr());
    let head = client.ask("HEAD", long);
    assert_eq!((head.status, head.field("Content-Length")), (200, None));
    assert_eq!(client.ask("HEAD", "/api/v1/files/usb/none.gcode").status, 404);
    assert_eq!(client.get("/api/v1/storage").json()["storage_list"][0]["name"], "usb");
    let losing = with(|config| config.loses_percent_signs = true);
    assert_eq!(get(&losing, long).status, 404);
}

#[test]
fn folders_have_an_etag_that_changes_of_the_network_change() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    let tag = |client: &mut Client| client.get("/api/v1/files/usb").field("ETag").unwrap().to_owned();
    let first = tag(&mut client);
    let fields = format!("X-Api-Key: {PASSWORD}\r\nIf-None-Match: {first}\r\n");
    assert_eq!(client.ask_with("GET", "/api/v1/files/usb", &fields).status, 304);
    printer.command(Command::RemoveFile { path: "Spice rack.gcode".into() }).unwrap();
    assert_eq!(tag(&mut client), first, "the screen's deletions are not noticed");
    assert_eq!(client.ask("DELETE", "/api/v1/files/usb/F_ROMA~1/NOTES.TXT").status, 204);
    assert_ne!(tag(&mut client), first);
    assert_eq!(client.ask("DELETE", "/api/v1/files/usb/F_ROMA~1").status, 409, "not empty");
}

#[test]
fn downloads_are_whole_without_ranges_and_etags() {
    let printer = printer();
    let mut client = Client::new(printer.addr());
    let fields = format!("X-Api-Key: {PASSWORD}\r\nRange: bytes=10-20\r\nIf-None-Match: *\r\n");
    let answer = client.ask_with("GET", "/usb/SPICER~1.GCO", &fields);
    assert_eq!((answer.status, answer.field("ETag"), answer.field("Accept-Ranges")), (200, None, None));
    assert_eq!(answer.field("Content-Disposition"), Some("attachment"));
    assert_eq!(answer.body, printer.content("Spice rack.gcode").unwrap().to_vec());
    assert_eq!(client.get("/usb/F_ROMA~1").status, 404, "a folder");
    let closing = format!("X-Api-Key: {PASSWORD}\r\nConnection: close\r\n");
    let answer = client.ask_with("GET", "/usb/F_ROMA~1/NOTES.TXT", &closing);
    assert_eq!((answer.field("Content-Length"), answer.body.as_slice()), (Some("5"), &b"hello"[..]));
    // The last byte may be here before it is counted.
    let seen = printer.wait_for(PATIENCE, |seen| seen.whole_downloads == 2).unwrap();
    assert_eq!(seen.downloads, 2);
}

#[test]
fn the_line_is_as_fast_as_it_is_said_to_be() {
    let printer = with(|config| {
        config.bytes_per_s = Some(200_000);
        config.files = vec![NewFile::sized("a.gcode", 100_000)];
    });
    let started: Instant = now();
    let answer = get(&printer, "/usb/A~1.GCO");
    let seconds = now().duration_since(started).as_secs_f64();
    assert!((95_000..105_000).contains(&answer.body.len()), "{}", answer.body.len());
    assert!(seconds > 0.45, "{seconds}");
}

#[test]
fn thumbnails_are_png_with_an_etag_or_not_found() {
    let none = Recipe { previews: Vec::new(), ..Recipe::default() };
    let small = Recipe { previews: vec![Preview { width: 16, height: 16 }], ..Recipe::default() };
    let printer = with(|config| {
        config.files.push(NewFile { recipe: none, ..NewFile::new("bare.gcode") });
        config.files.push(NewFile { recipe: small, ..NewFile::new("small.bgcode") });
    });
    let mut client = Client::new(printer.addr());
    for target in
        ["/thumb/l/usb/SPICER~1.GCO", "/thumb/s/usb/F_ROMA~1/W_RFEL~1.BGC", "/thumb/s/usb/SMALL~1.BGC"]
    {
        let answer = client.get(target);
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("image/png")), "{target}");
        assert!(answer.body.starts_with(b"\x89PNG"));
        let tag = answer.field("ETag").unwrap();
        let fields = format!("X-Api-Key: {PASSWORD}\r\nIf-None-Match: {tag}\r\n");
        assert_eq!(client.ask_with("GET", target, &fields).status, 304);
    }
    for target in ["/thumb/l/usb/BARE~1.GCO", "/thumb/l/usb/SMALL~1.BGC", "/thumb/l/usb/F_ROMA~1/NOTES.TXT"] {
        let answer = client.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().contains("File doesn't contain preview"), "{target}");
    }
    assert_eq!(client.get("/thumb/x/usb/SPICER~1.GCO").status, 404);
}

#[test]
fn a_file_that_arrives_is_read_only_until_it_is_there() {
    let printer = printer();
    let file = NewFile::sized("Sent by Connect.gcode", 80_000);
    printer.command(Command::Receive { file, bytes_per_s: 1_000 }).unwrap();
    let listed = |printer: &_| {
        let root = get(printer, "/api/v1/files/usb").json();
        child(&root, "Sent by Connect.gcode").clone()
    };
    advance(&printer, 30.0);
    let transfer = get(&printer, "/api/v1/transfer").json();
    assert_eq!((&transfer["transferred"], &transfer["time_transferring"]), (&json!(30_000), &json!(30)));
    assert_eq!(get(&printer, "/api/v1/status").json()["transfer"]["id"], transfer["id"]);
    let early = listed(&printer);
    assert_eq!((&early["ro"], early["refs"].get("download")), (&json!(true), None));
    assert_eq!(get(&printer, "/usb/SENTBY~1.GCO").status, 404);
    assert_eq!(get(&printer, "/thumb/l/usb/SENTBY~1.GCO").status, 200);
    // Printed while it arrives, it stays so until the print's end.
    assert_eq!(once(&printer, "POST", "/api/v1/files/usb/SENTBY~1.GCO").status, 204);
    advance(&printer, 200.0);
    assert_eq!(get(&printer, "/api/v1/transfer").status, 204);
    let job = get(&printer, "/api/v1/job").json();
    assert_eq!(job["file"]["refs"]["download"], "/usb/SENTBY~1.GCO");
    assert!(job["file"].get("size").is_none() && job["file"].get("m_timestamp").is_none());
    assert_eq!(get(&printer, "/usb/SENTBY~1.GCO").status, 404);
    advance(&printer, 4_000.0);
    assert_eq!(printer.status().state, "FINISHED");
    assert_eq!(listed(&printer)["ro"], false);
    assert_eq!(get(&printer, "/usb/SENTBY~1.GCO").status, 200);
}

#[test]
fn short_names_are_reused_after_a_deletion() {
    let printer = printer();
    let old = get(&printer, "/api/v1/files/usb/SPICER~1.GCO").json();
    printer.command(Command::RemoveFile { path: "Spice rack.gcode".into() }).unwrap();
    advance(&printer, 10.0);
    printer.command(Command::AddFile { file: NewFile::new("Spice rack v2.gcode") }).unwrap();
    let new = get(&printer, "/api/v1/files/usb/SPICER~1.GCO").json();
    assert_eq!((&new["name"], &new["display_name"]), (&old["name"], &json!("Spice rack v2.gcode")));
    assert_ne!(new["m_timestamp"], old["m_timestamp"]);
}
