//! Base64 as it stands in G-code comments: in pieces, with blanks, with or without padding.

/// Decodes piece by piece.
#[derive(Clone, Copy, Default)]
pub(crate) struct Base64 {
    bits: u32,
    held: u32,
    ended: bool,
}

/// A byte that is not base64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotBase64;

impl Base64 {
    /// Decodes `text` to the end of `out`, which never grows beyond `limit`; what is more is an error as well. After an
    /// error everything is as it was before, so that a line that somebody put in between costs only itself.
    pub fn push(&mut self, text: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), NotBase64> {
        let (before, length) = (*self, out.len());
        self.decode(text, out, limit).inspect_err(|_| {
            *self = before;
            out.truncate(length);
        })
    }

    fn decode(&mut self, text: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), NotBase64> {
        for &byte in text {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' => {
                    self.ended = true;
                    continue;
                }
                b' ' | b'\t' | b'\r' => continue,
                _ => return Err(NotBase64),
            };
            if self.ended || out.len() >= limit {
                return Err(NotBase64);
            }
            self.bits = (self.bits << 6) | u32::from(value);
            self.held += 6;
            if self.held >= 8 {
                self.held -= 8;
                out.push(((self.bits >> self.held) & 0xFF) as u8);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join() {
        let mut out = Vec::new();
        let mut decoder = Base64::default();
        for piece in ["aGVs", "bG8g", "d29y", "bGQ="] {
            decoder.push(piece.as_bytes(), &mut out, 100).unwrap();
        }
        assert_eq!(out, b"hello world");
        assert_eq!(decoder.push(b"AAAA", &mut out, 100), Err(NotBase64));
    }

    #[test]
    fn rubbish_and_excess_are_refused() {
        assert_eq!(Base64::default().push(b"a*b", &mut Vec::new(), 100), Err(NotBase64));
        assert_eq!(Base64::default().push(b"AAAAAAAA", &mut Vec::new(), 4), Err(NotBase64));
    }

    #[test]
    fn a_foreign_line_leaves_no_trace() {
        let (mut out, mut decoder) = (Vec::new(), Base64::default());
        decoder.push(b"aGV", &mut out, 100).unwrap();
        for foreign in ["layer_height = 0.2", "TIME:5", "AAAA=B"] {
            assert_eq!(decoder.push(foreign.as_bytes(), &mut out, 100), Err(NotBase64), "{foreign}");
        }
        decoder.push(b"sbG8=", &mut out, 100).unwrap();
        assert_eq!(out, b"hello");
    }
}
