//! What can be wrong with the file server, switchable at run time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::faults::Tcp;

/// The faults in force. Everything off is an honest server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FtpsFaults {
    /// The port is closed: connections are refused. Existing ones live on.
    pub refuse_connections: bool,
    /// What happens on TCP instead of TLS.
    pub tcp: Tcp,
    /// Waits this long before the first byte of the handshake is answered.
    pub tls_delay_ms: u64,
    /// Every answer on the control connection comes this late.
    pub answer_delay_ms: u64,
    /// Answers instead of the true ones, by command (`"RETR"`) or command with argument (`"PROT P"`); nothing else
    /// happens then. `"GREETING"` is the first word. Several lines are separated by `\r\n`; need not be FTP at all.
    pub answers: BTreeMap<String, String>,
    /// The command (as above) that is never answered, nor is anything after it.
    pub hangs_at: Option<String>,
    /// The command at which the control connection is closed.
    pub hangs_up_at: Option<String>,
    /// The command that is answered outside of TLS, after which nothing is answered any more.
    pub clear_text_at: Option<String>,
    /// Every login is refused with 530, whatever the code.
    pub refuses_login: bool,
    /// `LIST` and `NLST` are refused with 550.
    pub refuses_listings: bool,
    /// Files that are there and not to be had.
    pub hiding: Hiding,
    /// Added to what `SIZE` says.
    pub size_lie: i64,
    /// The card is out: the login succeeds and there is nothing.
    pub no_storage: bool,
    /// What is allowed of `PROT`.
    pub protection: Protection,
    /// What is asked of a data connection's TLS session, in place of the model's own manner.
    pub session_reuse: Option<Reuse>,
    /// `REST` is not known, as on the small models.
    pub no_rest: bool,
    /// `SIZE` is not known.
    pub no_size: bool,
    /// The address in the answer to `PASV` is this one instead of 0.0.0.0.
    pub passive_address: Option<String>,
    /// Bytes of a transfer in a second, 0 is as many as possible.
    pub rate: u64,
    /// How data connections end.
    pub goodbye: Goodbye,
    /// What is said after a transfer.
    pub ending: Ending,
    /// What becomes of two transfers at once.
    pub clash: Clash,
    /// After a transfer that the client broke off nothing is answered until nobody has connected for this long; 0 is
    /// never. Turning it off ends the state.
    pub wedges_after_abort_ms: u64,
    /// A control connection without a command for this long is closed with 421; 0 is five minutes.
    pub idle_timeout_ms: u64,
    /// What goes wrong with single transfers: each takes the first of these that fits it.
    pub transfers: Vec<TransferFault>,
}

/// Files that are there and not to be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hiding {
    /// None.
    #[default]
    None,
    /// `RETR` is refused with 550; sizes and listings are told.
    Locked,
    /// The same while there is a print.
    LockedWhilePrinting,
    /// While there is a print, `RETR`, `SIZE` and listings do not know the printed file.
    HiddenWhilePrinting,
}

/// What is allowed of `PROT`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// The model's manner: those that demand session reuse take encrypted transfers only.
    #[default]
    Usual,
    /// `PROT P` is refused with 536.
    ClearOnly,
    /// `PROT P` is accepted, and the data come in clear text all the same.
    ClearInTruth,
    /// `PROT C` is accepted, and then every transfer refused with 522.
    PrivateOnly,
}

/// What is asked of a data connection's TLS session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// It has to resume that of its control connection, else 522.
    Demanded,
    /// The same, but the server forgets all sessions: every transfer ends with 522.
    Impossible,
    /// Nothing.
    NotNeeded,
}

/// How data connections end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goodbye {
    /// With close_notify, then TCP's end.
    #[default]
    Proper,
    /// With TCP's end only.
    NoCloseNotify,
    /// Not at all: it stays open, and nothing is answered, until the client ends it.
    StaysOpen,
}

/// What is said after a whole transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// 226.
    #[default]
    Proper,
    /// Nothing.
    Missing,
    /// 226, so many milliseconds late.
    LateMs(u64),
    /// This code.
    Code(u16),
}

/// What becomes of two transfers at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clash {
    /// The second is refused with 425.
    #[default]
    SecondRefused,
    /// Both fail.
    BothFail,
    /// Both work, as on no printer.
    Allowed,
}

/// What goes wrong with a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mishap {
    /// The data end at the byte, properly, and 226 is said.
    Truncated,
    /// The data end at the byte, and 426 is said.
    Cut,
    /// The data end at the byte, 550 is said, and the file is gone.
    Vanished,
    /// Nothing comes from the byte on, and the connection stays open.
    Stalled,
    /// Nothing comes for so many milliseconds at the byte, then the rest.
    PausedMs(u64),
    /// The byte comes with one bit turned.
    Flipped,
    /// The data connection is reset at the byte, and 426 is said.
    Reset,
    /// Both connections are reset at the byte, as when the power goes.
    Lost,
    /// The transfer is refused with this code before it begins.
    Refused(u16),
}

/// What goes wrong with which transfers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferFault {
    /// What.
    pub mishap: Mishap,
    /// At which byte of the file, wherever the transfer begins.
    #[serde(default)]
    pub at: u64,
    /// With how many transfers; 0 is every one.
    #[serde(default = "once")]
    pub times: u32,
    /// Only with files whose path contains this.
    #[serde(default)]
    pub path: String,
    /// With listings instead of files.
    #[serde(default)]
    pub is_listing: bool,
}

impl TransferFault {
    /// With the next file.
    #[must_use]
    pub fn next(mishap: Mishap, at: u64) -> Self {
        Self { mishap, at, times: 1, path: String::new(), is_listing: false }
    }

    /// With every file.
    #[must_use]
    pub fn always(mishap: Mishap, at: u64) -> Self {
        Self { times: 0, ..Self::next(mishap, at) }
    }
}

fn once() -> u32 {
    1
}

impl FtpsFaults {
    /// The fault that a transfer has to suffer, which is counted.
    pub fn take(&mut self, path: &str, is_listing: bool) -> Option<(Mishap, u64)> {
        let fits = |fault: &TransferFault| fault.is_listing == is_listing && path.contains(&fault.path);
        let index = self.transfers.iter().position(fits)?;
        let fault = self.transfers.get_mut(index)?;
        let found = (fault.mishap, fault.at);
        match fault.times {
            0 => {}
            1 => {
                self.transfers.remove(index);
            }
            _ => fault.times -= 1,
        }
        Some(found)
    }
}

/// Whether a command is the one that a fault names, alone or with its argument.
#[must_use]
pub fn is_meant(named: &str, verb: &str, argument: &str) -> bool {
    named == verb || named.split_once(' ') == Some((verb, argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_used_up_in_order() {
        let mut faults = FtpsFaults {
            transfers: vec![
                TransferFault { path: "Cube".into(), ..TransferFault::next(Mishap::Cut, 5) },
                TransferFault { times: 2, ..TransferFault::next(Mishap::Stalled, 7) },
                TransferFault { is_listing: true, ..TransferFault::always(Mishap::Truncated, 9) },
            ],
            ..FtpsFaults::default()
        };
        let mut take = |path: &str, is_listing| faults.take(path, is_listing);
        assert_eq!(take("/Benchy.3mf", false), Some((Mishap::Stalled, 7)));
        assert_eq!(take("/Cube.3mf", false), Some((Mishap::Cut, 5)));
        assert_eq!(take("/Cube.3mf", false), Some((Mishap::Stalled, 7)));
        assert_eq!(take("/Cube.3mf", false), None);
        assert_eq!(take("/", true), Some((Mishap::Truncated, 9)));
        assert_eq!(take("/", true), Some((Mishap::Truncated, 9)));
    }

    #[test]
    fn they_can_be_written_by_hand() {
        let faults: FtpsFaults = serde_json::from_str(
            r#"{"rate":75000,"ending":{"late_ms":500},"answers":{"PROT P":"536 no"},
                "transfers":[{"mishap":"truncated","at":1000},{"mishap":{"refused":450},"times":0}]}"#,
        )
        .unwrap();
        assert_eq!(faults.ending, Ending::LateMs(500));
        let expected =
            [TransferFault::next(Mishap::Truncated, 1_000), TransferFault::always(Mishap::Refused(450), 0)];
        assert_eq!(faults.transfers, expected);
        assert!(is_meant("PROT P", "PROT", "P") && is_meant("PROT", "PROT", "P"));
        assert!(!is_meant("PROT P", "PROT", "C") && !is_meant("RETR", "REST", "1"));
    }
}
