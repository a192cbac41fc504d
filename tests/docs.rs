//! The pages in `docs/` that speak of the code are compared with it.

#![allow(clippy::unwrap_used, reason = "a test that is surprised fails where it stands")]

use printernizer::events::{CATALOGUE, Class};

/// One row of the table in `docs/events.md`.
fn row(name: &str, class: Class, when: &str) -> String {
    let class = match class {
        Class::Durable => "durable",
        Class::State => "state",
        Class::Either => "either",
    };
    format!("| `{name}` | {class} | {when} |")
}

#[test]
fn every_event_is_documented_as_the_code_has_it_and_no_other() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let catalogue: Vec<String> =
        CATALOGUE.iter().map(|(name, class, when)| row(name, *class, when)).collect();
    assert_eq!(documented, catalogue, "docs/events.md and src/events/mod.rs differ");
}
