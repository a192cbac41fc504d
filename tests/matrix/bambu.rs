//! Every fault of a Bambu Lab printer's MQTT side.

use simulator::bambu::{Command, Faults, Garbage, Silence, Tcp};

use crate::machine::{CODE, Family, Machine};
use crate::row::Effect::{Borne, Drops, Fails, Needs};
use crate::row::{Effect, Row};

/// A late answer that is not too late, in real milliseconds.
const LATE_MS: u64 = 800;

fn order(machine: &Machine, command: Command) {
    machine.bambu().command(command).unwrap();
}

fn change(machine: &Machine, change: impl FnOnce(&mut Faults)) {
    machine.bambu().change_faults(change).unwrap();
}

/// A fault that lasts and that an open connection does not feel.
fn lasting(
    name: &str,
    fault: impl Fn(&mut Faults) + Send + Sync + 'static,
    connecting: Effect,
    running: Effect,
) -> Row {
    Row::new(Family::Bambu, name, move |machine| change(machine, &fault), connecting, running)
}

/// The same, and the connection is cut: it has to be made anew under the fault.
fn cutting(
    name: &str,
    fault: impl Fn(&mut Faults) + Send + Sync + 'static,
    connecting: Effect,
    running: Effect,
) -> Row {
    let inject = move |machine: &Machine| {
        change(machine, &fault);
        order(machine, Command::Drop);
    };
    Row::new(Family::Bambu, name, inject, connecting, running)
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row {
            // Until it is asked, after a minute.
            speaks: false,
            ..lasting("silence: asleep", |f| f.silence = Silence::Asleep, Borne, Borne)
        },
        lasting(
            "silence: mute",
            |f| f.silence = Silence::Mute,
            Fails("", "silent"),
            Fails("silent", "silent"),
        ),
        lasting(
            "silence: dead",
            |f| f.silence = Silence::Dead,
            Fails("", "silent"),
            Fails("silent", "silent"),
        ),
        lasting("half dead", |f| f.half_dead = true, Borne, Borne),
        lasting("acknowledgements are lost", |f| f.lose_acknowledgements = true, Borne, Borne),
        cutting(
            "the port is closed",
            |f| f.refuse_connections = true,
            Fails("", "refused"),
            Fails("lost", "refused"),
        ),
        cutting("TCP: held", |f| f.tcp = Tcp::Hold, Fails("", "silent"), Fails("lost", "silent")),
        cutting("TCP: closed at once", |f| f.tcp = Tcp::Close, Fails("", "tls"), Fails("lost", "tls")),
        cutting("TCP: plain text", |f| f.tcp = Tcp::PlainText, Fails("", "tls"), Fails("lost", "tls")),
        cutting("TLS is late", |f| f.tls_delay_ms = LATE_MS, Borne, Drops("lost")),
        cutting("CONNACK is late", |f| f.connack_delay_ms = LATE_MS, Borne, Drops("lost")),
        cutting(
            "wrong common name",
            |f| f.wrong_common_name = Some("SOMEBODY".into()),
            Needs("", "wrong_serial"),
            Needs("lost", "wrong_serial"),
        ),
        cutting("the connection is cut", |_| {}, Borne, Drops("lost")),
        cutting(
            "the power went",
            |f| {
                f.refuse_connections = true;
                f.ftps.refuse_connections = true;
            },
            Fails("", "refused"),
            Fails("lost", "refused"),
        ),
    ];
    for (code, kind) in
        [(1, "protocol"), (2, "protocol"), (3, "protocol"), (4, "wrong_code"), (5, "wrong_code")]
    {
        let fault = move |faults: &mut Faults| faults.connack_code = Some(code);
        let effect = |reason| if code < 4 { Fails(reason, kind) } else { Needs(reason, kind) };
        rows.push(cutting(&format!("CONNACK code {code}"), fault, effect(""), effect("lost")));
    }
    rows.push(Row {
        undo: |machine| order(machine, Command::SetAccessCode { code: CODE.into() }),
        ..Row::new(
            Family::Bambu,
            "another access code",
            |machine| {
                order(machine, Command::SetAccessCode { code: "87654321".into() });
                order(machine, Command::Drop);
            },
            Needs("", "wrong_code"),
            Needs("lost", "wrong_code"),
        )
    });
    rows.push(Row {
        help: "trust",
        ..Row::new(
            Family::Bambu,
            "another key",
            |machine| {
                order(machine, Command::ChangeKey);
                order(machine, Command::Drop);
            },
            Borne,
            Needs("lost", "certificate_changed"),
        )
    });
    rows.push(Row {
        ends: Some("unknown"),
        ..Row::new(
            Family::Bambu,
            "switched off and on: the print is gone",
            |machine| order(machine, Command::PowerCycle),
            Borne,
            Drops("lost"),
        )
    });
    rows.push(Row::new(
        Family::Bambu,
        "bytes that are no MQTT",
        |machine| order(machine, Command::RawBytes { bytes: vec![0xff; 64] }),
        Borne,
        Drops("lost"),
    ));
    for kind in Garbage::ALL {
        // One of them among good reports. Longer ones than a client takes cost the connection.
        let running = if kind == Garbage::Large300k { Drops("lost") } else { Borne };
        let inject = move |machine: &Machine| order(machine, Command::Garbage { kind });
        rows.push(Row::new(Family::Bambu, format!("one garbage: {kind:?}"), inject, Borne, running));
    }
    rows
}
