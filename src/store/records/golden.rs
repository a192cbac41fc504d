//! The bytes of every record and version. A test here is never changed to make it pass: a change of a record is a new version
//! with its own bytes below the old ones, which have to be read for ever.

use super::*;
use crate::base::secret::Secret;
use crate::model::status::{Plate, Print, PrintKind};
use crate::model::{ConnectionConfig, PrinterStatus, PrinterType};
use crate::store::record::{from_row, hex};
use crate::store::tables::KeyBytes;

fn row<R: Record>(record: &R) -> (KeyBytes, Vec<u8>) {
    (record.key().to_bytes(), record.encode().unwrap())
}

/// Written as pinned, and read back from the pinned bytes.
fn pinned<R: Record + PartialEq + std::fmt::Debug>(record: &R, key: &str, bytes: &str) {
    let (found_key, found) = row(record);
    assert_eq!((hex(&found_key).as_str(), hex(&found).as_str()), (key, bytes));
    read_back(record, &found_key, bytes);
}

/// Read back from bytes that an earlier version wrote.
fn read_back<R: Record + PartialEq + std::fmt::Debug>(record: &R, key: &[u8], bytes: &str) {
    let bytes: Vec<u8> =
        (0..bytes.len()).step_by(2).map(|at| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap()).collect();
    assert_eq!(&from_row::<R>(key, &bytes).unwrap(), record);
    // Every cut is noticed, and so is a byte too many.
    for cut in 0..bytes.len() {
        assert!(from_row::<R>(key, &bytes[..cut]).is_err(), "{cut}");
    }
    assert!(from_row::<R>(key, &[&bytes[..], &[0]].concat()).is_err());
}

fn full_printer() -> Printer {
    Printer {
        id: PrinterId(3),
        name: "Würfel".into(),
        kind: PrinterType::PrusaLink,
        connection: ConnectionConfig {
            host: "192.0.2.7".into(),
            serial: Some("01S00A000000001".into()),
            access_code: Some(Secret::new("12345678")),
            api_key: Some(Secret::new("key")),
            username: Some("maker".into()),
            password: Some(Secret::new("pass")),
            mqtt_port: 8883,
            ftps_port: 990,
            http_port: 80,
        },
        pin: Some([0xab; 32]),
        location: Some("cellar".into()),
        description: None,
        enabled: true,
        created_at: Timestamp(1_793_491_200_000),
    }
}

fn full_job() -> Job {
    Job {
        id: JobId(258),
        printer_id: PrinterId(3),
        printer_name: "X1".into(),
        name: "Boat".into(),
        file: Some("boat.gcode.3mf".into()),
        plate: Some(2),
        status: JobStatus::Failed,
        auto: true,
        progress: Some(42),
        error: Some("filament ran out".into()),
        created_at: Timestamp(1_793_491_200_000),
        started_at: Some(Timestamp(1_793_491_201_000)),
        printing_at: None,
        ended_at: Some(Timestamp(1_793_491_300_000)),
        clock_synced: true,
        created_seq: 77,
    }
}

fn full_track() -> Track {
    Track {
        printer_id: PrinterId(3),
        shown: PrinterStatus::Offline,
        seen: PrinterStatus::Printing,
        print: Print {
            key: Some("k1".into()),
            mark: None,
            name: Some("Boat".into()),
            file: Some("boat.3mf".into()),
            plate: Some(1),
            kind: Some(PrintKind::System),
        },
        job_id: Some(JobId(258)),
        progress: Some(42),
        plate: Plate::Occupied,
        started_at: None,
        errors: vec!["0300-0100".into()],
        last_seen: Some(Timestamp(1_793_491_200_000)),
    }
}

#[test]
fn printer_1() {
    pinned(
        &full_printer(),
        "0000000000000003",
        "010757c3bc7266656c01093139322e302e322e37010f3031533030413030303030303030310108313233343536373801\
         036b657901056d616b6572010470617373b345de075001ababababababababababababababababababababababababab\
         ababababababab010663656c6c6172000180a0bfc6b268",
    );
}

#[test]
fn job_1() {
    pinned(
        &full_job(),
        "0000000000000102",
        "01030580a0bfc6b26802583104426f6174010e626f61742e67636f64652e336d66010201012a011066696c616d656e74\
         2072616e206f757401d0afbfc6b2680001c0bacbc6b268014d",
    );
    let head = JobHead::decode(&full_job().encode().unwrap()).unwrap();
    let job = full_job();
    let expected = JobHead { printer_id: job.printer_id, status: job.status, created_at: job.created_at };
    assert_eq!(head, expected);
}

#[test]
fn track_1() {
    pinned(
        &full_track(),
        "0000000000000003",
        "01000401026b31000104426f61740108626f61742e336d6601010101018202012a01000109303330302d303130300180a0bfc6b268",
    );
}

#[test]
fn a_job_of_every_status_comes_back() {
    for code in 0..8 {
        let job = Job { status: codes::job_status::decode(code).unwrap(), ..full_job() };
        let (key, bytes) = row(&job);
        assert_eq!(from_row::<Job>(&key, &bytes).unwrap(), job);
    }
    let (key, mut bytes) = row(&full_job());
    bytes[2] = 8;
    assert_eq!(from_row::<Job>(&key, &bytes).unwrap_err().error, DecodeError::Code("status of a job", 8));
    bytes[0] = 2;
    assert_eq!(from_row::<Job>(&key, &bytes).unwrap_err().error, DecodeError::Version(2));
}
