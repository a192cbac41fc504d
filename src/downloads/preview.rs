//! When and what is told of a running transfer's first bytes.
//!
//! A cover comes a moment before the figures, so it is told alone only when they keep it waiting: one event a round, as full
//! as it can be soon.

use std::time::Duration;

use super::intake::Intake;
use super::record;
use super::shared::PreviewPicture;
use super::worker::{Env, Work};
use crate::base::clock::Mono;
use crate::formats::forward::Preview;
use crate::formats::{PictureFormat, Renditions};
use crate::model::Fetch;
use crate::printers::registry::PrintFile;
use crate::store::StoreError;

/// What was found first waits so long for the rest.
const PATIENCE: Duration = Duration::from_millis(1000);
/// A picture up to this size is shown as it is stored; a larger one is made smaller.
const AS_STORED_MAX: usize = 256 * 1024;
/// Which of the renditions is shown then: the medium one.
const RENDITION: usize = 1;

/// Tells once.
pub(super) struct Teller {
    found_at: Option<Mono>,
    is_told: bool,
}

impl Teller {
    /// A teller for a round; what an earlier round has told is not told again.
    pub(super) fn new(work: &Work<'_>) -> Teller {
        Teller { found_at: None, is_told: work.preview_url().is_some() }
    }

    /// Looks whether there is something to tell. `news`: the tap has something new; `last`: no more bytes come.
    #[expect(clippy::too_many_arguments, reason = "all of it is the caller's, who is the only one")]
    pub(super) fn look(
        &mut self,
        env: &Env,
        fetch: &Fetch,
        cause: u64,
        intake: &Intake,
        plate: Option<u32>,
        news: bool,
        last: bool,
    ) -> Result<(), StoreError> {
        let now = env.clock.now().mono;
        let waited = self.found_at.is_some_and(|at| now.since(at) >= PATIENCE);
        if self.is_told || !(news || waited || (last && self.found_at.is_some())) {
            return Ok(());
        }
        let preview = intake.preview();
        if preview.cover.is_none() && preview.metadata.is_empty() {
            return Ok(());
        }
        self.found_at.get_or_insert(now);
        let complete = preview.cover.is_some() && preview.metadata.print_time_s.is_some();
        if !(complete || waited || last || intake.is_tapped()) {
            return Ok(());
        }
        self.is_told = true;
        tell(env, fetch, cause, preview, plate)
    }
}

fn tell(
    env: &Env,
    fetch: &Fetch,
    cause: u64,
    preview: Preview,
    plate: Option<u32>,
) -> Result<(), StoreError> {
    let metadata = serde_json::to_value(&preview.metadata).unwrap_or_default();
    let plate = preview.plate.or(plate);
    let picture = preview.cover.and_then(|(thumbnail, bytes)| {
        let content_type = match thumbnail.format {
            PictureFormat::Png => Some("image/png"),
            PictureFormat::Jpeg => Some("image/jpeg"),
            // Browsers do not know it.
            PictureFormat::Qoi => None,
        };
        match content_type.filter(|_| bytes.len() <= AS_STORED_MAX) {
            Some(content_type) => {
                let (width, height) = (thumbnail.width, thumbnail.height);
                Some(PreviewPicture { content_type, width, height, bytes })
            }
            None => {
                let made = Renditions::of(&bytes).ok()?.sizes.into_iter().nth(RENDITION)?;
                let (width, height, bytes) = (made.width, made.height, made.png.to_vec());
                Some(PreviewPicture { content_type: "image/png", width, height, bytes })
            }
        }
    });
    let has_picture = picture.is_some();
    if let Some(picture) = picture {
        env.shared.keep_preview(fetch.id, picture);
    }
    let (told, for_record) = (fetch.clone(), metadata);
    env.store
        .write_blocking(move |txn| record::previewed(txn, &told, cause, plate, has_picture, for_record))?;
    if let Some(job_id) = fetch.job_id().filter(|_| has_picture) {
        let url = super::Desk::preview_url(fetch.id);
        env.registry
            .show_file(fetch.printer_id, PrintFile { job_id, file_id: None, thumbnail_url: Some(url) });
    }
    Ok(())
}
