//! Whole prints, message by message, through merging, job decisions and the store: the right jobs, no false edge, also
//! when the service is restarted at every n-th message. One run uses messages made here; others replay captured logs
//! where `../shared/data/bambu` lies (each line `YYYY-MM-DD HH:MM:SS :: json`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that is surprised fails where it stands"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use printernizer::base::clock::{Clock, RELEASE_FLOOR};
use printernizer::events::{Envelope, Event};
use printernizer::jobs::record::{Transition, record};
use printernizer::model::{ConnectionState, Job, JobStatus, PrinterId, PrinterState, PrinterStatus};
use printernizer::printers::bambu::{Kind, Reports};
use printernizer::store::{JobFilter, OpenedStore, Store, StoreOptions};

fn close(opened: OpenedStore, store: Store) {
    drop((store, opened.store));
    smol::block_on(opened.thread.close(Duration::from_secs(10))).unwrap();
}

struct Outcome {
    jobs: Vec<Job>,
    names: Vec<String>,
    seqs: Vec<u64>,
}

/// Feeds `messages`, two seconds apart, restarting the service (store included) before every message whose number is a
/// multiple of `restart_every`.
fn replay(messages: &[String], restart_every: Option<usize>) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(RELEASE_FLOOR);
    let announced: Arc<Mutex<Vec<Arc<Envelope>>>> = Arc::default();
    let open = || {
        let announced = Arc::clone(&announced);
        let publish = move |envelope| announced.lock().unwrap().push(envelope);
        Store::open(StoreOptions::new(dir.path().to_owned(), clock.clone(), Arc::new(publish))).unwrap()
    };
    let mut opened = open();
    let mut store = opened.store.clone();
    let mut reports = Reports::default();
    let mut first = true;
    for (number, message) in messages.iter().enumerate() {
        if number > 0 && restart_every.is_some_and(|every| number % every == 0) {
            close(opened, store);
            opened = open();
            store = opened.store.clone();
            reports = Reports::default();
            first = true;
        }
        clock.advance(Duration::from_secs(2));
        let applied = reports.apply(message.as_bytes());
        assert_ne!(applied.kind, Kind::Malformed, "message {number}");
        if applied.kind == Kind::Other {
            continue;
        }
        let seen = reports.observe();
        let state = PrinterState {
            status: seen.status,
            connection: ConnectionState::Monitoring,
            fresh: true,
            last_seen: Some(clock.now().wall),
            seen,
            ..PrinterState::default()
        };
        let is_first = first && state.status != PrinterStatus::Unknown;
        first &= !is_first;
        let transition = Transition {
            printer_id: PrinterId(1),
            printer_name: "A1".into(),
            state,
            first: is_first,
            flow: None,
        };
        smol::block_on(record(&store, transition)).unwrap();
    }
    let (jobs, total) = store.read_blocking(|view| view.jobs_page(&JobFilter::default(), 0, 100)).unwrap();
    assert_eq!(jobs.len() as u64, total);
    close(opened, store);
    let announced = announced.lock().unwrap();
    let names =
        announced.iter().map(|envelope| label(&envelope.event)).filter(|label| !label.is_empty()).collect();
    let seqs = announced.iter().filter_map(|envelope| envelope.seq).collect();
    Outcome { jobs: jobs.into_iter().rev().collect(), names, seqs }
}

/// The job events, shortly.
fn label(event: &Event) -> String {
    match event {
        Event::JobCreated(data) => format!("created {}", data.job_id),
        Event::JobStarted(data) => format!("started {}", data.job_id),
        Event::JobStatusChanged(data) => format!("{} {}", data.job_id, data.status.name()),
        Event::JobCompleted(data) => format!("completed {} {}", data.job_id, data.status.name()),
        _ => String::new(),
    }
}

/// The story of one print from preparation to its end, as job number `number`.
fn story(number: u32, end: &str) -> Vec<String> {
    vec![
        format!("created j{number}"),
        format!("j{number} preparing"),
        format!("j{number} running"),
        format!("started j{number}"),
        format!("j{number} {end}"),
        format!("completed j{number} {end}"),
    ]
}

fn check(messages: &[String], restarts: &[usize], expected: &[String], names: &[&str], ends: &[JobStatus]) {
    for every in [None].into_iter().chain(restarts.iter().copied().map(Some)) {
        let outcome = replay(messages, every);
        assert_eq!(outcome.names, expected, "restart every {every:?}");
        let shown: Vec<&str> = outcome.jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(shown, names, "restart every {every:?}");
        let statuses: Vec<JobStatus> = outcome.jobs.iter().map(|job| job.status).collect();
        assert_eq!(statuses, ends, "restart every {every:?}");
        let whole: Vec<u64> = (1..=outcome.seqs.len() as u64).collect();
        assert_eq!(outcome.seqs, whole, "seq has no gap");
    }
}

fn delta(fields: &str) -> String {
    format!(r#"{{"print":{{{fields},"command":"push_status","msg":1,"sequence_id":"7"}}}}"#)
}

/// Three prints as an A1 tells them: sent through the cloud, started again at the screen, cancelled.
fn own_messages() -> Vec<String> {
    let mut messages = vec![
        delta(r#""bed_temper":21.0"#),
        r#"{"print":{"command":"push_status","msg":0,"gcode_state":"IDLE","print_type":"idle","subtask_name":"","gcode_file":"","subtask_id":"0","task_id":"0","mc_percent":0,"print_error":0}}"#.into(),
        r#"{"print":{"command":"project_file","param":"Metadata/plate_2.gcode","subtask_name":"Tür: rot","url":"https://example.invalid/x?secret"}}"#.into(),
        delta(r#""gcode_state":"PREPARE","gcode_file":"Tür_ rot.3mf","subtask_name":"Tür_ rot","print_type":"cloud","subtask_id":"77","task_id":"77","gcode_file_prepare_percent":"0""#),
        delta(r#""gcode_file_prepare_percent":"100""#),
        delta(r#""gcode_state":"RUNNING","mc_percent":0,"layer_num":0,"total_layer_num":9,"mc_remaining_time":12"#),
        delta(r#""stg_cur":1"#),
        delta(r#""stg_cur":0,"layer_num":1,"mc_percent":10"#),
    ];
    messages
        .extend((2..=9).map(|layer| delta(&format!(r#""layer_num":{layer},"mc_percent":{}"#, layer * 11))));
    messages.extend([
        delta(r#""gcode_state":"FINISH","mc_percent":100,"gcode_file":"","print_type":"idle""#),
        delta(r#""nozzle_temper":180.5"#),
        // Started again at the screen: no numbers.
        delta(r#""gcode_state":"IDLE","gcode_file":"Tür_ rot.3mf","subtask_name":"Tür_ rot.3mf","print_type":"local","subtask_id":"0","task_id":"0""#),
        delta(r#""gcode_state":"PREPARE""#),
        delta(r#""gcode_state":"RUNNING","mc_percent":0,"layer_num":0"#),
        delta(r#""mc_percent":40,"layer_num":4"#),
        delta(r#""mc_percent":90,"layer_num":8"#),
        delta(r#""gcode_state":"FINISH","mc_percent":100,"gcode_file":"","print_type":"idle""#),
        // Straight into the next print of the same file, which somebody cancels.
        delta(r#""gcode_state":"PREPARE","gcode_file":"Tür_ rot.3mf","print_type":"local""#),
        delta(r#""gcode_state":"RUNNING","mc_percent":1,"layer_num":1"#),
        delta(r#""print_error":50348044,"gcode_state":"FAILED""#),
        delta(r#""gcode_state":"IDLE","print_error":0"#),
    ]);
    messages
}

#[test]
fn three_prints_are_three_jobs_however_often_the_service_restarts() {
    let messages = own_messages();
    let expected = [story(1, "completed"), story(2, "completed"), story(3, "cancelled")].concat();
    let restarts: Vec<usize> = (1..=messages.len()).collect();
    let ends = [JobStatus::Completed, JobStatus::Completed, JobStatus::Cancelled];
    check(&messages, &restarts, &expected, &["Tür_ rot", "Tür_ rot.3mf", "Tür_ rot.3mf"], &ends);
}

/// The code of a cancellation comes before the state: a connection that begins between the two has it in its full report.
#[test]
fn a_cancellation_is_seen_by_a_connection_that_begins_in_the_middle_of_it() {
    let messages = [
        delta(r#""gcode_state":"PREPARE","gcode_file":"a.3mf","subtask_name":"a","print_type":"local""#),
        delta(r#""gcode_state":"RUNNING","mc_percent":1,"layer_num":1"#),
        delta(r#""mc_percent":2"#),
        r#"{"print":{"command":"push_status","msg":0,"gcode_state":"RUNNING","gcode_file":"a.3mf","subtask_name":"a","mc_percent":2,"layer_num":1,"print_type":"local","print_error":50348044}}"#.into(),
        delta(r#""gcode_state":"FAILED""#),
    ];
    check(&messages, &[3], &story(1, "cancelled"), &["a"], &[JobStatus::Cancelled]);
}

#[test]
fn a_calibration_is_no_job() {
    let messages = [
        delta(
            r#""gcode_state":"PREPARE","gcode_file":"/usr/etc/print/auto_cali_for_user.gcode","subtask_name":"auto_cali","print_type":"system""#,
        ),
        delta(r#""gcode_state":"RUNNING","mc_percent":50"#),
        delta(r#""gcode_state":"FINISH","mc_percent":100,"gcode_file":"","print_type":"idle""#),
    ];
    check(&messages, &[1, 2], &[], &[], &[]);
}

fn captured(name: &str) -> Option<Vec<String>> {
    let data = std::env::var_os("PRINTERNIZER_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = data.join("bambu").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: {} is not here", path.display());
        return None;
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(text.lines().filter_map(|line| Some(line.split_once(" :: ")?.1.to_owned())).collect())
}

#[test]
fn a_captured_cloud_print_is_one_job() {
    let Some(messages) = captured("a1_Testqube_cloud.log") else { return };
    check(&messages, &[50, 7, 89, 90, 381], &story(1, "completed"), &["Würfel"], &[JobStatus::Completed]);
}

#[test]
fn a_captured_print_from_the_screen_is_one_job() {
    let Some(messages) = captured("a1_Testqube_local.log") else { return };
    check(
        &messages,
        &[50, 7, 59, 60, 61, 348],
        &story(1, "completed"),
        &["Würfel.3mf"],
        &[JobStatus::Completed],
    );
}

#[test]
fn a_captured_session_of_84_minutes_has_one_job_that_goes_on() {
    let Some(messages) = captured("a1_session_20251218_1200.log") else { return };
    let expected = story(1, "").into_iter().take(4).collect::<Vec<_>>();
    let names = ["Christmas Tree With Star; Size_ M"];
    check(&messages, &[50], &expected, &names, &[JobStatus::Running]);
}
