//! The catalogue of events: one enum, stable names, the envelope. The promise is written down in `docs/events.md`.
//!
//! *Durable* events carry a `seq` and are committed with the record they speak of; *state* events carry none and may be
//! skipped for a slow listener. This room knows the shapes; the store gives out `seq`, the bus carries envelopes.

/// Declares payloads: structs of public fields, in the order of the contract.
macro_rules! payload {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)+ })+) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the fields are those of docs/events.md, units in their names")]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)+ })+
    };
}

mod announce;
mod counts;
pub mod data;
mod envelope;
pub mod files;
pub mod materials;

pub use announce::{Announcer, EventBus, RING};
pub use counts::{Count, Counts};
pub use data::*;
pub use envelope::{Envelope, Flow};
pub use files::*;
pub use materials::*;

/// Whether an event is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Committed with its record before anybody sees it.
    Durable,
    /// Told to whoever listens now.
    State,
    /// Durable when it tells a change of status, job or errors; state otherwise.
    Either,
}

/// Declares the catalogue: variant, payload, stable name, class, and when it fires (which also is its documentation).
macro_rules! catalogue {
    ($($variant:ident($data:ty) $name:literal $class:ident $when:literal;)+) => {
        /// Every event of the product.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $(#[doc = $when] $variant($data),)+
        }

        /// Every stable name with its class and when it fires, in the order of the contract.
        pub const CATALOGUE: &[(&str, Class, &str)] = &[$(($name, Class::$class, $when),)+];

        impl Event {
            /// The stable name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Event::$variant(_) => $name,)+ }
            }

            /// Its class in the catalogue.
            #[must_use]
            pub fn class(&self) -> Class {
                match self { $(Event::$variant(_) => Class::$class,)+ }
            }

            /// Reads an event back from its stable name and the JSON of its payload; `None` for a name that this
            /// version does not know or a payload that does not fit.
            #[must_use]
            pub fn parse(name: &str, data: &str) -> Option<Event> {
                match name {
                    $($name => serde_json::from_str(data).ok().map(Event::$variant),)+
                    _ => None,
                }
            }

            pub(crate) fn write_data(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
                match self { $(Event::$variant(data) => serde_json::to_writer(out, data),)+ }
            }
        }
    };
}

catalogue! {
    PrinterAdded(PrinterRef) "printer_added" Durable "a printer was added to the list";
    PrinterUpdated(PrinterRef) "printer_updated" Durable "a printer's entry in the list was changed";
    PrinterRemoved(PrinterRef) "printer_removed" Durable "a printer was removed from the list";
    PrinterConnectionProgress(ConnectionProgress) "printer_connection_progress" Either
        "each step of a connection; repeated failures within one outage are state";
    PrinterConnected(PrinterRef) "printer_connected" Durable "once per change from not connected to connected";
    PrinterDisconnected(PrinterDisconnected) "printer_disconnected" Durable "once per change from connected to not connected";
    PrinterMonitoringStarted(PrinterOnly) "printer_monitoring_started" Durable "reports are being followed";
    PrinterMonitoringStopped(PrinterOnly) "printer_monitoring_stopped" Durable "reports are no longer followed";
    PrinterStatusUpdate(Box<StatusUpdate>) "printer_status_update" Either
        "durable when status, job or errors changed; otherwise state, at most 5 a second for a printer";
    PlateCleared(PlateCleared) "plate_cleared" Durable "somebody took the print off and said so";
    PrinterStatus(StatusSummary) "printer_status" State "every 30 s: all configured printers";
    JobCreated(JobCreated) "job_created" Durable "a job was recorded, by the API or because a print started";
    JobStarted(JobRef) "job_started" Durable "once in a job's life, when it first prints";
    JobStatusChanged(JobStatusChanged) "job_status_changed" Durable "every change of a job's status";
    JobProgressUpdated(JobProgress) "job_progress_updated" State "progress moved by a point or more, at most every 10 s a job";
    JobUpdate(JobUpdate) "job_update" State "every 10 s while a job is active, and once after the last ended";
    JobCompleted(JobCompleted) "job_completed" Durable "once in a job's life, at its end";
    JobUpdated(JobOnly) "job_updated" Durable "a job was changed: by the API, its printer's naming, or its file's figures";
    JobDeleted(JobOnly) "job_deleted" Durable "a job was deleted by the API, or made room for a new one";
    FilesDiscovered(FilesDiscovered) "files_discovered" Either "a source's files were listed; state when nothing changed";
    NewFilesFound(NewFilesFound) "new_files_found" Durable "a listing showed files that were not known before";
    FileSyncComplete(FileSyncComplete) "file_sync_complete" Either "a listing has been merged; state when nothing changed";
    FileDeleted(FileDeleted) "file_deleted" Durable "a local copy or record was deleted";
    FileDownloadStarted(FileDownloadStarted) "file_download_started" Durable
        "a round of a fetch has the printer's transfer slot, before names are resolved";
    FileDownloadProgress(FileDownloadProgress) "file_download_progress" State
        "at most once a second while bytes come";
    FilePreviewReady(FilePreviewReady) "file_preview_ready" Durable
        "the first bytes of a running transfer held a cover or the header";
    FileNeedsThumbnailProcessing(FileNeedsThumbnailProcessing) "file_needs_thumbnail_processing" Durable
        "bytes have arrived whose thumbnails and metadata are wanted";
    FileDownloadComplete(FileDownloadComplete) "file_download_complete" Durable "a file is whole, synced and recorded";
    FileVerificationFailed(FileVerificationFailed) "file_verification_failed" Durable
        "the later check of the whole file found damage";
    FileDownloadFailed(FileDownloadFailed) "file_download_failed" Durable "a round of a fetch failed";
    FileThumbnailsProcessed(FileThumbnailsProcessed) "file_thumbnails_processed" Durable "thumbnails are made and stored";
    ThumbnailProcessingFailed(ThumbnailProcessingFailed) "thumbnail_processing_failed" Durable
        "no thumbnails could be made";
    FileMetadataExtracted(FileMetadataExtracted) "file_metadata_extracted" Durable "metadata is read and stored";
    MetadataExtractionFailed(MetadataExtractionFailed) "metadata_extraction_failed" Durable "no metadata could be read";
    AutoDownloadTriggered(AutoDownloadTriggered) "auto_download_triggered" Durable
        "a print has started and its file name is known";
    AutoDownloadFailed(AutoDownloadFailed) "auto_download_failed" Durable
        "a print's file could not be fetched: when the rounds during the print are used up, and after its end";
    MaterialCreated(Box<MaterialWhole>) "material_created" Durable "a spool was entered";
    MaterialUpdated(Box<MaterialWhole>) "material_updated" Durable "a spool was changed: by the API, a booking, or its undoing";
    MaterialDeleted(MaterialOnly) "material_deleted" Durable "a spool was deleted";
    MaterialLowStock(MaterialLowStock) "material_low_stock" Durable
        "once, when what is left on a spool falls below its threshold";
    LibraryFileAdded(LibraryFileAdded) "library_file_added" Durable "a file has come into the library";
    LibraryFileDeleted(LibraryFileDeleted) "library_file_deleted" Durable "a file was removed from the library";
    StorageLow(StorageLow) "storage_low" Durable "the card is nearly full; told again only after there was room in between";
    SettingsChanged(SettingsChanged) "settings_changed" Durable "settings were changed by the API";
    PrintPaused(PrintControlled) "print_paused" Durable "an order to pause was carried out, as the printer's status says";
    PrintResumed(PrintControlled) "print_resumed" Durable "an order to go on was carried out, as the printer's status says";
    PrintStopped(PrintControlled) "print_stopped" Durable "an order to stop was carried out, as the printer's status says";
    PrinterControlFailed(ControlFailed) "printer_control_failed" Durable "an order about a print was not carried out";
    ServiceStarted(ServiceStarted) "service_started" Durable "the service has started";
    ServiceStopping(ServiceStopping) "service_stopping" Durable "the service is about to stop";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_snake_case() {
        let mut names: Vec<&str> = CATALOGUE.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    #[test]
    fn events_come_back_from_their_json() {
        let event = Event::JobCreated(JobCreated {
            job_id: crate::model::JobId(4),
            printer_id: crate::model::PrinterId(1),
            job_name: "Würfel".into(),
            filename: None,
            plate: Some(1),
            auto: true,
        });
        let mut data = Vec::new();
        event.write_data(&mut data).unwrap();
        let text = String::from_utf8(data).unwrap();
        assert_eq!(
            text,
            r#"{"job_id":"j4","printer_id":"p1","job_name":"Würfel","filename":null,"plate":1,"auto":true}"#
        );
        assert_eq!(Event::parse("job_created", &text), Some(event));
        assert_eq!(Event::parse("of_another_version", &text), None);
        assert_eq!(Event::parse("job_created", "{}"), None);
    }
}
