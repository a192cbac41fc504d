//! Settings by short names, behind embedded-svc's storage trait, so that code written for a microcontroller's flash fits.

use embedded_svc::storage::{RawStorage, StorageBase};

use super::error::StoreError;
use super::read::RawRead as _;
use super::tables::{Table, key};
use super::txn::Txn;

/// Characters of a setting's name: what the flash of the usual microcontrollers takes.
pub const SETTING_NAME_MAX: usize = 15;

/// The setting that holds the time zone whose days the store counts by, where it was changed while the service ran: its name as
/// text. Read at the opening, over the zone that is given then.
pub const ZONE_SETTING: &str = "time.zone";

/// Bytes of a setting: a page of the file, less its own bookkeeping.
pub const SETTING_BYTES_MAX: usize = 3_072;

/// The settings within a transaction.
pub struct SettingsStorage<'t, 'a>(&'t mut Txn<'a>);

impl<'t, 'a> SettingsStorage<'t, 'a> {
    pub(super) fn new(txn: &'t mut Txn<'a>) -> Self {
        SettingsStorage(txn)
    }

    fn value(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.raw_get(Table::Settings, checked(name)?)
    }
}

/// `name` as a key: not empty, at most [`SETTING_NAME_MAX`] bytes, printable ASCII without blanks.
fn checked(name: &str) -> Result<&[u8], StoreError> {
    let size = name.len();
    if size == 0 || size > SETTING_NAME_MAX || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(StoreError::TooLarge { what: "the name of a setting", size, max: SETTING_NAME_MAX });
    }
    Ok(name.as_bytes())
}

impl StorageBase for SettingsStorage<'_, '_> {
    type Error = StoreError;

    fn contains(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.value(name)?.is_some())
    }

    fn remove(&mut self, name: &str) -> Result<bool, StoreError> {
        let there = self.contains(name)?;
        if there {
            self.0.raw_delete(Table::Settings, key(checked(name)?));
        }
        Ok(there)
    }
}

impl RawStorage for SettingsStorage<'_, '_> {
    fn len(&self, name: &str) -> Result<Option<usize>, StoreError> {
        Ok(self.value(name)?.map(|value| value.len()))
    }

    /// The value in the front of `buf`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] when `buf` is smaller than the value.
    fn get_raw<'b>(&self, name: &str, buf: &'b mut [u8]) -> Result<Option<&'b [u8]>, StoreError> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let max = buf.len();
        let Some(front) = buf.get_mut(..value.len()) else {
            return Err(StoreError::TooLarge { what: "the setting's value", size: value.len(), max });
        };
        front.copy_from_slice(&value);
        Ok(Some(front))
    }

    /// Writes a setting; answers whether one of that name was there.
    fn set_raw(&mut self, name: &str, buf: &[u8]) -> Result<bool, StoreError> {
        let size = buf.len();
        if size > SETTING_BYTES_MAX {
            return Err(StoreError::TooLarge { what: "a setting", size, max: SETTING_BYTES_MAX });
        }
        let there = self.contains(name)?;
        self.0.raw_put(Table::Settings, key(checked(name)?), buf.to_vec());
        Ok(there)
    }
}
