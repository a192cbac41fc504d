//! Numbers for the choices in stored records. Given once and for ever: a number is never changed and never used for
//! something else, whatever becomes of the enum in the model.

/// Declares one list: module, type, name for errors, choices with their numbers.
macro_rules! codes {
    ($($module:ident: $type:ty, $what:literal { $($variant:ident = $code:literal,)+ })+) => {$(
        pub(in crate::store) mod $module {
            use crate::store::error::DecodeError;
            type Choice = $type;

            pub(in crate::store) fn encode(choice: Choice) -> u8 {
                match choice { $(Choice::$variant => $code,)+ }
            }

            pub(in crate::store) fn decode(code: u8) -> Result<Choice, DecodeError> {
                match code { $($code => Ok(Choice::$variant),)+ other => Err(DecodeError::Code($what, other)) }
            }

            #[cfg(test)]
            #[test]
            fn numbers_come_back() {
                for code in 0..=u8::MAX {
                    if let Ok(choice) = decode(code) {
                        assert_eq!(encode(choice), code);
                    }
                }
            }
        }
    )+};
}

codes! {
    printer_type: crate::model::PrinterType, "type of printer" { BambuLab = 0, PrusaLink = 1, }
    job_status: crate::model::JobStatus, "status of a job" {
        Pending = 0, Preparing = 1, Running = 2, Paused = 3, Completed = 4, Failed = 5, Cancelled = 6, Unknown = 7,
    }
    printer_status: crate::model::PrinterStatus, "status of a printer" {
        Offline = 0, Connecting = 1, Idle = 2, Preparing = 3, Printing = 4, Paused = 5, Attention = 6, Finished = 7,
        Failed = 8, Cancelled = 9, Unknown = 10,
    }
    booking: crate::model::Booking, "state of a booking" { None = 0, Pending = 1, Booked = 2, Offered = 3, Undone = 4, }
    plate: crate::model::status::Plate, "state of a plate" { Unknown = 0, Occupied = 1, Clear = 2, }
    file_status: crate::model::FileStatus, "status of a file" {
        Available = 0, Downloading = 1, Downloaded = 2, Local = 3, Error = 4, Unavailable = 5, Deleted = 6,
    }
    work: crate::model::Work, "state of work" { None = 0, Pending = 1, Done = 2, Failed = 3, }
    fetch_kind: crate::model::FetchKind, "failure of a fetch" {
        NotFound = 0, Auth = 1, Refused = 2, Interrupted = 3, Stalled = 4, SizeMismatch = 5, Corrupt = 6, TooLarge = 7,
        NoSpace = 8, BadName = 9, PrinterOffline = 10, Cancelled = 11, NotOnStorage = 12,
    }
    print_kind: crate::model::status::PrintKind, "kind of print" { User = 0, System = 1, }
}
