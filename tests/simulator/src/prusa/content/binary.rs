//! Binary G-code with plain blocks and CRC-32: metadata, pictures, more metadata, code.

use super::Recipe;
use super::picture::png;
use super::sums::crc32;

const FILE_METADATA: u16 = 0;
const GCODE: u16 = 1;
const SLICER_METADATA: u16 = 2;
const PRINTER_METADATA: u16 = 3;
const PRINT_METADATA: u16 = 4;
const THUMBNAIL: u16 = 5;
/// Bytes of code in one block.
const CODE_MAX: usize = 65_536;

/// The file. `seed` colours its pictures.
pub fn make(recipe: &Recipe, seed: &str, slicer_model: &str) -> Vec<u8> {
    let mut bytes = b"GCDE\x01\0\0\0\x01\0".to_vec();
    metadata(&mut bytes, FILE_METADATA, &[("Producer", "PrusaSlicer 2.9.4".to_owned())]);
    let settings = recipe.settings(slicer_model);
    let mut printer = settings.clone();
    printer.extend(recipe.statistics());
    metadata(&mut bytes, PRINTER_METADATA, &printer);
    for preview in &recipe.previews {
        let parameters = [[0, 0], preview.width.to_le_bytes(), preview.height.to_le_bytes()].concat();
        block(&mut bytes, THUMBNAIL, &parameters, &png(preview.width, preview.height, seed));
    }
    metadata(&mut bytes, PRINT_METADATA, &recipe.statistics());
    metadata(&mut bytes, SLICER_METADATA, &settings);
    let code = recipe.moves(recipe.size.saturating_sub(bytes.len()));
    for part in code.as_bytes().chunks(CODE_MAX) {
        block(&mut bytes, GCODE, &[0, 0], part);
    }
    bytes
}

fn metadata(bytes: &mut Vec<u8>, kind: u16, pairs: &[(&str, String)]) {
    let text: String = pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    block(bytes, kind, &[0, 0], text.as_bytes());
}

fn block(bytes: &mut Vec<u8>, kind: u16, parameters: &[u8], data: &[u8]) {
    let start = bytes.len();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&u32::try_from(data.len()).unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(parameters);
    bytes.extend_from_slice(data);
    let sum = crc32(bytes.get(start..).unwrap_or_default());
    bytes.extend_from_slice(&sum.to_le_bytes());
}
