//! That every step passes here, and that a step can fail.

use super::*;

#[test]
fn every_step_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut heard = 0;
    let results = run(dir.path(), |_| heard += 1);
    let failed: Vec<_> = results.iter().filter(|result| result.trouble.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!((heard, results.len()), (STEPS.len(), STEPS.len()));
}

#[test]
fn trouble_and_panics_are_failures() {
    let dir = Path::new("/");
    let result = run_step("x", |_| demand(1 == 2, "one is not two"), dir);
    assert_eq!(result.trouble.as_deref(), Some("one is not two"));
    let result = run_step("x", |_| std::panic::resume_unwind(Box::new("boom")), dir);
    assert_eq!(result.trouble.as_deref(), Some("it panicked"));
    let result = run_step("x", |_| Ok(std::fs::read("/does/not/exist").map(|_| ())?), dir);
    assert!(result.trouble.is_some_and(|text| text.contains("No such file")));
}

#[test]
fn a_directory_that_cannot_be_written_is_a_failure_of_the_store_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    crate::base::file::write_atomic(&file, b"").unwrap();
    let result = run_step("store", storage::store, &file);
    assert!(result.trouble.is_some());
}
