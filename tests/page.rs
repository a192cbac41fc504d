//! The page's model under node, which is on every machine that builds the page; where it is not, that is said.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that is surprised fails where it stands"
)]

use std::process::Command;

#[test]
fn the_model_makes_of_events_what_it_should() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/model.test.mjs");
    match Command::new("node").args(["--test", tests]).output() {
        Ok(output) => assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => eprintln!("node cannot be run here ({error}): the page's model was not tried"),
    }
}
