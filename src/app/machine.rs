//! What the owner may do with the machine, through the board; and how everything is erased: a mark, and a new start.

use std::path::PathBuf;
use std::sync::Arc;

use board::BoardError;

use super::rescue;
use crate::base::error::chain;
use crate::base::task::Stop;
use crate::web::api::system::{Machine, PowerError};

/// The machine of this service.
pub struct Owned {
    /// The board.
    pub board: Arc<dyn board::Board>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Thrown when the service is to end in order to start afresh.
    pub afresh: Stop,
}

impl Machine for Owned {
    fn restart(&self) -> Result<(), PowerError> {
        self.board.restart().map_err(refused)
    }

    fn power_off(&self) -> Result<(), PowerError> {
        self.board.power_off().map_err(refused)
    }

    fn factory_reset(&self) -> Result<(), PowerError> {
        rescue::ask_for_factory_reset(&self.data_dir)
            .map_err(|error| PowerError::Failed(format!("the wish cannot be written down: {error}")))?;
        self.afresh.throw();
        Ok(())
    }

    fn start_afresh(&self) {
        self.afresh.throw();
    }
}

fn refused(error: BoardError) -> PowerError {
    match error {
        BoardError::Missing(_) => PowerError::Impossible(chain(&error)),
        BoardError::System { .. } => PowerError::Failed(chain(&error)),
    }
}
