//! Every fault of a Prusa printer's web server.

use simulator::prusa::{AfterReboot, Command, Fault, Faults, Garbage, Silence, Target};

use crate::machine::{Family, Machine, PASSWORD};
use crate::row::Effect::{Borne, Fails, Needs};
use crate::row::{Effect, Row};

fn order(machine: &Machine, command: Command) {
    machine.prusa().command(command).unwrap();
}

fn row(name: String, faults: Faults, connecting: Effect, running: Effect) -> Row {
    let inject = move |machine: &Machine| {
        machine.prusa().change_faults(|now| *now = faults.clone()).unwrap();
    };
    Row::new(Family::Prusa, name, inject, connecting, running)
}

/// A fault of all requests.
fn all(fault: Fault, connecting: &'static str, reason: &'static str, kind: &'static str) -> Row {
    let name = format!("every request: {fault:?}");
    row(name, Faults::at(Target::All, fault), Fails("", connecting), Fails(reason, kind))
}

/// A fault of one kind of request.
fn at(target: Target, fault: Fault, connecting: Effect, running: Effect) -> Row {
    row(format!("{target:?}: {fault:?}"), Faults::at(target, fault), connecting, running)
}

pub fn rows() -> Vec<Row> {
    let silent = |silence| Faults { silence, ..Faults::default() };
    let (quiet, broken, odd) =
        (Fails("silent", "silent"), Fails("lost", "unreachable"), Fails("lost", "protocol"));
    let mut rows = vec![
        row("silence: mute".into(), silent(Silence::Mute), Fails("", "silent"), quiet),
        row(
            "silence: the port is closed".into(),
            silent(Silence::Refuse),
            Fails("", "refused"),
            Fails("lost", "refused"),
        ),
        row("silence: black hole".into(), silent(Silence::BlackHole), Fails("", "silent"), quiet),
        all(Fault::Status(500), "protocol", "lost", "protocol"),
        all(Fault::Status(503), "busy", "lost", "busy"),
        all(Fault::Status(404), "protocol", "lost", "protocol"),
        row(
            "every request: 401".into(),
            Faults::at(Target::All, Fault::Unauthorized),
            Needs("", "auth"),
            Needs("lost", "auth"),
        ),
        all(Fault::Hang, "silent", "silent", "silent"),
        all(Fault::HangInHead, "silent", "silent", "silent"),
        all(Fault::HangInBody(10), "silent", "silent", "silent"),
        all(Fault::Slow(1), "silent", "silent", "silent"),
        all(Fault::Drop, "unreachable", "lost", "unreachable"),
        all(Fault::Cut(10), "unreachable", "lost", "unreachable"),
        all(Fault::Reset(10), "unreachable", "lost", "unreachable"),
        all(Fault::Truncated(10), "protocol", "lost", "protocol"),
        all(Fault::Flipped(0), "protocol", "lost", "protocol"),
        row("every request: 50 ms late".into(), Faults::at(Target::All, Fault::Delay(50)), Borne, Borne),
        // Without the page of the print its name has to wait; everything else goes on.
        at(Target::Job, Fault::Status(500), Borne, Borne),
        at(Target::Job, Fault::Hang, Borne, Borne),
        at(Target::Job, Fault::Garbage(Garbage::BrokenJson), Borne, Borne),
        at(Target::Version, Fault::Status(500), Fails("", "protocol"), Borne),
        at(Target::Info, Fault::Status(404), Borne, Borne),
        at(Target::Status, Fault::Hang, Fails("", "silent"), quiet),
        at(Target::Status, Fault::Cut(10), Fails("", "unreachable"), broken),
        // The page comes in chunks and has no length.
        at(Target::Status, Fault::Length(20), Borne, Borne),
        at(Target::Status, Fault::Length(-20), Borne, Borne),
    ];
    for garbage in Garbage::ALL {
        use Garbage as G;
        let (connecting, running) = match garbage {
            // Words and numbers that cannot be: the rest of the page counts.
            G::WrongTypes | G::Nulls | G::InvalidUtf8 | G::HugeNumbers => (Borne, Borne),
            G::HugeChunk => (Fails("", "unreachable"), broken),
            _ => (Fails("", "protocol"), odd),
        };
        rows.push(at(Target::Status, Fault::Garbage(garbage), connecting, running));
    }
    let mut simple = |name: &str, inject: fn(&Machine)| {
        rows.push(Row::new(Family::Prusa, name, inject, Borne, Borne));
    };
    simple("the connections are cut", |machine| order(machine, Command::Drop));
    simple("switched off and on: the print goes on", |machine| {
        order(machine, Command::Reboot { job: AfterReboot::Resumed });
    });
    rows.push(Row {
        ends: Some("unknown"),
        ..Row::new(
            Family::Prusa,
            "switched off and on: the print is gone",
            |machine| order(machine, Command::Reboot { job: AfterReboot::Lost }),
            Borne,
            Borne,
        )
    });
    rows.push(Row {
        undo: |machine| order(machine, Command::SetPassword { password: PASSWORD.into() }),
        ..Row::new(
            Family::Prusa,
            "another password",
            |machine| order(machine, Command::SetPassword { password: "another".into() }),
            Needs("", "auth"),
            Needs("lost", "auth"),
        )
    });
    rows
}
