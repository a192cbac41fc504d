//! The file server of an honest printer: login, commands, transfers, and the files of prints.
#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

mod common;

use common::PATIENCE;
use common::ftp::Ftp;
use simulator::archive::entry;
use simulator::bambu::{Command, Config, Content, FilePlan, Model, Place, PrintPlan, Printer, Source};

const SERIAL: &str = "01P00A000000001";
const CODE: &str = "12345678";

fn printer(model: Model) -> Printer {
    Printer::start(Config::manual(model, SERIAL, CODE)).unwrap()
}

fn start(printer: &Printer, plan: PrintPlan) {
    printer.command(Command::StartPrint { plan }).unwrap();
}

fn advance(printer: &Printer, seconds: f64) {
    printer.command(Command::Advance { seconds }).unwrap();
}

fn plan(name: &str, source: Source, file: FilePlan) -> PrintPlan {
    PrintPlan { name: name.into(), source, file, ..PrintPlan::default() }
}

#[test]
fn the_right_code_is_let_in_and_commands_wait_for_it() {
    let printer = printer(Model::P1s);
    let mut ftp = Ftp::connect(printer.ftps_addr()).unwrap();
    assert!(ftp.answer().unwrap().starts_with("220"));
    assert!(ftp.ask("PASV").starts_with("530"));
    for (user, code, answer) in [("bblp", "87654321", "530"), ("root", CODE, "530"), ("bblp", CODE, "230")] {
        assert!(ftp.ask(&format!("USER {user}")).starts_with("331"));
        assert!(ftp.ask(&format!("PASS {code}")).starts_with(answer), "{user} {code}");
    }
    printer.command(Command::SetAccessCode { code: "11112222".into() }).unwrap();
    Ftp::open(printer.ftps_addr(), "11112222").quit();
    ftp.cut();
    let seen = printer.wait_for(PATIENCE, |seen| seen.ftps.open_sessions == 0).unwrap().ftps;
    assert_eq!((seen.logins, seen.refused_logins, seen.quits, seen.unclean_ends), (2, 2, 1, 1));
    assert_eq!((seen.connections, seen.handshakes, seen.sessions_peak), (2, 2, 2));
    assert!(seen.commands.contains(&"PASS ***".to_owned()) && !format!("{seen:?}").contains(CODE));
}

#[test]
fn files_come_whole_and_from_the_middle() {
    let printer = printer(Model::X1c);
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    printer.files().put("/cache/Würfel  groß .3mf", Content::bytes(content.clone()));
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    assert_eq!(ftp.size("/cache/Würfel  groß .3mf"), Some(1_200_000));
    assert_eq!(ftp.size("/cache/Würfel groß .3mf"), None);
    assert_eq!(ftp.file("/cache/Würfel  groß .3mf"), content);
    assert!(ftp.ask("REST 1000003").starts_with("350"));
    assert_eq!(ftp.file("/cache/Würfel  groß .3mf"), content[1_000_003..]);
    let lines = ftp.list("/cache");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("-rw-r--r-- ") && lines[0].contains(" 1200000 "), "{lines:?}");
    assert!(lines[0].ends_with(" Würfel  groß .3mf"), "{lines:?}");
    assert!(ftp.list("/").iter().any(|line| line.starts_with('d') && line.ends_with(" cache")));
    assert!(ftp.ask("MDTM /cache/Würfel  groß .3mf").starts_with("213 20"));
    assert!(ftp.ask("CWD /nowhere").starts_with("550"));
    assert!(ftp.ask("PWD").contains("\"/\""));
    let data = ftp.begin("RETR cache/Würfel  groß .3mf").unwrap();
    assert!(data.is_resumed());
    drop(data);
    assert!(ftp.answer().unwrap().starts_with("426"));
    ftp.quit();
    let seen = printer.wait_for(PATIENCE, |seen| seen.ftps.quits == 1).unwrap().ftps;
    let ranges: Vec<_> = seen.retrievals.iter().map(|file| (file.offset, file.code)).collect();
    assert_eq!(ranges, [(0, 226), (1_000_003, 226), (0, 426)]);
    assert_eq!(seen.retrievals[1].bytes, 199_997);
    assert_eq!((seen.sizes, seen.misses, seen.listings, seen.completed, seen.aborted), (2, 2, 2, 2, 1));
    assert_eq!((seen.resumed, seen.not_resumed, seen.early, seen.transfers_peak), (5, 0, 0, 1));
}

#[test]
fn the_large_models_demand_the_session_and_the_small_ones_know_less() {
    for model in Model::ALL {
        let printer = printer(model);
        let is_small = matches!(model, Model::A1 | Model::A1Mini);
        printer.files().put("/a.3mf", Content::bytes(*b"content"));
        let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
        assert_eq!(ftp.file("/a.3mf"), b"content");
        ftp.forgets = true;
        let got = ftp.fetch("RETR /a.3mf");
        match is_small {
            true => assert_eq!(got.unwrap().bytes, b"content"),
            false => assert!(got.unwrap().answer.starts_with("522"), "{model:?}"),
        }
        ftp.is_private = false;
        assert!(ftp.ask("PROT C").starts_with("200"));
        match is_small {
            true => assert_eq!(ftp.file("/a.3mf"), b"content"),
            false => assert!(ftp.begin("RETR /a.3mf").err().unwrap().starts_with("522"), "{model:?}"),
        }
        let (rest, feat) = if is_small { ("502", "502") } else { ("350", "211") };
        assert!(ftp.ask("REST 3").starts_with(rest) && ftp.ask("FEAT").starts_with(feat), "{model:?}");
        assert!(ftp.ask("PORT 127,0,0,1,1,1").starts_with("500"));
    }
}

#[test]
fn another_session_cannot_lend_its_tls() {
    let printer = printer(Model::P1s);
    printer.files().put("/a.3mf", Content::bytes(*b"content"));
    let one = Ftp::open(printer.ftps_addr(), CODE);
    let mut other = Ftp::open(printer.ftps_addr(), CODE);
    other.lend_session_of(&one);
    assert!(other.fetch("RETR /a.3mf").unwrap().answer.starts_with("522"));
}

#[test]
fn one_transfer_at_a_time() {
    let printer = printer(Model::P1s);
    printer.files().put("/a.3mf", Content::bytes(vec![7; 30_000_000]));
    let mut one = Ftp::open(printer.ftps_addr(), CODE);
    let mut other = Ftp::open(printer.ftps_addr(), CODE);
    let mut data = one.begin("RETR /a.3mf").unwrap();
    assert!(other.begin("RETR /a.3mf").err().unwrap().starts_with("425"));
    assert_eq!(data.read_to_end().0.len(), 30_000_000);
    assert!(one.answer().unwrap().starts_with("226"));
    assert_eq!(other.file("/a.3mf").len(), 30_000_000);
    let seen = printer.observations().ftps;
    assert_eq!((seen.transfers_peak, seen.clashes, seen.sessions_peak), (1, 1, 2));
}

#[test]
fn the_file_of_a_print_lies_where_the_model_puts_it() {
    let cases = [
        (Model::P1s, Source::Cloud, false, Some("/cache/Size_ M; x.3mf")),
        (Model::A1, Source::Cloud, false, Some("/cache/Size_ M; x.3mf")),
        (Model::X1c, Source::Cloud, false, Some("/cache/Size_ M; x.3mf")),
        (Model::P1s, Source::Lan, false, Some("/Size_ M; x.gcode.3mf")),
        (Model::X1c, Source::Lan, false, Some("/Size_ M; x.gcode.3mf")),
        (Model::A1Mini, Source::Screen, false, Some("/Size_ M; x.3mf")),
        (Model::H2d, Source::Cloud, false, None),
        (Model::P2s, Source::Lan, false, None),
        (Model::P2s, Source::SdCard, false, Some("/Size_ M; x.gcode.3mf")),
        (Model::H2d, Source::Cloud, true, Some("/cache/Size_ M; x.3mf")),
        (Model::P2s, Source::Lan, true, Some("/Size_ M; x.gcode.3mf")),
        (Model::A1, Source::Calibration, false, None),
    ];
    for (model, source, stores_sent_files, expected) in cases {
        let config = Config { stores_sent_files, ..Config::manual(model, SERIAL, CODE) };
        let printer = Printer::start(config).unwrap();
        start(&printer, plan("Size: M; x", source, FilePlan::default()));
        let is_there_at_once = expected.is_some() && source != Source::Cloud;
        assert_eq!(!printer.files().paths().is_empty(), is_there_at_once, "{model:?} {source:?}");
        advance(&printer, 30.0);
        assert_eq!(printer.status().gcode_state, "RUNNING");
        let archives: Vec<_> =
            printer.files().paths().into_iter().filter(|path| path.ends_with("3mf")).collect();
        assert_eq!(archives, Vec::from_iter(expected), "{model:?} {source:?}");
        let Some(path) = expected else { continue };
        let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
        let archive = ftp.file(path);
        assert_eq!((archive.len(), ftp.size(path)), (600_000, Some(600_000)));
        assert!(entry(&archive, "Metadata/plate_1.gcode").unwrap().starts_with(b"; HEADER_BLOCK_START"));
    }
}

#[test]
fn small_models_keep_more_beside_a_file_from_the_cloud() {
    let printer = printer(Model::A1);
    let file = FilePlan { place: Place::Root, ..FilePlan::default() };
    start(&printer, PrintPlan { plate: 2, ..plan("Cube", Source::Cloud, file) });
    advance(&printer, 30.0);
    let paths = printer.files().paths();
    assert_eq!(paths[..3], ["/Cube.3mf", "/cache/2_Cube.bbl", "/cache/Cube_plate_2.gcode"]);
    assert!(paths[3].starts_with("/image/") && paths[3].ends_with(".png"));
    let archive = printer.files().get("/Cube.3mf").unwrap().bytes();
    let code = printer.files().get("/cache/Cube_plate_2.gcode").unwrap().bytes();
    assert_eq!(entry(&archive, "Metadata/plate_2.gcode").unwrap(), *code);
    assert_eq!(entry(&archive, "Metadata/plate_1.gcode"), None);
}

#[test]
fn files_grow_vanish_and_come_late() {
    let printer = printer(Model::P1s);
    let size = |path: &str| printer.files().get(path).map(|file| file.size());
    let grows = FilePlan { grows: true, size: 400_000, ..FilePlan::default() };
    start(&printer, plan("Grows", Source::Cloud, grows));
    let mut sizes = Vec::new();
    for _ in 0..30 {
        advance(&printer, 1.0);
        sizes.push(size("/cache/Grows.3mf"));
    }
    sizes.dedup();
    assert_eq!(sizes, [None, Some(100_000), Some(200_000), Some(300_000), Some(400_000)]);

    printer.command(Command::Reset).unwrap();
    let vanishes = FilePlan { vanishes: true, ..FilePlan::default() };
    start(&printer, plan("Vanishes", Source::Lan, vanishes));
    let mut is_there = Vec::new();
    for _ in 0..40 {
        is_there.push(size("/Vanishes.gcode.3mf").is_some());
        advance(&printer, 1.0);
    }
    is_there.dedup();
    assert_eq!(is_there, [true, false, true]);

    printer.command(Command::Reset).unwrap();
    let late = FilePlan { late_s: Some(100.0), ..FilePlan::default() };
    start(&printer, plan("Late", Source::Lan, late));
    while printer.status().gcode_state != "RUNNING" {
        advance(&printer, 0.5);
    }
    advance(&printer, 99.0);
    assert_eq!(size("/Late.gcode.3mf"), None);
    advance(&printer, 1.0);
    assert_eq!(size("/Late.gcode.3mf"), Some(600_000));
}

#[test]
fn printers_have_their_own_content_under_one_name_unless_told_otherwise() {
    let content = |serial: &str, file_seed, revision| {
        let config = Config { file_seed, ..Config::manual(Model::P1s, serial, CODE) };
        let printer = Printer::start(config).unwrap();
        let file = FilePlan { revision, ..FilePlan::default() };
        start(&printer, plan("Cube", Source::Lan, file));
        printer.files().get("/Cube.gcode.3mf").unwrap().bytes()
    };
    let first = content("01P00A000000001", None, 0);
    assert_eq!(content("01P00A000000001", None, 0), first);
    assert_ne!(content("01P00A000000002", None, 0), first);
    assert_ne!(content("01P00A000000001", None, 1), first);
    let shared = content("01P00A000000001", Some(1), 0);
    assert_eq!(content("01P00A000000002", Some(1), 0), shared);
}
