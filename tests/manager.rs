//! The real binary under a service manager that speaks as systemd does: a socket for words, a watchdog, signals.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Whatever is waited for comes within this time, on the slowest of machines.
const PATIENCE: Duration = Duration::from_secs(60);

struct Started {
    directory: TempDir,
    child: Child,
    ear: UnixDatagram,
}

/// Starts the service with `variables` beside the socket.
fn start(variables: &[(&str, &str)]) -> Started {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("notify");
    let ear = UnixDatagram::bind(&place).expect("a socket");
    ear.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let child = Command::new(env!("CARGO_BIN_EXE_printernizer"))
        .env_clear()
        .env("NOTIFY_SOCKET", &place)
        .env("PRINTERNIZER_NETWORK_FIND_PRINTERS", "false")
        .env("PRINTERNIZER_NETWORK_ANNOUNCE", "false")
        .envs(variables.iter().copied())
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory.path().join("data"))
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    Started { directory, child, ear }
}

impl Started {
    fn word(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.ear.recv(&mut bytes).expect("the service says something");
        String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).trim_end().to_owned()
    }

    fn terminate(&self) {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::TERM).expect("it runs");
    }

    /// Waits for `done`, which is asked again and again.
    fn until<T>(&mut self, mut done: impl FnMut(&mut Started) -> Option<T>) -> Option<T> {
        let (_stop, never) = sync_channel::<()>(0);
        for _ in 0..PATIENCE.as_millis() / 5 {
            if let Some(answer) = done(self) {
                return Some(answer);
            }
            let _ = never.recv_timeout(Duration::from_millis(5));
        }
        None
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.until(|one| one.child.try_wait().expect("a child"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watchdog_of_no_patience_leaves_time_for_the_work() {
    // 0 means that there is none; 1 is shorter than anybody can answer.
    for patience in ["0", "1"] {
        let mut service = start(&[("WATCHDOG_USEC", patience)]);
        assert_eq!(service.word(), "READY=1");
        service.terminate();
        // Nobody reads the socket any more, so its queue is full: that is no reason to stay either.
        let status = service.ended().expect("it ends");
        assert_eq!(status.code(), Some(0), "WATCHDOG_USEC={patience}: {status}");
    }
}

#[test]
fn whoever_is_told_that_it_is_up_may_end_it_at_once() {
    let mut service = start(&[]);
    // The manager is busy: its queue is full, and the word that the service is up waits for a place in it.
    let stuffing = UnixDatagram::unbound().unwrap();
    stuffing.set_nonblocking(true).unwrap();
    let place = service.directory.path().join("notify");
    while stuffing.send_to(b"X=1", &place).is_ok() {}
    let front = service.directory.path().join("data/run");
    let there = service.until(|_| {
        let entries = std::fs::read_dir(&front).ok()?;
        entries.flatten().find(|entry| entry.file_name().to_string_lossy().starts_with("web-")).map(drop)
    });
    there.expect("its web server is there");
    // It waits now, or will in a moment: whichever it is, this is an orderly end.
    service.terminate();
    let status = service.ended().expect("it ends");
    assert_eq!(status.code(), Some(0), "{status}");
}
