//! A service whose time is moved by hand, with a healthy witness of each family.
//!
//! Time passes in ticks of eight seconds. In each the Bambu Lab printers that are given speak once, the Prusa printers
//! that are given are asked once and their answers taken, and so do the witnesses: a witness that is not heard in a tick
//! is a failure. No printer is late because the machine is: the clock stands while an answer is on its way.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Deadline, Seen};
use crate::contract;
use crate::machine::{Family, Machine};
use crate::service::{Service, Setup};

/// A tick is at least this long.
const TICK: Duration = Duration::from_secs(8);
/// The clock goes on in steps of this length.
const STEP: Duration = Duration::from_millis(500);
/// Past the tick it goes on in these, until the printers have been asked.
const SMALL_STEP: Duration = Duration::from_millis(100);
/// Real time for the tasks after each step, and after a small one: ten seconds of the clock, in which an answer has to come,
/// are at least five real ones.
const BREATH: Duration = Duration::from_millis(5);
const SMALL_BREATH: Duration = Duration::from_millis(50);
/// Numbers of the witnesses; those of the subjects are below. A multiple of three is a P1S.
const WITNESSES: usize = 30;

/// A printer and its id in the service.
pub struct Watched {
    pub machine: Machine,
    pub id: String,
}

/// See above.
pub struct Bench {
    pub service: Service,
    witnesses: Vec<Watched>,
    /// What was not as it has to be.
    pub problems: RefCell<Vec<String>>,
}

/// Deadlines on the network for file servers that answer at once or never.
fn quick() -> printernizer::downloads::Config {
    let times = printernizer::net::ftps::Times {
        connect: Duration::from_secs(10),
        answer: Duration::from_secs(5),
        stall: Duration::from_secs(3),
        end: Duration::from_millis(500),
    };
    printernizer::downloads::Config { times, ..printernizer::downloads::Config::default() }
}

impl Bench {
    pub fn new() -> Bench {
        let service = Service::with(Setup { downloads: quick(), ..Setup::manual() });
        let mut bench = Bench { service, witnesses: Vec::new(), problems: RefCell::default() };
        for (number, family) in [Family::Bambu, Family::Prusa].into_iter().enumerate() {
            let witness = bench.add(Machine::new(family, WITNESSES + number), true);
            bench.witnesses.push(witness);
        }
        bench
    }

    /// Adds a printer; one that is enabled has to be connected by then.
    pub fn add(&self, machine: Machine, enabled: bool) -> Watched {
        let view = self.service.post("/printers", machine.entry(enabled)).expect(201);
        if enabled {
            assert_eq!(view["connection"]["status"], "monitoring", "{view}");
        }
        Watched { machine, id: view["id"].as_str().unwrap().to_owned() }
    }

    /// Notes what is not as it has to be.
    pub fn problem(&self, words: String) {
        self.problems.borrow_mut().push(words);
    }

    pub fn view(&self, of: &Watched) -> Value {
        self.service.get(&format!("/printers/{}", of.id))
    }

    /// The durable events of a printer from place `from` of the listener's frames on.
    pub fn events(&self, of: &Watched, from: usize) -> Vec<Value> {
        let own = |frames: &[Seen]| {
            let durable = frames.iter().skip(from).filter(|seen| seen.id.is_some() && seen.is_of(&of.id));
            Some(durable.map(|seen| seen.json.clone()).collect())
        };
        self.service.log.wait("nothing", own)
    }

    /// Places of frames start here from now on.
    pub fn here(&self) -> usize {
        self.service.log.reaches(self.service.newest());
        self.service.log.count()
    }

    /// Eight seconds pass. `heard` are printers that have to be heard in them, `others` speak and nobody minds.
    pub fn tick(&self, heard: &[&Watched], others: &[&Watched]) {
        let clock = &self.service.setup.clock;
        let heard: Vec<&Watched> = self.witnesses.iter().chain(heard.iter().copied()).collect();
        let asked: Vec<(&Watched, u64)> =
            heard.iter().filter_map(|one| Some((*one, one.machine.asked()?))).collect();
        let seen: Vec<Value> = heard.iter().map(|one| self.view(one)["last_seen"].clone()).collect();
        let mut passed = Duration::ZERO;
        let deadline = Deadline::new();
        let is_asked = || asked.iter().all(|(one, before)| one.machine.asked() > Some(*before));
        while passed < TICK || !is_asked() {
            let (step, breath) = if passed < TICK { (STEP, BREATH) } else { (SMALL_STEP, SMALL_BREATH) };
            clock.advance(step);
            passed += step;
            std::thread::park_timeout(breath);
            assert!(!deadline.left().is_zero(), "a Prusa printer is not asked any more");
        }
        heard.iter().chain(others).for_each(|one| one.machine.speak());
        for (one, before) in heard.iter().zip(seen) {
            self.service.until(&one.id, "it is heard", |view| view["last_seen"] != before);
        }
    }

    /// Ticks until `done`, at most `most` times; whether it came to that.
    pub fn tick_until(
        &self,
        most: u32,
        heard: &[&Watched],
        others: &[&Watched],
        mut done: impl FnMut() -> bool,
    ) -> bool {
        for _ in 0..most {
            if done() {
                return true;
            }
            self.tick(heard, others);
        }
        done()
    }

    /// Both witnesses begin to print.
    pub fn witnesses_start(&self) {
        for witness in &self.witnesses {
            witness.machine.start("Zeuge");
            witness.machine.advance(200.0);
        }
    }

    /// Whether the files of the witnesses' prints are here.
    pub fn witnesses_have_files(&self, from: usize) -> bool {
        let fetched = |one: &Watched| {
            self.events(one, from).iter().any(|event| event["event"] == "file_download_complete")
        };
        self.witnesses.iter().all(fetched)
    }

    /// Both witnesses' prints end.
    pub fn witnesses_finish(&self) {
        self.witnesses.iter().for_each(|one| one.machine.finish());
    }

    /// The witnesses' story since `from`: one print from its start to its end, its file, and not a word about connections.
    pub fn witnesses_are_undisturbed(&self, from: usize) {
        // A printer that is asked every eight seconds may have been asked just before it finished.
        let deadline = Deadline::new();
        let ended =
            |one: &Watched| self.events(one, from).iter().any(|event| event["event"] == "job_completed");
        while !self.witnesses.iter().all(ended) && !deadline.left().is_zero() {
            self.tick(&[], &[]);
        }
        for witness in &self.witnesses {
            let expected = ["job_created", "job_started", "job_completed", "file_download_complete"];
            let events = self.events(witness, from);
            let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
            for name in expected {
                if names.iter().filter(|one| **one == name).count() != 1 {
                    self.problem(format!("the witness {} has not one {name}: {names:?}", witness.id));
                }
            }
            let bad = |name: &&str| {
                name.starts_with("printer_") && *name != "printer_status_update"
                    || ["file_download_failed", "auto_download_failed"].contains(name)
            };
            if let Some(place) = names.iter().position(bad) {
                self.problem(format!("the witness {} was disturbed: {}", witness.id, events[place]));
            }
            let completed = events.iter().find(|event| event["event"] == "job_completed");
            if completed.is_some_and(|event| event["data"]["status"] != "completed") {
                self.problem(format!("the witness's print has another end: {completed:?}"));
            }
        }
    }

    /// The end of every row: nothing has panicked or was started again, the journal is as the contract says, and the
    /// service ends in time.
    pub fn end(self) -> Vec<String> {
        let health = self.service.get("/health");
        let mut numbers = Vec::new();
        counts(&health, "", &mut numbers);
        for (path, count) in numbers {
            if count != 0 {
                self.problem(format!("health: {path} is {count}"));
            }
        }
        contract::check(&self.service.journal());
        let Bench { service, witnesses, problems } = self;
        service.stop();
        drop(witnesses);
        problems.into_inner()
    }
}

/// Every count of panics and restarts in the answer, with its path.
fn counts(value: &Value, path: &str, found: &mut Vec<(String, u64)>) {
    let Some(object) = value.as_object() else { return };
    for (name, value) in object {
        let path = format!("{path}/{name}");
        if ["panics", "restarts"].contains(&name.as_str()) {
            found.push((path, value.as_u64().unwrap_or(u64::MAX)));
        } else {
            counts(value, &path, found);
        }
    }
}
