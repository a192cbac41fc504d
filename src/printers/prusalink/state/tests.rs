use super::super::parse::{JobLine, Refs};
use super::*;

const BOOT: Option<Boot> = Some(0xaaaa_aaaa);
const OTHER_BOOT: Option<Boot> = Some(0xbbbb_bbbb);

fn line(id: u64, progress: u8, printing_s: u32) -> Option<JobLine> {
    Some(JobLine {
        id: Some(id),
        progress: Some(progress),
        remaining_s: Some(60),
        printing_s: Some(printing_s),
    })
}

fn status(state: State, job: Option<JobLine>) -> Status {
    Status { state: Some(state), job, nozzle: Some(20.0), ..Status::default() }
}

fn page(id: u64, name: &str) -> Option<Job> {
    let file = File {
        name: Some("A~1.GCO".into()),
        display_name: Some(name.into()),
        path: Some("/usb".into()),
        size: Some(9),
        modified: None,
        read_only: None,
        refs: Refs::default(),
    };
    Some(Job { id: Some(id), file: Some(file), odd: 0 })
}

/// Shows a status and, where it is wanted, the job's page; answers what is seen then.
fn show(
    machine: &mut Machine,
    state: State,
    job: Option<JobLine>,
    boot: Option<Boot>,
    name: &str,
) -> Observation {
    if machine.status(status(state, job), boot) {
        machine.job(page(job.and_then(|job| job.id).unwrap_or(0), name));
    }
    machine.observe()
}

fn printing(boot: Option<Boot>) -> Machine {
    let mut machine = Machine::default();
    show(&mut machine, State::Idle, None, boot, "");
    let seen = show(&mut machine, State::Printing, line(5, 10, 100), boot, "a.gcode");
    assert_eq!(seen.status, PrinterStatus::Printing);
    machine
}

#[test]
fn states_while_nothing_is_printed() {
    use PrinterStatus as S;
    for (state, expected, kind) in [
        (State::Idle, S::Idle, None),
        (State::Ready, S::Idle, None),
        (State::Busy, S::Idle, None),
        (State::Finished, S::Finished, None),
        (State::Stopped, S::Cancelled, None),
        (State::Attention, S::Attention, Some(PrintKind::System)),
        (State::Error, S::Attention, Some(PrintKind::System)),
        (State::Unknown, S::Unknown, None),
    ] {
        let mut machine = Machine::default();
        assert!(!machine.status(status(state, None), None), "{state:?}");
        let seen = machine.observe();
        assert_eq!((seen.status, seen.print.kind, seen.print.key), (expected, kind, None), "{state:?}");
    }
    let mut machine = Machine::default();
    machine.status(Status::default(), None);
    assert_eq!(machine.observe().status, S::Unknown);
}

#[test]
fn states_while_something_is_printed() {
    use PrinterStatus as S;
    let on = line(5, 20, 200);
    for (state, job, expected) in [
        (State::Printing, on, S::Printing),
        (State::Paused, on, S::Paused),
        (State::Attention, on, S::Attention),
        (State::Attention, None, S::Attention),
        (State::Busy, on, S::Printing),
        (State::Busy, None, S::Printing),
        (State::Error, on, S::Failed),
        (State::Error, None, S::Failed),
        (State::Finished, None, S::Finished),
        (State::Stopped, None, S::Cancelled),
        (State::Idle, None, S::Idle),
        (State::Unknown, None, S::Unknown),
    ] {
        let mut machine = printing(BOOT);
        let seen = show(&mut machine, state, job, BOOT, "a.gcode");
        assert_eq!(seen.status, expected, "{state:?} {job:?}");
        if !matches!(expected, S::Idle | S::Unknown) {
            assert_eq!(seen.print.key.as_deref(), Some("job:5@aaaaaaaa"), "{state:?} {job:?}");
            assert_eq!(
                (seen.print.name.as_deref(), seen.print.file.as_deref()),
                (Some("a.gcode"), Some("/usb/A~1.GCO"))
            );
        }
        assert_eq!(seen.cancelled, state == State::Stopped, "{state:?}");
    }
}

#[test]
fn a_failure_stands_until_the_printer_says_otherwise() {
    let mut machine = printing(None);
    for _ in 0..3 {
        let seen = show(&mut machine, State::Error, None, None, "");
        assert_eq!((seen.status, seen.errors.len()), (PrinterStatus::Failed, 1));
    }
    assert_eq!(show(&mut machine, State::Idle, None, None, "").status, PrinterStatus::Idle);
    assert_eq!(show(&mut machine, State::Error, None, None, "").status, PrinterStatus::Attention);
}

#[test]
fn a_file_printed_twice_is_two_prints() {
    for boot in [None, BOOT] {
        let mut machine = printing(boot);
        let first = machine.observe().print.key;
        // The end was missed.
        let second = show(&mut machine, State::Printing, line(6, 0, 1), boot, "a.gcode").print.key;
        assert_ne!(first, second);
        assert_eq!(show(&mut machine, State::Finished, None, boot, "").print.key, second);
    }
}

#[test]
fn numbers_that_begin_anew_after_a_restart_are_new_prints() {
    for (before, after) in [(BOOT, OTHER_BOOT), (None, None), (BOOT, None)] {
        // Another file.
        let mut machine = printing(before);
        let first = machine.observe().print.key;
        machine.interrupted();
        let seen = show(&mut machine, State::Printing, line(5, 11, 101), after, "b.gcode");
        assert_ne!(seen.print.key, first, "{before:?} {after:?}");
        assert_eq!(seen.print.name.as_deref(), Some("b.gcode"));
        // The same file from its beginning.
        let mut machine = printing(before);
        machine.interrupted();
        let seen = show(&mut machine, State::Printing, line(5, 0, 3), after, "a.gcode");
        assert_ne!(seen.print.key, first, "{before:?} {after:?}");
        assert_eq!(seen.print.name.as_deref(), Some("a.gcode"));
    }
}

#[test]
fn a_print_that_goes_on_after_a_power_cut_stays_itself() {
    for (before, after) in [(BOOT, OTHER_BOOT), (None, None), (None, BOOT), (BOOT, None)] {
        let mut machine = printing(before);
        let first = machine.observe().print.key;
        machine.interrupted();
        for progress in 10..14 {
            let seen = show(
                &mut machine,
                State::Printing,
                line(5, progress, 100 + u32::from(progress)),
                after,
                "a.gcode",
            );
            assert_eq!(seen.print.key, first, "{before:?} {after:?}");
        }
    }
}

#[test]
fn a_restart_of_the_service_finds_the_same_print() {
    let seen = printing(BOOT).observe();
    let again = || Machine::new(&seen.print, seen.status, seen.progress);
    let same = show(&mut again(), State::Printing, line(5, 30, 300), BOOT, "a.gcode");
    assert_eq!(
        (same.print.key.as_ref(), same.print.name.as_deref()),
        (seen.print.key.as_ref(), Some("a.gcode"))
    );
    let other = show(&mut again(), State::Printing, line(6, 30, 300), BOOT, "a.gcode");
    assert_ne!(other.print.key, seen.print.key);
    // Its end: the printer does not name the print any more.
    let ended = show(&mut again(), State::Finished, None, BOOT, "");
    assert_eq!((ended.print.key.as_ref(), ended.progress), (seen.print.key.as_ref(), Some(100)));
    let rebooted = show(&mut again(), State::Printing, line(5, 2, 9), OTHER_BOOT, "a.gcode");
    assert_ne!(rebooted.print.key, seen.print.key);
}

#[test]
fn keys_without_a_boot_differ_where_the_numbers_do_not() {
    let mut machine = printing(None);
    let mut keys = vec![machine.observe().print.key];
    for _ in 0..3 {
        machine.interrupted();
        show(&mut machine, State::Idle, None, None, "");
        machine.interrupted();
        let key = show(&mut machine, State::Printing, line(5, 1, 1), None, "a.gcode").print.key;
        assert_ne!(keys.last(), Some(&key));
        keys.push(key);
        machine.status(status(State::Printing, line(5, 90, 900)), None);
    }
}

#[test]
fn the_job_page_is_asked_for_once_a_print_and_seldom_where_it_has_no_file() {
    let mut machine = printing(BOOT);
    for progress in 11..60 {
        assert!(!machine.status(status(State::Printing, line(5, progress, 1000)), BOOT));
    }
    let mut machine = Machine::default();
    let mut asked = 0;
    for _ in 0..85 {
        if machine.status(status(State::Printing, line(5, 1, 1)), BOOT) {
            asked += 1;
            machine.job(Some(Job { id: Some(5), file: None, odd: 0 }));
        }
    }
    assert!((10..=16).contains(&asked), "{asked}");
    assert_eq!(machine.observe().print.name, None);
    // A page of another print says nothing about this one.
    machine.job(page(6, "other.gcode"));
    assert_eq!(machine.observe().print.name, None);
}

#[test]
fn our_own_stop_is_a_cancellation_even_where_the_printer_is_idle_at_once() {
    let mut machine = printing(BOOT);
    machine.stopped_by_us();
    assert!(!machine.observe().cancelled);
    assert!(show(&mut machine, State::Idle, None, BOOT, "").cancelled);
    show(&mut machine, State::Printing, line(6, 1, 1), BOOT, "a.gcode");
    assert!(!show(&mut machine, State::Idle, None, BOOT, "").cancelled);
}

#[test]
fn a_dialog_before_the_first_layer_belongs_to_the_print() {
    let mut machine = Machine::default();
    let seen = show(&mut machine, State::Attention, line(5, 0, 0), BOOT, "a.gcode");
    assert_eq!((seen.status, seen.print.kind), (PrinterStatus::Attention, Some(PrintKind::User)));
    let busy = show(&mut machine, State::Busy, line(5, 0, 0), BOOT, "a.gcode");
    assert_eq!(busy.stage, Some("busy"));
    let mut machine = Machine::default();
    let busy = show(&mut machine, State::Busy, line(5, 0, 0), BOOT, "a.gcode");
    assert_eq!((busy.status, busy.print.kind), (PrinterStatus::Preparing, Some(PrintKind::User)));
}

#[test]
fn labels_of_both_families() {
    let file =
        |path: &str, name: &str| File { path: Some(path.into()), name: Some(name.into()), ..File::default() };
    assert_eq!(label(&file("/usb/dir", "A~1.GCO")).1.as_deref(), Some("/usb/dir/A~1.GCO"));
    assert_eq!(label(&file("/usb/", "A~1.GCO")).1.as_deref(), Some("/usb/A~1.GCO"));
    assert_eq!(
        label(&file("/PrusaLink gcodes/x.gcode", "x.gcode")).1.as_deref(),
        Some("/PrusaLink gcodes/x.gcode")
    );
    assert_eq!(label(&File::default()), (None, None));
    assert_eq!(read_key("job:7@0000000a''"), (Some(7), Some(10)));
    assert_eq!(read_key("job:7@'"), (Some(7), None));
    assert_eq!(read_key("task:9"), (None, None));
}
