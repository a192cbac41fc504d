//! Which file is being printed? From what a report shows to the file's path on the printer.
//!
//! A report gives a title, something like a file name, sometimes a plate and how the print was started, and never a path.
//! Where the file lies and what it is called there depends on model, firmware, slicer and the way the print was started.
//! [`Search`] is the plan to find it: names to be asked for by likelihood, then a look into the folders, again in rounds that
//! become rarer, and once more when the print is over.
//!
//! **Pure**: a search is told what happened and answers with the one thing to do next ([`Action`]). It opens no connection and
//! reads no clock. One round is meant to be one FTPS session.
//!
//! **Never**: the newest file because it is the newest; a name that says another plate; a shortened name when two fit; one of
//! two names that cannot be told apart. A file that is found still has to prove itself: the archive has to hold the plate
//! ([`Found::plate`]). If it does not, [`Input::Rejected`] makes the search go on.
//!
//! **Bounds**: [`PROBES_MAX`] questions a round and [`FOLDERS_MAX`] listings in every other one; six rounds, in all at most 60
//! questions and 16 listings a print, and at most eight rounds more where the reports change what they say. What is absent
//! and what was rejected is remembered, and so is the end of the search: a [`Search`] that has given up stays so.

mod catalogue;
mod fold;
mod names;
mod plan;
mod print;
#[cfg(test)]
mod tests;

pub use catalogue::catalogue;
pub use fold::is_same_title;
pub use names::{FOLDERS_MAX, Fit, PROBES_MAX};
pub use plan::{Action, Failure, Found, Input, ROUNDS_S, Reason, Search, StorageHint, Trouble};
pub use print::{Family, Print, PrintType, Source, Url};
