//! A Prusa MK3S behind a pseudo-terminal, as far as PrusaLink wants one: it answers questions, says `ok` to everything else,
//! reports temperatures every two seconds once it is asked to, and takes its time for moves.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use simulator::wait::now;

/// Commands kept for a test to look at; the oldest goes first.
const COMMANDS_MAX: usize = 10_000;
/// The longest line taken. PrusaLink sends 128 bytes at most.
const LINE_MAX: usize = 4_096;
/// How long the printer waits for a byte before it looks at its clock.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Between reports, after `M155 S2`.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// What the printer and the test share.
struct Shared {
    stopped: AtomicBool,
    asking: AtomicBool,
    move_time: Mutex<Duration>,
    commands: Mutex<VecDeque<String>>,
    said: Mutex<VecDeque<String>>,
}

/// A running printer. It is gone when this is dropped.
pub struct Mk3 {
    /// The terminal that PrusaLink opens.
    pub port: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Mk3 {
    /// Switches a printer on whose moves take `move_time`.
    pub fn start(move_time: Duration) -> Mk3 {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let port = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())).to_owned();
        // Held open, so that the terminal lives on while PrusaLink opens and closes it; and raw from the start, so that
        // nothing that the printer says comes back to it as an echo.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(&port, flags, Mode::empty()).unwrap();
        let mut modes = tcgetattr(&terminal).unwrap();
        modes.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &modes).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            asking: AtomicBool::new(false),
            move_time: Mutex::new(move_time),
            commands: Mutex::default(),
            said: Mutex::default(),
        });
        let inside = Inside::new(File::from(master), terminal, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("mk3".into()).spawn(move || inside.run()).unwrap();
        Mk3 { port, shared, thread: Some(thread) }
    }

    /// Everything that it was told, without line numbers and checksums.
    pub fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap().iter().cloned().collect()
    }

    /// Opens a dialog on the printer's screen or has it answered. While it is open, nothing is confirmed.
    pub fn ask(&self, asks: bool) {
        self.shared.asking.store(asks, Ordering::Release);
    }

    /// Lets the printer say a line by itself, as `// action:pause` for its own button.
    pub fn say(&self, line: &str) {
        self.shared.said.lock().unwrap().push_back(line.to_owned());
    }

    /// From now on moves take this long.
    pub fn set_move_time(&self, move_time: Duration) {
        *self.shared.move_time.lock().unwrap() = move_time;
    }
}

impl Drop for Mk3 {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The printer's side of the terminal.
struct Inside {
    line: File,
    /// Only held.
    _terminal: OwnedFd,
    shared: Arc<Shared>,
    received: Vec<u8>,
    outgoing: Vec<u8>,
    busy_until: Instant,
    report_at: Option<Instant>,
    ask_again_at: Instant,
    targets: (f64, f64),
    progress: (String, String),
}

impl Inside {
    fn new(line: File, terminal: OwnedFd, shared: Arc<Shared>) -> Inside {
        Inside {
            line,
            _terminal: terminal,
            shared,
            received: Vec::new(),
            outgoing: Vec::new(),
            busy_until: now(),
            report_at: None,
            ask_again_at: now(),
            targets: (0.0, 0.0),
            progress: ("-1".into(), "-1".into()),
        }
    }

    fn run(mut self) {
        while !self.shared.stopped.load(Ordering::Acquire) {
            let mut wanted = PollFlags::IN;
            wanted.set(PollFlags::OUT, !self.outgoing.is_empty());
            let mut sources = [PollFd::from_borrowed_fd(self.line.as_fd(), wanted)];
            poll(&mut sources, Some(&TICK)).unwrap();
            self.read();
            let asks = self.shared.asking.load(Ordering::Acquire);
            if asks && now() >= self.ask_again_at {
                self.ask_again_at = now() + REPORT_INTERVAL;
                self.say("echo:busy: paused for user");
            }
            while !asks && now() >= self.busy_until {
                let Some(end) = self.received.iter().position(|byte| *byte == b'\n') else { break };
                let text: Vec<u8> = self.received.drain(..=end).collect();
                self.obey(String::from_utf8_lossy(&text).trim());
            }
            let said = std::mem::take(&mut *self.shared.said.lock().unwrap());
            for text in said {
                self.say(&text);
            }
            if self.report_at.is_some_and(|time| now() >= time) {
                self.report_at = Some(now() + REPORT_INTERVAL);
                self.report();
            }
            self.write();
        }
    }

    fn read(&mut self) {
        let mut part = [0; 1_024];
        while self.received.len() < LINE_MAX {
            match self.line.read(&mut part) {
                Ok(0) => return,
                Ok(count) => self.received.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the printer's terminal is gone: {error}"),
            }
        }
    }

    fn write(&mut self) {
        while !self.outgoing.is_empty() {
            match self.line.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the printer's terminal is gone: {error}"),
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.outgoing.extend_from_slice(text.as_bytes());
        self.outgoing.push(b'\n');
    }

    fn obey(&mut self, line: &str) {
        let command = bare(line);
        if command.is_empty() {
            return;
        }
        {
            let mut commands = self.shared.commands.lock().unwrap();
            if commands.len() >= COMMANDS_MAX {
                commands.pop_front();
            }
            commands.push_back(command.to_owned());
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        self.follow(&words);
        for answer in self.answers(&words) {
            self.say(&answer);
        }
        self.say("ok");
    }

    /// What changes in the printer.
    fn follow(&mut self, words: &[&str]) {
        let value = |letter: char| words.iter().skip(1).find_map(|word| word.strip_prefix(letter));
        let degrees = || value('S').or(value('R')).and_then(|text| text.parse().ok());
        match words[0] {
            "G0" | "G1" | "G2" | "G3" => self.busy_until = now() + *self.shared.move_time.lock().unwrap(),
            "M104" | "M109" => self.targets.0 = degrees().unwrap_or(self.targets.0),
            "M140" | "M190" => self.targets.1 = degrees().unwrap_or(self.targets.1),
            "M155" => self.report_at = value('S').filter(|seconds| *seconds != "0").map(|_| now()),
            "M73" if words.len() > 1 => {
                if let Some(percent) = value('P') {
                    percent.clone_into(&mut self.progress.0);
                }
                if let Some(minutes) = value('R') {
                    minutes.clone_into(&mut self.progress.1);
                }
            }
            _ => {}
        }
    }

    /// What the printer says before its `ok`.
    fn answers(&self, words: &[&str]) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match words {
            ["PRUSA", "Fir"] => one("3.14.0-8094"),
            ["PRUSA", "SN"] => one("CZPX1234X004XC12345"),
            ["M862.2", "Q"] => one("302"),
            ["M862.1", "Q"] => one("0.40"),
            ["M220" | "M221"] => one("100%"),
            ["M27", ..] => one("Not SD printing"),
            ["M73"] => {
                let (percent, minutes) = &self.progress;
                let mode = |name: &str| {
                    format!(
                        "{name} MODE: Percent done: {percent}; print time remaining in mins: {minutes}; \
                         Change in mins: -1"
                    )
                };
                vec![mode("NORMAL"), mode("SILENT")]
            }
            ["D3", address, count] => {
                let count = count.strip_prefix('C').and_then(|count| count.parse().ok()).unwrap_or(1);
                one(&format!("{}  {}", address.trim_start_matches("Ax"), vec!["00"; count].join(" ")))
            }
            ["M420", ..] => one("Mesh bed leveling not active."),
            ["M21"] => one("echo:SD init fail"),
            ["M20", ..] => vec!["Begin file list".into(), "End file list".into()],
            ["M601"] => one("// action:paused"),
            ["M602"] => one("// action:resumed"),
            ["M603"] => one("// action:cancel"),
            _ => Vec::new(),
        }
    }

    fn report(&mut self) {
        let (nozzle, bed) = self.targets;
        let (hot, warm) = (nozzle.max(23.0), bed.max(22.0));
        self.say(&format!(
            "T:{hot:.1} /{nozzle:.1} B:{warm:.1} /{bed:.1} T0:{hot:.1} /{nozzle:.1} @:0 B@:0 P:28.4 A:31.2"
        ));
        self.say("X:10.00 Y:20.00 Z:5.00 E:0.00 Count X: 10.00 Y:20.00 Z:5.00 E:0.00");
        self.say("E0:0 RPM PRN1:0 RPM E0@:0 PRN1@:0");
    }
}

/// A command without its line number, checksum and comment.
fn bare(line: &str) -> &str {
    let line = line.split([';', '*']).next().unwrap_or_default().trim();
    match line.strip_prefix('N').and_then(|rest| rest.split_once(' ')) {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest.trim(),
        _ => line,
    }
}
