//! ZIP archives, honest and lying.

/// One entry and how it is written.
#[derive(Clone)]
pub struct Part {
    pub name: String,
    pub data: Vec<u8>,
    pub deflate: bool,
    /// Sizes behind the data, zeros in the local header, as the slicers do.
    pub descriptor: bool,
    /// Sizes in front although a descriptor follows.
    pub sizes_twice: bool,
    pub zip64: bool,
    /// Bytes of a private extra field in the local header.
    pub extra: Vec<u8>,
    /// What the directory says instead of the truth.
    pub lie_plain: Option<u64>,
    pub lie_crc: Option<u32>,
    pub lie_offset: Option<u64>,
    pub flags: u16,
    pub method: Option<u16>,
}

pub fn stored(name: &str, data: impl Into<Vec<u8>>) -> Part {
    Part {
        name: name.into(),
        data: data.into(),
        deflate: false,
        descriptor: true,
        sizes_twice: false,
        zip64: false,
        extra: Vec::new(),
        lie_plain: None,
        lie_crc: None,
        lie_offset: None,
        flags: 0,
        method: None,
    }
}

pub fn packed(name: &str, data: impl Into<Vec<u8>>) -> Part {
    Part { deflate: true, ..stored(name, data) }
}

/// Writes the archive.
pub fn zip(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    let mut zip64 = false;
    for part in parts {
        zip64 |= part.zip64;
        let offset = out.len() as u64;
        let data = if part.deflate {
            miniz_oxide::deflate::compress_to_vec(&part.data, 6)
        } else {
            part.data.clone()
        };
        let crc = crc32fast::hash(&part.data);
        let (plain, packed) = (part.data.len() as u64, data.len() as u64);
        let flags = part.flags | 0x0800 | if part.descriptor { 8 } else { 0 };
        let method = part.method.unwrap_or(if part.deflate { 8 } else { 0 });
        let in_header = !part.descriptor || part.sizes_twice;
        out.extend_from_slice(b"PK\x03\x04\x14\x00");
        put16(&mut out, flags);
        put16(&mut out, method);
        put32(&mut out, 0x5A00_0000);
        put32(&mut out, if in_header { crc } else { 0 });
        put32(&mut out, if in_header { packed as u32 } else { 0 });
        put32(&mut out, if in_header { plain as u32 } else { 0 });
        put16(&mut out, part.name.len() as u16);
        put16(&mut out, part.extra.len() as u16);
        out.extend_from_slice(part.name.as_bytes());
        out.extend_from_slice(&part.extra);
        out.extend_from_slice(&data);
        if part.descriptor {
            out.extend_from_slice(b"PK\x07\x08");
            put32(&mut out, crc);
            if part.zip64 {
                put64(&mut out, packed);
                put64(&mut out, plain);
            } else {
                put32(&mut out, packed as u32);
                put32(&mut out, plain as u32);
            }
        }
        let plain = part.lie_plain.unwrap_or(plain);
        let offset = part.lie_offset.unwrap_or(offset);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00\x14\x00");
        put16(&mut directory, flags);
        put16(&mut directory, method);
        put32(&mut directory, 0x5A00_0000);
        put32(&mut directory, part.lie_crc.unwrap_or(crc));
        let full = u32::MAX;
        put32(&mut directory, if part.zip64 { full } else { packed as u32 });
        put32(&mut directory, if part.zip64 { full } else { plain as u32 });
        put16(&mut directory, part.name.len() as u16);
        put16(&mut directory, if part.zip64 { 28 } else { 0 });
        put16(&mut directory, 0);
        put16(&mut directory, 0);
        put16(&mut directory, 0);
        put32(&mut directory, 0);
        put32(&mut directory, if part.zip64 { full } else { offset as u32 });
        directory.extend_from_slice(part.name.as_bytes());
        if part.zip64 {
            put16(&mut directory, 1);
            put16(&mut directory, 24);
            put64(&mut directory, plain);
            put64(&mut directory, packed);
            put64(&mut directory, offset);
        }
    }
    let start = out.len() as u64;
    out.extend_from_slice(&directory);
    if zip64 {
        let record = out.len() as u64;
        out.extend_from_slice(b"PK\x06\x06");
        put64(&mut out, 44);
        put32(&mut out, 0x002D_002D);
        put32(&mut out, 0);
        put32(&mut out, 0);
        put64(&mut out, parts.len() as u64);
        put64(&mut out, parts.len() as u64);
        put64(&mut out, directory.len() as u64);
        put64(&mut out, start);
        out.extend_from_slice(b"PK\x06\x07");
        put32(&mut out, 0);
        put64(&mut out, record);
        put32(&mut out, 1);
    }
    out.extend_from_slice(b"PK\x05\x06");
    put32(&mut out, 0);
    let count = if zip64 { 0xFFFF } else { parts.len() as u16 };
    put16(&mut out, count);
    put16(&mut out, count);
    put32(&mut out, if zip64 { u32::MAX } else { directory.len() as u32 });
    put32(&mut out, if zip64 { u32::MAX } else { start as u32 });
    put16(&mut out, 0);
    out
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
 <Relationship Target="/3D/3dmodel.model" Id="rel-1" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>
 <Relationship Target="/Metadata/plate_1.png" Id="rel-2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/thumbnail"/>
</Relationships>"#;

pub fn model(application: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<model unit=\"millimeter\"><metadata name=\"Application\">{application}</metadata>\
         <metadata name=\"CreationDate\">2026-02-03</metadata><resources><object id=\"1\"/></resources><build/></model>"
    )
}

pub fn slice_info(plates: &[u32]) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\"?><config><header><header_item key=\"X-BBL-Client-Version\" value=\"01.00\"/></header>",
    );
    for plate in plates {
        out.push_str(&format!(
            "<plate><metadata key=\"index\" value=\"{plate}\"/><metadata key=\"prediction\" value=\"{}\"/>\
             <metadata key=\"weight\" value=\"{plate}.50\"/><metadata key=\"support_used\" value=\"true\"/>\
             <object identify_id=\"1\" name=\"Thing {plate}\" skipped=\"false\"/>\
             <filament id=\"2\" type=\"PETG\" color=\"#12AB34FF\" used_m=\"1.20\" used_g=\"{plate}.50\"/></plate>",
            plate * 1000
        ));
    }
    out + "</config>"
}

pub fn model_settings(plates: &[(u32, bool)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\"?><config>");
    for (plate, sliced) in plates {
        let gcode = if *sliced {
            format!("<metadata key=\"gcode_file\" value=\"Metadata/plate_{plate}.gcode\"/>")
        } else {
            String::new()
        };
        out.push_str(&format!(
            "<plate><metadata key=\"plater_id\" value=\"{plate}\"/>{gcode}\
             <metadata key=\"thumbnail_file\" value=\"Metadata/plate_{plate}.png\"/>\
             <metadata key=\"pick_file\" value=\"Metadata/pick_{plate}.png\"/></plate>"
        ));
    }
    out + "</config>"
}

pub fn plate_gcode(plate: u32, moves: &str) -> String {
    format!(
        "; HEADER_BLOCK_START\n; ForkSlicer 03.01.00.05\n; model printing time: 5m 1s; total estimated time: {}m 40s\n\
         ; total layer number: {}\n; total filament length [mm] : 1203.45\n; total filament volume [cm^3] : 2894.61\n\
         ; total filament weight [g] : {plate}.50\n; filament_density: 1.24,1.27\n; filament_diameter: 1.75,1.75\n\
         ; max_z_height: 20.40\n; filament: 2\n; HEADER_BLOCK_END\n\n; CONFIG_BLOCK_START\n\
         ; curr_bed_type = Textured PEI Plate\n; enable_support = 1\n; filament_colour = #FFFFFF;#12AB34\n\
         ; filament_settings_id = \"White PLA\";\"Green PETG\"\n; filament_type = PLA;PETG\n\
         ; initial_layer_print_height = 0.25\n; layer_height = 0.2\n; nozzle_diameter = 0.4\n\
         ; nozzle_temperature = 220,250\n; printer_model = Box 9\n; sparse_infill_density = 12%\n\
         ; textured_plate_temp = 55,75\n; CONFIG_BLOCK_END\n\n{moves}",
        plate * 16 + plate,
        plate * 100
    )
}

pub const PROJECT_SETTINGS: &str = r##"{
    "printer_model": "Box 9", "layer_height": "0.2", "filament_type": ["PLA", "PETG"],
    "filament_colour": ["#FFFFFF", "#12AB34"], "nozzle_diameter": ["0.4"], "deep": {"other": [[1, 2], {"x": 3}]},
    "filament_settings_id": ["White PLA", "Green PETG"], "curr_bed_type": "Textured PEI Plate"
}"##;

/// A sliced archive as Bambu Studio and its relatives write it. Pictures of all `plates`, G-code of `sliced` ones.
pub fn gcode_3mf(plates: &[u32], sliced: &[u32], moves: &str) -> Vec<Part> {
    let mut parts = vec![packed("[Content_Types].xml", "<Types/>")];
    for &plate in plates {
        parts.push(stored(&format!("Metadata/plate_{plate}.png"), super::png(512, 512 - plate)));
        parts.push(stored(&format!("Metadata/plate_{plate}_small.png"), super::png(128, 128)));
        parts.push(stored(&format!("Metadata/plate_no_light_{plate}.png"), super::png(512, 512)));
        parts.push(stored(&format!("Metadata/top_{plate}.png"), super::png(512, 512)));
        parts.push(stored(&format!("Metadata/pick_{plate}.png"), super::png(512, 512)));
    }
    parts.push(packed("3D/3dmodel.model", model("ForkSlicer-03.01.00.05")));
    parts.push(packed("Metadata/project_settings.config", PROJECT_SETTINGS));
    for &plate in sliced {
        let gcode = plate_gcode(plate, moves);
        let md5 = md5_hex(gcode.as_bytes()).to_uppercase();
        parts.push(packed(&format!("Metadata/plate_{plate}.gcode.md5"), md5));
        let extra = vec![0x99, 0x99, 4, 0, 1, 2, 3, 4];
        parts.push(Part { extra, ..packed(&format!("Metadata/plate_{plate}.gcode"), gcode) });
    }
    let settings: Vec<(u32, bool)> = plates.iter().map(|plate| (*plate, sliced.contains(plate))).collect();
    parts.push(packed("Metadata/model_settings.config", model_settings(&settings)));
    parts.push(packed("Metadata/slice_info.config", slice_info(sliced)));
    parts.push(packed("_rels/.rels", RELATIONSHIPS));
    parts
}

/// MD5 by the book, independent of the code under test.
pub fn md5_hex(data: &[u8]) -> String {
    let mut message = data.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(data.len() as u64 * 8).to_le_bytes());
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let shifts = [[7u32, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    for block in message.chunks(64) {
        let words: Vec<u32> =
            block.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64usize {
            let (f, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let sine = ((step as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a.wrapping_add(f).wrapping_add(sine).wrapping_add(words[word]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(shifts[step / 16][step % 4]));
        }
        for (target, value) in state.iter_mut().zip([a, b, c, d]) {
            *target = target.wrapping_add(value);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}
