//! Plain data: identifiers, units, printers, jobs. No input or output, no waiting, no vendor words.

pub mod checksum;
pub mod control;
pub mod decimal;
pub mod fetch;
pub mod file;
pub mod id;
pub mod job;
pub mod library;
pub mod material;
pub mod printer;
pub mod status;
pub mod text;
pub mod track;

pub use checksum::Checksum;
pub use control::{Control, ControlError, ControlKind};
pub use decimal::Decimal;
pub use fetch::{Fetch, FetchState, Origin, Start, Wanted};
pub use file::{Content, FetchKind, Figures, FileRecord, FileSource, FileStatus, PlateWork, Work};
pub use id::{ConsumptionId, FetchId, FileId, JobId, MaterialId, PrinterId};
pub use job::{Booking, Job, JobEnd, JobMaterial, JobStatus};
pub use material::{Consumption, FilamentUse, Mass, Material, Money, Place, Share};
pub use printer::{ConnectionConfig, Printer, PrinterType};
pub use status::{
    ConnectionKind, ConnectionState, Filament, Nozzle, PrinterError, PrinterState, PrinterStatus,
};
pub use track::Track;
