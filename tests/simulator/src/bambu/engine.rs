//! The one thread of a printer that publishes: it lets time pass, carries out orders and answers requests, so that
//! everything leaves in one order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::answer::{Reaction, react};
use super::command::{Command, CommandError};
use super::faults::{Faults, Garbage, Silence};
use super::ftps::files::resolved;
use super::ftps::{Content, PrintedFile};
use super::machine::{Machine, WrongState};
use super::mqtt;
use super::replay::Replay;
use super::report::{self, Fields};
use super::shared::{Shared, Status, Task};
use crate::archive::gcode::filling;
use crate::scenario::Player;
use crate::wait::{lock, now};

/// The longest simulated time taken in one piece, so that a scenario notices percentages on the way.
const PIECE_MAX_S: f64 = 10.0;
/// Orders that a scenario may give without any time passing; more is a scenario that runs in a circle.
const ORDERS_AT_ONCE_MAX: usize = 8;

/// The engine.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    machine: Machine,
    player: Player<Command>,
    replay: Option<Replay>,
    printed: PrintedFile,
    prints_followed: u32,
    has_subscriber: bool,
    overrides: Map<String, Value>,
    last_sent: Fields,
    deltas_since_full: u32,
    sequence: u64,
    factor: f64,
    interval: Option<Duration>,
    next_report: Option<Instant>,
    last_time: Instant,
}

impl Engine {
    /// Builds the machine and carries out the prelude. Nothing is published yet, as nobody can be connected.
    ///
    /// # Errors
    /// The first order of the prelude that is refused.
    pub fn new(shared: Arc<Shared>) -> Result<Self, CommandError> {
        let config = &shared.config;
        let interval = config.report_interval;
        let units = config.unit_count.unwrap_or(config.model.unit_count());
        let mut engine = Self {
            machine: Machine::new(config.model, &config.serial, units),
            player: Player::new(Vec::new()),
            replay: config.replay.as_ref().map(Replay::new),
            printed: PrintedFile::default(),
            prints_followed: 0,
            has_subscriber: false,
            overrides: Map::new(),
            last_sent: Fields::new(),
            deltas_since_full: 0,
            sequence: 1,
            factor: config.factor,
            interval,
            next_report: interval.map(|interval| now() + interval),
            last_time: now(),
            shared: Arc::clone(&shared),
        };
        engine.machine.stores_sent_files = config.stores_sent_files;
        for order in config.prelude.clone() {
            engine.carry_out(order)?;
        }
        // The printer's own life begins after the prelude, however much time that took.
        engine.player = Player::new(config.scenario.scenes.clone());
        engine.last_sent = engine.render();
        *lock(&engine.shared.status) = engine.status();
        Ok(engine)
    }

    fn status(&self) -> Status {
        let machine = &self.machine;
        Status {
            gcode_state: machine.state,
            subtask_name: machine.names.subtask_name.clone(),
            percent: machine.percent,
            layer: machine.layer,
            layer_count: machine.layer_count,
            stage: machine.stage,
        }
    }

    /// Runs until the printer is stopped.
    pub fn run(mut self) {
        while !self.shared.stop.is_set() {
            let task = self.shared.next_task(self.next_wake());
            self.catch_up();
            match task {
                Some(Task::Request(payload)) => self.answer(&payload),
                Some(Task::Order(order, outcome)) => {
                    let result = self.carry_out(*order);
                    // The one who ordered may have stopped waiting.
                    let _ = outcome.try_send(result);
                }
                Some(Task::Subscribed) => self.has_subscriber = true,
                None => {}
            }
            self.report_when_due();
            *lock(&self.shared.status) = self.status();
        }
    }

    /// When something will happen by itself; `None` when nothing will.
    fn next_wake(&self) -> Option<Instant> {
        let simulated = match &self.replay {
            Some(replay) => replay.until_next().filter(|_| self.has_subscriber),
            None => self.moments().into_iter().flatten().reduce(f64::min),
        };
        let step = simulated.filter(|_| self.factor > 0.0).map(|seconds| {
            // A day at most, so that the sum cannot leave the clock's range.
            self.last_time + Duration::from_secs_f64((seconds / self.factor).clamp(0.0, 86_400.0))
        });
        [step, self.next_report].into_iter().flatten().min()
    }

    /// Simulated seconds until the print, the scenario and the print's file go on by themselves.
    fn moments(&self) -> [Option<f64>; 3] {
        [self.machine.until_next_step(), self.player.until_next(), self.printed.until_next()]
    }

    /// Brings the files and what is known of the machine to where the print is, before anybody is told of it.
    fn follow_print(&mut self) {
        if self.prints_followed != self.machine.prints_started() {
            self.prints_followed = self.machine.prints_started();
            self.printed = PrintedFile::of(&self.machine, &self.shared.config);
        }
        if let Some(step) = self.machine.step() {
            self.printed.step(step, &self.shared.ftps.files);
        }
        *lock(&self.shared.status) = self.status();
    }

    /// Lets the time pass that has passed.
    fn catch_up(&mut self) {
        let time = now();
        let seconds = (time - self.last_time).as_secs_f64() * self.factor;
        self.last_time = time;
        if self.replay.is_some() {
            self.play_recording(seconds);
        } else {
            self.advance(seconds);
        }
    }

    fn play_recording(&mut self, mut seconds: f64) {
        // With the clock standing, messages come by order only; before the first subscriber none is lost.
        let is_playing = self.has_subscriber && self.factor > 0.0;
        while let Some(replay) = self.replay.as_mut().filter(|_| is_playing) {
            let Some(until_next) = replay.until_next() else { return };
            let piece = until_next.min(seconds);
            let message = replay.advance(piece);
            seconds -= piece;
            match message {
                Some(message) => self.publish(message.as_bytes()),
                None => return,
            }
        }
    }

    /// Lets simulated time pass, with every step of the print and every scene on the way.
    fn advance(&mut self, seconds: f64) {
        let mut left = seconds.max(0.0);
        let mut orders_at_once = 0;
        loop {
            let piece = self.moments().into_iter().flatten().fold(left.min(PIECE_MAX_S), f64::min);
            self.printed.advance(piece, &self.shared.ftps.files);
            if let Some(message) = self.machine.advance(piece) {
                self.publish_step(message);
            }
            left -= piece;
            let percent = self.machine.is_busy().then(|| f64::from(self.machine.percent));
            if let Some(order) = self.player.advance(piece, percent) {
                orders_at_once = if piece > 0.0 { 1 } else { orders_at_once + 1 };
                if orders_at_once > ORDERS_AT_ONCE_MAX {
                    return;
                }
                // A scene whose order does not fit the state is passed over.
                let _ = self.carry_out(order);
                continue;
            }
            if left <= 1e-9 {
                return;
            }
        }
    }

    fn publish_step(&mut self, message: Option<Value>) {
        self.follow_print();
        if let Some(message) = message {
            self.publish_unless_asleep(message.to_string().as_bytes());
        }
        self.report();
    }

    fn report_when_due(&mut self) {
        let (Some(interval), Some(due)) = (self.interval, self.next_report) else { return };
        let time = now();
        if time < due {
            return;
        }
        // Late reports are not made up for; a burst would be untrue.
        self.next_report = Some((due + interval).max(time));
        if self.replay.is_some() {
            return;
        }
        self.machine.shake();
        let full_every = self.shared.config.full_every;
        if full_every > 0 && self.deltas_since_full >= full_every {
            self.report_fully();
        } else {
            self.report();
        }
    }

    fn render(&self) -> Fields {
        let mut fields = report::full(&self.machine, self.shared.config.host);
        for (name, value) in &self.overrides {
            match fields.iter_mut().find(|(other, _)| other == name) {
                Some((_, field)) => *field = value.clone(),
                None => fields.push((name.clone(), value.clone())),
            }
        }
        fields
    }

    /// A report in the model's manner.
    fn report(&mut self) {
        if self.machine.model.is_always_full() {
            return self.report_fully();
        }
        let fields = self.render();
        let changed = report::delta(&self.last_sent, &fields);
        self.last_sent = fields;
        self.deltas_since_full += 1;
        self.publish_report(&changed, false);
    }

    fn report_fully(&mut self) {
        self.last_sent = self.render();
        self.deltas_since_full = 0;
        let fields = self.last_sent.clone();
        self.publish_report(&fields, true);
    }

    fn publish_report(&mut self, fields: &Fields, is_full: bool) {
        self.sequence += 1;
        let garbage = lock(&self.shared.faults).garbage;
        let payload = match garbage {
            Some(kind) => kind.payload(),
            None => report::payload(fields, is_full, self.sequence).into_bytes(),
        };
        let count = self.publish_unless_asleep(&payload);
        self.shared.observer.note(|seen| {
            let counter = if is_full { &mut seen.full_reports } else { &mut seen.delta_reports };
            *counter += count;
        });
    }

    fn publish_unless_asleep(&self, payload: &[u8]) -> u64 {
        let silence = lock(&self.shared.faults).silence;
        if silence == Silence::None { self.publish_to(&self.shared.report_topic(), payload) } else { 0 }
    }

    fn publish(&self, payload: &[u8]) {
        self.publish_unless_asleep(payload);
    }

    /// Sends to every session that subscribed to `topic`, and tells how many took it.
    fn publish_to(&self, topic: &str, payload: &[u8]) -> u64 {
        let packet = mqtt::publish(topic, payload);
        let sessions = lock(&self.shared.sessions).clone();
        let mut count = 0;
        for session in sessions.iter().filter(|session| session.hears(topic)) {
            count += u64::from(session.send(&self.shared, &packet));
        }
        let size = u64::try_from(payload.len()).unwrap_or(0);
        self.shared.observer.note(|seen| {
            seen.publishes += count;
            seen.payload_bytes += count * size;
        });
        count
    }

    fn answer(&mut self, payload: &[u8]) {
        let config = &self.shared.config;
        let reactions = react(payload, &mut self.machine, &config.serial, config.is_developer_mode);
        self.follow_print();
        for reaction in reactions {
            match reaction {
                Reaction::CountPushall => self.shared.observer.note(|seen| seen.pushalls += 1),
                Reaction::CountVersion => self.shared.observer.note(|seen| seen.get_versions += 1),
                Reaction::WakeUp => {
                    let mut faults = lock(&self.shared.faults);
                    if faults.silence == Silence::Asleep {
                        faults.silence = Silence::None;
                    }
                }
                Reaction::Publish(message) => self.publish(message.to_string().as_bytes()),
                Reaction::Full => match &self.replay {
                    Some(replay) => self.publish(replay.full().as_bytes()),
                    None => {
                        self.machine.reveal_layer_count();
                        self.report_fully();
                    }
                },
                Reaction::Report if self.replay.is_none() => self.report(),
                Reaction::Report => {}
            }
        }
    }

    fn carry_out(&mut self, order: Command) -> Result<(), CommandError> {
        match order {
            Command::StartPrint { plan } => {
                let message = self.machine.start(plan)?;
                self.publish_step(message);
            }
            Command::Pause { reason } => {
                self.machine.pause(reason)?;
                self.report();
            }
            Command::Resume => {
                self.machine.resume()?;
                self.report();
            }
            Command::Cancel { end } => {
                self.machine.cancel(end)?;
                self.report();
            }
            Command::Fail { error } => {
                self.machine.fail(error)?;
                self.report();
            }
            Command::Reset => {
                self.machine.reset();
                self.report();
            }
            Command::PowerCycle => {
                self.machine.reset();
                self.last_sent = self.render();
                self.shared.cut_all();
            }
            Command::SetTray { index, tray } => {
                let units = &mut self.machine.units;
                let place = units.get_mut(index / 4).and_then(|unit| unit.trays.get_mut(index % 4));
                *place.ok_or(CommandError::NoSuchTray(index))? = tray;
                self.report();
            }
            Command::SetHealth { items } => {
                self.machine.health = items;
                self.report();
            }
            Command::SetError { code } => {
                self.machine.error = code;
                self.report();
            }
            Command::SetFields { fields } => {
                self.overrides.extend(fields);
                self.report();
            }
            Command::ClearFields => {
                self.overrides.clear();
                self.report();
            }
            Command::Report => self.report(),
            Command::FullReport => self.report_fully(),
            Command::Advance { seconds } => {
                self.advance(seconds);
                self.report();
            }
            Command::ReplayNext { count } => self.replay_next(count)?,
            Command::PutFile { path, size, text, seed } => {
                let bytes = text.map_or_else(|| filling(size, seed), String::into_bytes);
                self.shared.ftps.files.put(&resolved("/", &path), Content::bytes(bytes));
            }
            Command::RemoveFile { path } => {
                if !self.shared.ftps.files.remove(&path) {
                    return Err(CommandError::NoSuchFile(path));
                }
            }
            Command::SetInterval { milliseconds } => {
                self.interval = Some(Duration::from_millis(milliseconds)).filter(|value| !value.is_zero());
                self.next_report = self.interval.map(|interval| now() + interval);
            }
            Command::SetFactor { factor } => self.factor = factor.clamp(0.0, 1e6),
            Command::Garbage { kind } => {
                self.publish_to(&self.shared.report_topic(), &Garbage::payload(kind));
            }
            Command::Publish { text, topic } => {
                let topic = topic.unwrap_or_else(|| self.shared.report_topic());
                self.publish_to(&topic, text.as_bytes());
            }
            order @ (Command::Drop
            | Command::ChangeKey
            | Command::SetAccessCode { .. }
            | Command::SetFaults { .. }
            | Command::ClearFaults
            | Command::RawBytes { .. }) => self.carry_out_on_the_line(order)?,
        }
        Ok(())
    }

    /// Orders that concern the connections and not the machine.
    fn carry_out_on_the_line(&mut self, order: Command) -> Result<(), CommandError> {
        match order {
            Command::Drop => self.shared.cut_all(),
            Command::ChangeKey => self.shared.renew_tls(true).map_err(CommandError::Failed)?,
            Command::SetAccessCode { code } => *lock(&self.shared.access_code) = code,
            Command::SetFaults { faults } => {
                let is_other_name = {
                    let mut current = lock(&self.shared.faults);
                    let is_other_name = current.wrong_common_name != faults.wrong_common_name;
                    current.clone_from(&faults);
                    is_other_name
                };
                if is_other_name {
                    self.shared.renew_tls(false).map_err(CommandError::Failed)?;
                }
                self.shared.ftps.faults_changed(&faults.ftps);
                self.shared.listen(&faults).map_err(CommandError::Failed)?;
            }
            Command::ClearFaults => {
                self.carry_out_on_the_line(Command::SetFaults { faults: Faults::default() })?;
            }
            Command::RawBytes { bytes } => {
                let sessions = lock(&self.shared.sessions).clone();
                for session in sessions.iter().filter(|session| session.is_logged_in()) {
                    session.send(&self.shared, &bytes);
                }
            }
            other => return Err(CommandError::Failed(format!("{other:?} is not an order for the line"))),
        }
        Ok(())
    }

    fn replay_next(&mut self, count: usize) -> Result<(), CommandError> {
        for _ in 0..count {
            let replay = self.replay.as_mut().ok_or(CommandError::NoReplay)?;
            let Some(message) = replay.next_message() else { return Ok(()) };
            self.publish(message.as_bytes());
        }
        Ok(())
    }
}

impl From<WrongState> for CommandError {
    fn from(state: WrongState) -> Self {
        match state {
            WrongState::Busy => Self::Busy,
            WrongState::NotPrinting => Self::NotPrinting,
        }
    }
}
