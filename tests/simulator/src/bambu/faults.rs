//! What can be wrong with a printer, switchable at run time, and the garbage it can be made to send.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ftps::FtpsFaults;

/// The faults in force. Everything off is an honest printer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// How much of what the printer should say is not said.
    pub silence: Silence,
    /// Reports flow, but requests are ignored (no answer, no acknowledgement).
    pub half_dead: bool,
    /// The port is closed: connections are refused. Existing ones live on.
    pub refuse_connections: bool,
    /// What happens on TCP instead of TLS.
    pub tcp: Tcp,
    /// Waits this long before the first byte of the handshake is answered (a cold P1S takes 3000 to 5000).
    pub tls_delay_ms: u64,
    /// Waits this long before CONNACK.
    pub connack_delay_ms: u64,
    /// Answers every CONNECT with this code (1 to 5), whatever the access code.
    pub connack_code: Option<u8>,
    /// New connections see a leaf with this common name, under the printer's own key.
    pub wrong_common_name: Option<String>,
    /// Takes publishes of quality of service 1 without acknowledging them.
    pub lose_acknowledgements: bool,
    /// Every report is replaced by garbage of this kind.
    pub garbage: Option<Garbage>,
    /// What is wrong with the file server.
    pub ftps: FtpsFaults,
}

/// Degrees of silence; the TCP connection lives in all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Talks.
    #[default]
    None,
    /// Stopped publishing by itself, as P1 printers do; a `pushall` or `pushing.start` wakes it (and ends the
    /// fault).
    Asleep,
    /// Never reports nor answers requests; pings are answered. As with a wrong serial number.
    Mute,
    /// Nothing leaves the printer at all, not even PINGRESP or CONNACK.
    Dead,
}

/// What is behind the open port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tcp {
    /// TLS, as it should be.
    #[default]
    Tls,
    /// Connections are accepted and never answered.
    Hold,
    /// Connections are accepted and closed at once.
    Close,
    /// Something else answers in plain text.
    PlainText,
}

/// Kinds of payload that no printer should send and some do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// JSON that ends in the middle.
    BrokenJson,
    /// A report whose title is not UTF-8 (A1 mini firmware 01.07.02 does it).
    InvalidUtf8,
    /// Every field with a type that it should not have.
    WrongTypes,
    /// Every field null.
    Nulls,
    /// Arrays in arrays, 10 000 deep.
    DeepNesting,
    /// A valid report of 200 KB, within what a client should take.
    Large200k,
    /// A valid report of 300 KB, more than a client needs to take.
    Large300k,
    /// An empty payload.
    Empty,
    /// JSON, but no object.
    NotAnObject,
    /// A state, a stage and a section that nobody has heard of.
    UnknownWords,
    /// Numbers out of every range.
    HugeNumbers,
}

impl Garbage {
    /// Every kind, for tests that go through all of them.
    pub const ALL: [Self; 11] = [
        Self::BrokenJson,
        Self::InvalidUtf8,
        Self::WrongTypes,
        Self::Nulls,
        Self::DeepNesting,
        Self::Large200k,
        Self::Large300k,
        Self::Empty,
        Self::NotAnObject,
        Self::UnknownWords,
        Self::HugeNumbers,
    ];

    /// The bytes of this kind.
    #[must_use]
    pub fn payload(self) -> Vec<u8> {
        match self {
            Self::BrokenJson => {
                br#"{"print":{"nozzle_temper":31.5,"gcode_state":"RUNNING","ams":{"ams":[{"id":"#.to_vec()
            }
            Self::InvalidUtf8 => {
                let mut bytes = br#"{"print":{"subtask_name":"W"#.to_vec();
                bytes.extend_from_slice(&[0xfc, 0xff, 0xc3]);
                bytes.extend_from_slice(br#"rfel","command":"push_status","msg":1,"sequence_id":"7"}}"#);
                bytes
            }
            Self::WrongTypes => report(wrong_types()),
            Self::Nulls => report(nulls()),
            Self::DeepNesting => {
                let mut bytes = br#"{"print":{"command":"push_status","msg":1,"hms":"#.to_vec();
                bytes.extend(std::iter::repeat_n(b'[', 10_000));
                bytes.extend(std::iter::repeat_n(b']', 10_000));
                bytes.extend_from_slice(b"}}");
                bytes
            }
            Self::Large200k => report(filler(200 * 1024)),
            Self::Large300k => report(filler(300 * 1024)),
            Self::Empty => Vec::new(),
            Self::NotAnObject => b"[1,2,3]".to_vec(),
            Self::UnknownWords => report(json!({
                "gcode_state": "DREAMING", "stg_cur": 4711, "print_type": "telepathy", "mc_print_stage": "x",
                "telemetry": {"of": ["a", "later", "firmware"]},
            })),
            Self::HugeNumbers => report(json!({
                "nozzle_temper": 1e300, "bed_temper": -1e300, "mc_percent": 999_999_999_999_u64,
                "mc_remaining_time": -5, "layer_num": u64::MAX, "total_layer_num": -1,
                "print_error": u64::MAX, "stg_cur": i64::MIN,
            })),
        }
    }
}

fn report(mut print: Value) -> Vec<u8> {
    if let Some(fields) = print.as_object_mut() {
        fields.insert("command".into(), json!("push_status"));
        fields.insert("msg".into(), json!(1));
        fields.insert("sequence_id".into(), json!("31337"));
    }
    json!({ "print": print }).to_string().into_bytes()
}

fn wrong_types() -> Value {
    json!({
        "nozzle_temper": "hot", "nozzle_target_temper": [220], "bed_temper": {"c": 60}, "bed_target_temper": true,
        "chamber_temper": "5", "mc_percent": "12", "mc_remaining_time": "soon", "layer_num": "3",
        "total_layer_num": [], "gcode_state": 3, "gcode_file": 17, "subtask_name": ["a"], "print_type": {},
        "task_id": {"id": 1}, "job_id": [], "print_error": "none", "hms": {"attr": 1}, "stg": "2,13",
        "stg_cur": "14", "ams": [1, 2], "vt_tray": "PLA", "wifi_signal": -51, "lights_report": 1,
        "gcode_file_prepare_percent": 50.5, "device": "none", "upgrade_state": [], "home_flag": "0x10",
    })
}

fn nulls() -> Value {
    let Value::Object(fields) = wrong_types() else { return Value::Null };
    Value::Object(fields.into_iter().map(|(name, _)| (name, Value::Null)).collect())
}

fn filler(size: usize) -> Value {
    json!({ "filler": "x".repeat(size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shapes_are_what_the_names_promise() {
        assert!((200 * 1024..256 * 1024).contains(&Garbage::Large200k.payload().len()));
        assert!(Garbage::Large300k.payload().len() > 300 * 1024);
        assert!(String::from_utf8(Garbage::InvalidUtf8.payload()).is_err());
        assert!(serde_json::from_slice::<Value>(&Garbage::BrokenJson.payload()).is_err());
        let nulls: Value = serde_json::from_slice(&Garbage::Nulls.payload()).expect("valid JSON");
        assert_eq!(nulls["print"]["ams"], Value::Null);
        assert_eq!(nulls["print"]["command"], "push_status");
    }
}
