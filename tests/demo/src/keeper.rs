//! The keeper: this program again, as the parent of the service.
//!
//! It holds one end of a pipe as its standard input. When the demo closes the other end, or dies in whatever way,
//! the keeper asks the service to stop, and after a while makes it. The operating system could tie the two together
//! directly, but only through unsafe code.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The first argument that makes the demo a keeper; what follows is the command to keep.
pub const ARGUMENT: &str = "keep";
/// How long the service may take to stop; it promises 5 s.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a child is looked after.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command, says its process id on standard output, and ends with its exit code.
pub fn run(mut command: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = command.next() else {
        eprintln!("demo: nothing to keep");
        return ExitCode::from(2);
    };
    let child = Command::new(&program)
        .args(command)
        .stdin(Stdio::null())
        // What the service says goes where the keeper's errors go; standard output is the keeper's own.
        .stdout(io::stderr())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("demo: cannot start {}: {error}", program.display());
            return ExitCode::from(127);
        }
    };
    println!("{}", child.id());
    // The demo may be gone already; the end of the input tells.
    let _ = io::stdout().flush();
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut sink = [0; 64];
        while matches!(io::stdin().read(&mut sink), Ok(count) if count > 0) {}
        let _ = sender.send(());
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return code(stop(&mut child, STOP_TIMEOUT)),
            Err(RecvTimeoutError::Timeout) => match child.try_wait() {
                Ok(Some(status)) => return code(Some(status)),
                Ok(None) => {}
                Err(_) => return code(stop(&mut child, STOP_TIMEOUT)),
            },
        }
    }
}

/// Asks a child to stop, and kills it when it has not stopped in time. `None` when it had to be killed.
fn stop(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    if let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in the same moment; it is not waited for yet, so the id is still its own.
        let _ = kill_process(process, Signal::TERM);
    }
    let status = wait(child, timeout);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}

/// Waits for a child's end; `None` when it has not come in time.
pub fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    // Counting looks instead of reading a clock: a loaded machine only waits longer.
    for _ in 0..timeout.as_millis() / LOOK.as_millis() {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::park_timeout(LOOK);
    }
    None
}

fn code(status: Option<ExitStatus>) -> ExitCode {
    match status.and_then(|status| status.code()) {
        Some(code) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
        // Killed by a signal, its own or ours.
        None => ExitCode::from(137),
    }
}
