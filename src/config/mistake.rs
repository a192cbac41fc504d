//! Mistakes in the configuration: where, which key, what was found, what is allowed. Never a secret's value.

use std::fmt;
use std::path::PathBuf;

/// Mistakes that are kept; the rest is counted. A screen of text is enough to see that the file is the wrong one.
pub const MISTAKES_MAX: usize = 50;

/// Where a value or a mistake comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The program's own default.
    Default,
    /// A whole file.
    File(PathBuf),
    /// A place in a file; line and column count from 1, the column in characters.
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u32,
        /// The column.
        column: u32,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File(file) => write!(f, "{}", file.display()),
            Place::Line { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Flag(name) => f.write_str(name),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// The key with its section, as `web.listen`; empty when no key is concerned.
    pub key: String,
    /// What was found, quoted and shortened; for a secret only its type.
    pub found: String,
    /// What is allowed there, or what to do.
    pub allowed: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.found)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        Ok(())
    }
}

/// Every mistake of one attempt to read the configuration, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    omitted: u64,
}

impl Mistakes {
    /// The mistakes, at most [`MISTAKES_MAX`].
    #[must_use]
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one.
    pub fn add(
        &mut self,
        place: Place,
        key: impl Into<String>,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let mistake = Mistake { place, key: key.into(), found: found.into(), allowed: allowed.into() };
        // A parser that looks for its way back may stumble twice over one place.
        if self.list.last() == Some(&mistake) {
            return;
        }
        if self.list.len() < MISTAKES_MAX {
            self.list.push(mistake);
        } else {
            self.omitted += 1;
        }
    }

    /// Puts those of the file first and in the order of its lines; the others keep the order they were found in.
    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|mistake| match &mistake.place {
            Place::File(_) => (0, 0, 0),
            Place::Line { line, column, .. } => (1, *line, *column),
            Place::Default | Place::Variable(_) | Place::Flag(_) => (2, 0, 0),
        });
    }
}

impl fmt::Display for Mistakes {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{mistake}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
