//! The two processes of a demonstration.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::http::request;
use crate::keeper;
use crate::options::Options;
use crate::place::Place;
use crate::session::Ending;

/// Keys for all printers are made in this time, also by a debug build on a slow machine.
const SIMULATOR_TIMEOUT: Duration = Duration::from_secs(60);

/// The simulator's process.
pub struct Simulator {
    child: Child,
    /// Open as long as the simulator is wanted.
    input: Option<ChildStdin>,
    /// The printers as it described them.
    pub printers: Vec<Value>,
    /// Where its printers can be driven.
    pub control: String,
}

impl Simulator {
    /// Starts it and waits until its printers can be reached.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(program: &Path, options: &Options, sender: &SyncSender<Ending>) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args(["--printers", &options.printers.to_string(), "--prusa", &options.prusa.to_string()])
            .args(["--rate", &options.rate, "--factor", &options.factor])
            .args(["--control", "127.0.0.1:0", "--until-stdin-ends"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C reaches the demo alone, which then stops the others in the right order.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let input = child.stdin.take();
        let line = first_line(&mut child, sender, || Ending::SimulatorEnded, SIMULATOR_TIMEOUT);
        let mut simulator = Self { child, input, printers: Vec::new(), control: String::new() };
        match line.and_then(|line| serde_json::from_str::<Value>(&line).ok()) {
            Some(ready) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                simulator.control = ready.get("control").map(text).unwrap_or_default();
                simulator.printers =
                    ready.get("printers").and_then(Value::as_array).cloned().unwrap_or_default();
                Ok(simulator)
            }
            None => {
                simulator.stop();
                Err("the simulator did not start; what it said is above".into())
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says how the printers saw the service go.
    pub fn print_farewells(&self) {
        let address = self.control.strip_prefix("http://").and_then(|address| address.parse().ok());
        let Some(state) = address.and_then(|address| request(address, "GET", "/state", None).ok()) else {
            return;
        };
        let printers = state.get("printers").and_then(Value::as_array).cloned().unwrap_or_default();
        let sum = |name: &str| -> u64 {
            let pointer = format!("/observations/{name}");
            printers.iter().filter_map(|printer| printer.pointer(&pointer)?.as_u64()).sum()
        };
        println!(
            "The printers saw {} logins, {} clean and {} other ends, sent {} messages of {} bytes in all, and \
             answered {} requests with {} bytes.",
            sum("logins"),
            sum("clean_disconnects"),
            sum("unclean_ends"),
            sum("publishes"),
            sum("payload_bytes"),
            sum("right_digests") + sum("right_keys"),
            sum("bytes_sent"),
        );
    }

    /// Ends it.
    pub fn stop(&mut self) {
        drop(self.input.take());
        if keeper::wait(&mut self.child, keeper::STOP_TIMEOUT).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The service's process under its keeper.
pub struct Service {
    keeper: Child,
    /// Open as long as the service is wanted.
    input: Option<ChildStdin>,
    /// The service's process id.
    pub id: String,
}

impl Service {
    /// Starts it under its keeper; whether it answers is another matter.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(
        program: &Path,
        place: &Place,
        address: SocketAddr,
        sender: &SyncSender<Ending>,
    ) -> Result<Self, String> {
        let log = File::create(&place.log).map_err(|error| format!("cannot write the log: {error}"))?;
        let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut child = Command::new(this)
            .arg(keeper::ARGUMENT)
            .arg(program)
            .arg("serve")
            // The demonstration's printers are on loopback; those of the house are left alone.
            .env("PRINTERNIZER_NETWORK_FIND_PRINTERS", "false")
            .arg("--config")
            .arg(&place.configuration)
            .arg("--data")
            .arg(&place.data)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start the keeper: {error}"))?;
        let input = child.stdin.take();
        let id = first_line(&mut child, sender, || Ending::ServiceEnded, keeper::STOP_TIMEOUT);
        Ok(Self { keeper: child, input, id: id.unwrap_or_default().trim().to_owned() })
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// A sentence, when it did not end as it should.
    pub fn stop(&mut self) -> Result<(), String> {
        drop(self.input.take());
        match keeper::wait(&mut self.keeper, keeper::STOP_TIMEOUT * 2) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("printernizer did not end cleanly ({status})")),
            None => {
                let _ = self.keeper.kill();
                let _ = self.keeper.wait();
                Err("printernizer's keeper did not end".into())
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After a regular stop this finds everything done.
        drop(self.input.take());
        let _ = keeper::wait(&mut self.keeper, keeper::STOP_TIMEOUT * 2);
    }
}

/// The first line a child says, and from then on a thread that notes its end.
fn first_line(
    child: &mut Child,
    sender: &SyncSender<Ending>,
    ending: impl FnOnce() -> Ending + Send + 'static,
    timeout: Duration,
) -> Option<String> {
    let output = child.stdout.take()?;
    let sender = sender.clone();
    let (line_sender, line_receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut lines = BufReader::new(output);
        let mut line = String::new();
        if lines.read_line(&mut line).is_ok_and(|count| count > 0) {
            let _ = line_sender.send(line);
        }
        // Standard output ends with the process.
        let _ = io::copy(&mut lines, &mut io::sink());
        let _ = sender.try_send(ending());
    });
    line_receiver.recv_timeout(timeout).ok()
}
