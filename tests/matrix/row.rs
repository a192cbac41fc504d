//! One row of the matrix: a fault of the connection, in every phase at once.
//!
//! There is a printer for each phase. All are brought into theirs, then the fault strikes all of them, and while it lasts
//! both witnesses print a whole print and their files are fetched. Then the fault ends, every printer has to be back
//! without anybody's help (or after the one step that the user was told to do), and every print comes to its right end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{Bench, Watched};
use crate::client::{self, Deadline};
use crate::machine::{Family, Machine};

/// Ticks that a fault lasts at least: 96 s, and a vanished printer is noticed within 90 s.
const LASTS: u32 = 12;
/// Ticks within which a printer is back: pauses are 30 s at most, and the first report has 15 s.
const BACK: u32 = 12;
/// Bytes of the file that is on its way when the fault strikes, and how fast it comes.
const SLOW_FILE: (u64, u64) = (150_000, 25_000);

/// What is printed; one of the garbages is this name with broken characters.
const NAME: &str = "Würfel";

/// What the printer is at when the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Connecting,
    Idle,
    Preparing,
    Printing,
    Paused,
    Transfer,
    End,
}

impl Phase {
    pub const ALL: [Phase; 7] = [
        Phase::Connecting,
        Phase::Idle,
        Phase::Preparing,
        Phase::Printing,
        Phase::Paused,
        Phase::Transfer,
        Phase::End,
    ];

    fn prints(self) -> bool {
        !matches!(self, Phase::Connecting | Phase::Idle)
    }
}

/// What a fault does to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that a listener sees: the connection stays, or is made all the same.
    Borne,
    /// `printer_disconnected` with this reason, and the printer is back at once.
    Drops(&'static str),
    /// `printer_disconnected` with this reason, `failed` with this kind; back by itself when the fault has ended.
    Fails(&'static str, &'static str),
    /// The same and `error`: back when the user has done what the message says.
    Needs(&'static str, &'static str),
}

impl Effect {
    fn words(self, connecting: bool) -> String {
        let lost = |reason: &str| if connecting { String::new() } else { format!("`{reason}`, ") };
        match self {
            Effect::Borne => "borne".into(),
            Effect::Drops(reason) => format!("{}back at once", lost(reason)),
            Effect::Fails(reason, kind) => format!("{}`{kind}`", lost(reason)),
            Effect::Needs(reason, kind) => format!("{}`{kind}`, user", lost(reason)),
        }
    }

    fn kind(self) -> Option<&'static str> {
        match self {
            Effect::Borne | Effect::Drops(_) => None,
            Effect::Fails(_, kind) | Effect::Needs(_, kind) => Some(kind),
        }
    }
}

/// A fault and what it has to bring about.
pub struct Row {
    pub family: Family,
    pub name: String,
    pub inject: Box<dyn Fn(&Machine) + Send + Sync>,
    /// What ends the fault, besides clearing the faults.
    pub undo: fn(&Machine),
    /// While a connection is being made.
    pub connecting: Effect,
    /// In all other phases.
    pub running: Effect,
    /// What the user does: a path below the printer's.
    pub help: &'static str,
    /// The end of a print that was on, where the fault decides it.
    pub ends: Option<&'static str>,
    /// Whether the printers speak as usual while the fault is borne.
    pub speaks: bool,
}

impl Row {
    pub fn new(
        family: Family,
        name: impl Into<String>,
        inject: impl Fn(&Machine) + Send + Sync + 'static,
        connecting: Effect,
        running: Effect,
    ) -> Row {
        let (name, inject) = (name.into(), Box::new(inject));
        Row {
            family,
            name,
            inject,
            undo: |_| {},
            connecting,
            running,
            help: "connect",
            ends: None,
            speaks: true,
        }
    }

    fn effect(&self, phase: Phase) -> Effect {
        if phase == Phase::Connecting { self.connecting } else { self.running }
    }

    /// The row of the table.
    pub fn cells(&self) -> Vec<String> {
        Phase::ALL.into_iter().map(|phase| self.effect(phase).words(phase == Phase::Connecting)).collect()
    }

    /// Runs it; answers what was not as it has to be.
    pub fn run(&self) -> Vec<String> {
        let bench = Bench::new();
        let subjects: Vec<(Phase, Watched)> = Phase::ALL
            .into_iter()
            .enumerate()
            .map(|(number, phase)| {
                let machine = Machine::new(self.family, number);
                (phase, bench.add(machine, phase != Phase::Connecting))
            })
            .collect();
        self.prepare(&bench, &subjects);
        let from = bench.here();
        self.strike(&bench, &subjects, from);
        self.heal(&bench, &subjects);
        self.finish(&bench, &subjects, from);
        bench.end()
    }

    /// Brings every printer into its phase.
    fn prepare(&self, bench: &Bench, subjects: &[(Phase, Watched)]) {
        for (phase, subject) in subjects {
            let machine = &subject.machine;
            if *phase == Phase::Transfer {
                machine.slow_down(SLOW_FILE.1);
                machine.start_sized(NAME, SLOW_FILE.0);
            } else if phase.prints() {
                machine.start(NAME);
            }
            match (phase, self.family) {
                (Phase::Connecting | Phase::Idle, _) => {}
                (Phase::Preparing, Family::Bambu) => machine.advance(8.0),
                (Phase::Preparing, Family::Prusa) => machine.advance(2.0),
                (Phase::End, Family::Bambu) => machine.advance(640.0),
                (Phase::End, Family::Prusa) => machine.advance(715.0),
                (Phase::Printing | Phase::Paused | Phase::Transfer, _) => machine.advance(200.0),
            }
            if *phase == Phase::Paused {
                machine.pause();
            }
        }
        let heard: Vec<&Watched> = running(subjects).collect();
        bench.tick(&heard, &[]);
        for (phase, subject) in subjects {
            let status = match phase {
                Phase::Connecting | Phase::Idle => continue,
                Phase::Preparing if self.family == Family::Prusa => continue,
                Phase::Preparing => "preparing",
                Phase::Printing | Phase::Transfer | Phase::End => "printing",
                Phase::Paused => "paused",
            };
            bench.service.until(&subject.id, "it is in its phase", |view| view["status"] == status);
            if *phase == Phase::Transfer {
                bench.service.log.first("its file comes", |seen| {
                    seen.name == "file_download_started" && seen.is_of(&subject.id)
                });
            }
        }
    }

    /// The fault strikes and lasts.
    fn strike(&self, bench: &Bench, subjects: &[(Phase, Watched)], from: usize) {
        std::thread::scope(|scope| {
            for (phase, subject) in subjects {
                (self.inject)(&subject.machine);
                if *phase == Phase::Connecting {
                    let (address, path) = (bench.service.address, format!("/api/v1/printers/{}", subject.id));
                    let body = json!({"is_enabled": true}).to_string();
                    scope.spawn(move || {
                        let json = ["Content-Type: application/json"];
                        client::request(address, "PUT", &path, &json, Some(body.as_bytes())).expect(200);
                    });
                }
            }
            bench.witnesses_start();
            let borne: Vec<&Watched> = if self.running == Effect::Borne && self.speaks {
                running(subjects).collect()
            } else {
                Vec::new()
            };
            let others: Vec<&Watched> = subjects
                .iter()
                .map(|(_, subject)| subject)
                .filter(|subject| !borne.iter().any(|one| one.id == subject.id))
                .collect();
            for number in 0..LASTS {
                if number == LASTS / 2 {
                    for (phase, subject) in subjects {
                        match phase {
                            Phase::Preparing => subject.machine.advance(200.0),
                            Phase::Printing => subject.machine.advance(60.0),
                            Phase::End if self.ends.is_none() => subject.machine.advance(300.0),
                            _ => {}
                        }
                    }
                }
                bench.tick(&borne, &others);
            }
            // Deadlines of the network are real time.
            let deadline = Deadline::new();
            let seen = |one: &(Phase, Watched)| self.is_seen(bench, one, from);
            while !subjects.iter().all(seen) && !deadline.left().is_zero() {
                bench.tick(&borne, &others);
            }
            // Bytes take real time, however fast the clock is moved.
            let mut fetched = false;
            while !fetched && !deadline.left().is_zero() {
                fetched = bench.tick_until(20, &borne, &others, || bench.witnesses_have_files(from));
            }
            if !fetched {
                bench.problem("the witness's file did not come while the fault lasted".into());
            }
            bench.witnesses_finish();
            bench.tick(&borne, &others);
        });
        for one in subjects {
            if !self.is_seen(bench, one, from) {
                let view = bench.view(&one.1);
                bench.problem(format!(
                    "{:?}: expected {:?}, but there were {:?}; {} {}",
                    one.0,
                    self.effect(one.0),
                    steps(&bench.events(&one.1, from)),
                    view["status"],
                    view["connection"],
                ));
            }
        }
    }

    /// Whether the events of a printer are those of the fault's effect.
    fn is_seen(&self, bench: &Bench, (phase, subject): &(Phase, Watched), from: usize) -> bool {
        let effect = self.effect(*phase);
        let events = bench.events(subject, from);
        let lost: Vec<&Value> =
            events.iter().filter(|event| event["event"] == "printer_disconnected").collect();
        let told = |status: &str, kind: &str| {
            events.iter().any(|event| {
                let data = &event["data"];
                event["event"] == "printer_connection_progress"
                    && data["status"] == status
                    && data["kind"] == kind
            })
        };
        let right = |reason: &str| {
            *phase == Phase::Connecting || (lost.len() == 1 && lost[0]["data"]["reason"] == reason)
        };
        let shows = |kind: &str| bench.view(subject)["connection"]["kind"] == kind;
        match effect {
            Effect::Borne => lost.is_empty() && bench.view(subject)["connection"]["status"] == "monitoring",
            Effect::Drops(reason) => {
                right(reason) && bench.view(subject)["connection"]["status"] == "monitoring"
            }
            Effect::Fails(reason, kind) => {
                right(reason) && told("failed", kind) && !told("error", kind) && shows(kind)
            }
            Effect::Needs(reason, kind) => {
                right(reason) && told("failed", kind) && told("error", kind) && shows(kind)
            }
        }
    }

    /// The fault ends, and everybody is back.
    fn heal(&self, bench: &Bench, subjects: &[(Phase, Watched)]) {
        for (phase, subject) in subjects {
            subject.machine.heal();
            (self.undo)(&subject.machine);
            if matches!(self.effect(*phase), Effect::Needs(..)) {
                let path = format!("/printers/{}/{}", subject.id, self.help);
                let answer = bench.service.call("POST", &path, None);
                if answer.status != 200 {
                    bench.problem(format!("{phase:?}: the user's help is answered with {answer:?}"));
                }
            }
        }
        let everybody: Vec<&Watched> = subjects.iter().map(|(_, subject)| subject).collect();
        let back = || everybody.iter().all(|one| bench.view(one)["connection"]["status"] == "monitoring");
        // An attempt that is under way ends at its deadline, which is real time.
        let deadline = Deadline::new();
        while !bench.tick_until(BACK, &[], &everybody, back) && !deadline.left().is_zero() {}
        if !back() {
            for (phase, subject) in subjects {
                let view = bench.view(subject);
                if view["connection"]["status"] != "monitoring" {
                    bench.problem(format!("{phase:?}: it does not come back: {}", view["connection"]));
                }
            }
        }
    }

    /// Every print comes to its end.
    fn finish(&self, bench: &Bench, subjects: &[(Phase, Watched)], from: usize) {
        let everybody: Vec<&Watched> = subjects.iter().map(|(_, subject)| subject).collect();
        let printing: Vec<&(Phase, Watched)> =
            subjects.iter().filter(|(phase, _)| self.prints(*phase)).collect();
        // Everybody shows once what it is at.
        bench.tick(&everybody, &[]);
        if self.ends.is_none() {
            let named = || bench.service.jobs().iter().all(|job| job["job_name"] != "unnamed print");
            if !bench.tick_until(BACK, &everybody, &[], named) {
                bench.problem("a print stays without its name".into());
            }
            for (phase, subject) in &printing {
                if *phase == Phase::Paused {
                    subject.machine.resume();
                }
                subject.machine.finish();
            }
        }
        let jobs = || -> BTreeMap<String, Vec<Value>> {
            let mut jobs = BTreeMap::<String, Vec<Value>>::new();
            for job in bench.service.jobs() {
                jobs.entry(job["printer_id"].as_str().unwrap().to_owned()).or_default().push(job);
            }
            jobs
        };
        let has_file = |job: &Value| self.ends.is_some() || job["file_id"].is_string();
        let expected = self.ends.unwrap_or("completed");
        let done = || {
            let jobs = jobs();
            printing.iter().all(|(_, subject)| {
                let own = jobs.get(&subject.id).map_or(&[][..], Vec::as_slice);
                own.len() == 1 && own[0]["status"] == expected && has_file(&own[0])
            })
        };
        // The rounds of a search are minutes apart when the printer did not answer.
        let deadline = Deadline::new();
        while !bench.tick_until(10, &[], &everybody, done) && deadline.left() > Duration::from_secs(20) {}
        let jobs = jobs();
        for (phase, subject) in subjects {
            let own = jobs.get(&subject.id).map_or(&[][..], Vec::as_slice);
            let right = match own {
                [] => !self.prints(*phase),
                [job] => self.prints(*phase) && job["status"] == expected && has_file(job),
                _ => false,
            };
            if !right {
                let of_job: Vec<Value> = own
                    .iter()
                    .map(|job| json!([job["job_name"], job["status"], job["file_id"], job["error"]]))
                    .collect();
                let files = downloads(&bench.events(subject, 0));
                bench.problem(format!(
                    "{phase:?}: expected one job that is {expected} with its file: {of_job:?}; {files:?}"
                ));
            }
        }
        bench.witnesses_are_undisturbed(from);
    }

    /// Whether the printer is at a print that has a job. A Prusa printer names its print only when it begins to heat: one
    /// that is switched off before was at none.
    fn prints(&self, phase: Phase) -> bool {
        let unnamed = self.ends.is_some() && self.family == Family::Prusa && phase == Phase::Preparing;
        phase.prints() && !unnamed
    }
}

/// The printers that are connected before the fault.
fn running(subjects: &[(Phase, Watched)]) -> impl Iterator<Item = &Watched> {
    subjects.iter().filter(|(phase, _)| *phase != Phase::Connecting).map(|(_, subject)| subject)
}

/// The story of a download in words, for a failure's message.
fn downloads(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .filter(|event| event["event"].as_str().unwrap().contains("_download_"))
        .map(|event| {
            let data = &event["data"];
            format!(
                "{} {} {} {} {}",
                event["event"], data["kind"], data["retry"], data["retry_in_s"], data["error"]
            )
        })
        .collect()
}

/// The story of a connection in words, for a failure's message.
fn steps(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .filter(|event| event["event"].as_str().unwrap().starts_with("printer_"))
        .filter(|event| event["event"] != "printer_status_update")
        .map(|event| {
            let data = &event["data"];
            let words = [&event["event"], &data["status"], &data["kind"], &data["reason"]];
            words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
        })
        .collect()
}
