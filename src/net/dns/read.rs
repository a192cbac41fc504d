//! From bytes to a packet. Anything that does not fit is `None`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    A, AAAA, Data, IN, NSEC, Name, PACKET_BYTES_MAX, PTR, Packet, Question, RECORDS_MAX, Record, SRV, TXT,
};

/// The top bit of a class: the answer may be unicast (question), older records are to be forgotten (record).
const TOP: u16 = 0x8000;
/// Operation and error code; only plain packets without an error are for multicast DNS.
const MUST_BE_ZERO: u16 = 0x780f;
const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;

pub(super) fn packet(bytes: &[u8]) -> Option<Packet> {
    if bytes.len() > PACKET_BYTES_MAX {
        return None;
    }
    let mut reader = Reader { bytes, at: 0 };
    let (id, flags) = (reader.u16()?, reader.u16()?);
    if flags & MUST_BE_ZERO != 0 {
        return None;
    }
    let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?].map(usize::from);
    if counts.iter().sum::<usize>() > RECORDS_MAX {
        return None;
    }
    let [questions, answers, authorities, additionals] = counts;
    let mut packet = Packet {
        id,
        is_response: flags & RESPONSE != 0,
        is_truncated: flags & TRUNCATED != 0,
        ..Packet::default()
    };
    for _ in 0..questions {
        let (name, kind, class) = (reader.name()?, reader.u16()?, reader.u16()?);
        // Class 255 is "any".
        if matches!(class & !TOP, IN | 255) {
            packet.questions.push(Question { name, kind, is_unicast: class & TOP != 0 });
        }
    }
    for (count, section) in [
        (answers, &mut packet.answers),
        (authorities, &mut packet.authorities),
        (additionals, &mut packet.additionals),
    ] {
        for _ in 0..count {
            section.extend(reader.record()?);
        }
    }
    Some(packet)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Reads a name. A pointer must lead before everything read of the name so far, so the walk ends.
    fn name(&mut self) -> Option<Name> {
        let mut name = Name::root();
        let (mut at, mut lowest, mut after) = (self.at, self.at, None);
        loop {
            let length = *self.bytes.get(at)?;
            match length {
                0 => {
                    self.at = after.unwrap_or(at + 1);
                    return Some(name);
                }
                1..=63 => {
                    let end = at + 1 + usize::from(length);
                    name.push(self.bytes.get(at + 1..end)?)?;
                    at = end;
                }
                0xc0..=0xff => {
                    let low = *self.bytes.get(at + 1)?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if target >= lowest {
                        return None;
                    }
                    lowest = target;
                    after.get_or_insert(at + 2);
                    at = target;
                }
                _ => return None,
            }
        }
    }

    /// Reads a record; the inner `None` is one of another class or with data that say nothing, which is passed over.
    fn record(&mut self) -> Option<Option<Record>> {
        let (name, kind, class) = (self.name()?, self.u16()?, self.u16()?);
        let ttl_s = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        let length = usize::from(self.u16()?);
        let start = self.at;
        let raw = self.take(length)?;
        if class & !TOP != IN {
            return Some(None);
        }
        // Names in the data may point anywhere before them, but have to end where the data end.
        let mut inner = Reader { bytes: self.bytes.get(..start + length)?, at: start };
        let data = inner.data(kind, raw);
        Some(data.map(|data| Record { name, flushes: class & TOP != 0, ttl_s, data }))
    }

    fn data(&mut self, kind: u16, raw: &[u8]) -> Option<Data> {
        let data = match kind {
            A => return Some(Data::A(Ipv4Addr::from(<[u8; 4]>::try_from(raw).ok()?))),
            AAAA => return Some(Data::Aaaa(Ipv6Addr::from(<[u8; 16]>::try_from(raw).ok()?))),
            TXT => return Some(Data::Txt(raw.to_vec())),
            PTR => Data::Ptr(self.name()?),
            SRV => {
                self.take(4)?; // Priority and weight: there is one of each service.
                let (port, target) = (self.u16()?, self.name()?);
                Data::Srv { port, target }
            }
            NSEC => {
                self.name()?;
                let (window, length) = (*self.take(1)?.first()?, *self.take(1)?.first()?);
                let bitmap = self.take(usize::from(length))?;
                if window != 0 || length > 32 {
                    return None;
                }
                let bits = (0_u16..)
                    .zip(bitmap.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0)));
                return Some(Data::Nsec(bits.filter(|(_, is_set)| *is_set).map(|(kind, _)| kind).collect()));
            }
            _ => return Some(Data::Other(kind, raw.to_vec())),
        };
        (self.at == self.bytes.len()).then_some(data)
    }
}
