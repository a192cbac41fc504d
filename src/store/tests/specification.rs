//! `docs/storage.md` is the specification: it names every table and every bound.

use super::*;
use crate::store::thread::GROUP_MAX;

const PAGE: &str = include_str!("../../../docs/storage.md");

fn said(what: &str) {
    assert!(PAGE.contains(what), "docs/storage.md does not say: {what}");
}

#[test]
fn the_page_is_true() {
    for table in Table::ALL {
        said(&format!("| `{}` |", table.name()));
    }
    for file in [
        files::MAIN,
        run_state::FILE,
        "backup/records.redb",
        "backup/records-old.redb",
        "backup/records.redb.new",
    ] {
        said(&format!("`{file}`"));
    }
    assert_eq!(format!("{}/{}", files::BACKUP_DIR, files::BACKUP), "backup/records.redb");
    said(&format!("| requests waiting | {QUEUE_MAX}, a full queue is waited for {} s", QUEUE_WAIT.as_secs()));
    said(&format!("| requests taken at once | {GROUP_MAX} |"));
    said(&format!("| events of one closure | {EVENTS_PER_CLOSURE_MAX} |"));
    said(&format!("| rows changed by one closure | {CHANGES_PER_CLOSURE_MAX} |"));
    said(&format!("| bytes of an event | {EVENT_BYTES_MAX} |"));
    said(&format!("| bytes of a record | {RECORD_BYTES_MAX} |"));
    said(&format!("| events kept | {JOURNAL_MAX} and up to {JOURNAL_SLACK} more |"));
    said(&format!("| page cache of redb | {CACHE_BYTES} bytes |"));
    said(&format!("| jobs read of the index of open ones | {OPEN_JOBS_READ_MAX} |"));
    said(&format!("| jobs of one page | {JOBS_PAGE_MAX} |"));
    said(&format!("| files of one page | {FILES_PAGE_MAX} |"));
    said(&format!("ordered by name, size or arrival | {SORTED_DEPTH_MAX} |"));
    said(&format!("| events of one page | {JOURNAL_PAGE_MAX} |"));
    said(&format!("name, 1-{SETTING_NAME_MAX} printable"));
    said(&format!("at most {SETTING_BYTES_MAX} bytes"));
    said(&format!("{SEQ_JUMP} ahead"));
    said(&format!("job numbers {JOB_JUMP}, printer numbers {PRINTER_JUMP}"));
    said(&format!("| slots of a printer read | {SLOTS_READ_MAX} |"));
    assert!(GROUP_WINDOW.is_zero(), "the page says that a group is not held open");
}
