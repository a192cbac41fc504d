//! The readers alone, without the rest of the program: a fuzzing build compiles in a minute, and nothing else is instrumented.

#[path = "../../src/formats/mod.rs"]
pub mod formats;
#[path = "../../src/base/md5.rs"]
mod md5;

/// What the readers take from the room below theirs.
mod base {
    pub(crate) use super::md5;
}
