//! Names made comparable: the same title in different spellings becomes the same text.
//!
//! Between a slicer and a printer's card a name meets several hands: characters that cards refuse become `_`, uploaders put
//! `_` for blanks, a Mac writes `ü` as `u` and two dots. Equal here means equal for a reader who squints: letters without
//! case and without marks, and one kind of gap. Leaving the marks out altogether, composed or not, makes both ways of writing
//! them equal without the tables of Unicode (120 KB); two files that differ in nothing but a mark then look equal, and
//! whoever asks has to treat that as "cannot be told apart".

/// Letters with marks, each row with the letter that it becomes. Lower case, as folding comes after that. Latin as far as
/// Europe and Vietnam need it, Cyrillic, Greek.
const MARKED: &[(char, &str)] = &[
    ('a', "àáâãäåāăąǎạảấầẩẫậắằẳẵặ"),
    ('c', "çćĉċč"),
    ('d', "ď"),
    ('e', "èéêëēĕėęěẹẻẽếềểễệ"),
    ('g', "ĝğġģ"),
    ('h', "ĥ"),
    ('i', "ìíîïĩīĭįỉị"),
    ('j', "ĵ"),
    ('k', "ķ"),
    ('l', "ĺļľ"),
    ('n', "ñńņň"),
    ('o', "òóôõöōŏőơọỏốồổỗộớờởỡợ"),
    ('r', "ŕŗř"),
    ('s', "śŝşšș"),
    ('t', "ţťț"),
    ('u', "ùúûüũūŭůűųưụủứừửữự"),
    ('w', "ŵ"),
    ('y', "ýÿŷỳỵỷỹ"),
    ('z', "źżž"),
    ('и', "й"),
    ('е', "ё"),
    ('і', "ї"),
    ('у', "ў"),
    ('α', "ά"),
    ('ε', "έ"),
    ('η', "ή"),
    ('ι', "ίϊΐ"),
    ('ο', "ό"),
    ('υ', "ύϋΰ"),
    ('ω', "ώ"),
];

/// Voiced kana, each before its plain one. Katakana stand 0x60 further on.
const VOICED: &str =
    "がかぎきぐくげけごこざさじしずすぜせぞそだたぢちづつでてどとばはぱはびひぴひぶふぷふべへぺへぼほぽほ";
const KATAKANA: u32 = 0x60;

/// Hangul syllables are numbered by their three parts: 19 first, 21 middle, 28 last ones, of which the first is "none".
const SYLLABLES: std::ops::RangeInclusive<u32> = 0xac00..=0xd7a3;
const MIDDLES: u32 = 21;
const LASTS: u32 = 28;

/// The text in lower case without marks; gaps of any kind and length are one `_`, and none stands at either end.
pub(super) fn key(text: &str) -> String {
    folded(text, is_gap)
}

/// Whether a title as typed and as a printer shows it are the same: endings, case, marks and gaps aside.
#[must_use]
pub fn is_same_title(typed: &str, shown: &str) -> bool {
    let bare = |title: &str| {
        let mut key = key(title);
        for ending in [".3mf", ".gcode"] {
            key.truncate(key.strip_suffix(ending).map_or(key.len(), str::len));
        }
        key
    };
    bare(typed) == bare(shown)
}

/// Like [`key`], with brackets, commas, quotes and the like taken for gaps as well. Full stops and hyphens stay: "1.1" is
/// not "11".
pub(super) fn loose(text: &str) -> String {
    folded(text, |c| is_gap(c) || "()[]{},;'’‘\"“”!&+#%~=@^$`".contains(c))
}

/// Blanks, what is put in their place, and what cards refuse and printers replace.
fn is_gap(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '_' || is_refused(c)
}

/// What FAT refuses in a name.
pub(super) fn is_refused(c: char) -> bool {
    "<>:\"/\\|?*".contains(c) || c.is_control()
}

fn folded(text: &str, is_gap: impl Fn(char) -> bool) -> String {
    let mut key = String::with_capacity(text.len());
    for c in text.chars() {
        if is_gap(c) {
            if !key.is_empty() && !key.ends_with('_') {
                key.push('_');
            }
        } else {
            c.to_lowercase().for_each(|c| unmarked(c, &mut key));
        }
    }
    if key.ends_with('_') {
        key.pop();
    }
    key
}

/// Adds a letter without its marks.
fn unmarked(c: char, key: &mut String) {
    match u32::from(c) {
        // Combining marks, those of kana included.
        0x0300..=0x036f | 0x3099 | 0x309a => {}
        ..0x00c0 => key.push(c),
        number if SYLLABLES.contains(&number) => {
            let number = number - SYLLABLES.start();
            let last = number % LASTS;
            let parts = [
                0x1100 + number / (MIDDLES * LASTS),
                0x1161 + number / LASTS % MIDDLES,
                // The mark of "no last part" is not written.
                if last > 0 { 0x11a7 + last } else { 0 },
            ];
            key.extend(parts.into_iter().filter(|part| *part > 0).filter_map(char::from_u32));
        }
        number => key.push(plain(c).or_else(|| plain_kana(number)).unwrap_or(c)),
    }
}

fn plain(c: char) -> Option<char> {
    MARKED.iter().find(|(_, marked)| marked.contains(c)).map(|(plain, _)| *plain)
}

fn plain_kana(number: u32) -> Option<char> {
    let shift = match number {
        0x3041..=0x3096 => 0,
        0x30a1..=0x30f6 => KATAKANA,
        _ => return None,
    };
    let c = char::from_u32(number - shift)?;
    let mut pairs = VOICED.chars();
    while let (Some(voiced), Some(plain)) = (pairs.next(), pairs.next()) {
        if voiced == c {
            return char::from_u32(u32::from(plain) + shift);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_name_are_one() {
        for (one, other) in [
            ("Size: M", "Size_ M"),
            ("Size: M", "size_m"),
            ("a  b ", "A_b"),
            ("Würfel", "Wu\u{308}rfel"),
            ("WÜRFEL", "würfel"),
            ("Ångström", "A\u{30a}ngstro\u{308}m"),
            ("Việt", "Vie\u{323}\u{302}t"),
            ("Йод ё", "И\u{306}од е\u{308}"),
            ("Ώρα", "Ω\u{301}ρα"),
            ("각도", "\u{1100}\u{1161}\u{11a8}\u{1103}\u{1169}"),
            ("がパ", "か\u{3099}ハ\u{309a}"),
            ("v2/3", "v2_3"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn different_names_stay_different() {
        for (one, other) in [
            ("a1", "a 1"),
            ("Part 1.1", "Part 11"),
            ("x-1", "x1"),
            ("►", "–"),
            ("각", "가"),
            ("か", "き"),
            ("", "x"),
        ] {
            assert_ne!(key(one), key(other), "{one} {other}");
            assert_ne!(loose(one), loose(other), "{one} {other}");
        }
    }

    #[test]
    fn loosely_brackets_are_gaps() {
        assert_eq!(loose("Lid (2), left [v1]"), loose("Lid 2 left v1"));
        assert_ne!(key("Lid (2)"), key("Lid 2"));
        assert_ne!(loose("Lid(2)"), loose("Lid2"));
        assert_eq!(loose("(+)"), "");
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["Würfel: 각 がパ İ ẞ", "A\u{301}\u{301}", "___", " x "] {
            let once = key(text);
            assert_eq!(key(&once), once);
        }
    }
}
