//! Lists of files: a page by page of what a filter lets through, in an order, and figures over all.
//!
//! A list of thousands is walked row by row, and only the fields that a filter asks for are read; what is held at a time is
//! the page, and for an order other than that of the records one key for each file before its end.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::ControlFlow;

use super::error::{RecordError, StoreError};
use super::read::{RawRead as _, Read as _, Span};
use super::record::{from_row, hex};
use super::records::{FileHead, ReadFiles as _};
use super::tables::{Key as _, Table};
use super::view::View;
use crate::model::{Content, FileId, FileRecord, FileStatus, PrinterId, Work};

/// Files of one page; the API's own limit.
pub const FILES_PAGE_MAX: usize = 200;

/// How far into a list that is ordered by something else than the records' own order a page may reach: its keys are held,
/// about 100 bytes each. A person searches long before.
pub const SORTED_DEPTH_MAX: usize = 10_000;

/// Bytes of a name that decide its place in a list; longer names differ earlier.
const NAME_KEY_BYTES_MAX: usize = 96;

/// Which files a list shows; `None` lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFilter {
    /// Only of this printer's storage.
    pub printer_id: Option<PrinterId>,
    /// Only with this status.
    pub status: Option<FileStatus>,
    /// Only from sources with this name, see [`crate::model::FileSource::name`].
    pub source: Option<&'static str>,
    /// Only those with, or without, a thumbnail.
    pub has_thumbnail: Option<bool>,
    /// Only those whose name holds this text, in lower case.
    pub search: Option<String>,
    /// Only the newest version at each path.
    pub newest_only: bool,
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileOrder {
    /// When a file was first seen: the order of the records.
    #[default]
    Created,
    /// When its bytes came; files without bytes before all others.
    Kept,
    /// Its name, ignoring case.
    Name,
    /// Its size; unknown before all others.
    Size,
}

/// Figures over all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFigures {
    /// Versions of files by their status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Versions of files by their source.
    pub by_source: BTreeMap<&'static str, u64>,
    /// Contents on the card.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Contents whose check found damage.
    pub damaged: u64,
}

impl FileFilter {
    fn lets_head_through(&self, head: &FileHead<'_>) -> bool {
        self.printer_id.is_none_or(|id| head.source.printer_id() == Some(id))
            && self.status.is_none_or(|status| status == head.status)
            && self.source.is_none_or(|name| name == head.source.name())
            // Without bytes there is no picture: most of a long listing needs no further look.
            && (self.has_thumbnail != Some(true) || head.content.is_some())
            && self.search.as_deref().is_none_or(|text| head.name.to_lowercase().contains(text))
    }

    /// Whether the rest of a record is needed to judge it.
    fn needs_more(&self) -> bool {
        self.has_thumbnail.is_some() || self.newest_only
    }
}

/// Whether a list may say that the file has a thumbnail: one of its plates has.
#[must_use]
pub fn has_thumbnail(file: &FileRecord) -> bool {
    file.status.is_kept() && file.work.iter().any(|work| work.thumbnails == Work::Done)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Number(Option<i128>),
    Name(Box<str>),
}

impl SortKey {
    fn of(order: FileOrder, file: &FileRecord) -> SortKey {
        match order {
            FileOrder::Created => SortKey::Number(Some(file.id.0.into())),
            FileOrder::Kept => SortKey::Number(file.kept_at.map(|at| at.0.into())),
            FileOrder::Size => SortKey::Number(file.size.map(Into::into)),
            FileOrder::Name => {
                let name = file.name.to_lowercase();
                SortKey::Name(crate::model::text::clean(&name, NAME_KEY_BYTES_MAX).into())
            }
        }
    }
}

/// A file's place in a list; the heap holds the last of those that are kept at its top.
#[derive(PartialEq, Eq)]
struct Place {
    key: SortKey,
    id: FileId,
    descending: bool,
}

impl Ord for Place {
    fn cmp(&self, other: &Place) -> Ordering {
        let order = self.key.cmp(&other.key).then(self.id.cmp(&other.id));
        if self.descending { order.reverse() } else { order }
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl View<'_> {
    /// The files that `filter` lets through in `order`: `limit` of them (at most [`FILES_PAGE_MAX`]) after the first
    /// `offset`, and how many there are in all.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn files_page(
        &self,
        filter: &FileFilter,
        order: FileOrder,
        descending: bool,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<FileRecord>, u64), StoreError> {
        let limit = limit.min(FILES_PAGE_MAX);
        if order == FileOrder::Created {
            return self.files_by_number(filter, descending, offset, limit);
        }
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let depth = skip.saturating_add(limit).min(SORTED_DEPTH_MAX);
        let (mut places, mut matching) = (BinaryHeap::new(), 0_u64);
        self.walk_files(filter, true, false, &mut |id, file| {
            matching += 1;
            if let Some(file) = file {
                places.push(Place { key: SortKey::of(order, &file), id, descending });
                if places.len() > depth {
                    places.pop();
                }
            }
            ControlFlow::Continue(())
        })?;
        let mut page = Vec::new();
        for place in places.into_sorted_vec().into_iter().skip(skip).take(limit) {
            match self.get::<FileRecord>(place.id) {
                Ok(file) => page.extend(file),
                Err(StoreError::Record(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((page, matching))
    }

    fn files_by_number(
        &self,
        filter: &FileFilter,
        descending: bool,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<FileRecord>, u64), StoreError> {
        let unfiltered = *filter == FileFilter::default();
        let (mut page, mut matching) = (Vec::new(), 0_u64);
        self.walk_files(filter, false, descending, &mut |id, file| {
            matching += 1;
            if matching > offset && page.len() < limit {
                match file {
                    Some(file) => page.push(file),
                    None => match self.get::<FileRecord>(id) {
                        Ok(file) => page.extend(file),
                        Err(error) => log::warn!("{id} is left out of a list: {error}"),
                    },
                }
            }
            // Without a filter the table knows its length.
            let enough = unfiltered && (page.len() >= limit || limit == 0);
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let total = if unfiltered { self.count::<FileRecord>()? } else { matching };
        Ok((page, total))
    }

    /// Calls `visit` for each file that `filter` lets through, with its record where that was read already or `whole` is asked.
    fn walk_files(
        &self,
        filter: &FileFilter,
        whole: bool,
        descending: bool,
        visit: &mut dyn FnMut(FileId, Option<FileRecord>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let unfiltered = *filter == FileFilter::default();
        self.raw_scan(Table::Files, Span::all(), descending, &mut |key, row| {
            let Some(id) = FileId::from_bytes(key) else { return ControlFlow::Continue(()) };
            if !unfiltered {
                match FileHead::decode(row) {
                    Ok(head) if filter.lets_head_through(&head) => {}
                    Ok(_) => return ControlFlow::Continue(()),
                    Err(error) => {
                        let error = RecordError { table: Table::Files.name(), key: hex(key), error };
                        self.env().damage.note(Table::Files, key, &error);
                        return ControlFlow::Continue(());
                    }
                }
            }
            if !whole && !filter.needs_more() {
                return visit(id, None);
            }
            match from_row::<FileRecord>(key, row) {
                Ok(file) if self.lets_through(filter, &file) => visit(id, Some(file)),
                Ok(_) => ControlFlow::Continue(()),
                Err(error) => {
                    self.env().damage.note(Table::Files, key, &error);
                    ControlFlow::Continue(())
                }
            }
        })
    }

    fn lets_through(&self, filter: &FileFilter, file: &FileRecord) -> bool {
        filter.has_thumbnail.is_none_or(|wanted| has_thumbnail(file) == wanted)
            && (!filter.newest_only
                || self.newest_file_id(file.source, &file.path).ok().flatten() == Some(file.id))
    }

    /// Figures over all files.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn file_figures(&self) -> Result<FileFigures, StoreError> {
        let mut figures = FileFigures::default();
        self.raw_scan(Table::Files, Span::all(), false, &mut |_, row| {
            if let Ok(head) = FileHead::decode(row) {
                *figures.by_status.entry(head.status.name()).or_default() += 1;
                *figures.by_source.entry(head.source.name()).or_default() += 1;
            }
            ControlFlow::Continue(())
        })?;
        self.raw_scan(Table::Contents, Span::all(), false, &mut |key, row| {
            if let Ok(content) = from_row::<Content>(key, row) {
                figures.contents += 1;
                figures.bytes = figures.bytes.saturating_add(content.size);
                figures.damaged += u64::from(content.verified == Some(false));
            }
            ControlFlow::Continue(())
        })?;
        Ok(figures)
    }
}
