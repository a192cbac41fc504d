//! Replies of the control connection: bytes in, codes out. Nothing here waits or allocates beyond the two bounds.

use std::net::{IpAddr, SocketAddr};

/// Longest line of a reply, in bytes. Real ones have less than 100.
pub(super) const LINE_BYTES_MAX: usize = 4 * 1024;

/// Longest reply with all its lines, in bytes. Greetings of several lines have a few hundred.
pub(super) const REPLY_BYTES_MAX: usize = 16 * 1024;

/// How much of a reply's text is kept, in bytes: enough for every answer that is read and for a quote in a message.
const TEXT_BYTES_MAX: usize = 256;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Its code, 100 to 599.
    pub code: u16,
    /// The text of its last line, lossy, without control characters.
    pub text: String,
}

/// How a peer broke the form of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A line does not end.
    LongLine,
    /// A reply does not end.
    LongReply,
    /// The first line has no code.
    NoCode,
}

impl Broken {
    /// The rest of "the peer sent ...".
    pub fn words(self) -> &'static str {
        match self {
            Broken::LongLine => "a line without an end",
            Broken::LongReply => "a reply without an end",
            Broken::NoCode => "something that is no FTP reply",
        }
    }
}

/// Puts replies together, byte by byte.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    /// The code of a reply of several lines whose last line has not come.
    open: Option<u16>,
    /// Bytes of the current reply.
    bytes: usize,
}

impl Parser {
    /// Takes one byte; answers the reply that it completes.
    pub fn push(&mut self, byte: u8) -> Result<Option<Reply>, Broken> {
        self.bytes = self.bytes.saturating_add(1);
        if self.bytes > REPLY_BYTES_MAX {
            return Err(Broken::LongReply);
        }
        if byte != b'\n' {
            if self.line.len() >= LINE_BYTES_MAX {
                return Err(Broken::LongLine);
            }
            self.line.push(byte);
            return Ok(None);
        }
        let reply = self.line_ended();
        self.line.clear();
        if let Ok(Some(_)) = reply {
            self.open = None;
            self.bytes = 0;
            // Replies are short; a long one does not keep its memory.
            self.line.shrink_to(TEXT_BYTES_MAX);
        }
        reply
    }

    fn line_ended(&mut self) -> Result<Option<Reply>, Broken> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let head = code(line);
        match (self.open, head) {
            (None, None) => Err(Broken::NoCode),
            (None, Some((code, true))) => {
                self.open = Some(code);
                Ok(None)
            }
            (None, Some((code, false))) => Ok(Some(Reply { code, text: text(line) })),
            (Some(open), Some((code, false))) if open == code => Ok(Some(Reply { code, text: text(line) })),
            (Some(_), _) => Ok(None),
        }
    }
}

/// The code of a line, and whether more lines follow. A code alone ends a reply, as some peers leave the text out.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'1'..=b'5').contains(&digits[0]) {
        return None;
    }
    let code = digits.iter().fold(0_u16, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        Some(b'-') => Some((code, true)),
        Some(b' ') | None => Some((code, false)),
        Some(_) => None,
    }
}

/// The text after the code.
fn text(line: &[u8]) -> String {
    let rest = line.get(4..).unwrap_or_default();
    let kept = rest.get(..TEXT_BYTES_MAX).unwrap_or(rest);
    String::from_utf8_lossy(kept).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The port of a 227 reply. Its address is not read: it may be 0.0.0.0, behind a translation, or somebody else's.
pub(super) fn passive_port(text: &str) -> Option<u16> {
    // Six numbers with commas between them, wherever they stand; parentheses are not everybody's habit.
    for (start, _) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        if before.is_some_and(|c| c.is_ascii_digit()) {
            continue;
        }
        if let Some(port) = text.get(start..).and_then(six_numbers) {
            return Some(port);
        }
    }
    None
}

fn six_numbers(text: &str) -> Option<u16> {
    let mut parts = text.splitn(6, ',');
    let mut numbers = [0_u8; 6];
    for (place, number) in numbers.iter_mut().enumerate() {
        let part = parts.next()?.trim_start_matches(' ');
        let digits = if place == 5 {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part.get(..end)?
        } else {
            part
        };
        if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = digits.parse().ok()?;
    }
    let [.., high, low] = numbers;
    match u16::from_be_bytes([high, low]) {
        0 => None,
        port => Some(port),
    }
}

/// The port of a 229 reply: `(|||port|)`, with any delimiter.
pub(super) fn extended_port(text: &str) -> Option<u16> {
    let inner = text.split_once('(')?.1.split_once(')')?.0;
    let delimiter = inner.chars().next().filter(char::is_ascii_graphic)?;
    let mut fields = inner.split(delimiter);
    let (before, protocol, address) = (fields.next()?, fields.next()?, fields.next()?);
    let port = fields.next()?;
    let end = (fields.next()?, fields.next());
    if !before.is_empty() || !protocol.is_empty() || !address.is_empty() || end != ("", None) {
        return None;
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    port.parse().ok().filter(|port| *port != 0)
}

/// The size in a 213 reply.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim_matches(' ');
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Where the data port of a peer is: at the address of the control connection, scope included.
pub(super) fn data_address(control: SocketAddr, port: u16) -> SocketAddr {
    let mut address = control;
    address.set_port(port);
    address
}

/// Whether the extended command for passive mode is needed.
pub(super) fn needs_extended(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Vec<Reply>, Broken> {
        let mut parser = Parser::default();
        let mut replies = Vec::new();
        for byte in bytes {
            replies.extend(parser.push(*byte)?);
        }
        Ok(replies)
    }

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, text: text.to_owned() }
    }

    #[test]
    fn replies_of_one_line() {
        assert_eq!(parse(b"220 hello\r\n230\r\n").unwrap(), [reply(220, "hello"), reply(230, "")]);
        assert_eq!(parse(b"226 done\n").unwrap(), [reply(226, "done")], "a bare line feed");
        assert_eq!(parse(b"150 here\r\n226 there\r\n4").unwrap().len(), 2, "two at once, a third begun");
    }

    #[test]
    fn replies_of_several_lines_end_with_their_own_code() {
        let text = b"220-Welcome\r\n 220 not the end\r\n221 nor this\r\n220-nor this\r\nfree\r\n220 end\r\n";
        assert_eq!(parse(text).unwrap(), [reply(220, "end")]);
    }

    #[test]
    fn a_reply_cut_anywhere_is_none_yet() {
        let whole = b"220-Welcome\r\nfree text\r\n220 end\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(Vec::new()), "{end}");
        }
    }

    #[test]
    fn rubbish_is_no_reply() {
        for rubbish in
            [&b"\r\n"[..], b"hello\r\n", b"22 x\r\n", b"620 x\r\n", b"020 x\r\n", b"220x\r\n", b"\0\n"]
        {
            assert_eq!(parse(rubbish), Err(Broken::NoCode), "{rubbish:?}");
        }
    }

    #[test]
    fn endless_lines_and_replies_are_cut() {
        let mut parser = Parser::default();
        let mut taken = 0;
        while parser.push(b'x').is_ok() {
            taken += 1;
        }
        assert_eq!(taken, LINE_BYTES_MAX);
        let mut endless = b"220-x\r\n".to_vec();
        while endless.len() < REPLY_BYTES_MAX {
            endless.extend(b"more\r\n");
        }
        assert_eq!(parse(&endless), Err(Broken::LongReply));
    }

    #[test]
    fn the_bound_is_for_one_reply_and_not_for_all() {
        let many = b"200 a reply\r\n".repeat(REPLY_BYTES_MAX / 4);
        assert_eq!(parse(&many).unwrap().len(), REPLY_BYTES_MAX / 4);
    }

    #[test]
    fn text_is_kept_short_and_without_control_characters() {
        let mut line = b"550 a\x1b[2J\xff".to_vec();
        line.resize(4000, b'x');
        line.extend(b"\r\n");
        let replies = parse(&line).unwrap();
        let [Reply { text, .. }] = replies.as_slice() else { panic!("{replies:?}") };
        assert!(text.starts_with("a [2J\u{fffd}xx") && text.len() < 300, "{text}");
    }

    #[test]
    fn passive_ports() {
        for (text, port) in [
            ("Entering Passive Mode (127,0,0,1,195,89).", Some(50009)),
            ("Entering Passive Mode (0,0,0,0,4,1)", Some(1025)),
            ("Entering Passive Mode 10,0,0,7,255,255", Some(65535)),
            ("=10,0,0,7, 0, 21 ok", Some(21)),
            ("mode 2 (1,2,3,4,5,6)", Some(1286)),
            ("(1,2,3,4,0,0)", None),
            ("(1,2,3,4,256,1)", None),
            ("(1,2,3,4,5)", None),
            ("(1,2,3,4,5,)", None),
            ("(1,2,3,4,,6)", None),
            ("(1,2,3,4,-5,6)", None),
            ("(1,2,3,4,5,99999999999)", None),
            ("", None),
            ("ä,ö,ü,1,2,3", None),
        ] {
            assert_eq!(passive_port(text), port, "{text}");
        }
    }

    #[test]
    fn extended_ports() {
        for (text, port) in [
            ("Entering Extended Passive Mode (|||47948|)", Some(47948)),
            ("ok (!!!21!).", Some(21)),
            ("(|||0|)", None),
            ("(|||65536|)", None),
            ("(|||+21|)", None),
            ("(||21|)", None),
            ("(|1|::1|21|)", None),
            ("(|||21)", None),
            ("(|||21||)", None),
            ("()", None),
            ("|||21|", None),
        ] {
            assert_eq!(extended_port(text), port, "{text}");
        }
    }

    #[test]
    fn ports_cut_anywhere_never_panic_and_never_become_another_address() {
        for text in
            ["Entering Passive Mode (127,0,0,1,195,89).", "Extended (|||47948|)", "ä(|||1|)ü1,2,3,4,5,6ß"]
        {
            for (end, _) in text.char_indices() {
                let _ = (passive_port(&text[..end]), extended_port(&text[..end]), size(&text[..end]));
            }
        }
        let control: SocketAddr = "[fe80::1%3]:990".parse().unwrap();
        assert_eq!(data_address(control, 7).to_string(), "[fe80::1%3]:7");
        assert!(needs_extended(control.ip()));
        assert!(!needs_extended("::ffff:10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size(" 18446744073709551615 "), Some(u64::MAX));
        for bad in ["", "-1", "+1", "1 2", "18446744073709551616", "0x10", "12k"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
