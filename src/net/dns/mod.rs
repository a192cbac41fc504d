//! Packets of the domain name system, as multicast DNS uses them: bytes to questions and records, and back. Pure.
//!
//! Every packet is foreign: what does not fit is `None` as a whole, names that point in circles end, nothing is allocated
//! by a number that a packet names. Names are compared without regard to the case of ASCII letters.
//!
//! Bounds: packets of [`PACKET_BYTES_MAX`] bytes, [`RECORDS_MAX`] questions and records, names of [`NAME_BYTES_MAX`] bytes.
//! Names are written in full; what is built here stays well within one frame all the same.

mod name;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use name::{NAME_BYTES_MAX, Name};

/// Bytes of a packet that are looked at. Packets of more than an Ethernet frame (1500) exist where many records are known.
pub const PACKET_BYTES_MAX: usize = 4096;
/// Questions and records of one packet. The fullest real ones hold a few dozen.
pub const RECORDS_MAX: usize = 128;

/// An IPv4 address.
pub const A: u16 = 1;
/// A pointer to another name.
pub const PTR: u16 = 12;
/// Texts about a service.
pub const TXT: u16 = 16;
/// An IPv6 address.
pub const AAAA: u16 = 28;
/// Where a service is.
pub const SRV: u16 = 33;
/// Which kinds of records a name has, so that nobody waits for the others.
pub const NSEC: u16 = 47;
/// In a question: every kind.
pub const ANY: u16 = 255;
/// The class of the Internet.
pub const IN: u16 = 1;

/// A packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The number that ties an answer to its question; 0 in multicast.
    pub id: u16,
    /// Whether it answers.
    pub is_response: bool,
    /// The sender has more known answers than fitted, and sends them next.
    pub is_truncated: bool,
    /// Questions.
    pub questions: Vec<Question>,
    /// Answers; in a question, the answers that are known already.
    pub answers: Vec<Record>,
    /// In a probe: the records that the sender wants to own.
    pub authorities: Vec<Record>,
    /// What will be asked for next.
    pub additionals: Vec<Record>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub name: Name,
    /// Which kind of record.
    pub kind: u16,
    /// Whether the answer may come to the asker alone.
    pub is_unicast: bool,
}

/// A record of the Internet's class; others are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub name: Name,
    /// Whether older records of the same name and kind are to be forgotten.
    pub flushes: bool,
    /// Seconds that it may be kept; 0 takes it back.
    pub ttl_s: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Ptr(Name),
    /// Where a service is.
    Srv {
        /// Its port.
        port: u16,
        /// Its host.
        target: Name,
    },
    /// Texts, each with its length before it.
    Txt(Vec<u8>),
    /// The kinds of records that the name has, all below 256.
    Nsec(Vec<u16>),
    /// Another kind with its bytes.
    Other(u16, Vec<u8>),
}

impl Data {
    /// The number of the kind.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Data::A(_) => A,
            Data::Aaaa(_) => AAAA,
            Data::Ptr(_) => PTR,
            Data::Srv { .. } => SRV,
            Data::Txt(_) => TXT,
            Data::Nsec(_) => NSEC,
            Data::Other(kind, _) => *kind,
        }
    }
}

impl Packet {
    /// Reads a packet; `None` for what is none, or too much.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Packet> {
        read::packet(bytes)
    }

    /// The packet's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        write::packet(self)
    }

    /// All records of an answer.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.answers.iter().chain(&self.additionals)
    }
}

impl Record {
    /// The data as they travel, names in full: what two who want the same name compare.
    #[must_use]
    pub fn data_bytes(&self) -> Vec<u8> {
        write::data(self)
    }
}
