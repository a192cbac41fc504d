//! What a printer answers, read field by field: a field that does not fit costs itself and a count.
//!
//! Both families are met here: the storage is one object or an array, flags have two names, sizes are missing, numbers are
//! null. Nothing is required but that an answer is JSON.

use crate::model::text;
use crate::printers::fields::Field;

/// Bytes of a path that are kept: the longest that a FAT or ext4 path within a few folders has.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes of a serial number; real ones have 19.
const SERIAL_BYTES_MAX: usize = 48;

/// Who answers at `/api/version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// PrusaLink of one of the two families.
    PrusaLink(Family),
    /// Another program, by its name.
    Other(String),
}

/// The two families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The web server in the printer's firmware.
    Buddy,
    /// The Python program on a Raspberry Pi.
    Pi,
}

/// What a printer does, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    Ready,
    Busy,
    Printing,
    Paused,
    Finished,
    Stopped,
    Attention,
    Error,
    Unknown,
}

/// The print as `/api/v1/status` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobLine {
    pub id: Option<u64>,
    pub progress: Option<u8>,
    pub remaining_s: Option<u32>,
    pub printing_s: Option<u32>,
}

/// `/api/v1/status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    pub state: Option<State>,
    pub job: Option<JobLine>,
    pub nozzle: Option<f32>,
    pub nozzle_target: Option<f32>,
    pub bed: Option<f32>,
    pub bed_target: Option<f32>,
    /// Why the printer itself cannot be used, as the Pi says.
    pub trouble: Option<String>,
    pub odd: u64,
}

/// Where things of a file are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refs {
    pub download: Option<String>,
    pub thumbnail: Option<String>,
}

/// A file, as the job or the file's own page has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Buddy: the 8.3 name.
    pub name: Option<String>,
    pub display_name: Option<String>,
    /// Buddy: the folder; Pi: the whole path.
    pub path: Option<String>,
    pub size: Option<u64>,
    pub modified: Option<u64>,
    /// Not to be changed: while it is still arriving, for one.
    pub read_only: Option<bool>,
    pub refs: Refs,
}

/// `/api/v1/job`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    pub id: Option<u64>,
    pub file: Option<File>,
    pub odd: u64,
}

/// Reads fields and counts those that cannot be used. A null says nothing and is not odd.
#[derive(Default)]
pub(super) struct Reader {
    pub odd: u64,
}

impl Reader {
    fn take<T>(&mut self, field: Field<'_>, value: Option<T>) -> Option<T> {
        if value.is_none() && !field.is_null() {
            self.odd += 1;
        }
        value
    }

    pub fn text(&mut self, field: Field<'_>, bytes_max: usize) -> Option<String> {
        let text = field.text().map(|text| text::clean(&text, bytes_max)).filter(|text| !text.is_empty());
        // An empty text says as much as null.
        let empty = field.text().is_some_and(|text| text.trim().is_empty());
        if empty { None } else { self.take(field, text) }
    }

    pub fn number<T: TryFrom<i64>>(&mut self, field: Field<'_>) -> Option<T> {
        self.take(field, field.integer())
    }

    fn degrees(&mut self, field: Field<'_>) -> Option<f32> {
        let degrees = field.number().filter(|degrees| (-300.0..=2000.0).contains(degrees));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a temperature's precision is far less than f32's"
        )]
        let degrees = degrees.map(|degrees| degrees as f32);
        self.take(field, degrees)
    }

    fn percent(&mut self, field: Field<'_>) -> Option<u8> {
        self.take(field, field.integer::<u8>().filter(|percent| *percent <= 100))
    }

    pub fn refs(&mut self, field: Field<'_>) -> Refs {
        let mut refs = Refs::default();
        let read = field.entries(|key, value| match key {
            "download" => refs.download = self.text(value, PATH_BYTES_MAX),
            "thumbnail" => refs.thumbnail = self.text(value, PATH_BYTES_MAX),
            _ => {}
        });
        self.take(field, read.then_some(()));
        refs
    }

    fn file(&mut self, field: Field<'_>) -> Option<File> {
        let mut file = File::default();
        let read = field.entries(|key, value| self.file_field(&mut file, key, value));
        self.take(field, read.then_some(file))
    }

    fn file_field(&mut self, file: &mut File, key: &str, value: Field<'_>) {
        match key {
            "name" => file.name = self.text(value, text::NAME_BYTES_MAX),
            "display_name" => file.display_name = self.text(value, text::NAME_BYTES_MAX),
            "path" => file.path = self.text(value, PATH_BYTES_MAX),
            "size" => file.size = self.number(value),
            "m_timestamp" => file.modified = self.number(value),
            "ro" | "read_only" => file.read_only = self.take(value, value.boolean()),
            "refs" => file.refs = self.refs(value),
            _ => {}
        }
    }

    fn job_line(&mut self, field: Field<'_>) -> Option<JobLine> {
        let mut job = JobLine::default();
        let read = field.entries(|key, value| match key {
            "id" => job.id = self.number(value),
            "progress" => job.progress = self.percent(value),
            "time_remaining" => job.remaining_s = self.number(value),
            "time_printing" => job.printing_s = self.number(value),
            _ => {}
        });
        self.take(field, read.then_some(job))
    }
}

/// `/api/version`; `None` where it is no JSON object.
pub fn version(body: &[u8]) -> Option<Peer> {
    let body = String::from_utf8_lossy(body);
    let entries = Field::payload(&body).filter(|entries| !entries.is_empty())?;
    let mut reader = Reader::default();
    let (mut program, mut sdk) = (None, false);
    for (key, value) in entries {
        match &*key {
            "text" => program = reader.text(value, 80),
            "sdk" => sdk = !value.is_null(),
            _ => {}
        }
    }
    let program = program.unwrap_or_default();
    // "PrusaLink" alone is the firmware; the Python program adds its version.
    Some(match program.strip_prefix("PrusaLink") {
        Some("") if !sdk => Peer::PrusaLink(Family::Buddy),
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => Peer::PrusaLink(Family::Pi),
        _ => Peer::Other(program),
    })
}

/// The serial number of `/api/v1/info`.
pub fn serial(body: &[u8]) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    let entries = Field::payload(&body)?;
    let (_, value) = entries.into_iter().find(|(key, _)| key == "serial")?;
    let serial = Reader::default().text(value, SERIAL_BYTES_MAX)?;
    let plain = serial.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // Printers whose memory holds none answer with a row of one character.
    let first = serial.chars().next()?;
    (plain && serial.len() >= 6 && serial.chars().any(|other| other != first)).then_some(serial)
}

/// `/api/v1/status`; `None` where it is no JSON, or nothing with fields.
pub fn status(body: &[u8]) -> Option<Status> {
    let body = String::from_utf8_lossy(body);
    let entries = Field::payload(&body).filter(|entries| !entries.is_empty())?;
    let (mut reader, mut status) = (Reader::default(), Status::default());
    for (key, value) in entries {
        match &*key {
            "job" => status.job = reader.job_line(value),
            "printer" => printer(&mut reader, &mut status, value),
            _ => {}
        }
    }
    status.odd = reader.odd;
    Some(status)
}

fn printer(reader: &mut Reader, status: &mut Status, field: Field<'_>) {
    let read = field.entries(|key, value| match key {
        "state" => {
            let state = reader.text(value, 40);
            status.state = state.as_deref().map(state_of);
        }
        "temp_nozzle" => status.nozzle = reader.degrees(value),
        "target_nozzle" => status.nozzle_target = reader.degrees(value),
        "temp_bed" => status.bed = reader.degrees(value),
        "target_bed" => status.bed_target = reader.degrees(value),
        "status_printer" => {
            let (mut ok, mut message) = (None, None);
            value.entries(|key, value| match key {
                "ok" => ok = value.boolean(),
                "message" => message = reader.text(value, text::MESSAGE_BYTES_MAX),
                _ => {}
            });
            status.trouble = message.filter(|_| ok == Some(false));
        }
        _ => {}
    });
    reader.take(field, read.then_some(()));
}

fn state_of(word: &str) -> State {
    match word.to_ascii_uppercase().as_str() {
        "IDLE" => State::Idle,
        "READY" => State::Ready,
        "BUSY" => State::Busy,
        "PRINTING" => State::Printing,
        "PAUSED" => State::Paused,
        "FINISHED" => State::Finished,
        "STOPPED" => State::Stopped,
        "ATTENTION" => State::Attention,
        "ERROR" => State::Error,
        _ => State::Unknown,
    }
}

/// `/api/v1/job`; `None` where it is no JSON.
pub fn job(body: &[u8]) -> Option<Job> {
    let body = String::from_utf8_lossy(body);
    let entries = Field::payload(&body)?;
    let (mut reader, mut job) = (Reader::default(), Job::default());
    for (key, value) in entries {
        match &*key {
            "id" => job.id = reader.number(value),
            "file" => job.file = reader.file(value),
            _ => {}
        }
    }
    job.odd = reader.odd;
    Some(job)
}

/// A file's own page; `None` where it is no JSON object.
pub fn file(body: &[u8]) -> Option<File> {
    let body = String::from_utf8_lossy(body);
    let entries = Field::payload(&body).filter(|entries| !entries.is_empty())?;
    let (mut reader, mut file) = (Reader::default(), File::default());
    for (key, value) in entries {
        reader.file_field(&mut file, &key, value);
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_apart() {
        let buddy = Some(Peer::PrusaLink(Family::Buddy));
        let pi = Some(Peer::PrusaLink(Family::Pi));
        let other = |name: &str| Some(Peer::Other(name.to_owned()));
        for (body, expected) in [
            (
                r#"{"api":"2.0.0","server":"2.1.2","nozzle_diameter":0.4,"text":"PrusaLink","hostname":"prusa-mk4"}"#,
                buddy,
            ),
            (
                r#"{"api":"2.0.0","server":"0.8.1","text":"PrusaLink 0.8.1","firmware":null,"sdk":"0.8.1"}"#,
                pi.clone(),
            ),
            (r#"{"api":"0.9.0-legacy","text":"PrusaLink","sdk":"0.7.1"}"#, pi),
            (r#"{"api":"0.1","server":"1.11.8","text":"OctoPrint 1.11.8"}"#, other("OctoPrint 1.11.8")),
            (
                r#"{"server":"1.5.0","text":"OctoPrint (Moonraker v0.11.0)"}"#,
                other("OctoPrint (Moonraker v0.11.0)"),
            ),
            (r#"{"text":"PrusaLinkish"}"#, other("PrusaLinkish")),
            (r#"{"api":1}"#, other("")),
            ("{}", None),
            ("[]", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(version(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn serial_numbers_that_name_a_printer() {
        for (body, expected) in [
            (r#"{"serial":"10589-3742441631123456"}"#, Some("10589-3742441631123456")),
            (r#"{"serial":" CZPX1234X004XC12345 "}"#, Some("CZPX1234X004XC12345")),
            (r#"{"serial":null}"#, None),
            (r#"{"serial":""}"#, None),
            (r#"{"serial":"000000000"}"#, None),
            (r#"{"serial":"a b c d e f"}"#, None),
            (r#"{"hostname":"x"}"#, None),
            ("[]", None),
        ] {
            assert_eq!(serial(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn a_status_of_either_family() {
        let buddy = br#"{"job":{"id":420,"progress":42.00,"time_remaining":520,"time_printing":526},
            "storage":{"path":"/usb/","name":"usb","read_only":false},
            "printer":{"state":"PRINTING","temp_bed":60.1,"target_bed":60.0,"temp_nozzle":209.9,"target_nozzle":210.0,
            "axis_z":2.4,"flow":100,"speed":100,"fan_hotend":3099,"fan_print":5964}}"#;
        let status = status(buddy).unwrap();
        let job =
            JobLine { id: Some(420), progress: Some(42), remaining_s: Some(520), printing_s: Some(526) };
        assert_eq!((status.state, status.job, status.odd), (Some(State::Printing), Some(job), 0));
        assert_eq!((status.nozzle, status.bed_target), (Some(209.9), Some(60.0)));
        let pi = br#"{"storage":[{"path":"/PrusaLink gcodes","name":"PrusaLink gcodes","read_only":false,"free_space":1}],
            "printer":{"state":"ERROR","temp_nozzle":null,"status_printer":{"ok":false,"message":"No serial"},
            "status_connect":{"ok":true,"message":"OK"}}}"#;
        let status = super::status(pi).unwrap();
        assert_eq!((status.state, status.job, status.odd), (Some(State::Error), None, 0));
        assert_eq!(status.trouble.as_deref(), Some("No serial"));
    }

    #[test]
    fn odd_fields_cost_themselves() {
        let odd = br#"{"job":{"id":"7","progress":140,"time_remaining":-1,"time_printing":"x"},
            "printer":{"state":"DREAMING","temp_bed":"warm","temp_nozzle":1e9,"target_bed":"60"}}"#;
        let status = status(odd).unwrap();
        let job = status.job.unwrap();
        assert_eq!((job.id, job.progress, job.remaining_s, job.printing_s), (Some(7), None, None, None));
        assert_eq!((status.state, status.bed, status.bed_target), (Some(State::Unknown), None, Some(60.0)));
        assert_eq!(status.odd, 5);
        for (body, odd) in [(r#"{"job":7,"printer":[]}"#, 2), (r#"{"job":null}"#, 0)] {
            let status = super::status(body.as_bytes()).unwrap();
            assert_eq!((status.job, status.state, status.odd), (None, None, odd), "{body}");
        }
        for nothing in ["{\"printer\":{", "[]", "{}", "7", ""] {
            assert_eq!(super::status(nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn a_job_of_either_family() {
        let buddy = br#"{"id":12,"state":"PRINTING","progress":1.0,"time_printing":3,"file":{"refs":{"icon":"/thumb/s/usb/SPICE~1.BGC",
            "thumbnail":"/thumb/l/usb/SPICE~1.BGC","download":"/usb/SPICE~1.BGC"},"name":"SPICE~1.BGC",
            "display_name":"Spice rack.bgcode","path":"/usb","size":49,"m_timestamp":5}}"#;
        let job = job(buddy).unwrap();
        let file = job.file.unwrap();
        assert_eq!((job.id, job.odd, file.size), (Some(12), 0, Some(49)));
        assert_eq!(file.display_name.as_deref(), Some("Spice rack.bgcode"));
        assert_eq!(file.refs.download.as_deref(), Some("/usb/SPICE~1.BGC"));
        let arriving = super::job(br#"{"id":12,"file":{"name":"A.GCO","refs":{"download":null}}}"#).unwrap();
        assert_eq!((arriving.file.unwrap().size, arriving.odd), (None, 0));
        let serial = super::job(br#"{"id":3,"state":"PRINTING","serial_print":true}"#).unwrap();
        assert_eq!((serial.id, serial.file), (Some(3), None));
    }

    #[test]
    fn every_beginning_of_an_answer_is_survived() {
        let whole =
            br#"{"job":{"id":420,"progress":42.0},"printer":{"state":"PRINTING"},"file":{"refs":{}}}"#;
        for end in 0..whole.len() {
            let part = &whole[..end];
            assert_eq!((status(part), job(part), version(part), serial(part)), (None, None, None, None));
        }
    }
}
