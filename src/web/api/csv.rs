//! Rows of a table for spreadsheets (RFC 4180), which must not take a text for a formula.

use std::fmt::{Display, Write as _};

/// A row that is being written.
#[derive(Debug, Default)]
pub(super) struct Row {
    text: String,
    fields: usize,
}

impl Row {
    /// A text from people or printers. One that a spreadsheet would compute is led by an apostrophe, which makes it a text
    /// there; names of files and jobs come from strangers' slicers.
    pub(super) fn text(&mut self, text: &str) {
        self.next();
        let first = text.trim_start_matches([' ', '\u{feff}']).chars().next();
        let computes = first.is_some_and(|first| "=+-@\t\r\n|%".contains(first) || is_wide_sign(first));
        let lead = if computes { "'" } else { "" };
        let plain = !computes && !text.contains([',', ';', '"', '\n', '\r', '\t']) && text.trim() == text;
        if plain {
            self.text.push_str(text);
        } else {
            let _ = write!(self.text, "\"{lead}{}\"", text.replace('"', "\"\""));
        }
    }

    /// A text that may be unknown: an empty field.
    pub(super) fn maybe(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    /// A number, a moment or an identifier of ours, or an empty field.
    pub(super) fn shown(&mut self, value: Option<impl Display>) {
        self.next();
        if let Some(value) = value {
            let _ = write!(self.text, "{value}");
        }
    }

    /// The whole row.
    pub(super) fn end(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }

    fn next(&mut self) {
        if self.fields > 0 {
            self.text.push(',');
        }
        self.fields += 1;
    }
}

/// The full-width twins of the signs, which spreadsheets of some languages take as well.
fn is_wide_sign(character: char) -> bool {
    matches!(character, '＝' | '＋' | '－' | '＠')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[&str]) -> String {
        let mut row = Row::default();
        for field in fields {
            row.text(field);
        }
        row.end()
    }

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        assert_eq!(row(&["a", "", "Würfel 2.3mf"]), "a,,Würfel 2.3mf\r\n");
        assert_eq!(
            row(&["a,b", "say \"x\"", "two\nlines", " led"]),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\" led\"\r\n"
        );
        let mut numbers = Row::default();
        numbers.shown(Some(1.5));
        numbers.shown(None::<u8>);
        assert_eq!(numbers.end(), "1.5,\r\n");
    }

    #[test]
    fn nothing_is_taken_for_a_formula() {
        for evil in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "\u{feff}=1",
            "|calc",
            "＝1",
            "=HYPERLINK(\"x\",\"y\")",
        ] {
            let row = row(&[evil]);
            assert!(row.starts_with("\"'"), "{row}");
        }
        assert_eq!(row(&["a=1", "1-2"]), "a=1,1-2\r\n");
    }
}
