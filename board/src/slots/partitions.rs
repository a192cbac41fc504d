//! The card's table of partitions: where the systems lie, and the data partition grown to the end of the card.
//!
//! The image is made for the smallest card; the last of its four partitions holds what people want to keep. Growing it is
//! one sector rewritten, before anything on the card is in use. It is found out anew at each start, so a cut changes nothing.

/// Bytes of the table: the first sector.
pub const TABLE_BYTES: usize = 512;
/// Bytes of a sector, in which the table counts.
pub const SECTOR_BYTES: u64 = 512;
/// Where the table says whose card it is; the image's own mark. A card that somebody else made is left as it is.
const MARK: (usize, [u8; 4]) = (440, *b"PRNZ");
/// The four entries begin here.
const ENTRIES: usize = 446;
const ENTRY_BYTES: usize = 16;
const SIGNATURE: (usize, [u8; 2]) = (510, [0x55, 0xaa]);
/// The type of a Linux partition.
const LINUX: u8 = 0x83;
/// The data partition ends on a multiple of this many sectors, 4 MiB: a card's erase blocks are not larger.
const ALIGN: u64 = 8192;

/// Which entry is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The FAT partition that the board's firmware reads.
    Boot,
    /// The first system.
    SystemA,
    /// The second system.
    SystemB,
    /// Records, files, settings.
    Data,
}

impl Part {
    /// The partition's number, as in the name of its device.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Part::Boot => 1,
            Part::SystemA => 2,
            Part::SystemB => 3,
            Part::Data => 4,
        }
    }
}

/// The table whose data partition reaches to the end of a card of `card_sectors`; `None` where nothing is to be done: it
/// does already, the card is not ours, the table is damaged, or the partition is not the last one.
#[must_use]
pub fn grown(table: &[u8; TABLE_BYTES], card_sectors: u64) -> Option<[u8; TABLE_BYTES]> {
    let has = |(at, bytes): (usize, &[u8])| table.get(at..at + bytes.len()) == Some(bytes);
    if !has((MARK.0, &MARK.1)) || !has((SIGNATURE.0, &SIGNATURE.1)) {
        return None;
    }
    let data = entry(table, Part::Data)?;
    let others = [Part::Boot, Part::SystemA, Part::SystemB].map(|part| entry(table, part));
    if data.kind != LINUX || others.iter().any(|other| other.is_none_or(|other| other.end() > data.start)) {
        return None;
    }
    // The table's numbers have 32 bits: 2 TiB, more than the board's cards can have.
    let end = card_sectors.min(u64::from(u32::MAX)) / ALIGN * ALIGN;
    let length = u32::try_from(end.checked_sub(data.start)?).ok()?;
    if u64::from(length) <= data.length {
        return None;
    }
    let mut grown = *table;
    let at = ENTRIES + (Part::Data.number() - 1) * ENTRY_BYTES + 12;
    grown.get_mut(at..at + 4)?.copy_from_slice(&length.to_le_bytes());
    Some(grown)
}

/// One entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: u8,
    start: u64,
    length: u64,
}

impl Entry {
    fn end(self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

fn entry(table: &[u8; TABLE_BYTES], part: Part) -> Option<Entry> {
    let at = ENTRIES + (part.number() - 1) * ENTRY_BYTES;
    let bytes = table.get(at..at + ENTRY_BYTES)?;
    let number = |at: usize| Some(u64::from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)));
    let entry = Entry { kind: *bytes.get(4)?, start: number(8)?, length: number(12)? };
    (entry.length > 0 && entry.start > 0).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 2048;

    fn table(entries: [(u8, u64, u64); 4]) -> [u8; TABLE_BYTES] {
        let mut table = [0; TABLE_BYTES];
        table[MARK.0..MARK.0 + 4].copy_from_slice(&MARK.1);
        table[SIGNATURE.0..].copy_from_slice(&SIGNATURE.1);
        for (index, (kind, start, length)) in entries.into_iter().enumerate() {
            let at = ENTRIES + index * ENTRY_BYTES;
            table[at + 4] = kind;
            table[at + 8..at + 12].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
            table[at + 12..at + 16].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        }
        table
    }

    fn ours() -> [u8; TABLE_BYTES] {
        table([
            (0x0c, 4 * MIB, 32 * MIB),
            (0x83, 36 * MIB, 40 * MIB),
            (0x83, 76 * MIB, 40 * MIB),
            (0x83, 116 * MIB, 32 * MIB),
        ])
    }

    #[test]
    fn the_data_partition_grows_to_the_last_whole_erase_block_once() {
        let card = 7_580 * MIB + 77;
        let grown_table = grown(&ours(), card).unwrap();
        let data = entry(&grown_table, Part::Data).unwrap();
        assert_eq!((data.start, data.end()), (116 * MIB, 7_580 * MIB));
        assert_eq!(grown(&grown_table, card), None);
        // Nothing but four bytes changed.
        let changed = grown_table.iter().zip(&ours()).filter(|(new, old)| new != old).count();
        assert!(changed <= 4);
        let all_of_32_bits = grown(&ours(), u64::MAX).unwrap();
        assert!(entry(&all_of_32_bits, Part::Data).unwrap().end() <= u64::from(u32::MAX));
    }

    #[test]
    fn a_smaller_card_or_a_foreign_table_is_left_alone() {
        let card = 1000 * MIB;
        assert_eq!(grown(&ours(), 148 * MIB), None);
        assert_eq!(grown(&ours(), 10 * MIB), None);
        assert_eq!(grown(&[0; TABLE_BYTES], card), None);
        for at in [MARK.0, SIGNATURE.0] {
            let mut foreign = ours();
            foreign[at] ^= 1;
            assert_eq!(grown(&foreign, card), None);
        }
        let moved = table([
            (0x0c, 4 * MIB, 32 * MIB),
            (0x83, 36 * MIB, 40 * MIB),
            (0x83, 200 * MIB, 40 * MIB),
            (0x83, 116 * MIB, 32 * MIB),
        ]);
        assert_eq!(grown(&moved, card), None);
        let mut without_data = ours();
        without_data[ENTRIES + 3 * ENTRY_BYTES..ENTRIES + 4 * ENTRY_BYTES].fill(0);
        assert_eq!(grown(&without_data, card), None);
        for at in ENTRIES..ENTRIES + 64 {
            let mut wild = ours();
            wild[at] = 0xff;
            // Whatever the numbers say: an answer, and never a shorter partition.
            if let Some(table) = grown(&wild, card) {
                assert!(entry(&table, Part::Data).unwrap().length > 32 * MIB);
            }
        }
    }
}
