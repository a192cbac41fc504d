//! Files off their printers: from the report that shows a print to the record of its file.
//!
//! Most scenarios move the service's clock by hand, so that the rounds of a search pass in no time; the file servers of the
//! simulated printers work in real time all the while.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use simulator::bambu::ftps::{
    Content, Ending, FilePlan, FtpsFaults, Goodbye, Hiding, Mishap, Place, Protection, Reuse, TransferFault,
};
use simulator::bambu::{Command, Config, Model, PrintPlan, Printer, Source};

use crate::client::Deadline;
use crate::contract;
use crate::printers::{CODE, advance, advance_slowly, begin, faults, manual, numbered, order, plan, serial};
use crate::service::{Service, Setup, wait_for};

/// Deadlines for peers that answer at once or never: long enough for a busy machine.
fn quick() -> printernizer::downloads::Config {
    let times = printernizer::net::ftps::Times {
        stall: Duration::from_secs(8),
        end: Duration::from_millis(500),
        ..printernizer::net::ftps::Times::default()
    };
    printernizer::downloads::Config { times, ..printernizer::downloads::Config::default() }
}

/// A service whose clock is moved by hand.
fn service() -> Service {
    Service::manual()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a kept file, by the event that told of it.
fn kept(service: &Service, complete: &Value) -> Vec<u8> {
    std::fs::read(service.directory().join(complete["data"]["file_path"].as_str().unwrap())).unwrap()
}

/// Waits for the event `name`, the `count`-th of them, and answers it as the journal holds it. Time goes on meanwhile.
fn until_event(service: &Service, name: &str, count: usize) -> Value {
    let deadline = Deadline::new();
    loop {
        let found = service.log.all().iter().filter(|seen| seen.name == name).count();
        if found >= count {
            break;
        }
        assert!(
            !deadline.left().is_zero(),
            "waited in vain for {name} number {count}; there were {:?}",
            events(service)
        );
        if service.setup.manual {
            service.setup.clock.advance(Duration::from_millis(500));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    service.journal().into_iter().filter(|event| event["event"] == name).nth(count - 1).unwrap()
}

/// The events about files in the journal, in their order, with the kinds of failures.
fn events(service: &Service) -> Vec<String> {
    let all = service.journal();
    let about_files = all.iter().filter(|event| {
        let name = event["event"].as_str().unwrap();
        name.starts_with("file_download")
            || name.starts_with("auto_download")
            || name.starts_with("file_preview")
            || name.starts_with("file_needs")
            || name.starts_with("file_verification")
    });
    about_files
        .map(|event| {
            let name = event["event"].as_str().unwrap();
            match (event["data"]["kind"].as_str(), event["data"]["retry"].as_str()) {
                (Some(kind), Some(retry)) => format!("{name} {kind} {retry}"),
                (Some(kind), None) => format!("{name} {kind}"),
                _ => name.to_owned(),
            }
        })
        .collect()
}

/// Checks that the file of `complete` is byte for byte the printer's at `path`, and that records and answers agree.
fn is_right(service: &Service, complete: &Value, printer: &Printer, path: &str) {
    let source = printer.files().get(path).unwrap_or_else(|| panic!("{path} is not on the card")).bytes();
    let data = &complete["data"];
    assert_eq!(data["sha256"], sha256(&source), "{complete}");
    assert_eq!(data["file_size"], source.len());
    assert!(kept(service, complete) == *source, "other bytes than {path}");
}

/// Whether nothing is left of fetches that are over.
fn no_parts(service: &Service) {
    let parts = std::fs::read_dir(service.directory().join("files/part")).unwrap().count();
    assert_eq!(parts, 0, "parts are left");
}

fn ftps(printer: &Printer, change: impl FnOnce(&mut FtpsFaults)) {
    faults(printer, |faults| change(&mut faults.ftps));
}

fn with_file(plan: PrintPlan, file: FilePlan) -> PrintPlan {
    PrintPlan { file, ..plan }
}

#[test]
fn a_print_starts_and_its_file_is_here() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    begin(&printer, plan("Würfel", Source::Lan));
    let complete = until_event(&service, "file_download_complete", 1);
    is_right(&service, &complete, &printer, "/Würfel.gcode.3mf");
    let data = &complete["data"];
    assert_eq!((&data["filename"], &data["deduplicated"]), (&json!("Würfel.gcode.3mf"), &json!(false)));
    let expected = [
        "auto_download_triggered",
        "file_download_started",
        "file_preview_ready",
        "file_needs_thumbnail_processing",
        "file_download_complete",
    ];
    assert_eq!(events(&service), expected);
    let journal = service.journal();
    contract::check(&journal);
    // One print, one flow, and every event follows from one before.
    let of_file: Vec<&Value> =
        journal.iter().filter(|event| expected.contains(&event["event"].as_str().unwrap())).collect();
    assert!(of_file.iter().all(|event| event["flow"] == "print-j1"), "{of_file:?}");
    for (event, cause) in of_file.iter().zip([None, Some(0), Some(1), Some(1), Some(3)]) {
        match cause {
            Some(cause) => assert_eq!(event["cause"], of_file[cause]["seq"], "{event}"),
            None => assert!(event["cause"].is_u64(), "{event}"),
        }
    }
    assert_eq!(of_file[4]["seq"].as_u64(), of_file[3]["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(service.jobs()[0]["file_id"], data["file_id"]);
    wait_for("the file is shown", || {
        let status = service.get(&format!("/printers/{id}/status"));
        let job = &status["current_job"];
        job["file_id"] == data["file_id"] && job["thumbnail_url"].is_string()
    });
    no_parts(&service);
}

#[test]
fn every_model_and_way_of_starting() {
    use Source::{Cloud, Lan, Screen, SdCard};
    for model in [Model::P1s, Model::A1, Model::A1Mini, Model::X1c, Model::H2d, Model::P2s] {
        let config = Config { stores_sent_files: true, ..Config::manual(model, &serial(model, 1), CODE) };
        let printer = Printer::start(config).unwrap();
        let service = service();
        service.watch(&printer);
        let prints = [
            ("Würfel: 2 \u{25ba} x", Lan, Place::Usual),
            ("Turm  mit Lücken ", Cloud, Place::Usual),
            ("Klammern (alt), neu", Screen, Place::Usual),
            ("Karte", SdCard, Place::Usual),
            ("Wurzel", Cloud, Place::Root),
            ("A_B", Lan, Place::Path("/A B.gcode.3mf".to_owned())),
        ];
        for (number, (name, source, place)) in prints.into_iter().enumerate() {
            let file = FilePlan { place, size: 200_000, ..FilePlan::default() };
            let before = printer.files().paths();
            begin(&printer, with_file(plan(name, source), file));
            let complete = until_event(&service, "file_download_complete", number + 1);
            let path = printer.files().paths().into_iter().find(|path| {
                !before.contains(path) && path.ends_with(complete["data"]["filename"].as_str().unwrap())
            });
            let path = path.unwrap_or_else(|| panic!("{model:?} {name}: took {complete}"));
            is_right(&service, &complete, &printer, &path);
            advance_slowly(&printer, 900.0);
            until_event(&service, "job_completed", number + 1);
            let job = service.jobs().pop().unwrap();
            assert_eq!(job["file_id"], complete["data"]["file_id"], "{model:?} {name}");
        }
        let seen = printer.observations().ftps;
        assert!(seen.transfers_peak <= 1 && seen.clashes == 0, "{model:?}: {seen:?}");
        contract::check(&service.journal());
        no_parts(&service);
    }
}

#[test]
fn a_file_that_is_not_shown_names_the_setting() {
    let printer = manual(Model::H2d);
    let service = service();
    service.watch(&printer);
    begin(&printer, plan("Würfel", Source::Lan));
    let failed = until_event(&service, "auto_download_failed", 1);
    assert_eq!(
        (&failed["data"]["kind"], &failed["data"]["retry"]),
        (&json!("not_on_storage"), &json!("after_print"))
    );
    assert!(failed["data"]["error"].as_str().unwrap().contains("external storage"), "{failed}");
    assert!(!failed["data"]["tried"].as_array().unwrap().is_empty());
    advance_slowly(&printer, 900.0);
    let failed = until_event(&service, "auto_download_failed", 2);
    assert_eq!(failed["data"]["retry"], "none");
    let seen = events(&service);
    assert_eq!(seen.iter().filter(|name| name.starts_with("file_download_failed")).count(), 6, "{seen:?}");
    assert_eq!(seen.iter().filter(|name| *name == "file_download_started").count(), 6);
    contract::check(&service.journal());
}

/// What one fault brings: the kinds of the rounds that fail, and what was asked of the printer.
struct Case {
    name: &'static str,
    model: Model,
    fault: fn(&mut FtpsFaults),
    /// The first failed round; empty where none fails.
    kind: &'static str,
    /// Whether the fault has to be ended for the file to come.
    lasts: bool,
}

fn mishap(mishap: Mishap, at: u64) -> impl Fn(&mut FtpsFaults) {
    move |faults| faults.transfers = vec![TransferFault::next(mishap, at)]
}

fn cases() -> Vec<Case> {
    let case = |name, model, fault, kind, lasts| Case { name, model, fault, kind, lasts };
    use Model::{A1, P1s, X1c};
    vec![
        case(
            "truncated, and called complete",
            X1c,
            |f| mishap(Mishap::Truncated, 150_000)(f),
            "size_mismatch",
            false,
        ),
        case("cut with 426", X1c, |f| mishap(Mishap::Cut, 150_000)(f), "interrupted", false),
        case("cut with 426, no REST", A1, |f| mishap(Mishap::Cut, 150_000)(f), "interrupted", false),
        case("reset", X1c, |f| mishap(Mishap::Reset, 150_000)(f), "interrupted", false),
        case("the power went", P1s, |f| mishap(Mishap::Lost, 100_000)(f), "interrupted", false),
        case("stalled", X1c, |f| mishap(Mishap::Stalled, 100_000)(f), "stalled", false),
        case("stalled, and left alone", P1s, |f| mishap(Mishap::Stalled, 100_000)(f), "stalled", false),
        case("a pause", X1c, |f| mishap(Mishap::PausedMs(500), 100_000)(f), "", false),
        case("busy", X1c, |f| mishap(Mishap::Refused(450), 0)(f), "refused", false),
        case("refused", P1s, |f| mishap(Mishap::Refused(550), 0)(f), "refused", false),
        case("no data connection", X1c, |f| mishap(Mishap::Refused(425), 0)(f), "refused", false),
        case("a size too large", X1c, |f| f.size_lie = 10, "size_mismatch", true),
        case("a size too small", P1s, |f| f.size_lie = -10, "size_mismatch", true),
        case("no login", P1s, |f| f.refuses_login = true, "auth", true),
        case("locked", X1c, |f| f.hiding = Hiding::Locked, "refused", true),
        case("nobody listens", P1s, |f| f.refuse_connections = true, "printer_offline", true),
        case("no card", P1s, |f| f.no_storage = true, "not_on_storage", true),
        case("sessions are forgotten", X1c, |f| f.session_reuse = Some(Reuse::Impossible), "refused", true),
        case("clear text only", A1, |f| f.protection = Protection::ClearOnly, "", false),
        case("clear text in truth", A1, |f| f.protection = Protection::ClearInTruth, "", false),
        case("no REST", X1c, |f| f.no_rest = true, "", false),
        case("no SIZE", X1c, |f| f.no_size = true, "", false),
        case("no listings", P1s, |f| f.refuses_listings = true, "", false),
        case("no goodbye", P1s, |f| f.goodbye = Goodbye::NoCloseNotify, "", false),
        case("no end", A1, |f| f.goodbye = Goodbye::StaysOpen, "", false),
        case("no 226", A1, |f| f.ending = Ending::Missing, "", false),
        case("a late 226", X1c, |f| f.ending = Ending::LateMs(1500), "", false),
        case("426 after all", P1s, |f| f.ending = Ending::Code(426), "", false),
    ]
}

#[test]
fn every_fault_has_its_kind_and_the_file_comes_in_the_end() {
    let run = |case: &Case| {
        let printer = manual(case.model);
        let service = Service::with(Setup { downloads: quick(), ..Setup::manual() });
        service.watch(&printer);
        ftps(&printer, case.fault);
        let file = FilePlan { size: 300_000, ..FilePlan::default() };
        begin(&printer, with_file(plan("Würfel", Source::Lan), file));
        if !case.kind.is_empty() {
            let failed = until_event(&service, "file_download_failed", 1);
            assert_eq!(failed["data"]["kind"], case.kind, "{}: {failed}", case.name);
            assert!(failed["data"]["retry_in_s"].is_u64(), "{}: {failed}", case.name);
            assert_eq!(failed["data"]["attempts"], 1, "{}", case.name);
            if case.lasts {
                order(&printer, Command::ClearFaults);
            }
        }
        let complete = until_event(&service, "file_download_complete", 1);
        is_right(&service, &complete, &printer, "/Würfel.gcode.3mf");
        let failed = events(&service).iter().filter(|name| name.starts_with("file_download_failed")).count();
        if case.kind.is_empty() {
            assert_eq!(failed, 0, "{}: {:?}", case.name, events(&service));
        } else if !case.lasts {
            assert_eq!(failed, 1, "{}: {:?}", case.name, events(&service));
        }
        let seen = printer.observations().ftps;
        assert_eq!((seen.clashes, seen.early), (0, 0), "{}", case.name);
        if case.name == "cut with 426" {
            let second = seen.retrievals.last().unwrap();
            assert!(second.offset > 0, "the second transfer goes on where the first was cut: {seen:?}");
        }
        contract::check(&service.journal());
        no_parts(&service);
    };
    // A few at a time: each has a service and a printer of its own.
    let cases = cases();
    for some in cases.chunks(4) {
        std::thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|case| (case.name, scope.spawn(|| run(case)))).collect();
            for (name, running) in running {
                assert!(running.join().is_ok(), "{name}");
            }
        });
    }
}

#[test]
fn a_turned_bit_is_found_afterwards_and_the_file_fetched_again() {
    let printer = manual(Model::X1c);
    let service = service();
    service.watch(&printer);
    ftps(&printer, |faults| faults.transfers = vec![TransferFault::next(Mishap::Flipped, 200_000)]);
    let file = FilePlan { size: 400_000, ..FilePlan::default() };
    begin(&printer, with_file(plan("Würfel", Source::Lan), file));
    let first = until_event(&service, "file_download_complete", 1);
    let failed = until_event(&service, "file_verification_failed", 1);
    assert_eq!(
        (&failed["data"]["file_id"], &failed["data"]["kind"]),
        (&first["data"]["file_id"], &json!("corrupt"))
    );
    let second = until_event(&service, "file_download_complete", 2);
    is_right(&service, &second, &printer, "/Würfel.gcode.3mf");
    // The job names the same version, which has the right bytes now.
    assert_eq!(second["data"]["file_id"], first["data"]["file_id"]);
    assert_eq!(service.jobs()[0]["file_id"], second["data"]["file_id"]);
    contract::check(&service.journal());
}

#[test]
fn a_printer_that_hides_the_file_is_asked_again_after_the_print() {
    for hiding in [Hiding::LockedWhilePrinting, Hiding::HiddenWhilePrinting] {
        let printer = manual(Model::X1c);
        let service = service();
        service.watch(&printer);
        ftps(&printer, |faults| faults.hiding = hiding);
        begin(&printer, plan("Würfel", Source::Lan));
        let failed = until_event(&service, "auto_download_failed", 1);
        assert_eq!(failed["data"]["retry"], "after_print", "{hiding:?}");
        assert!(!events(&service).contains(&"file_download_complete".to_owned()));
        advance_slowly(&printer, 900.0);
        let complete = until_event(&service, "file_download_complete", 1);
        is_right(&service, &complete, &printer, "/Würfel.gcode.3mf");
        let job = &service.jobs()[0];
        assert_eq!((&job["file_id"], &job["status"]), (&complete["data"]["file_id"], &json!("completed")));
        assert_eq!(
            events(&service).iter().filter(|name| name.starts_with("auto_download_failed")).count(),
            1
        );
        contract::check(&service.journal());
    }
}

#[test]
fn eight_printers_start_the_same_name_with_different_contents() {
    let models = [Model::P1s, Model::A1, Model::X1c, Model::A1Mini].into_iter().cycle();
    let printers: Vec<Printer> =
        (20..28).zip(models).map(|(number, model)| numbered(model, number)).collect();
    let service = Service::start();
    let ids: Vec<String> = printers.iter().map(|printer| service.watch(printer)).collect();
    std::thread::scope(|scope| {
        for printer in &printers {
            let file = FilePlan { size: 5_000_000, ..FilePlan::default() };
            scope.spawn(move || begin(printer, with_file(plan("Würfel", Source::Lan), file)));
        }
    });
    until_event(&service, "file_download_complete", 8);
    let journal = service.journal();
    let complete: Vec<&Value> =
        journal.iter().filter(|event| event["event"] == "file_download_complete").collect();
    let mut sums: Vec<&str> =
        complete.iter().map(|event| event["data"]["sha256"].as_str().unwrap()).collect();
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), 8, "eight different files");
    for (id, printer) in ids.iter().zip(&printers) {
        let own = complete.iter().find(|event| event["data"]["printer_id"] == id.as_str()).unwrap();
        is_right(&service, own, printer, "/Würfel.gcode.3mf");
    }
    for job in service.jobs() {
        let own = complete.iter().find(|event| event["data"]["printer_id"] == job["printer_id"]).unwrap();
        assert_eq!(job["file_id"], own["data"]["file_id"]);
    }
    contract::check(&journal);
    no_parts(&service);
}

#[test]
fn an_unchanged_file_is_not_fetched_again_and_a_changed_one_is() {
    let printer = manual(Model::X1c);
    let service = service();
    service.watch(&printer);
    let print = |revision| {
        let file = FilePlan { size: 2_000_000, revision, ..FilePlan::default() };
        begin(&printer, with_file(plan("Würfel", Source::Lan), file));
    };
    let mut complete = Vec::new();
    for (number, revision) in [0, 0, 1].into_iter().enumerate() {
        print(revision);
        complete.push(until_event(&service, "file_download_complete", number + 1));
        is_right(&service, &complete[number], &printer, "/Würfel.gcode.3mf");
        advance_slowly(&printer, 900.0);
        until_event(&service, "job_completed", number + 1);
    }
    let data = |number: usize| complete[number]["data"].clone();
    assert_eq!((&data(1)["deduplicated"], &data(2)["deduplicated"]), (&json!(true), &json!(false)));
    assert_eq!(data(0)["file_id"], data(1)["file_id"]);
    assert_ne!(data(0)["file_id"], data(2)["file_id"]);
    let sent: Vec<u64> =
        printer.observations().ftps.retrievals.iter().map(|transfer| transfer.bytes).collect();
    assert!(sent[1] < 1_000_000, "{sent:?}");
    // The old jobs keep the old file.
    let files: Vec<Value> = service.jobs().into_iter().map(|job| job["file_id"].clone()).collect();
    assert_eq!(files, [data(0)["file_id"].clone(), data(1)["file_id"].clone(), data(2)["file_id"].clone()]);
    contract::check(&service.journal());
}

#[test]
fn an_archive_without_the_plate_is_never_taken() {
    let printer = manual(Model::P1s);
    let service = service();
    service.watch(&printer);
    // The same name lies there from before, with another plate.
    let other = simulator::archive::Recipe {
        name: "Würfel".into(),
        printer: "Bambu Lab P1S".into(),
        model_id: "C12".into(),
        plates: vec![1],
        plate: 1,
        layers: 10,
        print_seconds: 60,
        calibration_seconds: 0,
        filaments: Vec::new(),
        size: 100_000,
        seed: 1,
    };
    printer.files().put("/Würfel.gcode.3mf", Content::bytes(other.archive()));
    let print = PrintPlan { plate: 2, ..plan("Würfel", Source::Lan) };
    let file = FilePlan { place: Place::Path("/cache/Würfel.3mf".into()), ..FilePlan::default() };
    begin(&printer, with_file(print, file));
    let complete = until_event(&service, "file_download_complete", 1);
    is_right(&service, &complete, &printer, "/cache/Würfel.3mf");
    contract::check(&service.journal());
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let printer = manual(Model::X1c);
    let service = service();
    service.watch(&printer);
    let file = FilePlan { size: 300_000, grows: true, ..FilePlan::default() };
    begin(&printer, with_file(plan("Würfel", Source::Cloud), file));
    until_event(&service, "auto_download_triggered", 1);
    advance(&printer, 60.0);
    let complete = until_event(&service, "file_download_complete", 1);
    is_right(&service, &complete, &printer, "/cache/Würfel.3mf");
}

#[test]
fn a_calibration_has_no_file() {
    let printer = manual(Model::X1c);
    let service = service();
    service.watch(&printer);
    begin(&printer, plan("Kalibrierung", Source::Calibration));
    advance_slowly(&printer, 900.0);
    begin(&printer, plan("Würfel", Source::Lan));
    until_event(&service, "file_download_complete", 1);
    assert_eq!(events(&service).iter().filter(|name| *name == "auto_download_triggered").count(), 1);
}

#[test]
fn a_restart_goes_on_with_what_was_begun() {
    for model in [Model::X1c, Model::A1] {
        let printer = manual(model);
        let service = Service::start();
        service.watch(&printer);
        let file = FilePlan { size: 3_000_000, ..FilePlan::default() };
        ftps(&printer, |faults| faults.rate = 400_000);
        begin(&printer, with_file(plan("Würfel", Source::Lan), file));
        wait_for("a part is there", || {
            let part = std::fs::metadata(service.directory().join("files/part/d1"));
            part.is_ok_and(|part| part.len() > 500_000)
        });
        let service = service.restart();
        ftps(&printer, |faults| faults.rate = 0);
        let complete = until_event(&service, "file_download_complete", 1);
        is_right(&service, &complete, &printer, "/Würfel.gcode.3mf");
        let last = printer.observations().ftps.retrievals.last().unwrap().clone();
        assert_eq!(last.offset > 0, model == Model::X1c, "{model:?}: {last:?}");
        assert_eq!(events(&service).iter().filter(|name| *name == "auto_download_triggered").count(), 1);
        assert_eq!(service.jobs()[0]["file_id"], complete["data"]["file_id"]);
        contract::check(&service.journal());
        no_parts(&service);
    }
}

#[test]
fn a_stuck_printer_does_not_keep_others_waiting() {
    let (stuck, fine) = (numbered(Model::X1c, 31), numbered(Model::P1s, 32));
    let service = Service::start();
    service.watch(&stuck);
    let id = service.watch(&fine);
    ftps(&stuck, |faults| faults.hangs_at = Some("SIZE".into()));
    begin(&stuck, plan("Würfel", Source::Lan));
    until_event(&service, "file_download_started", 1);
    begin(&fine, plan("Würfel", Source::Lan));
    let complete = until_event(&service, "file_download_complete", 1);
    assert_eq!(complete["data"]["printer_id"], id.as_str());
    is_right(&service, &complete, &fine, "/Würfel.gcode.3mf");
}

#[test]
fn a_preview_is_there_long_before_the_file() {
    let printer = manual(Model::P1s);
    let service = Service::start();
    let id = service.watch(&printer);
    ftps(&printer, |faults| faults.rate = 75_000);
    let file = FilePlan { size: 1_500_000, ..FilePlan::default() };
    begin(&printer, with_file(plan("Würfel", Source::Cloud), file));
    let preview = until_event(&service, "file_preview_ready", 1);
    let data = &preview["data"];
    assert!(data["thumbnail_url"].is_string() && data["metadata"]["print_time_s"].is_u64(), "{preview}");
    assert_eq!((&data["job_id"], &data["plate"]), (&json!("j1"), &json!(1)));
    let sent = printer.observations().ftps.bytes_sent;
    assert!(sent < 750_000, "the preview came after {sent} bytes");
    wait_for("the picture is shown", || {
        let status = service.get(&format!("/printers/{id}/status"));
        status["current_job"]["thumbnail_url"] == data["thumbnail_url"]
    });
    until_event(&service, "file_download_complete", 1);
    let progress = service.log.all().iter().filter(|seen| seen.name == "file_download_progress").count();
    assert!(progress >= 5, "{progress}");
}

#[test]
fn prusa_prints_are_fetched_over_http() {
    use simulator::prusa;
    for model in [prusa::Model::Mk4, prusa::Model::Mini] {
        let printer = crate::prusa::manual(model);
        let service = service();
        let id = crate::prusa::watch(&service, &printer);
        for (number, file) in ["Würfel groß.gcode", "Spice rack, left.bgcode"].into_iter().enumerate() {
            crate::prusa::begin(&service, &id, &printer, file);
            let complete = until_event(&service, "file_download_complete", number + 1);
            let source = printer.content(file).unwrap();
            assert_eq!(complete["data"]["sha256"], sha256(&source), "{complete}");
            assert!(kept(&service, &complete) == *source);
            assert_eq!(complete["data"]["filename"], file);
            assert_eq!(service.jobs()[number]["file_id"], complete["data"]["file_id"]);
            crate::prusa::finish(&printer);
            until_event(&service, "job_completed", number + 1);
        }
        assert_eq!(
            events(&service).iter().filter(|name| name.starts_with("file_download_failed")).count(),
            0
        );
        contract::check(&service.journal());
        no_parts(&service);
    }
}

/// Waits, without letting time go on, for what came of the thumbnails of the `count`-th file.
fn pictures(service: &Service, count: usize) -> Value {
    let name = |event: &Value| event["event"].as_str().unwrap_or_default().to_owned();
    let about = |event: &Value| {
        ["file_thumbnails_processed", "thumbnail_processing_failed"].contains(&name(event).as_str())
    };
    wait_for("the thumbnails have come to an end", || {
        service.journal().iter().filter(|event| about(event)).count() >= count
    });
    service.journal().into_iter().filter(about).nth(count - 1).unwrap()
}

#[test]
fn a_prusa_printer_is_asked_for_the_picture_that_its_file_lacks() {
    use simulator::prusa::{Fault, Faults, NewFile, Recipe, Target, content};
    let bare = |path: &str, picture: Option<Vec<u8>>| {
        let recipe = Recipe { previews: Vec::new(), ..Recipe::default() };
        NewFile { recipe, picture, ..NewFile::new(path) }
    };
    let mut config = crate::prusa::config(simulator::prusa::Model::Mk4);
    let shown = content::png(220, 124, "shown");
    config.files.push(bare("Shown.gcode", Some(shown.clone())));
    config.files.push(bare("Not shown.bgcode", None));
    config.files.push(bare("Broken.bgcode", Some(b"\x89PNG and no more".to_vec())));
    let printer = simulator::prusa::Printer::start(config).unwrap();
    let service = service();
    let id = crate::prusa::watch(&service, &printer);
    let numbered_files = ["Würfel groß.gcode", "Shown.gcode", "Not shown.bgcode", "Broken.bgcode"];
    let mut results = Vec::new();
    for (number, file) in numbered_files.into_iter().enumerate() {
        crate::prusa::begin(&service, &id, &printer, file);
        until_event(&service, "file_download_complete", number + 1);
        results.push(pictures(&service, number + 1));
        crate::prusa::finish(&printer);
        until_event(&service, "job_completed", number + 1);
    }
    let told: Vec<_> = results
        .iter()
        .map(|event| (event["data"]["source"].as_str(), event["data"]["kind"].as_str()))
        .collect();
    let none = (None, Some("none_embedded"));
    assert_eq!(told, [(Some("embedded"), None), (Some("printer"), None), none, none]);
    // A file with a picture costs the printer no question.
    assert_eq!(printer.observations().of(Target::Thumb), 3);
    assert_eq!(printer.observations().peak_active_requests, 1, "never beside another request for files");

    let data = &results[1]["data"];
    assert_eq!(data["thumbnails"]["medium"]["width"], 220, "{data}");
    let path = format!("/files/{}", data["file_id"].as_str().unwrap());
    let file = service.get(&path);
    assert_eq!(file["thumbnail_source"], "printer", "{file}");
    let picture = service.call("GET", &format!("{path}/thumbnail?size=medium"), None);
    assert_eq!(picture.status, 200);

    // Asked anew of a printer that refuses: what the file itself gives is told.
    printer.change_faults(|faults| *faults = Faults::at(Target::Thumb, Fault::Status(500))).unwrap();
    service.post(&format!("{path}/process-thumbnails"), json!({})).expect(202);
    assert_eq!(pictures(&service, 5)["data"]["kind"], "none_embedded");
    contract::check(&service.journal());
}

#[test]
fn a_prusa_transfer_that_is_cut_begins_anew() {
    use simulator::prusa;
    let printer = crate::prusa::manual(prusa::Model::Mk4);
    let service = service();
    let id = crate::prusa::watch(&service, &printer);
    let fault = prusa::Fault::Cut(1_000);
    let rule = prusa::Rule { at: prusa::Target::Download, fault, skip: 0, times: Some(1) };
    printer.change_faults(|faults| faults.rules = vec![rule]).unwrap();
    crate::prusa::begin(&service, &id, &printer, "Würfel groß.gcode");
    let failed = until_event(&service, "file_download_failed", 1);
    assert_eq!(failed["data"]["kind"], "interrupted", "{failed}");
    let complete = until_event(&service, "file_download_complete", 1);
    assert_eq!(complete["data"]["sha256"], sha256(&printer.content("Würfel groß.gcode").unwrap()));
    contract::check(&service.journal());
}
