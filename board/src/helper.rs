//! What the service may not do under the hardening of its unit, and a helper with more rights does for it.
//!
//! Both ends of two sockets of the service manager: [`POWER_SOCKET`] takes one line ([`Power`]) and answers `ok` before it
//! acts; [`LIGHT_SOCKET`] takes one datagram with the name of a [`Signal`] and answers nothing, so that nobody waits for it.
//! The helper is this program again, started for one word, with no rights but those that the word needs
//! (`systemd/printernizer-*.service`).
//!
//! Bounds: a word has at most [`WORD_BYTES_MAX`] bytes; whoever asks for power waits at most [`POWER_WAIT`].

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{BoardError, Pi, Signal};

/// Where the helper listens that restarts the machine and switches it off, below the root of the system.
pub const POWER_SOCKET: &str = "run/printernizer-power.sock";
/// Where the helper listens that shows signals, below the root of the system.
pub const LIGHT_SOCKET: &str = "run/printernizer-light.sock";

/// The helper has to be started first, on a slow card.
const POWER_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a word at most; the longest is `power-off`.
const WORD_BYTES_MAX: u64 = 32;

/// What can be done with the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Stop everything in order and start afresh.
    Restart,
    /// Stop everything in order and switch off.
    Off,
}

impl Power {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Power::Restart => "restart",
            Power::Off => "power-off",
        }
    }

    fn from_name(name: &str) -> Option<Power> {
        [Power::Restart, Power::Off].into_iter().find(|power| power.name() == name)
    }

    /// Orders it from the service manager, which acts when everybody has ended.
    ///
    /// # Errors
    /// When there is none, or it refuses.
    pub fn order(self) -> io::Result<()> {
        let verb = match self {
            Power::Restart => "reboot",
            Power::Off => "poweroff",
        };
        let status = Command::new("systemctl").args(["--no-block", verb]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("systemctl {verb}: {status}"))) }
    }
}

/// Asks the helper for `power`. Waits for its word.
pub(crate) fn ask_power(root: &Path, power: Power) -> Result<(), BoardError> {
    let ask = || -> io::Result<()> {
        let mut socket = UnixStream::connect(root.join(POWER_SOCKET))?;
        socket.set_read_timeout(Some(POWER_WAIT))?;
        socket.set_write_timeout(Some(POWER_WAIT))?;
        socket.write_all(format!("{}\n", power.name()).as_bytes())?;
        let mut answer = [0; 2];
        socket.read_exact(&mut answer)?;
        if &answer == b"ok" { Ok(()) } else { Err(io::Error::other("the helper refused")) }
    };
    ask().map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => BoardError::Missing(match power {
            Power::Restart => "way for the service to restart it",
            Power::Off => "way for the service to switch it off",
        }),
        _ => BoardError::System { what: "asking the system for it", source },
    })
}

/// Tells the helper to show `signal`. Does not wait.
pub(crate) fn ask_light(root: &Path, signal: Signal) -> Result<(), BoardError> {
    let send = || -> io::Result<usize> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to(signal.name().as_bytes(), root.join(LIGHT_SOCKET))
    };
    match send() {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Err(BoardError::Missing("light that the service may use"))
        }
        Err(source) => Err(BoardError::System { what: "asking the system to show a signal", source }),
    }
}

/// The helper's end of [`POWER_SOCKET`]: reads one word, answers, and does it with `act`.
///
/// # Errors
/// When the word is none of the two, or `act` fails.
pub fn serve_power(
    input: impl Read,
    mut output: impl Write,
    act: impl FnOnce(Power) -> io::Result<()>,
) -> Result<(), BoardError> {
    let failed = |what| move |source| BoardError::System { what, source };
    let power = Power::from_name(&word(input, true).map_err(failed("reading what is wanted"))?);
    let answer: &[u8] = if power.is_some() { b"ok\n" } else { b"no\n" };
    output.write_all(answer).and_then(|()| output.flush()).map_err(failed("answering"))?;
    act(power.ok_or(BoardError::Missing("such power; allowed: restart, power-off"))?)
        .map_err(failed("ordering it from the service manager"))
}

/// The helper's end of [`LIGHT_SOCKET`]: reads one signal and shows it on the light of the machine below `root`.
///
/// # Errors
/// When it is no signal, or there is no light.
pub fn serve_light(input: impl Read, root: &Path) -> Result<(), BoardError> {
    let word = word(input, false)
        .map_err(|source| BoardError::System { what: "reading which signal is wanted", source })?;
    let signal = Signal::ALL.into_iter().find(|signal| signal.name() == word);
    Pi::new(root).show_itself(signal.ok_or(BoardError::Missing("such signal"))?)
}

/// One word: of a `line`, else of whatever one read gives, which is a whole datagram.
fn word(input: impl Read, line: bool) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut input = input.take(WORD_BYTES_MAX);
    let mut piece = [0; 32];
    loop {
        let length = input.read(&mut piece)?;
        bytes.extend_from_slice(piece.get(..length).unwrap_or_default());
        if length == 0 || !line || bytes.contains(&b'\n') {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r', '\0']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::net::UnixListener;

    #[test]
    fn power_has_two_words() {
        for (said, expected, answer) in [
            ("restart\n", Some(Power::Restart), "ok\n"),
            ("power-off\nrestart\n", None, "no\n"),
            ("power-off", Some(Power::Off), "ok\n"),
            ("reboot\n", None, "no\n"),
            ("", None, "no\n"),
            ("restart restart restart restart restart\n", None, "no\n"),
        ] {
            let (mut out, done) = (Vec::new(), Cell::new(None));
            let result = serve_power(said.as_bytes(), &mut out, |power| {
                done.set(Some(power));
                Ok(())
            });
            assert_eq!((done.get(), result.is_ok()), (expected, expected.is_some()), "{said:?}");
            assert_eq!(out, answer.as_bytes(), "{said:?}");
        }
        let failing = serve_power(&b"restart\n"[..], io::sink(), |_| Err(io::Error::other("no")));
        assert!(matches!(failing, Err(BoardError::System { .. })));
    }

    #[test]
    fn both_ends_of_power_understand_each_other() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(ask_power(root.path(), Power::Off), Err(BoardError::Missing(_))), "no helper");
        fs::create_dir(root.path().join("run")).unwrap();
        let listener = UnixListener::bind(root.path().join(POWER_SOCKET)).unwrap();
        let helper = std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut asked = None;
            serve_power(&socket, &socket, |power| {
                asked = Some(power);
                Ok(())
            })
            .unwrap();
            asked
        });
        ask_power(root.path(), Power::Off).unwrap();
        assert_eq!(helper.join().unwrap(), Some(Power::Off));
    }

    #[test]
    fn the_light_is_asked_for_without_waiting() {
        let root = tempfile::tempdir().unwrap();
        let leds = root.path().join("sys/class/leds/ACT");
        fs::create_dir_all(&leds).unwrap();
        fs::create_dir(root.path().join("run")).unwrap();
        for file in ["trigger", "pattern"] {
            fs::File::create(leds.join(file)).unwrap().write_all(b"[none] pattern").unwrap();
        }
        assert!(matches!(ask_light(root.path(), Signal::Fine), Err(BoardError::Missing(_))), "no helper");
        let socket = UnixDatagram::bind(root.path().join(LIGHT_SOCKET)).unwrap();
        ask_light(root.path(), Signal::Printing).unwrap();
        // The helper gets the socket as its standard input, where a read takes one datagram.
        serve_light(DatagramInput(socket), root.path()).unwrap();
        assert_eq!(super::super::read(&leds.join("pattern")).unwrap(), "1 1000 1 0 0 1000 0 0");
        assert!(serve_light(&b"disco"[..], root.path()).is_err());
    }

    struct DatagramInput(UnixDatagram);

    impl Read for DatagramInput {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.recv(buffer)
        }
    }
}
