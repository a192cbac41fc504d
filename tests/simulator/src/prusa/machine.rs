//! The printer's inside: states, prints, temperatures. Pure: time and orders come from outside.

use super::command::CommandError;
use super::config::Pace;

/// Room temperature.
const AMBIENT_C: f64 = 23.0;
/// Degrees a second.
const NOZZLE_RATE: f64 = 2.5;
const BED_RATE: f64 = 0.7;
/// Height of a print that takes an hour, in millimetres.
const HEIGHT_PER_HOUR_MM: f64 = 20.0;

/// What `/api/v1/status` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Free.
    Idle,
    /// Free, and somebody said so.
    Ready,
    /// Homing, loading, a menu, a print about to start.
    Busy,
    /// Printing, heating for it, finishing it or stopping it.
    Printing,
    /// Paused, or going on soon.
    Paused,
    /// The screen of a finished print is still open.
    Finished,
    /// The screen of a stopped print is still open.
    Stopped,
    /// A dialog waits on the screen.
    Attention,
    /// Broken.
    Error,
}

impl State {
    /// As PrusaLink writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Ready => "READY",
            Self::Busy => "BUSY",
            Self::Printing => "PRINTING",
            Self::Paused => "PAUSED",
            Self::Finished => "FINISHED",
            Self::Stopped => "STOPPED",
            Self::Attention => "ATTENTION",
            Self::Error => "ERROR",
        }
    }

    /// As `/api/v1/job` writes it: ATTENTION is PAUSED there.
    #[must_use]
    pub fn job_name(self) -> &'static str {
        match self {
            Self::Printing | Self::Paused | Self::Finished | Self::Stopped => self.name(),
            Self::Attention => "PAUSED",
            Self::Idle | Self::Ready | Self::Busy | Self::Error => "ERROR",
        }
    }
}

/// The print under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Counts up from print to print, over reboots too.
    pub id: u32,
    /// The path of short names: `/PARTS/CUBE~1.GCO`.
    pub path: String,
    /// The long name.
    pub long: String,
    /// Simulated seconds of printing.
    pub print_seconds: f64,
    /// Degrees of the nozzle.
    pub nozzle_c: f64,
    /// Degrees of the bed.
    pub bed_c: f64,
    /// The printer asks something before it prints.
    pub asks_first: bool,
}

/// Where in a print the machine is, with the seconds that are left of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Resting(State),
    Starting(f64),
    Heating(f64),
    Printing,
    Paused,
    Resuming(f64),
    Aborting(f64),
    Finishing(f64),
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Machine {
    pace: Pace,
    phase: Phase,
    is_asking: bool,
    job: Option<Job>,
    /// The id of the running or last print.
    pub last_job_id: u32,
    printed_s: f64,
    /// Seconds since the print began, pauses not counted.
    pub time_printing_s: f64,
    /// Degrees.
    pub nozzle_c: f64,
    /// Degrees.
    pub bed_c: f64,
}

impl Machine {
    /// A machine at rest.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            phase: Phase::Resting(State::Idle),
            is_asking: false,
            job: None,
            last_job_id: 0,
            printed_s: 0.0,
            time_printing_s: 0.0,
            nozzle_c: AMBIENT_C,
            bed_c: AMBIENT_C,
        }
    }

    /// What it shows.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            _ if self.is_asking => State::Attention,
            Phase::Resting(state) => state,
            Phase::Starting(_) => State::Busy,
            Phase::Heating(_) | Phase::Printing | Phase::Aborting(_) | Phase::Finishing(_) => State::Printing,
            Phase::Paused | Phase::Resuming(_) => State::Paused,
        }
    }

    /// The job as far as PrusaLink knows of it.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        let is_shown = match self.phase {
            Phase::Resting(_) => false,
            Phase::Starting(_) => self.is_asking,
            _ => true,
        };
        self.job.as_ref().filter(|_| is_shown)
    }

    /// Whether a print is under way, shown or not.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Resting(_))
    }

    /// The path of the file being printed.
    #[must_use]
    pub fn printed_path(&self) -> Option<&str> {
        self.job.as_ref().filter(|_| self.is_busy()).map(|job| job.path.as_str())
    }

    /// Percent, 0 to 100.
    #[must_use]
    pub fn percent(&self) -> f64 {
        match &self.job {
            Some(job) if job.print_seconds > 0.0 => {
                (self.printed_s / job.print_seconds * 100.0).clamp(0.0, 100.0)
            }
            _ => 0.0,
        }
    }

    /// Seconds left, where the printer can tell.
    #[must_use]
    pub fn time_remaining_s(&self) -> Option<f64> {
        let is_known = !matches!(self.phase, Phase::Starting(_) | Phase::Heating(_));
        self.job.as_ref().filter(|_| is_known).map(|job| (job.print_seconds - self.printed_s).max(0.0))
    }

    /// Degrees wanted: nozzle and bed.
    #[must_use]
    pub fn targets(&self) -> (f64, f64) {
        match (&self.job, self.phase) {
            (Some(job), Phase::Heating(_) | Phase::Printing | Phase::Paused | Phase::Resuming(_)) => {
                (job.nozzle_c, job.bed_c)
            }
            _ => (0.0, 0.0),
        }
    }

    /// Millimetres.
    #[must_use]
    pub fn height_mm(&self) -> f64 {
        if self.is_busy() { 0.2 + self.printed_s / 3_600.0 * HEIGHT_PER_HOUR_MM } else { 50.0 }
    }

    /// Simulated seconds until something happens by itself.
    #[must_use]
    pub fn until_next_step(&self) -> Option<f64> {
        match self.phase {
            _ if self.is_asking => None,
            Phase::Starting(left)
            | Phase::Heating(left)
            | Phase::Resuming(left)
            | Phase::Aborting(left)
            | Phase::Finishing(left) => Some(left),
            Phase::Printing => self.time_remaining_s(),
            Phase::Resting(_) | Phase::Paused => None,
        }
    }

    /// Lets time pass, at most until the next step, which is taken when its time has come.
    pub fn advance(&mut self, seconds: f64) {
        let (nozzle, bed) = self.targets();
        self.nozzle_c = approach(self.nozzle_c, nozzle.max(AMBIENT_C), NOZZLE_RATE * seconds);
        self.bed_c = approach(self.bed_c, bed.max(AMBIENT_C), BED_RATE * seconds);
        if self.is_asking {
            return;
        }
        let counts = !matches!(
            self.phase,
            Phase::Resting(_) | Phase::Starting(_) | Phase::Paused | Phase::Resuming(_)
        );
        if counts {
            self.time_printing_s += seconds;
        }
        if self.phase == Phase::Printing {
            self.printed_s += seconds;
        }
        let left = match &mut self.phase {
            Phase::Starting(left)
            | Phase::Heating(left)
            | Phase::Resuming(left)
            | Phase::Aborting(left)
            | Phase::Finishing(left) => {
                *left -= seconds;
                *left
            }
            Phase::Printing => self.job.as_ref().map_or(0.0, |job| job.print_seconds - self.printed_s),
            Phase::Resting(_) | Phase::Paused => return,
        };
        if left <= 1e-6 {
            self.step();
        }
    }

    fn step(&mut self) {
        self.phase = match self.phase {
            Phase::Starting(_) => {
                if self.job.as_ref().is_some_and(|job| job.asks_first) {
                    self.is_asking = true;
                    if let Some(job) = &mut self.job {
                        job.asks_first = false;
                    }
                    return;
                }
                Phase::Heating(self.pace.heating_s)
            }
            Phase::Heating(_) | Phase::Resuming(_) => Phase::Printing,
            Phase::Printing => Phase::Finishing(self.pace.finishing_s),
            Phase::Finishing(_) => Phase::Resting(State::Finished),
            Phase::Aborting(_) => Phase::Resting(State::Stopped),
            same @ (Phase::Resting(_) | Phase::Paused) => same,
        };
        if matches!(self.phase, Phase::Resting(_)) {
            self.job = None;
        }
    }

    fn wrong_state(&self) -> CommandError {
        CommandError::WrongState(self.state().name())
    }

    /// Starts a print; `job.id` is given by the machine.
    ///
    /// # Errors
    /// When it is not IDLE, READY, FINISHED or STOPPED.
    pub fn start(&mut self, job: Job) -> Result<(), CommandError> {
        let is_free = matches!(self.state(), State::Idle | State::Ready | State::Finished | State::Stopped);
        if !is_free {
            return Err(self.wrong_state());
        }
        self.last_job_id += 1;
        self.job = Some(Job { id: self.last_job_id, ..job });
        (self.printed_s, self.time_printing_s) = (0.0, 0.0);
        self.phase = Phase::Starting(self.pace.starting_s);
        Ok(())
    }

    /// Pauses.
    ///
    /// # Errors
    /// When it is not PRINTING.
    pub fn pause(&mut self) -> Result<(), CommandError> {
        match self.phase {
            Phase::Heating(_) | Phase::Printing if !self.is_asking => self.phase = Phase::Paused,
            // The last moves are accepted as PRINTING and cannot be paused any more.
            Phase::Aborting(_) | Phase::Finishing(_) if !self.is_asking => {}
            _ => return Err(self.wrong_state()),
        }
        Ok(())
    }

    /// Goes on.
    ///
    /// # Errors
    /// When it is not PAUSED.
    pub fn resume(&mut self) -> Result<(), CommandError> {
        match self.phase {
            Phase::Paused if !self.is_asking => self.phase = Phase::Resuming(self.pace.resuming_s),
            Phase::Resuming(_) if !self.is_asking => {}
            _ => return Err(self.wrong_state()),
        }
        Ok(())
    }

    /// Stops the print.
    ///
    /// # Errors
    /// When it is not PRINTING, PAUSED or ATTENTION in a print.
    pub fn stop(&mut self) -> Result<(), CommandError> {
        match self.phase {
            Phase::Resting(_) => return Err(self.wrong_state()),
            Phase::Starting(_) if !self.is_asking => return Err(self.wrong_state()),
            Phase::Aborting(_) => {}
            _ => self.phase = Phase::Aborting(self.pace.aborting_s),
        }
        self.is_asking = false;
        Ok(())
    }

    /// A dialog opens.
    pub fn ask(&mut self) {
        self.is_asking = true;
    }

    /// The dialog is answered.
    ///
    /// # Errors
    /// When there is none.
    pub fn answer(&mut self) -> Result<(), CommandError> {
        if !self.is_asking {
            return Err(self.wrong_state());
        }
        self.is_asking = false;
        Ok(())
    }

    /// Goes from one state of rest to another.
    ///
    /// # Errors
    /// When the state is none of `from`.
    pub fn rest(&mut self, from: &[State], to: State) -> Result<(), CommandError> {
        match self.phase {
            Phase::Resting(state) if from.contains(&state) => {
                self.phase = Phase::Resting(to);
                Ok(())
            }
            _ => Err(self.wrong_state()),
        }
    }

    /// Breaks; a print is gone.
    pub fn fail(&mut self) {
        (self.phase, self.is_asking, self.job) = (Phase::Resting(State::Error), false, None);
    }

    /// Starts anew, with or without the print.
    pub fn reboot(&mut self, keeps_print: bool) {
        self.is_asking = false;
        if !(keeps_print && self.is_busy()) {
            self.phase = Phase::Resting(State::Idle);
            self.job = None;
        }
    }
}

fn approach(from: f64, to: f64, step: f64) -> f64 {
    if from < to { (from + step).min(to) } else { (from - step / 4.0).max(to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(print_seconds: f64) -> Job {
        Job {
            id: 0,
            path: "/A.GCO".into(),
            long: "a.gco".into(),
            print_seconds,
            nozzle_c: 215.0,
            bed_c: 60.0,
            asks_first: false,
        }
    }

    fn run(machine: &mut Machine, mut seconds: f64) {
        while seconds > 0.0 {
            let piece = machine.until_next_step().unwrap_or(seconds).min(seconds);
            machine.advance(piece);
            seconds -= piece;
        }
    }

    #[test]
    fn a_print_goes_through_its_states_and_its_end_lingers() {
        let mut machine = Machine::new(Pace::default());
        machine.start(job(600.0)).expect("free");
        assert_eq!((machine.state(), machine.job()), (State::Busy, None));
        run(&mut machine, 4.0);
        assert_eq!((machine.state(), machine.time_remaining_s()), (State::Printing, None));
        run(&mut machine, 419.0);
        assert!((machine.percent() - 50.0).abs() < 0.01 && machine.nozzle_c > 214.0);
        assert_eq!(machine.start(job(1.0)), Err(CommandError::WrongState("PRINTING")));
        run(&mut machine, 305.0);
        assert_eq!((machine.state(), machine.percent()), (State::Printing, 100.0));
        run(&mut machine, 10_000.0);
        assert_eq!((machine.state(), machine.job()), (State::Finished, None));
        machine.start(job(1.0)).expect("FINISHED is free");
        assert_eq!(machine.last_job_id, 2);
    }

    #[test]
    fn resuming_and_aborting_take_their_time() {
        let mut machine = Machine::new(Pace::default());
        machine.start(job(600.0)).expect("free");
        run(&mut machine, 200.0);
        machine.pause().expect("printing");
        run(&mut machine, 500.0);
        let percent = machine.percent();
        machine.resume().expect("paused");
        assert_eq!((machine.state(), machine.percent()), (State::Paused, percent));
        run(&mut machine, 9.0);
        assert_eq!(machine.state(), State::Printing);
        machine.stop().expect("printing");
        assert_eq!(machine.state(), State::Printing);
        run(&mut machine, 9.0);
        assert_eq!(
            (machine.state(), machine.stop()),
            (State::Stopped, Err(CommandError::WrongState("STOPPED")))
        );
    }

    #[test]
    fn a_question_holds_everything_up() {
        let mut machine = Machine::new(Pace::default());
        machine.start(Job { asks_first: true, ..job(600.0) }).expect("free");
        run(&mut machine, 50.0);
        assert_eq!((machine.state(), machine.job().is_some()), (State::Attention, true));
        assert!(machine.resume().is_err() && machine.pause().is_err());
        machine.answer().expect("a question");
        run(&mut machine, 200.0);
        assert_eq!(machine.state(), State::Printing);
        machine.ask();
        machine.stop().expect("ATTENTION can be stopped");
        run(&mut machine, 9.0);
        assert_eq!(machine.state(), State::Stopped);
    }
}
