//! Covers: a shaded figure on a clear ground, as slicers draw them. Which figure and which colour follows from the name,
//! so that prints can be told apart at a glance.

use std::f64::consts::TAU;

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::noise::Noise;

/// Every pixel is drawn as so many squared, which smooths the edges.
const FINER: usize = 2;
/// Where the light comes from.
const LIGHT: Point = [-0.45, -0.35, 0.82];

type Point = [f64; 3];

/// A flat convex piece of a surface.
#[derive(Debug, Clone)]
struct Face {
    corners: Vec<Point>,
    /// Parts with a higher number stand on those with a lower one, and are drawn over them.
    part: u8,
}

/// Stands on everything below `part`.
fn standing(part: u8, mut faces: Vec<Face>) -> Vec<Face> {
    for face in &mut faces {
        face.part = part;
    }
    faces
}

/// A face as it comes onto the canvas.
struct Drawn {
    part: u8,
    depth: f64,
    corners: Vec<(f64, f64)>,
    colour: [u8; 4],
}

/// The figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Cube,
    Boat,
    Vase,
    Gear,
    Bracket,
    Tower,
    Pawn,
    Ring,
}

impl Figure {
    const ALL: [Self; 8] =
        [Self::Cube, Self::Boat, Self::Vase, Self::Gear, Self::Bracket, Self::Tower, Self::Pawn, Self::Ring];

    /// What the name speaks of, or else any.
    fn of(name: &str, noise: &mut Noise) -> Self {
        let name = name.to_lowercase();
        let words: [(&[&str], Self); 7] = [
            (&["cube", "würfel", "box"], Self::Cube),
            (&["benchy", "boat"], Self::Boat),
            (&["vase", "planter", "pot"], Self::Vase),
            (&["gear"], Self::Gear),
            (&["bracket", "shelf"], Self::Bracket),
            (&["tower"], Self::Tower),
            (&["adapter", "hose", "ring"], Self::Ring),
        ];
        let known = words.iter().find(|(words, _)| words.iter().any(|word| name.contains(word)));
        let any = Self::ALL.get(noise.below(Self::ALL.len())).copied();
        known.map(|(_, figure)| *figure).or(any).unwrap_or(Self::Pawn)
    }

    fn faces(self) -> Vec<Face> {
        match self {
            Self::Cube => prism(&polygon(4, 0.78, 0.125), -0.55, 0.55),
            Self::Boat => boat(),
            Self::Vase => lathe(&[
                (0.0, -0.8),
                (0.38, -0.8),
                (0.62, -0.2),
                (0.5, 0.3),
                (0.3, 0.55),
                (0.46, 0.85),
                (0.4, 0.85),
                (0.28, 0.7),
                (0.0, 0.68),
            ]),
            Self::Gear => {
                let mut faces = prism(&gear(14, 0.72, 0.9), -0.2, 0.12);
                faces.extend(standing(1, prism(&polygon(24, 0.34, 0.0), 0.12, 0.42)));
                faces
            }
            Self::Bracket => {
                let mut faces = prism(&rectangle(-0.8, -0.45, 0.8, 0.45), -0.75, -0.5);
                faces.extend(standing(1, prism(&rectangle(-0.8, -0.45, -0.55, 0.45), -0.5, 0.8)));
                faces
            }
            Self::Tower => {
                let mut faces = Vec::new();
                for (storey, radius) in (0..).zip([0.66, 0.56, 0.46, 0.36, 0.26]) {
                    let bottom = -0.85 + 0.34 * f64::from(storey);
                    let walls = prism(&polygon(4, radius, 0.125), bottom, bottom + 0.34);
                    faces.extend(standing(storey, walls));
                }
                faces
            }
            Self::Pawn => {
                let mut profile =
                    vec![(0.0, -0.85), (0.55, -0.85), (0.55, -0.72), (0.24, -0.45), (0.17, 0.2)];
                profile.extend([(0.36, 0.26), (0.22, 0.34)]);
                profile.extend((0..=8).map(|step| {
                    let angle = f64::from(step) / 8.0 * 2.6 - 1.0;
                    (0.3 * angle.cos(), 0.6 + 0.3 * angle.sin())
                }));
                profile.push((0.0, 0.9));
                lathe(&profile)
            }
            Self::Ring => {
                let profile: Vec<_> = (0..=20)
                    .map(|step| {
                        let angle = f64::from(step) / 20.0 * TAU;
                        (0.6 + 0.24 * angle.cos(), 0.24 * angle.sin())
                    })
                    .collect();
                lathe(&profile)
            }
        }
    }
}

/// How a cover is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// From the front, lit.
    Cover,
    /// The same without light.
    Unlit,
    /// From above.
    Top,
    /// From above in one signal colour, by which slicers tell objects apart.
    Pick,
}

/// Draws the cover of `name` with `size` pixels a side, as a PNG.
#[must_use]
pub fn cover(name: &str, plate: u32, view: View, size: usize) -> Vec<u8> {
    let mut noise = Noise::of(name);
    let figure = Figure::of(name, &mut noise);
    let hue = noise.unit() + 0.13 * f64::from(plate);
    let turn = noise.unit() * 0.5;
    let mut canvas = Canvas::new(size * FINER);
    let mut drawn: Vec<Drawn> = Vec::new();
    for face in figure.faces() {
        let corners: Vec<Point> = face.corners.iter().map(|corner| seen(*corner, turn, view)).collect();
        let normal = normal(&corners);
        if normal[1] >= 0.0 {
            // It looks away.
            continue;
        }
        let depth = corners.iter().map(|corner| corner[1]).sum::<f64>() / count(corners.len());
        let brightness = match view {
            View::Cover => 0.42 + 0.58 * dot(normal, LIGHT).max(0.0),
            View::Top => 0.55 + 0.4 * normal[2].abs(),
            View::Unlit | View::Pick => 0.7,
        };
        let colour = if view == View::Pick { [0, 0, 1, 255] } else { shade(hue, brightness) };
        let corners = corners.iter().map(|corner| canvas.place(*corner)).collect();
        drawn.push(Drawn { part: face.part, depth, corners, colour });
    }
    // What is farther away is drawn first.
    drawn.sort_by(|one, other| one.part.cmp(&other.part).then(other.depth.total_cmp(&one.depth)));
    for Drawn { corners, colour, .. } in drawn {
        canvas.fill(&corners, colour);
    }
    png(size, &canvas.smoothed(size))
}

/// The point as the eye has it: to the right, away, up.
fn seen(point: Point, turn: f64, view: View) -> Point {
    let [x, y, z] = point;
    let (sin, cos) = (turn + 0.45).sin_cos();
    let (x, y) = (x * cos - y * sin, x * sin + y * cos);
    let tilt: f64 = if matches!(view, View::Top | View::Pick) { TAU / 4.0 } else { 0.5 };
    let (sin, cos) = tilt.sin_cos();
    [x, y * cos - z * sin, y * sin + z * cos]
}

fn dot(one: Point, other: Point) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn normal(corners: &[Point]) -> Point {
    let [Some(a), Some(b), Some(c)] = [0, 1, 2].map(|index| corners.get(index)) else { return [0.0; 3] };
    let (u, v) = ([b[0] - a[0], b[1] - a[1], b[2] - a[2]], [c[0] - a[0], c[1] - a[1], c[2] - a[2]]);
    let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    let length = dot(n, n).sqrt().max(1e-12);
    n.map(|part| part / length)
}

/// A hue on the circle, as bright as said.
fn shade(hue: f64, brightness: f64) -> [u8; 4] {
    let part = |offset: f64| 0.62 + 0.38 * ((hue + offset) * TAU).cos();
    let [red, green, blue] =
        [part(0.0), part(2.0 / 3.0), part(1.0 / 3.0)].map(|part| byte(part * brightness));
    [red, green, blue, 255]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before the conversion")]
fn byte(part: f64) -> u8 {
    (part * 255.0).clamp(0.0, 255.0) as u8
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Corners on a circle; `offset` turns it, in full turns.
fn polygon(corners: u32, radius: f64, offset: f64) -> Vec<(f64, f64)> {
    (0..corners)
        .map(|corner| {
            let angle = (f64::from(corner) / f64::from(corners) + offset) * TAU;
            (radius * angle.cos(), radius * angle.sin())
        })
        .collect()
}

fn rectangle(left: f64, front: f64, right: f64, back: f64) -> Vec<(f64, f64)> {
    vec![(left, front), (right, front), (right, back), (left, back)]
}

fn gear(teeth: u32, inner: f64, outer: f64) -> Vec<(f64, f64)> {
    (0..teeth * 4)
        .map(|step| {
            let radius = if step % 4 < 2 { inner } else { outer };
            let angle = f64::from(step) / f64::from(teeth * 4) * TAU;
            (radius * angle.cos(), radius * angle.sin())
        })
        .collect()
}

/// An outline that stands upright; it has to be visible as a whole from its middle.
fn prism(outline: &[(f64, f64)], bottom: f64, top: f64) -> Vec<Face> {
    let next = outline.iter().cycle().skip(1);
    let middle = outline.iter().fold((0.0, 0.0), |sum, corner| (sum.0 + corner.0, sum.1 + corner.1));
    let middle = (middle.0 / count(outline.len()), middle.1 / count(outline.len()));
    outline
        .iter()
        .zip(next)
        .flat_map(|(&(x0, y0), &(x1, y1))| {
            [
                Face {
                    corners: vec![[x0, y0, bottom], [x1, y1, bottom], [x1, y1, top], [x0, y0, top]],
                    part: 0,
                },
                Face { corners: vec![[x0, y0, top], [x1, y1, top], [middle.0, middle.1, top]], part: 0 },
            ]
        })
        .collect()
}

/// A profile (radius and height, from below) turned around the upright axis.
fn lathe(profile: &[(f64, f64)]) -> Vec<Face> {
    const STEPS: u32 = 36;
    let mut faces = Vec::new();
    for ((low_radius, low), (high_radius, high)) in profile.iter().zip(profile.iter().skip(1)) {
        for step in 0..STEPS {
            let corner = |step: u32, radius: f64, height: f64| {
                let (sin, cos) = (f64::from(step) / f64::from(STEPS) * TAU).sin_cos();
                [radius * cos, radius * sin, height]
            };
            let mut corners = vec![corner(step, *low_radius, *low), corner(step + 1, *low_radius, *low)];
            corners.push(corner(step + 1, *high_radius, *high));
            corners.push(corner(step, *high_radius, *high));
            // At the axis two corners fall together, and a face needs three for its direction.
            corners.dedup();
            faces.push(Face { corners, part: 0 });
        }
    }
    faces
}

fn boat() -> Vec<Face> {
    let deck =
        [(-0.85, -0.34), (0.3, -0.34), (0.7, -0.2), (0.95, 0.0), (0.7, 0.2), (0.3, 0.34), (-0.85, 0.34)];
    let keel = deck.map(|(x, y)| (x * 0.82 - 0.05, y * 0.6));
    let mut faces: Vec<Face> = prism(&deck, -0.22, -0.14);
    let next = keel.iter().zip(&deck).cycle().skip(1);
    faces.extend(keel.iter().zip(&deck).zip(next).map(|((low, high), (next_low, next_high))| Face {
        corners: vec![
            [low.0, low.1, -0.65],
            [next_low.0, next_low.1, -0.65],
            [next_high.0, next_high.1, -0.22],
            [high.0, high.1, -0.22],
        ],
        part: 0,
    }));
    faces.extend(standing(1, prism(&rectangle(-0.5, -0.26, 0.12, 0.26), -0.14, 0.34)));
    faces.extend(standing(2, prism(&rectangle(-0.6, -0.31, 0.2, 0.31), 0.34, 0.44)));
    let chimney = polygon(16, 0.13, 0.0).into_iter().map(|(x, y)| (x - 0.25, y)).collect::<Vec<_>>();
    faces.extend(standing(3, prism(&chimney, 0.44, 0.78)));
    faces
}

/// Pixels of four bytes each, clear at first.
struct Canvas {
    side: usize,
    pixels: Vec<[u8; 4]>,
}

impl Canvas {
    fn new(side: usize) -> Self {
        Self { side, pixels: vec![[0; 4]; side * side] }
    }

    /// Where a point of the eye's space lies on the canvas.
    fn place(&self, [x, _, z]: Point) -> (f64, f64) {
        let half = count(self.side) / 2.0;
        (half + x * half * 0.82, half - z * half * 0.82)
    }

    /// Fills a convex outline.
    fn fill(&mut self, corners: &[(f64, f64)], colour: [u8; 4]) {
        let last = count(self.side) - 1.0;
        let (top, bottom) = corners
            .iter()
            .fold((last, 0.0_f64), |(top, bottom), corner| (top.min(corner.1), bottom.max(corner.1)));
        for row in index(top.ceil())..=index(bottom.min(last)) {
            let height = count(row);
            let (mut left, mut right) = (f64::MAX, f64::MIN);
            for (one, other) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                if (one.1 <= height) == (other.1 <= height) {
                    continue;
                }
                let x = one.0 + (height - one.1) / (other.1 - one.1) * (other.0 - one.0);
                (left, right) = (left.min(x), right.max(x));
            }
            if left > right || right < 0.0 {
                continue;
            }
            // A little wider, so that no gaps show between neighbours.
            let (from, to) = (index((left - 0.5).floor()), index((right + 0.5).min(last)));
            let row = row * self.side;
            if let Some(pixels) = self.pixels.get_mut(row + from..=row + to) {
                pixels.fill(colour);
            }
        }
    }

    /// The mean of every [`FINER`] times [`FINER`] pixels.
    fn smoothed(&self, size: usize) -> Vec<u8> {
        let mut rows = Vec::with_capacity(size * size * 4);
        let pixel = |x: usize, y: usize| self.pixels.get(y * self.side + x).copied().unwrap_or_default();
        for y in 0..size {
            for x in 0..size {
                let (x, y) = (x * FINER, y * FINER);
                let four = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
                let alpha: u32 = four.iter().map(|pixel| u32::from(pixel[3])).sum();
                for channel in 0..3 {
                    // Clear pixels have no colour to add.
                    let sum: u32 = four
                        .iter()
                        .map(|pixel| {
                            u32::from(pixel.get(channel).copied().unwrap_or(0)) * u32::from(pixel[3])
                        })
                        .sum();
                    rows.push(u8::try_from(sum.checked_div(alpha).unwrap_or(0)).unwrap_or(u8::MAX));
                }
                rows.push(u8::try_from(alpha / 4).unwrap_or(u8::MAX));
            }
        }
        rows
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before the conversion")]
fn index(place: f64) -> usize {
    place.clamp(0.0, 65_535.0) as usize
}

/// A PNG of eight-bit red, green, blue and alpha.
fn png(size: usize, pixels: &[u8]) -> Vec<u8> {
    let side = u32::try_from(size).unwrap_or(0);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::from(side.to_be_bytes());
    header.extend_from_slice(&side.to_be_bytes());
    header.extend_from_slice(&[8, 6, 0, 0, 0]);
    chunk(&mut bytes, *b"IHDR", &header);
    let mut rows = Vec::with_capacity(pixels.len() + size);
    let mut above = vec![0; size * 4];
    for row in pixels.chunks_exact((size * 4).max(1)) {
        // Filter 2: the difference to the row above, which is nought nearly everywhere.
        rows.push(2);
        rows.extend(row.iter().zip(&above).map(|(now, above)| now.wrapping_sub(*above)));
        above.copy_from_slice(row);
    }
    chunk(&mut bytes, *b"IDAT", &compress_to_vec_zlib(&rows, 6));
    chunk(&mut bytes, *b"IEND", &[]);
    bytes
}

fn chunk(bytes: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&kind);
    hasher.update(content);
    bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&hasher.finalize().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_shows_and_names_and_plates_differ() {
        for figure in Figure::ALL {
            let faces = figure.faces();
            assert!(faces.len() > 4 && faces.iter().all(|face| face.corners.len() > 2), "{figure:?}");
        }
        let covers: Vec<_> = [("Cube", 1), ("Cube", 2), ("Benchy", 1), ("Gear set", 1), ("Anything", 1)]
            .map(|(name, plate)| cover(name, plate, View::Cover, 128))
            .into();
        for (index, one) in covers.iter().enumerate() {
            assert!(one.len() > 600 && covers[index + 1..].iter().all(|other| one != other), "{index}");
        }
        assert_eq!(cover("Cube", 1, View::Cover, 128), covers[0]);
    }
}
