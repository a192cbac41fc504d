//! One round.
use crate::model::Content;

/// A file that has arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// Its path on the printer, byte for byte.
    pub path: Vec<u8>,
    /// Its bytes on the card.
    pub content: Content,
    /// The plate that is printed, as far as the archive tells.
    pub plate: Option<u32>,
    /// From the slot to the record.
    pub seconds: f64,
    /// Whether it was known to be here without fetching it.
    pub deduplicated: bool,
}
