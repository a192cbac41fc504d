//! Short file names as a FAT stick has them: eight characters, a dot, three characters.

/// Characters that a short name may have beside letters and digits.
const ALLOWED: &str = "!#$%&'()-@^_`{}~";
/// Numbered tails tried before giving up; a folder of a simulated stick has a few hundred files at most.
const TAILS_MAX: u32 = 9_999;

/// The short name for `long` that `is_taken` does not know yet.
#[must_use]
pub fn short_name(long: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let trimmed = long.trim_start_matches(['.', ' ']).trim_end_matches(['.', ' ']);
    let (stem, extension) = match trimmed.rsplit_once('.') {
        Some((stem, extension)) => (stem, extension),
        None => (trimmed, ""),
    };
    let (stem, is_stem_whole) = shortened(stem, 8);
    let (extension, is_extension_whole) = shortened(extension, 3);
    let suffix = if extension.is_empty() { String::new() } else { format!(".{extension}") };
    if is_stem_whole && is_extension_whole && trimmed == long && !stem.is_empty() {
        let name = format!("{stem}{suffix}");
        if !is_taken(&name) {
            return name;
        }
    }
    for number in 1..=TAILS_MAX {
        let tail = format!("~{number}");
        let kept: String = stem.chars().take(8 - tail.len()).collect();
        let name = format!("{kept}{tail}{suffix}");
        if !is_taken(&name) {
            return name;
        }
    }
    format!("~{suffix}")
}

/// The first characters in upper case, what is not allowed replaced; and whether nothing was lost.
fn shortened(text: &str, length: usize) -> (String, bool) {
    let mut is_whole = true;
    let mut result = String::new();
    for character in text.chars() {
        if character == ' ' || character == '.' {
            is_whole = false;
            continue;
        }
        let upper = character.to_ascii_uppercase();
        let is_allowed = upper.is_ascii_alphanumeric() || ALLOWED.contains(upper);
        is_whole &= is_allowed;
        result.push(if is_allowed { upper } else { '_' });
    }
    is_whole &= result.len() <= length;
    result.truncate(length);
    (result, is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_as_on_a_stick() {
        for (long, short) in [
            ("CUBE.GCO", "CUBE.GCO"),
            ("cube.bgc", "CUBE.BGC"),
            ("cube.gcode", "CUBE~1.GCO"),
            ("Spice rack v2.gcode", "SPICER~1.GCO"),
            ("Würfel groß.bgcode", "W_RFEL~1.BGC"),
            ("100 % infill.gcode", "100%IN~1.GCO"),
            ("Parts", "PARTS"),
            ("a.b.gcode", "AB~1.GCO"),
            ("日本.gcode", "__~1.GCO"),
        ] {
            assert_eq!(short_name(long, |_| false), short, "{long}");
        }
    }

    #[test]
    fn taken_names_get_the_next_number() {
        let taken = ["CUBE~1.GCO", "CUBE~2.GCO"];
        assert_eq!(short_name("cube.gcode", |name| taken.contains(&name)), "CUBE~3.GCO");
        assert_eq!(short_name("CUBE.GCO", |name| name == "CUBE.GCO"), "CUBE~1.GCO");
        let many = short_name("longest.gcode", |name| name.len() == 12 && !name.contains("~10"));
        assert_eq!(many, "LONGE~10.GCO");
    }
}
