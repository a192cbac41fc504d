//! The readers alone, without the rest of the program: a fuzzing build compiles in a minute, and nothing else is instrumented.

#[path = "../../src/formats/mod.rs"]
pub mod formats;
