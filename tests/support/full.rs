//! The records of years: jobs, files, bookings, spools, as many as the product promises to bear.

use printernizer::base::clock::{RELEASE_FLOOR, Timestamp};
use printernizer::model::{
    Checksum, Consumption, ConsumptionId, Content, FileId, FileRecord, FileSource, FileStatus, Job, JobId,
    JobMaterial, JobStatus, Mass, Material, MaterialId, PrinterId, Share,
};
use printernizer::store::{Store, StoreError};

/// Jobs, and a booking for each.
pub const JOBS: u64 = 10_000;
/// Files, each with its content.
pub const FILES: u64 = 5_000;
/// Spools.
pub const SPOOLS: u64 = 500;
/// Records written in one transaction.
const PIECE: u64 = 250;

/// Writes all of them.
pub fn fill(store: &Store) {
    for first in (1..=JOBS).step_by(250) {
        let work = move |txn: &mut printernizer::store::Txn<'_>| {
            for number in first..first + PIECE {
                txn.put_job(&job(number))?;
                txn.put(&booking(number))?;
                if number <= SPOOLS {
                    txn.put(&material(number))?;
                }
                if number <= FILES {
                    let id = txn.next_file_id()?;
                    txn.put(&file(id, number))?;
                    txn.put(&content(number))?;
                }
            }
            Ok::<_, StoreError>(())
        };
        store.write_blocking(work).unwrap();
    }
}

fn job(number: u64) -> Job {
    let at = Timestamp(RELEASE_FLOOR.0 + i64::try_from(number).unwrap() * 3_600_000);
    Job {
        id: JobId(number),
        printer_id: PrinterId(number % 8 + 1),
        printer_name: "the printer in the cellar".into(),
        name: format!("a name as people give them, number {number}"),
        file: Some(format!("a_name_as_people_give_them_{number}.gcode.3mf")),
        plate: Some(1),
        file_id: None,
        status: if number.is_multiple_of(9) { JobStatus::Failed } else { JobStatus::Completed },
        auto: true,
        progress: Some(100),
        error: None,
        notes: None,
        material: JobMaterial { used: Some(Mass::from_grams(20)), ..JobMaterial::default() },
        created_at: at,
        started_at: Some(at),
        printing_at: Some(at),
        ended_at: Some(Timestamp(at.0 + 3_000_000)),
        clock_synced: true,
        created_seq: number,
    }
}

fn material(number: u64) -> Material {
    Material {
        id: MaterialId(number),
        material_type: "PLA".into(),
        brand: Some(format!("maker {}", number % 20)),
        color: Some("black".into()),
        color_hex: None,
        diameter_um: Some(1750),
        weight: Mass::from_grams(1000),
        remaining: Mass::from_grams(number),
        cost_per_kg: None,
        purchase_date: None,
        vendor: None,
        batch_number: None,
        notes: Some("x".repeat(300)),
        location: None,
        place: None,
        active: true,
        threshold: Share::LOW_STOCK,
        armed: true,
        created_at: RELEASE_FLOOR,
        updated_at: RELEASE_FLOOR,
    }
}

fn booking(number: u64) -> Consumption {
    Consumption {
        id: ConsumptionId(number),
        material_id: MaterialId(number % 500 + 1),
        material_name: "maker PLA black".into(),
        job_id: Some(JobId(number)),
        printer_id: Some(PrinterId(1)),
        slot: Some(0),
        used: Mass::from_grams(20),
        deducted: Mass::from_grams(20),
        cost: None,
        at: RELEASE_FLOOR,
        file_name: Some("a.3mf".into()),
        print_time_s: Some(3000),
        auto: true,
        undone_at: None,
    }
}

/// Bytes of the `number`-th content.
pub fn size(number: u64) -> u64 {
    4_000_000 + number
}

/// The checksum of the `number`-th content.
pub fn checksum(number: u64) -> Checksum {
    let mut bytes = [0; 32];
    // Spread over the folders as real ones are.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Checksum(bytes)
}

fn file(id: FileId, number: u64) -> FileRecord {
    let name = format!("a_name_as_people_give_them_{number}.gcode.3mf");
    FileRecord {
        id,
        source: FileSource::Printer(PrinterId(number % 8 + 1)),
        source_name: "the printer in the cellar".into(),
        path: format!("/cache/{name}").into_bytes(),
        name,
        size: Some(size(number)),
        mark: None,
        status: FileStatus::Downloaded,
        content: Some(checksum(number)),
        work: Vec::new(),
        pinned: false,
        error: None,
        discovered_at: RELEASE_FLOOR,
        kept_at: Some(RELEASE_FLOOR),
    }
}

fn content(number: u64) -> Content {
    Content {
        checksum: checksum(number),
        size: size(number),
        head: checksum(number),
        plate_md5: Vec::new(),
        extension: "3mf".into(),
        verified: Some(true),
        damage: None,
        kept_at: RELEASE_FLOOR,
    }
}
