//! Scaling down by exact area averages, row by row.
//!
//! Every source pixel is spread over the target pixels that it covers, with whole-number weights, so nothing is rounded
//! before the end. Colours are weighted by their alpha: what is transparent has no colour to give.

/// Scales a picture whose rows come from top to bottom.
pub(crate) struct Scaler {
    across: Ratio,
    down: Ratio,
    /// Sums of colour times alpha, and of alpha, over one source row spread to the target's columns.
    columns: Vec<[u32; 4]>,
    /// The same over all rows of the target row in progress.
    rows: Vec<[u64; 4]>,
    next_row: u64,
    out: Vec<u8>,
}

/// `source` pixels of the source become `target` pixels, in lowest terms.
#[derive(Clone, Copy)]
struct Ratio {
    source: u32,
    target: u32,
}

impl Ratio {
    fn new(source: u32, target: u32) -> Self {
        let (mut a, mut b) = (source, target);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let common = a.max(1);
        Self { source: source / common, target: target / common }
    }
}

impl Scaler {
    /// From `source` to `target` (width, height); neither side may grow, and the source is at most 4096 by 4096.
    pub fn new(source: (u32, u32), target: (u32, u32)) -> Self {
        debug_assert!(target.0 <= source.0 && target.1 <= source.1 && target.0 > 0 && target.1 > 0);
        let width = target.0 as usize;
        Self {
            across: Ratio::new(source.0, target.0),
            down: Ratio::new(source.1, target.1),
            columns: vec![[0; 4]; width],
            rows: vec![[0; 4]; width],
            next_row: 0,
            out: Vec::with_capacity(width * target.1 as usize * 4),
        }
    }

    /// Takes the next row as RGBA.
    pub fn row(&mut self, rgba: &[u8]) {
        let pixels = rgba.as_chunks::<4>().0;
        if self.across.target == 1 {
            self.add_across(pixels)
        } else {
            self.spread_across(pixels)
        }
        let (source, target) = (u64::from(self.down.source), u64::from(self.down.target));
        let mut from = self.next_row * target;
        let end = from + target;
        self.next_row += 1;
        while from < end {
            let row_end = (from / source + 1) * source;
            let stop = end.min(row_end);
            let weight = stop - from;
            for (sums, parts) in self.rows.iter_mut().zip(&self.columns) {
                // Most of a render is transparent.
                if parts[3] != 0 {
                    for (sum, part) in sums.iter_mut().zip(parts) {
                        *sum += u64::from(*part) * weight;
                    }
                }
            }
            if stop == row_end {
                self.finish_row();
            }
            from = stop;
        }
    }

    /// The finished picture as RGBA.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// A whole number of source pixels for each column.
    fn add_across(&mut self, pixels: &[[u8; 4]]) {
        for (sums, group) in self.columns.iter_mut().zip(pixels.chunks_exact(self.across.source as usize)) {
            let (mut red, mut green, mut blue, mut total) = (0, 0, 0, 0);
            for pixel in group {
                let alpha = u32::from(pixel[3]);
                if alpha != 0 {
                    red += u32::from(pixel[0]) * alpha;
                    green += u32::from(pixel[1]) * alpha;
                    blue += u32::from(pixel[2]) * alpha;
                    total += alpha;
                }
            }
            *sums = [red, green, blue, total];
        }
    }

    /// Source pixels that straddle the borders of columns.
    fn spread_across(&mut self, pixels: &[[u8; 4]]) {
        let Ratio { source, target } = self.across;
        let mut columns = self.columns.iter_mut();
        let Some(mut column) = columns.next() else { return };
        let mut sums = [0u32; 4];
        // How much of the current column is still to be covered, in units of 1/target of a source pixel.
        let mut open = source;
        for pixel in pixels {
            let alpha = u32::from(pixel[3]);
            let parts = [
                u32::from(pixel[0]) * alpha,
                u32::from(pixel[1]) * alpha,
                u32::from(pixel[2]) * alpha,
                alpha,
            ];
            let mut left = target;
            while left > 0 {
                let weight = left.min(open);
                if alpha != 0 {
                    for (sum, part) in sums.iter_mut().zip(parts) {
                        *sum += part * weight;
                    }
                }
                left -= weight;
                open -= weight;
                if open == 0 {
                    open = source;
                    *column = std::mem::take(&mut sums);
                    match columns.next() {
                        Some(next) => column = next,
                        None => return,
                    }
                }
            }
        }
    }

    fn finish_row(&mut self) {
        // The weights of one target pixel add up to this.
        let area = u64::from(self.across.source) * u64::from(self.down.source);
        for sums in &mut self.rows {
            let [red, green, blue, alpha] = *sums;
            *sums = [0; 4];
            if alpha == 0 {
                self.out.extend_from_slice(&[0; 4]);
                continue;
            }
            let mean = |sum: u64, total: u64| ((sum + total / 2) / total).min(255) as u8;
            self.out.extend_from_slice(&[
                mean(red, alpha),
                mean(green, alpha),
                mean(blue, alpha),
                mean(alpha, area),
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(source: (u32, u32), target: (u32, u32), pixel: impl Fn(u32, u32) -> [u8; 4]) -> Vec<u8> {
        let mut scaler = Scaler::new(source, target);
        for y in 0..source.1 {
            let row: Vec<u8> = (0..source.0).flat_map(|x| pixel(x, y)).collect();
            scaler.row(&row);
        }
        scaler.finish()
    }

    #[test]
    fn a_plain_area_keeps_its_colour_at_any_ratio() {
        for (source, target) in [
            ((4, 4), (2, 2)),
            ((640, 480), (512, 384)),
            ((7, 5), (3, 2)),
            ((220, 124), (128, 72)),
            ((3, 3), (3, 3)),
        ] {
            let out = scale(source, target, |_, _| [10, 200, 30, 255]);
            assert_eq!(out.len(), (target.0 * target.1 * 4) as usize);
            assert!(out.chunks(4).all(|pixel| pixel == [10, 200, 30, 255]), "{source:?} {target:?}");
        }
    }

    #[test]
    fn transparent_pixels_give_no_colour() {
        // Left red and opaque, right a green that nobody sees.
        let out = scale((2, 1), (1, 1), |x, _| if x == 0 { [255, 0, 0, 255] } else { [0, 255, 0, 0] });
        assert_eq!(out, [255, 0, 0, 128]);
    }

    #[test]
    fn parts_of_pixels_count_by_their_area() {
        // Three columns to two: the middle one is shared.
        let out = scale((3, 1), (2, 1), |x, _| {
            [[0, 0, 0, 255], [90, 90, 90, 255], [240, 240, 240, 255]][x as usize]
        });
        assert_eq!(out, [30, 30, 30, 255, 190, 190, 190, 255]);
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let out = scale((3, 2), (3, 2), |x, y| [x.to_le_bytes()[0], y.to_le_bytes()[0], 7, 200]);
        let same: Vec<u8> = (0..2u8).flat_map(|y| (0..3u8).flat_map(move |x| [x, y, 7, 200])).collect();
        assert_eq!(out, same);
    }
}
