//! Binary G-code, block by block.

#[derive(Clone, Copy, PartialEq)]
pub enum Packing {
    None,
    Deflate,
    Heatshrink11,
    Heatshrink12,
}

pub struct Writer {
    pub bytes: Vec<u8>,
    crc: bool,
}

impl Writer {
    pub fn new(crc: bool) -> Self {
        let mut bytes = b"GCDE\x01\x00\x00\x00".to_vec();
        bytes.extend_from_slice(&u16::from(crc).to_le_bytes());
        Self { bytes, crc }
    }

    pub fn block(&mut self, kind: u16, packing: Packing, parameters: &[u8], data: &[u8]) -> &mut Self {
        let packed = match packing {
            Packing::None => data.to_vec(),
            Packing::Deflate => miniz_oxide::deflate::compress_to_vec_zlib(data, 6),
            Packing::Heatshrink11 => heatshrink(data, 11),
            Packing::Heatshrink12 => heatshrink(data, 12),
        };
        let number: u16 = match packing {
            Packing::None => 0,
            Packing::Deflate => 1,
            Packing::Heatshrink11 => 2,
            Packing::Heatshrink12 => 3,
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self.bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        if packing != Packing::None {
            self.bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(parameters);
        self.bytes.extend_from_slice(&packed);
        if self.crc {
            let sum = crc32fast::hash(&self.bytes[start..]);
            self.bytes.extend_from_slice(&sum.to_le_bytes());
        }
        self
    }

    pub fn ini(&mut self, kind: u16, packing: Packing, text: &str) -> &mut Self {
        self.block(kind, packing, &[0, 0], text.as_bytes())
    }

    pub fn json(&mut self, kind: u16, packing: Packing, text: &str) -> &mut Self {
        self.block(kind, packing, &[1, 0], text.as_bytes())
    }

    pub fn thumbnail(&mut self, format: u16, width: u16, height: u16, data: &[u8]) -> &mut Self {
        let parameters: Vec<u8> =
            [format, width, height].iter().flat_map(|value| value.to_le_bytes()).collect();
        self.block(5, Packing::None, &parameters, data)
    }

    pub fn gcode(&mut self, blocks: usize) -> &mut Self {
        let text = super::moves(60_000);
        for _ in 0..blocks {
            self.block(1, Packing::Deflate, &[0, 0], text.as_bytes());
        }
        self
    }
}

/// Greedy search in a small hash of three bytes, then the bits.
pub fn heatshrink(data: &[u8], window_bits: u32) -> Vec<u8> {
    let (window, longest) = (1usize << window_bits, 16usize);
    let mut bits: Vec<bool> = Vec::new();
    let mut at = 0;
    let mut last = std::collections::HashMap::new();
    while at < data.len() {
        let key = data.get(at..at + 3).map(<[u8]>::to_vec);
        let found = key.as_ref().and_then(|key| last.get(key)).copied().filter(|from| at - from <= window);
        let length = found.map_or(0, |from: usize| {
            (0..longest.min(data.len() - at)).take_while(|step| data[from + step] == data[at + step]).count()
        });
        let mut put =
            |value: usize, count: u32| (0..count).rev().for_each(|bit| bits.push((value >> bit) & 1 == 1));
        let step = if let (Some(from), 3..) = (found, length) {
            put(0, 1);
            put(at - from - 1, window_bits);
            put(length - 1, 4);
            length
        } else {
            put(1, 1);
            put(usize::from(data[at]), 8);
            1
        };
        for place in at..at + step {
            if let Some(key) = data.get(place..place + 3) {
                last.insert(key.to_vec(), place);
            }
        }
        at += step;
    }
    bits.chunks(8)
        .map(|chunk| {
            chunk.iter().enumerate().fold(0u8, |byte, (place, &bit)| byte | (u8::from(bit) << (7 - place)))
        })
        .collect()
}

pub const PRINTER_METADATA: &str = "printer_model=Box 4\nfilament_type=PETG;PLA\nnozzle_diameter=0.4,0.6\n\
    bed_temperature=80,60\nlayer_height=0.15\ntemperature=240,210\nfill_density=15%\nmax_layer_z=18.05\n\
    filament used [mm]=986.61, 0.00\nfilament used [g]=3.01, 0.00\nestimated printing time (normal mode)=32m 6s\n\
    support_material=1\nobjects_info={\"objects\":[{\"name\":\"Cube\"},{\"name\":\"Ball\"}]}\n";
pub const PRINT_METADATA: &str = "filament used [mm]=986.61, 0.00\nfilament used [cm3]=2.37, 0.00\n\
    filament used [g]=3.01, 0.00\nfilament cost=0.08, 0.00\ntotal filament used [g]=3.01\n\
    estimated printing time (normal mode)=32m 6s\nestimated first layer printing time (normal mode)=1m 8s\n\
    total toolchanges=3\n";
pub const SLICER_METADATA: &str = "a line without a sign\nfilament_colour=#FF8000;#112233\nfirst_layer_height=0.2\n\
    filament_settings_id=\"Orange\";\"Other\"\nfilament_density=1.27,1.24\nfilament_diameter=1.75,1.75\nnotes=a=b\\nc\n";

/// A usual file with the given metadata packing.
pub fn bgcode(crc: bool, packing: Packing) -> Vec<u8> {
    let mut writer = Writer::new(crc);
    writer
        .ini(0, Packing::None, "Producer=ForkSlicer 2.9.9\nProduced on=2026-01-02 at 03:04:05 UTC\n")
        .ini(3, Packing::None, PRINTER_METADATA)
        .thumbnail(2, 16, 16, &super::qoi(16, 16))
        .thumbnail(0, 220, 124, &super::png(220, 124))
        .ini(4, packing, PRINT_METADATA)
        .ini(2, packing, SLICER_METADATA)
        .gcode(2);
    std::mem::take(&mut writer.bytes)
}
