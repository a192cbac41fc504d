//! The server side of MQTT 3.1.1, as far as a printer speaks it: it reads what a client sends and writes what a
//! printer answers. Quality of service 2, retained messages and wills are not spoken; a will is read over.

/// The largest packet taken from a client. Requests are a few hundred bytes; project files come by FTPS.
pub const PACKET_SIZE_MAX: usize = 256 * 1024;

/// What a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// CONNECT.
    Connect(Connect),
    /// PUBLISH; `id` is there for quality of service 1.
    Publish {
        /// The topic, as sent.
        topic: String,
        /// The packet identifier to acknowledge.
        id: Option<u16>,
        /// The payload.
        payload: Vec<u8>,
    },
    /// SUBSCRIBE with its identifier and topic filters.
    Subscribe {
        /// The packet identifier to acknowledge.
        id: u16,
        /// The filters in their order.
        filters: Vec<String>,
    },
    /// UNSUBSCRIBE with its identifier and topic filters.
    Unsubscribe {
        /// The packet identifier to acknowledge.
        id: u16,
        /// The filters in their order.
        filters: Vec<String>,
    },
    /// PINGREQ.
    Ping,
    /// DISCONNECT, the polite end.
    Disconnect,
    /// PUBACK; a printer never waits for one.
    Acknowledge,
}

/// The content of a CONNECT packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// `MQTT` for version 3.1.1.
    pub protocol: String,
    /// 4 for version 3.1.1.
    pub level: u8,
    /// The client identifier.
    pub client_id: String,
    /// Whether the client asked for a clean session.
    pub is_clean: bool,
    /// Seconds; 0 switches the supervision off.
    pub keep_alive_s: u16,
    /// The user name, if sent.
    pub user: Option<String>,
    /// The password, if sent.
    pub password: Option<Vec<u8>>,
}

/// Why a client's bytes were not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The length field is longer than four bytes or promises more than [`PACKET_SIZE_MAX`].
    Length,
    /// A packet of this first byte does not come from a client.
    Kind(u8),
    /// The packet ended inside a field, or a text is not UTF-8.
    Content,
}

/// Takes the first whole packet off `buffer`; `Ok(None)` when more bytes are needed.
///
/// # Errors
/// [`Malformed`], after which the connection is worth nothing.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Packet>, Malformed> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    // Judged before the length: a client of another protocol must not be waited for.
    if !matches!(first, 0x10 | 0x30..=0x3f | 0x40 | 0x82 | 0xa2 | 0xc0 | 0xe0) {
        return Err(Malformed::Kind(first));
    }
    let mut length = 0_usize;
    let mut header = 1;
    loop {
        let Some(&byte) = buffer.get(header) else {
            return if header > 4 { Err(Malformed::Length) } else { Ok(None) };
        };
        length |= usize::from(byte & 0x7f) << (7 * (header - 1));
        header += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if header > 4 {
            return Err(Malformed::Length);
        }
    }
    if length > PACKET_SIZE_MAX {
        return Err(Malformed::Length);
    }
    let Some(body) = buffer.get(header..header + length) else { return Ok(None) };
    let packet = parse(first, &mut Fields { rest: body });
    buffer.drain(..header + length);
    packet.map(Some)
}

fn parse(first: u8, fields: &mut Fields<'_>) -> Result<Packet, Malformed> {
    match first >> 4 {
        1 => parse_connect(fields).map(Packet::Connect),
        3 => {
            let topic = fields.text()?;
            let id = if first & 0b110 == 0 { None } else { Some(fields.number()?) };
            Ok(Packet::Publish { topic, id, payload: fields.rest.to_vec() })
        }
        4 => Ok(Packet::Acknowledge),
        8 => Ok(Packet::Subscribe { id: fields.number()?, filters: fields.filters(1)? }),
        10 => Ok(Packet::Unsubscribe { id: fields.number()?, filters: fields.filters(0)? }),
        12 => Ok(Packet::Ping),
        14 => Ok(Packet::Disconnect),
        _ => Err(Malformed::Kind(first)),
    }
}

fn parse_connect(fields: &mut Fields<'_>) -> Result<Connect, Malformed> {
    let protocol = fields.text()?;
    let level = fields.byte()?;
    let flags = fields.byte()?;
    let keep_alive_s = fields.number()?;
    let client_id = fields.text()?;
    if flags & 0x04 != 0 {
        fields.text()?;
        fields.block()?;
    }
    let user = if flags & 0x80 == 0 { None } else { Some(fields.text()?) };
    let password = if flags & 0x40 == 0 { None } else { Some(fields.block()?.to_vec()) };
    Ok(Connect { protocol, level, client_id, is_clean: flags & 0x02 != 0, keep_alive_s, user, password })
}

/// Reads fields off the front of a packet's body.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (field, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Content)?;
        self.rest = rest;
        Ok(field)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed::Content)
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from(self.byte()?) << 8 | u16::from(self.byte()?))
    }

    fn block(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.block()?.to_vec()).map_err(|_| Malformed::Content)
    }

    /// Topic filters, each followed by `extra` bytes (the wanted quality of service).
    fn filters(&mut self, extra: usize) -> Result<Vec<String>, Malformed> {
        let mut filters = Vec::new();
        while !self.rest.is_empty() {
            filters.push(self.text()?);
            self.take(extra)?;
        }
        Ok(filters)
    }
}

/// CONNACK; 0 accepts, 1 to 5 refuse.
#[must_use]
pub fn connect_answer(code: u8) -> Vec<u8> {
    vec![0x20, 2, 0, code]
}

/// SUBACK that grants quality of service 0 to every one of `count` filters.
#[must_use]
pub fn subscribe_answer(id: u16, count: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.resize(2 + count, 0);
    packet(0x90, &body)
}

/// UNSUBACK.
#[must_use]
pub fn unsubscribe_answer(id: u16) -> Vec<u8> {
    packet(0xb0, &id.to_be_bytes())
}

/// PUBACK.
#[must_use]
pub fn publish_answer(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// PINGRESP.
#[must_use]
pub fn ping_answer() -> Vec<u8> {
    vec![0xd0, 0]
}

/// PUBLISH with quality of service 0.
#[must_use]
pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    let mut body = length.to_be_bytes().to_vec();
    body.extend(topic.bytes().take(usize::from(length)));
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or(0);
        length >>= 7;
        if length == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: &[u8] = &[
        0x10, 24, 0, 4, b'M', b'Q', b'T', b'T', 4, 0xc2, 0, 30, 0, 1, b'c', 0, 4, b'b', b'b', b'l', b'p', 0,
        3, b'1', b'2', b'3',
    ];

    #[test]
    fn a_connect_packet_is_read_only_when_whole() {
        for length in 0..CONNECT.len() {
            let mut part = CONNECT[..length].to_vec();
            assert_eq!(take(&mut part), Ok(None), "after {length} bytes");
            assert_eq!(part.len(), length);
        }
        let mut whole = [CONNECT, &[0xc0, 0]].concat();
        let expected = Connect {
            protocol: "MQTT".into(),
            level: 4,
            client_id: "c".into(),
            is_clean: true,
            keep_alive_s: 30,
            user: Some("bblp".into()),
            password: Some(b"123".to_vec()),
        };
        assert_eq!(take(&mut whole), Ok(Some(Packet::Connect(expected))));
        assert_eq!(take(&mut whole), Ok(Some(Packet::Ping)));
        assert_eq!(take(&mut whole), Ok(None));
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_kept() {
        assert_eq!(take(&mut vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x7f]), Err(Malformed::Length));
        assert_eq!(take(&mut vec![0x30, 0xff, 0xff, 0x7f]), Err(Malformed::Length));
        assert_eq!(take(&mut vec![0xf0, 0]), Err(Malformed::Kind(0xf0)));
        assert_eq!(take(&mut vec![0x82, 3, 0, 1, 0]), Err(Malformed::Content));
    }

    #[test]
    fn a_long_publish_carries_a_two_byte_length() {
        let bytes = publish("a", &[b'x'; 200]);
        assert_eq!(bytes[..6], [0x30, 0xcb, 0x01, 0, 1, b'a']);
        assert_eq!(bytes.len(), 206);
        let mut sent = bytes;
        let expected = Packet::Publish { topic: "a".into(), id: None, payload: vec![b'x'; 200] };
        assert_eq!(take(&mut sent), Ok(Some(expected)));
    }
}
