//! From a packet to its bytes.

use super::{Data, IN, Packet, RECORDS_MAX, Record};

const TOP: u16 = 0x8000;
/// An answer with authority.
const RESPONSE: u16 = 0x8400;
const TRUNCATED: u16 = 0x0200;

pub(super) fn packet(packet: &Packet) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let flags =
        if packet.is_response { RESPONSE } else { 0 } | if packet.is_truncated { TRUNCATED } else { 0 };
    u16_into(&mut out, packet.id);
    u16_into(&mut out, flags);
    let questions = packet.questions.get(..RECORDS_MAX).unwrap_or(&packet.questions);
    let sections = [&packet.answers, &packet.authorities, &packet.additionals];
    u16_into(&mut out, count(questions.len()));
    for section in sections {
        u16_into(&mut out, count(section.len()));
    }
    for question in questions {
        out.extend(question.name.wire());
        u16_into(&mut out, question.kind);
        u16_into(&mut out, IN | if question.is_unicast { TOP } else { 0 });
    }
    for record in sections.into_iter().flatten() {
        record_into(&mut out, record);
    }
    out
}

fn record_into(out: &mut Vec<u8>, record: &Record) {
    out.extend(record.name.wire());
    u16_into(out, record.data.kind());
    u16_into(out, IN | if record.flushes { TOP } else { 0 });
    out.extend(record.ttl_s.to_be_bytes());
    let data = data(record);
    u16_into(out, count(data.len()));
    out.extend(data);
}

/// The data of a record.
pub(super) fn data(record: &Record) -> Vec<u8> {
    match &record.data {
        Data::A(address) => address.octets().to_vec(),
        Data::Aaaa(address) => address.octets().to_vec(),
        Data::Ptr(name) => name.wire().to_vec(),
        Data::Srv { port, target } => {
            let mut out = vec![0; 4];
            u16_into(&mut out, *port);
            out.extend(target.wire());
            out
        }
        Data::Txt(text) | Data::Other(_, text) => text.clone(),
        Data::Nsec(kinds) => {
            let mut bitmap = [0_u8; 32];
            for kind in kinds {
                if let Some(byte) = bitmap.get_mut(usize::from(kind / 8)) {
                    *byte |= 0x80 >> (kind % 8);
                }
            }
            let used = bitmap.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let mut out = record.name.wire().to_vec();
            out.extend([0, u8::try_from(used).unwrap_or(0)]);
            out.extend(bitmap.iter().take(used));
            out
        }
    }
}

/// Whatever is built here has a few records of a few hundred bytes.
fn count(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(0)
}

fn u16_into(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_be_bytes());
}
