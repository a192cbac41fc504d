//! What can be wrong with a printer, switchable at run time, and aimed at single kinds of request.

use serde::{Deserialize, Serialize};

/// The faults in force. Everything off is an honest printer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// How much the web server is gone, while the printer prints and "Connect" lives.
    pub silence: Silence,
    /// Faults of single requests; the first rule that fits and is not used up applies.
    pub rules: Vec<Rule>,
}

impl Faults {
    /// One fault, at one kind of request, until it is cleared.
    #[must_use]
    pub fn at(at: Target, fault: Fault) -> Self {
        Self { rules: vec![Rule { at, fault, skip: 0, times: None }], ..Self::default() }
    }
}

/// Degrees of silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Answers.
    #[default]
    None,
    /// Connections are accepted (as far as there is room) and never answered; existing ones fall silent too.
    Mute,
    /// The port is closed and every connection cut.
    Refuse,
    /// Nothing comes back at all, not even for a SYN; existing connections fall silent.
    BlackHole,
}

/// A fault, where it strikes and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The requests that it strikes.
    #[serde(default)]
    pub at: Target,
    /// What goes wrong.
    pub fault: Fault,
    /// So many of those requests are spared first.
    #[serde(default)]
    pub skip: u32,
    /// So many are struck then; without it all.
    #[serde(default)]
    pub times: Option<u32>,
}

/// Kinds of request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All of them.
    #[default]
    All,
    /// GET /api/version.
    Version,
    /// GET /api/v1/info.
    Info,
    /// GET /api/v1/status.
    Status,
    /// GET /api/v1/job.
    Job,
    /// GET /api/v1/storage.
    Storage,
    /// GET /api/v1/transfer.
    Transfer,
    /// GET and HEAD /api/v1/files/...
    Files,
    /// PUT and DELETE /api/v1/job/...
    Control,
    /// POST /api/v1/files/...
    Start,
    /// DELETE and PUT /api/v1/files/...
    Change,
    /// GET /usb/...
    Download,
    /// GET /thumb/...
    Thumb,
    /// Anything else, and what is no HTTP.
    Other,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request is not carried out; the reply is an error page of this status (500).
    Status(u16),
    /// 401 with a fresh nonce, whatever the credentials.
    Unauthorized,
    /// The reply begins so many milliseconds late.
    Delay(u64),
    /// The body comes at so many bytes a second.
    Slow(u64),
    /// The connection is closed after so many bytes of the body.
    Cut(u64),
    /// The same with a reset.
    Reset(u64),
    /// Closed before a byte was sent. The request was carried out.
    Drop,
    /// Never a byte. The request was carried out.
    Hang,
    /// Half of the head, then nothing.
    HangInHead,
    /// So many bytes of the body, then nothing.
    HangInBody(u64),
    /// Something that is not what it should be.
    Garbage(Garbage),
    /// `Content-Length` is wrong by so many bytes (only where there is one).
    Length(i64),
    /// The body ends so many bytes early, with lengths and chunks that fit.
    Truncated(u64),
    /// The byte at this place of the body is another one.
    Flipped(u64),
}

/// Kinds of garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// Bytes that are no HTTP.
    NotHttp,
    /// A status line that goes on for 100 KB.
    LongLine,
    /// A head with 2 000 fields.
    ManyHeaders,
    /// A web page, as a wrong device at the address would send it.
    Html,
    /// JSON that ends in the middle.
    BrokenJson,
    /// An empty body.
    Empty,
    /// JSON, but no object.
    NotAnObject,
    /// Every value with a type that it should not have.
    WrongTypes,
    /// Every value null.
    Nulls,
    /// Arrays in arrays, 10 000 deep.
    DeepNesting,
    /// Bytes that are not UTF-8 in every text.
    InvalidUtf8,
    /// Numbers out of every range and words that nobody has heard of.
    HugeNumbers,
    /// Valid JSON with a text of 4 MB.
    Large,
    /// A chunk whose size is no number.
    BadChunk,
    /// A chunk that promises 2 GB.
    HugeChunk,
}

impl Garbage {
    /// Every kind, for tests that go through all of them.
    pub const ALL: [Self; 15] = [
        Self::NotHttp,
        Self::LongLine,
        Self::ManyHeaders,
        Self::Html,
        Self::BrokenJson,
        Self::Empty,
        Self::NotAnObject,
        Self::WrongTypes,
        Self::Nulls,
        Self::DeepNesting,
        Self::InvalidUtf8,
        Self::HugeNumbers,
        Self::Large,
        Self::BadChunk,
        Self::HugeChunk,
    ];
}

/// The rules in force and how often each was met.
#[derive(Debug, Default)]
pub struct Armed {
    rules: Vec<(Rule, u32)>,
}

impl Armed {
    /// Arms rules anew.
    #[must_use]
    pub fn new(rules: &[Rule]) -> Self {
        Self { rules: rules.iter().map(|rule| (rule.clone(), 0)).collect() }
    }

    /// The fault for a request of this kind.
    pub fn strike(&mut self, target: Target) -> Option<Fault> {
        for (rule, met) in &mut self.rules {
            if rule.at != Target::All && rule.at != target {
                continue;
            }
            *met = met.saturating_add(1);
            let struck = met.saturating_sub(rule.skip);
            if struck > 0 && rule.times.is_none_or(|times| struck <= times) {
                return Some(rule.fault);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_spare_strike_and_are_used_up() {
        let rule = Rule { at: Target::Status, fault: Fault::Drop, skip: 1, times: Some(2) };
        let last = Rule { at: Target::All, fault: Fault::Status(500), skip: 0, times: Some(1) };
        let mut armed = Armed::new(&[rule, last]);
        let strikes: Vec<_> = (0..5).map(|_| armed.strike(Target::Status)).collect();
        assert_eq!(strikes, [Some(Fault::Status(500)), Some(Fault::Drop), Some(Fault::Drop), None, None]);
        assert_eq!(armed.strike(Target::Job), None);
    }

    #[test]
    fn rules_are_written_as_json() {
        let text = r#"{"silence":"mute","rules":[{"at":"download","fault":{"cut":1000},"times":1},{"fault":"hang"}]}"#;
        let faults: Faults = serde_json::from_str(text).expect("valid faults");
        assert_eq!(faults.rules[0].fault, Fault::Cut(1000));
        assert_eq!(faults.rules[1], Rule { at: Target::All, fault: Fault::Hang, skip: 0, times: None });
        assert!(serde_json::from_str::<Faults>(r#"{"gremlins":true}"#).is_err());
    }
}
