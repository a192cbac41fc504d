//! Print files made for tests, benchmarks and fuzzing seeds: nothing here comes from anybody's slicer.
#![allow(dead_code, reason = "every test binary takes what it needs")]
#![allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used, reason = "test support")]
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "own input"
)]

pub mod archive;
pub mod blocks;
pub mod text;

/// A picture with a shape in it, some of it transparent.
pub fn pixels(width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity((width * height * 4) as usize);
    for y in 0..height {
        for x in 0..width {
            let inside = x > width / 4 && x < width * 3 / 4 && y > height / 4;
            let shade = ((x * 255 / width) as u8, (y * 255 / height) as u8);
            out.extend_from_slice(&if inside { [shade.0, shade.1, 90, 255] } else { [0, 0, 0, 0] });
        }
    }
    out
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(width, height, png::ColorType::Rgba, png::BitDepth::Eight, &pixels(width, height))
}

pub fn png_of(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    out
}

/// QOI with whole pixels only.
pub fn qoi(width: u32, height: u32) -> Vec<u8> {
    let mut out = b"qoif".to_vec();
    out.extend_from_slice(&width.to_be_bytes());
    out.extend_from_slice(&height.to_be_bytes());
    out.extend_from_slice(&[4, 0]);
    for pixel in pixels(width, height).chunks(4) {
        out.push(0xFF);
        out.extend_from_slice(pixel);
    }
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
    out
}

pub fn jpeg(width: u16, height: u16, progressive: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, 90);
    encoder.set_progressive(progressive);
    encoder
        .encode(&pixels(width.into(), height.into()), width, height, jpeg_encoder::ColorType::Rgba)
        .unwrap();
    out
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers without a pattern, the same every time.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Moves as a slicer writes them, about `length` bytes.
pub fn moves(length: usize) -> String {
    let mut out = String::with_capacity(length + 64);
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut extruded = 0.0;
    let mut layer = 0;
    while out.len() < length {
        let step = noise.next();
        if step.is_multiple_of(400) {
            layer += 1;
            out.push_str(&format!(
                ";LAYER_CHANGE\n;Z:{:.2}\n;HEIGHT:0.2\n;TYPE:External perimeter\n",
                f64::from(layer) * 0.2
            ));
        }
        extruded += (step % 1000) as f64 / 20_000.0;
        let (x, y) = ((step >> 8) % 25_000, (step >> 24) % 21_000);
        out.push_str(&format!("G1 X{:.3} Y{:.3} E{extruded:.5}\n", x as f64 / 100.0, y as f64 / 100.0));
    }
    out
}
