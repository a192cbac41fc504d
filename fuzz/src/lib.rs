//! The readers and the front's parsers alone, without the rest of the program: a fuzzing build compiles in a minute, and nothing else is instrumented.

#[path = "../../src/formats/mod.rs"]
#[allow(unused_imports)] // the product uses more of them
pub mod formats;
#[path = "../../src/base/md5.rs"]
mod md5;

/// What the readers and the front's parsers take from the room below theirs.
mod base {
    pub(crate) use super::md5;

    /// The one name of the clocks that errors need; the clocks themselves have no place here.
    pub(crate) mod clock {
        /// Milliseconds since 1970.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Timestamp(pub i64);

        impl std::fmt::Display for Timestamp {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    }
}

pub mod web;
