//! The bytes of every record and version. A test here is never changed to make it pass: a change of a record is a new version
//! with its own bytes below the old ones, which have to be read for ever.

use super::*;
use crate::base::secret::Secret;
use crate::model::file::{Outcome, Picture, Pictures};
use crate::model::status::{Plate, Print, PrintKind};
use crate::model::{
    Checksum, ConnectionConfig, Consumption, ConsumptionId, Content, Fetch, FetchId, FetchKind, FetchState,
    Figures, FilamentUse, FileId, FileRecord, FileSource, FileStatus, JobMaterial, Mass, Material,
    MaterialId, Money, Origin, Place, PlateWork, PrinterStatus, PrinterType, Share, Start, Wanted, Work,
};
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
        file_id: Some(FileId(5)),
        status: JobStatus::Failed,
        auto: true,
        progress: Some(42),
        error: Some("filament ran out".into()),
        notes: Some("for Ada".into()),
        material: JobMaterial {
            uses: Some(vec![FilamentUse {
                tool: 1,
                used: Mass::from_micrograms(12_500_000),
                kind: Some("PLA".into()),
                color: None,
            }]),
            mapping: vec![None, Some(2)],
            slots: vec![2],
            booking: Booking::Booked,
            used: Some(Mass::from_micrograms(5_250_000)),
            ended_seq: Some(80),
        },
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
    read_back(
        &Job { file_id: None, notes: None, material: JobMaterial::default(), ..full_job() },
        &JobId(258).to_bytes(),
        "01030580a0bfc6b26802583104426f6174010e626f61742e67636f64652e336d66010201012a011066696c616d656e74\
         2072616e206f757401d0afbfc6b2680001c0bacbc6b268014d",
    );
    let head = JobHead::decode(&full_job().encode().unwrap()).unwrap();
    let job = full_job();
    let expected = JobHead { printer_id: job.printer_id, status: job.status, created_at: job.created_at };
    assert_eq!(head, expected);
}

#[test]
fn job_2() {
    pinned(
        &full_job(),
        "0000000000000102",
        "02030580a0bfc6b26802583104426f6174010e626f61742e67636f64652e336d66010201012a011066696c616d656e74\
         2072616e206f757401d0afbfc6b2680001c0bacbc6b268014d0105\
         0107666f7220416461010101a0f8fa050103504c41000200010201020201d0b7c0020150",
    );
}

#[test]
fn file_1() {
    let file = FileRecord {
        id: FileId(5),
        source: FileSource::Printer(PrinterId(3)),
        source_name: "X1".into(),
        path: b"/cache/W\xffrfel.3mf".to_vec(),
        name: "W\u{fffd}rfel.3mf".into(),
        size: Some(300),
        mark: Some("1793491200".into()),
        status: FileStatus::Downloaded,
        content: Some(Checksum([0xcd; 32])),
        work: vec![PlateWork {
            plate: Some(2),
            thumbnails: Work::Done,
            metadata: Work::Failed,
            cause: Some(77),
        }],
        pinned: true,
        error: Some((FetchKind::SizeMismatch, "short".into())),
        discovered_at: Timestamp(1_793_491_200_000),
        kept_at: Some(Timestamp(1_793_491_300_000)),
    };
    pinned(
        &file,
        "0000000000000005",
        "0100030201cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd0c57efbfbd7266656c2e33\
         6d66025831112f63616368652f57ff7266656c2e336d6601ac02010a313739333439313230300101020203014d010105\
         0573686f727480a0bfc6b26801c0bacbc6b268",
    );
    for code in 0..7 {
        let file = FileRecord { status: codes::file_status::decode(code).unwrap(), ..file.clone() };
        let (key, bytes) = row(&file);
        assert_eq!(from_row::<FileRecord>(&key, &bytes).unwrap(), file);
    }
}

#[test]
fn content_1() {
    let content = Content {
        checksum: Checksum([0xcd; 32]),
        size: 300,
        head: Checksum([0xef; 32]),
        plate_md5: vec![(2, [0x11; 16])],
        extension: "gcode.3mf".into(),
        verified: Some(false),
        damage: Some("plate 2".into()),
        kept_at: Timestamp(1_793_491_300_000),
    };
    pinned(
        &content,
        &"cd".repeat(32),
        "01ac02efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef01021111111111111111111111\
         11111111110967636f64652e336d6601000107706c6174652032c0bacbc6b268",
    );
}

#[test]
fn figures_1() {
    let large = Some(Picture { width: 512, height: 384, bytes: 9_000 });
    let figures = Figures {
        content: Checksum([0xcd; 32]),
        plate: Some(2),
        found_plate: Some(2),
        thumbnails: Outcome::Done(Pictures { large, from_printer: true, ..Pictures::default() }),
        metadata: Outcome::Failed { kind: "no_metadata".into(), message: "says nothing".into() },
    };
    pinned(
        &figures,
        &format!("{}00000002", "cd".repeat(32)),
        "0101020100000180048003a84601020b6e6f5f6d657461646174610c73617973206e6f7468696e67",
    );
    let other =
        Figures { plate: None, thumbnails: Outcome::Open, metadata: Outcome::Done("{}".into()), ..figures };
    let (key, bytes) = row(&other);
    assert_eq!(from_row::<Figures>(&key, &bytes).unwrap(), other);
}

#[test]
fn fetch_1() {
    let fetch = Fetch {
        id: FetchId(9),
        printer_id: PrinterId(3),
        wanted: Wanted::Print {
            job_id: JobId(258),
            start: Start {
                title: Some("Boat".into()),
                file: Some("boat.gcode.3mf".into()),
                plate: Some(2),
                origin: Origin::Sent("boat.gcode.3mf".into()),
            },
        },
        filename: "boat.gcode.3mf".into(),
        auto: true,
        cause: Some(70),
        state: FetchState::AfterPrint,
        attempts: 5,
        tried: vec!["/boat.gcode.3mf".into()],
        error: Some((FetchKind::NotFound, "no such file".into())),
        refetch: false,
        created_at: Timestamp(1_793_491_200_000),
    };
    pinned(
        &fetch,
        "0000000000000009",
        "0103030082020104426f6174010e626f61742e67636f64652e336d660102010e626f61742e67636f64652e336d660e62\
         6f61742e67636f64652e336d6601014605010f2f626f61742e67636f64652e336d6601000c6e6f20737563682066696c\
         650080a0bfc6b268",
    );
    let origins = [
        Origin::Unknown,
        Origin::OnCard("a".into()),
        Origin::Cloud,
        Origin::Internal("b".into()),
        Origin::System,
        Origin::Local,
    ];
    for origin in origins {
        let start = Start { origin, ..Start::default() };
        let wanted = Wanted::Print { job_id: JobId(1), start };
        let fetch = Fetch { wanted, state: FetchState::Done(FileId(5)), ..fetch.clone() };
        let (key, bytes) = row(&fetch);
        assert_eq!(from_row::<Fetch>(&key, &bytes).unwrap(), fetch);
    }
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
    bytes[0] = 3;
    assert_eq!(from_row::<Job>(&key, &bytes).unwrap_err().error, DecodeError::Version(3));
}

fn full_material() -> Material {
    Material {
        id: MaterialId(5),
        material_type: "PLA".into(),
        brand: Some("Prusament".into()),
        color: Some("Galaxy".into()),
        color_hex: Some("#101010".into()),
        diameter_um: Some(1750),
        weight: Mass::from_grams(1000),
        remaining: Mass::from_micrograms(199_999_900),
        cost_per_kg: Money::from_parts(249_000),
        purchase_date: Some("2026-11-26".into()),
        vendor: None,
        batch_number: Some("b7".into()),
        notes: None,
        location: Some("cellar".into()),
        place: Some(Place { printer_id: PrinterId(3), slot: Some(254) }),
        active: true,
        threshold: Share::LOW_STOCK,
        armed: false,
        created_at: Timestamp(1_793_491_200_000),
        updated_at: Timestamp(1_793_491_300_000),
    }
}

fn full_consumption() -> Consumption {
    Consumption {
        id: ConsumptionId(9),
        material_id: MaterialId(5),
        material_name: "Prusament PLA".into(),
        job_id: Some(JobId(258)),
        printer_id: Some(PrinterId(3)),
        slot: Some(2),
        used: Mass::from_grams(12),
        deducted: Mass::from_grams(10),
        cost: Money::from_parts(2988),
        at: Timestamp(1_793_491_300_000),
        file_name: Some("boat.3mf".into()),
        print_time_s: Some(3600),
        auto: true,
        undone_at: Some(Timestamp(1_793_491_400_000)),
    }
}

#[test]
fn material_1() {
    pinned(
        &full_material(),
        "0000000000000005",
        "0103504c41010950727573616d656e74010647616c61787901072331303130313001d60d8094ebdc039c83af5f01a8990f010a32\
         3032362d31312d3236000102623700010663656c6c6172010301fe0101c09a0c0080a0bfc6b268c0bacbc6b268",
    );
}

#[test]
fn consumption_1() {
    pinned(
        &full_consumption(),
        "0000000000000009",
        "01050d50727573616d656e7420504c410182020103010280b6dc0580ade20401ac17c0bacbc6b2680108626f61742e336d6601901c0101\
         80d5d7c6b268",
    );
}

#[test]
fn library_1() {
    use crate::model::library::{LibraryEntry, LibrarySource};
    let source = |source, source_name: &str, filename: &str, id| LibrarySource {
        source,
        source_name: source_name.into(),
        filename: filename.into(),
        file_id: FileId(id),
        added_at: Timestamp(1_793_491_200_000),
    };
    let entry = LibraryEntry {
        checksum: Checksum([0xab; 32]),
        number: 9,
        filename: "W\u{fc}rfel.3mf".into(),
        size: 300,
        sources: vec![
            source(FileSource::Upload, "", "W\u{fc}rfel.3mf", 1),
            source(FileSource::Printer(PrinterId(3)), "P1S", "b.3mf", 2),
            source(FileSource::Local, "local", "c.3mf", 3),
        ],
        source_count: 3,
        added_at: Timestamp(1_793_491_200_000),
    };
    pinned(
        &entry,
        "abababababababababababababababababababababababababababababababab",
        "010b57c3bc7266656c2e336d66ac0280a0bfc6b26809030302000b57c3bc7266656c2e336d660180a0bfc6b2680003035031\
         5305622e336d660280a0bfc6b26801056c6f63616c05632e336d660380a0bfc6b268",
    );
}
