//! `wifi-watch`: follows the wireless client, and leaves a sentence when the network refuses us. The service shows it on its
//! page, which can still be reached by cable or by the gadget network, and by its light.
//!
//! [`Watch`] is pure: the client's words in, a sentence out. The loop around it speaks the client's control protocol: one
//! datagram for each word.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wifi::CONTROL;
use super::{Error, notice};

/// Bytes of one word of the client; longer ones are cut, their beginning says what they are.
const WORD_BYTES_MAX: usize = 4096;
/// How often the client is asked whether it still hears us. It forgets who does not answer.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// Looks for the client's socket when it has just been started, and the pause between two of them: ten seconds.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// Refusals in a row before they are told: a busy access point refuses once in a while.
const REFUSALS: u32 = 3;
/// Searches in a row that find nothing before that is told.
const SEARCHES: u32 = 3;

/// How it stands with the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing is known yet, or all is well.
    #[default]
    Fine,
    /// The access point says that the password is wrong.
    WrongPassword,
    /// It refuses us again and again, without saying why.
    Refused,
    /// It is not there.
    NotFound,
}

/// What the client has said so far.
#[derive(Clone, Debug, Default)]
struct Watch {
    standing: Standing,
    refusals: u32,
    searches: u32,
}

impl Watch {
    /// Takes a word; answers the new standing where it changed.
    fn hear(&mut self, word: &str) -> Option<Standing> {
        let before = self.standing;
        let has = |part: &str| word.contains(part);
        if has("CTRL-EVENT-CONNECTED") || has("wpa_state=COMPLETED") {
            *self = Watch::default();
        } else if has("reason=WRONG_KEY") || has("pre-shared key may be incorrect") {
            self.standing = Standing::WrongPassword;
        } else if has("CTRL-EVENT-NETWORK-NOT-FOUND") {
            self.searches = self.searches.saturating_add(1);
            if self.searches >= SEARCHES && self.standing == Standing::Fine {
                self.standing = Standing::NotFound;
            }
        } else if has("CTRL-EVENT-ASSOC-REJECT")
            || has("CTRL-EVENT-AUTH-REJECT")
            || has("CTRL-EVENT-DISCONNECTED")
        {
            // It is there, whatever it says.
            self.searches = 0;
            self.refusals = self.refusals.saturating_add(1);
            if self.refusals >= REFUSALS && self.standing != Standing::WrongPassword {
                self.standing = Standing::Refused;
            }
        }
        (self.standing != before).then_some(self.standing)
    }
}

impl Standing {
    /// The sentence for the page.
    fn sentence(self) -> Option<&'static str> {
        match self {
            Standing::Fine => None,
            Standing::WrongPassword => Some(
                "The Wi-Fi network says that the password is wrong. Write the right one into printernizer.toml on the card.",
            ),
            Standing::Refused => Some(
                "The Wi-Fi network refuses this board again and again. The password may be wrong, or the network wants WPA3, which this board does not know.",
            ),
            Standing::NotFound => Some(
                "The Wi-Fi network cannot be found. This board hears 2.4 GHz only; look at the name in printernizer.toml on the card.",
            ),
        }
    }
}

/// Follows the client of `interface` until it ends.
pub(super) fn run(interface: &str, notices: &Path) -> Result<(), Error> {
    let client = Path::new(CONTROL).join(interface);
    follow(&client, &PathBuf::from(format!("/run/printernizer/wifi-watch-{interface}")), notices, ASK_EVERY)
}

/// Speaks with the client at `client` from a socket at `own`.
fn follow(client: &Path, own: &Path, notices: &Path, ask_every: Duration) -> Result<(), Error> {
    let failed = || Error::io("the wireless client cannot be asked");
    // One that was ended together with the client has left its sentence; a client that is well says nothing that would take it back.
    notice(notices, "wifi", None);
    match fs::remove_file(own) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let socket = UnixDatagram::bind(own).map_err(failed())?;
    let result =
        connect(&socket, client).and_then(|()| listen(&socket, notices, ask_every)).map_err(failed());
    let _ = fs::remove_file(own);
    // Nobody knows any more.
    notice(notices, "wifi", None);
    result
}

fn connect(socket: &UnixDatagram, client: &Path) -> io::Result<()> {
    for _ in 0..LOOKS {
        if socket.connect(client).is_ok() {
            return Ok(());
        }
        pause();
    }
    socket.connect(client)
}

#[expect(clippy::disallowed_methods, reason = "a process of its own with nothing else to do")]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn listen(socket: &UnixDatagram, notices: &Path, ask_every: Duration) -> io::Result<()> {
    socket.set_read_timeout(Some(ask_every))?;
    socket.send(b"ATTACH")?;
    socket.send(b"STATUS")?;
    let mut watch = Watch::default();
    let mut bytes = [0; WORD_BYTES_MAX];
    loop {
        match socket.recv(&mut bytes) {
            Ok(length) => {
                let word = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
                if let Some(standing) = watch.hear(&word) {
                    notice(notices, "wifi", standing.sentence());
                }
                if word.contains("CTRL-EVENT-TERMINATING") {
                    return Ok(());
                }
            }
            // It is quiet; a client that is gone refuses the question.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                socket.send(b"PING")?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(words: &[&str]) -> Standing {
        let mut watch = Watch::default();
        for word in words {
            watch.hear(word);
        }
        watch.standing
    }

    const WRONG: &str =
        "<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"Home\" auth_failures=1 duration=10 reason=WRONG_KEY";
    const CONNECTED: &str =
        "<3>CTRL-EVENT-CONNECTED - Connection to 00:11:22:33:44:55 completed [id=0 id_str=]";
    const DROPPED: &str = "<3>CTRL-EVENT-DISCONNECTED bssid=00:11:22:33:44:55 reason=15";
    const NOT_FOUND: &str = "<3>CTRL-EVENT-NETWORK-NOT-FOUND";

    #[test]
    fn a_wrong_password_is_told_at_once_and_forgotten_when_it_works() {
        assert_eq!(play(&[WRONG]), Standing::WrongPassword);
        assert_eq!(
            play(&["<3>WPA: 4-Way Handshake failed - pre-shared key may be incorrect"]),
            Standing::WrongPassword
        );
        assert_eq!(play(&[WRONG, DROPPED, DROPPED, DROPPED, NOT_FOUND]), Standing::WrongPassword);
        assert_eq!(play(&[WRONG, CONNECTED]), Standing::Fine);
        assert_eq!(play(&["bssid=00:11\nwpa_state=COMPLETED\n"]), Standing::Fine);
    }

    #[test]
    fn single_refusals_are_no_news() {
        assert_eq!(play(&[DROPPED, DROPPED, CONNECTED, DROPPED, DROPPED]), Standing::Fine);
        assert_eq!(play(&[DROPPED, DROPPED, DROPPED]), Standing::Refused);
        assert_eq!(play(&[NOT_FOUND, NOT_FOUND]), Standing::Fine);
        assert_eq!(play(&[NOT_FOUND, NOT_FOUND, NOT_FOUND]), Standing::NotFound);
        assert_eq!(play(&["OK", "PONG", "", "<2>CTRL-EVENT-SCAN-STARTED"]), Standing::Fine);
    }

    #[test]
    fn a_played_client_is_heard_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (client, own, notices) =
            (dir.path().join("wlan0"), dir.path().join("own"), dir.path().join("notices"));
        let socket = UnixDatagram::bind(&client).unwrap();
        let player = std::thread::spawn({
            let (own, notices) = (own.clone(), notices.clone());
            move || {
                let mut bytes = [0; 64];
                let mut heard = Vec::new();
                for _ in 0..2 {
                    let length = socket.recv(&mut bytes).unwrap();
                    heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                }
                let old = notices.join("wifi").exists();
                socket.send_to(WRONG.as_bytes(), &own).unwrap();
                // It asks again and again, and one of the questions comes after it has taken the word.
                let said = (0..1000).find_map(|_| {
                    let length = socket.recv(&mut bytes).unwrap();
                    heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                    fs::read_to_string(notices.join("wifi")).ok()
                });
                socket.send_to(b"<3>CTRL-EVENT-TERMINATING ", &own).unwrap();
                (heard, said.unwrap_or_default(), old)
            }
        });
        // Left by one that was ended.
        notice(&notices, "wifi", Some("No network."));
        follow(&client, &own, &notices, Duration::from_millis(50)).unwrap();
        let (heard, said, old) = player.join().unwrap();
        assert!(!old, "the old sentence is still there");
        assert_eq!(&heard[..2], ["ATTACH", "STATUS"]);
        assert_eq!(heard[2], "PING");
        assert!(said.contains("password is wrong"), "{said}");
        assert!(!notices.join("wifi").exists() && !own.exists());
    }
}
