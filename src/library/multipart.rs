//! Takes the file out of a `multipart/form-data` body as it comes, without holding it.
//!
//! Pure: bytes in, pieces of the file out. The first part with a `filename` is the file; other fields are skipped, and so is
//! what follows it. A body without such a part, or that ends before the part does, is an error.

/// Bytes of a form besides its file at most: boundaries, heads of parts, small fields.
pub const FORM_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of one part's head.
const HEAD_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a boundary, as RFC 2046 has it.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Not a form with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAForm;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// In a part's head.
    Head,
    /// In a part that is not wanted.
    Skip,
    /// In the file.
    File,
    /// Behind it.
    Over,
}

/// A form that is being read.
#[derive(Debug)]
pub struct Form {
    /// `\r\n--boundary`
    mark: Vec<u8>,
    state: State,
    /// Bytes that may be the begin of a mark, or a head that is not whole; bounded by [`HEAD_BYTES_MAX`] and a mark.
    held: Vec<u8>,
    name: Option<String>,
    /// Bytes besides the file.
    spent: u64,
}

impl Form {
    /// The form that this `Content-Type` announces; `None` where it is none.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Form> {
        let (kind, rest) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(rest, "boundary")?;
        let sound = !boundary.is_empty()
            && boundary.len() <= BOUNDARY_BYTES_MAX
            && boundary.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        sound.then(|| Form {
            mark: format!("\r\n--{boundary}").into_bytes(),
            state: State::Preamble,
            // The first boundary may stand at the very begin, without a line end before it.
            held: b"\r\n".to_vec(),
            name: None,
            spent: 0,
        })
    }

    /// The file's name, once its part has begun.
    #[must_use]
    pub fn filename(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the file was there whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.state == State::Over
    }

    /// Takes the next bytes of the body; answers those of them that belong to the file.
    ///
    /// # Errors
    /// [`NotAForm`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<u8>, NotAForm> {
        let mut file = Vec::new();
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        loop {
            match self.state {
                State::Over => {
                    self.held.clear();
                    break;
                }
                State::Head => {
                    let Some(end) = find(&self.held, b"\r\n\r\n") else {
                        if self.held.starts_with(b"--") {
                            // The last boundary, and no file was there.
                            return Err(NotAForm);
                        }
                        if self.held.len() > HEAD_BYTES_MAX {
                            return Err(NotAForm);
                        }
                        break;
                    };
                    let head: Vec<u8> = self.held.drain(..end + 4).collect();
                    self.state = match filename(&head) {
                        Some(name) => {
                            self.name = Some(name);
                            State::File
                        }
                        None => State::Skip,
                    };
                }
                State::Preamble | State::Skip | State::File => {
                    let found = find(&self.held, &self.mark);
                    // What is left may be the begin of a mark.
                    let keep = self.mark.len().saturating_sub(1);
                    let end = found.unwrap_or_else(|| self.held.len().saturating_sub(keep));
                    let passed = self.held.drain(..end);
                    if self.state == State::File {
                        file.extend(passed);
                    } else {
                        drop(passed);
                    }
                    if found.is_none() {
                        break;
                    }
                    self.held.drain(..self.mark.len().min(self.held.len()));
                    self.state = if self.state == State::File { State::Over } else { State::Head };
                }
            }
        }
        let consumed = (before + bytes.len()).saturating_sub(self.held.len() + file.len());
        self.spent = self.spent.saturating_add(u64::try_from(consumed).unwrap_or(u64::MAX));
        if self.spent > FORM_BYTES_MAX { Err(NotAForm) } else { Ok(file) }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The file name in a part's head. Browsers write it as UTF-8 with `%22` for a quote; `filename*` is how others write it.
fn filename(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then(|| value.trim().to_owned())
    })?;
    let (_, parameters) = line.split_once(';')?;
    let encoded = parameter(parameters, "filename*")
        .and_then(|value| value.split_once("''").map(|(_, text)| text.to_owned()))
        .and_then(|text| percent_decode(&text));
    encoded.or_else(|| parameter(parameters, "filename").map(|name| name.replace("%22", "\"")))
}

/// A parameter of a header's value: bare or in quotes.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    while !rest.trim_start_matches([' ', ';', '\t']).is_empty() {
        rest = rest.trim_start_matches([' ', ';', '\t']);
        let (name, behind) = rest.split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let mut end = None;
                while let Some((at, character)) = chars.next() {
                    match character {
                        '"' => {
                            end = Some(at + 1);
                            break;
                        }
                        '\\' if quoted.get(at + 1..).is_some_and(|rest| rest.starts_with(['"', '\\'])) => {
                            value.extend(chars.next().map(|(_, escaped)| escaped));
                        }
                        other => value.push(other),
                    }
                }
                (value, quoted.get(end?..)?)
            }
            None => {
                let (value, behind) = behind.split_once(';').unwrap_or((behind, ""));
                (value.trim().to_owned(), behind)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = behind;
    }
    None
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => (digit(rest.next()?)? << 4) | digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x--y\"";

    fn read(body: &[u8], piece: usize) -> Result<(Option<String>, Vec<u8>, bool), NotAForm> {
        let mut form = Form::of(TYPE).unwrap();
        let mut file = Vec::new();
        for bytes in body.chunks(piece) {
            file.extend(form.feed(bytes)?);
        }
        Ok((form.filename().map(str::to_owned), file, form.is_whole()))
    }

    fn form(disposition: &str, content: &[u8]) -> Vec<u8> {
        [
            b"--x--y\r\nContent-Disposition: form-data; name=\"notes\"\r\n\r\nhello\r\n--x-- no mark"
                .as_slice(),
            format!(
                "\r\n--x--y\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: a/b\r\n\r\n"
            )
            .as_bytes(),
            content,
            b"\r\n--x--y\r\nContent-Disposition: form-data; name=\"z\"\r\n\r\n1\r\n--x--y--\r\n",
        ]
        .concat()
    }

    #[test]
    fn the_file_comes_out_whole_however_the_body_is_cut() {
        let contents: [&[u8]; 5] =
            [b"G1 X1\r\n--x-\r\n\r\n", b"", b"\r\n", b"\r\n--x--", &[0xff, 0, b'\r', b'\n', b'-']];
        for content in contents {
            let body = form("name=\"file\"; filename=\"W\u{fc}rfel %22a%22.gcode\"", content);
            for piece in 1..body.len() + 1 {
                let (name, file, whole) = read(&body, piece).unwrap();
                assert_eq!(name.as_deref(), Some("W\u{fc}rfel \"a\".gcode"), "{piece}");
                assert_eq!((file.as_slice(), whole), (content, true), "{piece}");
            }
            let cut = body.len() - 90;
            assert!(!read(body.get(..cut).unwrap(), 7).unwrap().2);
        }
    }

    #[test]
    fn names_in_every_spelling() {
        for (disposition, name) in [
            ("name=f; filename=a.gcode", "a.gcode"),
            ("filename=\"a;b=\\\"c.gcode\"; name=\"f\"", "a;b=\"c.gcode"),
            ("name=f; filename*=UTF-8''W%C3%BCrfel.3mf; filename=\"W.3mf\"", "W\u{fc}rfel.3mf"),
            ("name=f; filename=\"C:\\fake\\a.gcode\"", "C:\\fake\\a.gcode"),
        ] {
            let (found, ..) = read(&form(disposition, b"x"), 5).unwrap();
            assert_eq!(found.as_deref(), Some(name));
        }
    }

    #[test]
    fn what_is_no_form_is_told() {
        for other in [
            "text/plain",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=a",
        ] {
            assert!(Form::of(other).is_none(), "{other}");
        }
        assert!(Form::of(&format!("multipart/form-data; boundary={}", "x".repeat(71))).is_none());
        let no_file = b"--x--y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--y--\r\n";
        assert_eq!(read(no_file, 9), Err(NotAForm));
        assert_eq!(read(&[b'x'; 100_000], 8192), Err(NotAForm));
        let endless = [b"--x--y\r\n".as_slice(), &[b'h'; 10_000]].concat();
        assert_eq!(read(&endless, 1000), Err(NotAForm));
        assert!(!read(b"", 1).unwrap().2);
    }
}
