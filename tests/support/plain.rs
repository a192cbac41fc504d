//! The smallest MQTT 3.1.1 client that can play the other side of a conversation through a broker: quality 0 only,
//! blocking, written here so that it shares nothing with what is tested. Also the packets that scripted peers answer with.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::mosquitto::ANSWER;

pub const CONNACK_ACCEPTED: &[u8] = &[0x20, 2, 0, 0];
pub const CONNACK_BAD_PASSWORD: &[u8] = &[0x20, 2, 0, 4];
pub const CONNACK_NOT_AUTHORIZED: &[u8] = &[0x20, 2, 0, 5];
pub const CONNACK_UNAVAILABLE: &[u8] = &[0x20, 2, 0, 3];

/// A SUBACK that refuses subscription 1.
pub const SUBACK_REFUSED: &[u8] = &[0x90, 3, 0, 1, 0x80];
/// A SUBACK that grants subscription 1.
pub const SUBACK_GRANTED: &[u8] = &[0x90, 3, 0, 1, 0];

/// One packet: first byte of its header, and the rest after the length.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet {
    pub first: u8,
    pub body: Vec<u8>,
}

/// Reads one packet.
pub fn read_packet(stream: &mut impl Read) -> std::io::Result<Packet> {
    let mut first = [0];
    stream.read_exact(&mut first)?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 || shift > 21 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Packet { first: first[0], body })
}

/// Puts header and body together.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let low = u8::try_from(left & 0x7f).unwrap();
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// A PUBLISH of quality 0.
pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[text(topic), payload.to_vec()].concat())
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [length.as_slice(), text.as_bytes()].concat()
}

/// A client that is logged in.
pub struct PlainClient {
    stream: TcpStream,
}

impl PlainClient {
    /// Logs in over `stream`.
    pub fn connect(mut stream: TcpStream, user: &str, password: &str) -> PlainClient {
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        let mut body = text("MQTT");
        body.extend([4, 0b1100_0010, 0, 0]); // level 4; user, password, clean session; no keep-alive
        body.extend([text(""), text(user), text(password)].concat());
        stream.write_all(&packet(0x10, &body)).unwrap();
        let answer = read_packet(&mut stream).unwrap();
        assert_eq!(
            (answer.first, answer.body.as_slice()),
            (0x20, &[0, 0][..]),
            "the plain client may log in"
        );
        PlainClient { stream }
    }

    /// Sends a message.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.stream.write_all(&publish(topic, payload)).unwrap();
    }

    /// Subscribes and waits until that is granted.
    pub fn subscribe(&mut self, topic: &str) {
        let body = [vec![0, 1], text(topic), vec![0]].concat();
        self.stream.write_all(&packet(0x82, &body)).unwrap();
        assert_eq!(read_packet(&mut self.stream).unwrap(), Packet { first: 0x90, body: vec![0, 1, 0] });
    }

    /// The next message: its topic and payload.
    pub fn receive(&mut self) -> (String, Vec<u8>) {
        let message = read_packet(&mut self.stream).unwrap();
        assert_eq!(message.first & 0xf0, 0x30, "a message was expected");
        let length = usize::from(u16::from_be_bytes([message.body[0], message.body[1]]));
        let (topic, payload) = message.body[2..].split_at(length);
        (String::from_utf8(topic.to_vec()).unwrap(), payload.to_vec())
    }
}
