//! From the text of `printernizer.toml` to what can be applied, section by section. Pure.
//!
//! A mistake in one printer must not keep the board off the network: each section that is right is taken, each that is not
//! is told with its line. Secrets that an earlier start has taken over stand there as stars; they come from what was kept.
//!
//! Not here: files. `config` knows what may stand in the sections of the service; `[wifi]` is the card's own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::lines::{Kind, Line, Pair, Section, read, sections};
use super::wifi::Wifi;
use crate::config::{self, Place};

/// Bytes that are kept for stars at most: a file, and what its mistakes have not replaced.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// What a text comes to.
#[derive(Debug, Default)]
pub struct Checked {
    /// The wireless network, if one is named and right.
    pub wifi: Option<Wifi>,
    /// The sections of the service that are right, with their secrets, as TOML.
    pub config: String,
    /// All sections that are right, with their secrets: what the next start finds stars' values in.
    pub kept: String,
    /// The board's name on the network.
    pub host_name: Option<String>,
    /// Where secrets stand in the text that were taken over. They are to be erased there.
    pub secrets: Vec<Range<usize>>,
    /// Mistakes, each one line.
    pub mistakes: Vec<String>,
    /// What was taken, each one line, without secrets.
    pub taken: Vec<String>,
}

/// Checks `text`; `kept` is what the start before kept.
#[must_use]
pub fn check(text: &str, kept: &str) -> Checked {
    let mut lines = read(text);
    let parts = sections(&lines);
    let mut checked = Checked::default();
    let mut bad = vec![false; parts.len()];
    recall(&mut lines, &parts, kept, &mut bad, &mut checked.mistakes);

    let is_wifi = |section: &Section| section.name == "wifi";
    let mut wifi = None;
    for (index, part) in parts.iter().enumerate().filter(|(_, part)| is_wifi(part)) {
        if wifi.is_some() {
            let mistake =
                format!("Line {}: a second [wifi]; the board joins one network.", part.lines.start + 1);
            checked.mistakes.push(mistake);
            bad.iter_mut().zip(&parts).filter(|(_, part)| is_wifi(part)).for_each(|(bad, _)| *bad = true);
            wifi = None;
            break;
        }
        // Its stars stand for nothing: told already.
        if bad.get(index) == Some(&true) {
            continue;
        }
        let found = wifi_of(&only(&lines, &parts, |at| at == index), &mut checked.mistakes);
        if found.is_none() {
            mark(&mut bad, index);
        }
        wifi = found;
    }
    let mut settings = settings_of(&lines, &parts, &mut bad, &mut checked.mistakes);
    // Now that what is broken is out, TOML's own view is whole and nothing hides behind a mistake. What else goes may be missed by
    // the rest, so that is judged again.
    if leave_hidden_secrets_out(&lines, &parts, &mut bad, &mut checked.mistakes) {
        settings = settings_of(&lines, &parts, &mut bad, &mut checked.mistakes);
    }
    checked.wifi = wifi.filter(|_| parts.iter().zip(&bad).any(|(part, bad)| is_wifi(part) && !bad));
    checked.host_name = settings
        .web
        .names
        .first()
        .and_then(|name| name.split('.').next())
        .filter(|_| {
            lines_of(&lines, &parts, &bad).any(|(section, pair)| section == "web" && pair.key == "name")
        })
        .map(ToOwned::to_owned);
    let good = |at: usize| bad.get(at) == Some(&false);
    checked.config = only(&lines, &parts, |at| good(at) && parts.get(at).is_some_and(|part| !is_wifi(part)));
    checked.kept = only(&lines, &parts, good);
    keep_what_was(&mut checked, &lines, &parts, &bad, kept);
    for (_, pair) in lines_of(&lines, &parts, &bad).filter(|(_, pair)| pair.is_secret() && !pair.is_kept()) {
        checked.secrets.push(pair.span.clone());
    }
    checked.taken = told(&checked, &settings, &parts, &bad);
    checked
}

/// What the result says of the sections that were taken.
fn told(checked: &Checked, settings: &config::Config, parts: &[Section], bad: &[bool]) -> Vec<String> {
    let mut taken = Vec::new();
    if let Some(wifi) = &checked.wifi {
        let guarded = if wifi.password.is_some() { "with its password" } else { "an open network" };
        taken.push(format!("Wi-Fi \"{}\", {guarded}.", wifi.ssid));
        if wifi.country.is_none() {
            taken.push("No country is set: channels 12 and 13 stay unused. Say country = \"DE\" or wherever you are.".to_owned());
        }
    }
    for (part, _) in parts
        .iter()
        .zip(bad)
        .filter(|(part, bad)| !**bad && !matches!(part.name.as_str(), "" | "wifi" | "printers"))
    {
        taken.push(format!("The section [{}].", part.name));
    }
    for printer in &settings.printers {
        taken.push(format!("The printer \"{}\" at {}.", printer.name, printer.connection.host));
    }
    taken
}

fn mark(bad: &mut [bool], index: usize) {
    if let Some(bad) = bad.get_mut(index) {
        *bad = true;
    }
}

/// Pairs of the sections that are right, with their section's name.
fn lines_of<'l>(
    lines: &'l [Line],
    parts: &'l [Section],
    bad: &'l [bool],
) -> impl Iterator<Item = (&'l str, &'l Pair)> {
    parts
        .iter()
        .zip(bad)
        .filter(|(_, bad)| !**bad)
        .flat_map(|(part, _)| pairs(lines, part).map(|(_, pair)| (part.name.as_str(), pair)))
}

/// The pairs of a section with the indices of their lines.
fn pairs<'l>(lines: &'l [Line], part: &Section) -> impl Iterator<Item = (usize, &'l Pair)> {
    let range = part.lines.clone();
    lines.get(range.clone()).unwrap_or_default().iter().zip(range).filter_map(|(line, index)| {
        match &line.kind {
            Kind::Pair(pair) => Some((index, pair)),
            Kind::Header { .. } | Kind::Other => None,
        }
    })
}

/// The text with nothing but the wanted sections in it; every line keeps its number.
fn only(lines: &[Line], parts: &[Section], wanted: impl Fn(usize) -> bool) -> String {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        for line in lines.get(part.lines.clone()).unwrap_or_default() {
            if wanted(index) {
                text.push_str(&line.text);
            }
            text.push('\n');
        }
    }
    text
}

/// Puts kept secrets where stars stand.
fn recall(lines: &mut [Line], parts: &[Section], kept: &str, bad: &mut [bool], mistakes: &mut Vec<String>) {
    let old_lines = read(kept);
    let old_parts = sections(&old_lines);
    for (at, part) in parts.iter().enumerate() {
        let stars: Vec<(usize, Pair)> = pairs(lines, part)
            .filter(|(_, pair)| pair.is_kept())
            .map(|(index, pair)| (index, pair.clone()))
            .collect();
        for (index, pair) in stars {
            // A printer is the one at the same address, a network the one of the same name.
            let same = |old: &&Section| {
                old.name == part.name
                    && ["host", "ssid"]
                        .iter()
                        .all(|key| value_of(&old_lines, old, key) == value_of(lines, part, key))
            };
            let old = old_parts.iter().filter(same).find_map(|old| value_of(&old_lines, old, &pair.key));
            match (old, lines.get_mut(index)) {
                (Some(old), Some(line)) => {
                    line.text = format!("{} = {old}", pair.key);
                }
                _ => {
                    mistakes.push(format!(
                        "Line {}: the stars stand for a {} that was taken over earlier, but none is kept for this entry. Write it again.",
                        index + 1,
                        pair.key
                    ));
                    mark(bad, at);
                }
            }
        }
    }
}

/// Secrets that TOML finds and [`read`] does not, such as those of dotted or quoted keys, of tables on one line, and of texts on
/// several lines: they would be taken over and stay in the file. Their sections are left out; answers whether one was.
fn leave_hidden_secrets_out(
    lines: &[Line],
    parts: &[Section],
    bad: &mut [bool],
    mistakes: &mut Vec<String>,
) -> bool {
    let text = only(lines, parts, |at| bad.get(at) == Some(&false));
    let (table, _) = DeTable::parse_recoverable(&text);
    let mut hidden = Vec::new();
    for (key, value) in table.get_ref().iter() {
        look_for_hidden(key.get_ref(), value, &text, lines, &mut hidden);
    }
    hidden.sort_unstable();
    hidden.dedup();
    for line in &hidden {
        mistakes.push(format!(
            "Line {line}: passwords and codes stand on a line of their own, as password = \"...\" below their section."
        ));
        let at = parts.iter().position(|part| part.lines.contains(&line.saturating_sub(1)));
        at.into_iter().for_each(|at| mark(bad, at));
    }
    !hidden.is_empty()
}

/// Adds the lines of secrets in `value` that are no pairs of [`read`].
fn look_for_hidden(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
    lines: &[Line],
    hidden: &mut Vec<usize>,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table.iter() {
                look_for_hidden(key.get_ref(), value, text, lines, hidden);
            }
        }
        DeValue::Array(values) => {
            for value in values.iter() {
                look_for_hidden(key, value, text, lines, hidden);
            }
        }
        _ if super::lines::is_secret(key) => {
            let (line, end) = (line_of(text, value.span().start), line_of(text, value.span().end));
            let is_pair = lines.get(line - 1).is_some_and(|line| match &line.kind {
                Kind::Pair(pair) => pair.key == key,
                Kind::Header { .. } | Kind::Other => false,
            });
            if !is_pair || line != end {
                hidden.push(line);
            }
        }
        _ => {}
    }
}

/// The number of the line that holds the byte at `at`.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// A section with a mistake changes nothing: what an earlier start took from it counts on. A page must not lose its password by a
/// letter too much, nor the card what stars stand for.
fn keep_what_was(checked: &mut Checked, lines: &[Line], parts: &[Section], bad: &[bool], kept: &str) {
    let old_lines = read(kept);
    for old in sections(&old_lines).iter().filter(|old| !old.name.is_empty()) {
        let is_it = |part: &Section| {
            let same = part.name == old.name;
            same && (old.name != "printers"
                || value_of(lines, part, "host") == value_of(&old_lines, old, "host"))
        };
        let has = |wanted: bool| parts.iter().zip(bad).any(|(part, bad)| *bad == wanted && is_it(part));
        if !has(true) || has(false) {
            continue;
        }
        let old_lines: Vec<&str> = old_lines
            .get(old.lines.clone())
            .unwrap_or_default()
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        let text = format!("\n{}\n", old_lines.join("\n").trim_end());
        if checked.kept.len() + text.len() > KEPT_BYTES_MAX {
            continue;
        }
        checked.kept.push_str(&text);
        if old.name != "wifi" {
            let whole = format!("{}{text}", checked.config);
            if config::check_text(Path::new("printernizer.toml"), whole.clone()).is_ok() {
                checked.config = whole;
            }
        }
    }
}

/// The value of a section's key, as TOML has it.
fn value_of<'l>(lines: &'l [Line], part: &Section, key: &str) -> Option<&'l str> {
    pairs(lines, part).find(|(_, pair)| pair.key == key).map(|(_, pair)| pair.value.as_str())
}

/// The service's own sections: those with mistakes are told and left out, until the rest has none.
fn settings_of(
    lines: &[Line],
    parts: &[Section],
    bad: &mut [bool],
    mistakes: &mut Vec<String>,
) -> config::Config {
    // Each round leaves at least one section out.
    for _ in 0..=parts.len() {
        let wanted: Vec<bool> =
            parts.iter().zip(bad.iter()).map(|(part, bad)| !*bad && part.name != "wifi").collect();
        let text = only(lines, parts, |at| wanted.get(at) == Some(&true));
        let found = match config::check_text(Path::new("printernizer.toml"), text) {
            Ok(config) => return config,
            Err(found) => found,
        };
        let mut marked = false;
        for mistake in found.list() {
            let line = match &mistake.place {
                Place::Line { line, .. } => usize::try_from(*line).unwrap_or(usize::MAX),
                Place::Default | Place::File(_) | Place::Variable(_) | Place::Flag(_) => 0,
            };
            let key = mistake.key.rsplit('.').next().unwrap_or_default();
            let key = if mistake.key.contains('.') { format!("{key}: ") } else { String::new() };
            let allowed = if mistake.allowed.is_empty() {
                String::new()
            } else {
                format!("; allowed: {}", mistake.allowed)
            };
            mistakes.push(format!("Line {line}: {key}{}{allowed}.", mistake.found));
            for (index, part) in parts.iter().enumerate() {
                if part.lines.contains(&line.saturating_sub(1)) && bad.get(index) == Some(&false) {
                    mark(bad, index);
                    marked = true;
                }
            }
        }
        if !marked {
            break;
        }
    }
    // Nothing that could be left out was wrong: nothing is taken.
    bad.iter_mut().zip(parts).filter(|(_, part)| part.name != "wifi").for_each(|(bad, _)| *bad = true);
    config::Config::default()
}

/// Reads `[wifi]`, alone in a text whose lines have their numbers.
fn wifi_of(text: &str, mistakes: &mut Vec<String>) -> Option<Wifi> {
    let before = mistakes.len();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        // The error's whole text would show the line, and with it a password.
        let what = error.message().lines().next().unwrap_or_default();
        let hint = match text.lines().nth(line - 1) {
            Some(text) if text.contains('\\') => "Between double quotes, a \\ is written twice: \\\\.",
            _ => "Put the value in quotes.",
        };
        mistakes.push(format!("Line {line}: this cannot be read ({what}). {hint}"));
    }
    let entries: BTreeMap<&str, _> = match table.get_ref().get("wifi").map(|value| value.get_ref()) {
        Some(DeValue::Table(table)) => {
            table.iter().map(|(key, value)| (key.get_ref().as_ref(), value)).collect()
        }
        _ => BTreeMap::new(),
    };
    if !errors.is_empty() {
        return None;
    }
    let mut wifi = Wifi::default();
    for (key, value) in entries {
        let line = line_of(text, value.span().start);
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            _ => "",
        };
        let refused = match (key, value.get_ref()) {
            ("ssid" | "name", _) => Wifi::ssid(text)
                .map(|ssid| wifi.ssid = ssid)
                .is_none()
                .then_some("a network's name has 1 to 32 bytes"),
            // Empty as in the template: an open network.
            ("password", _) if text.is_empty() && matches!(value.get_ref(), DeValue::String(_)) => None,
            ("password", _) => Wifi::password(text)
                .map(|password| wifi.password = Some(password))
                .is_none()
                .then_some("a Wi-Fi password has 8 to 63 letters, digits and signs of the English keyboard"),
            ("country", _) => Wifi::country(text)
                .map(|country| wifi.country = Some(country))
                .is_none()
                .then_some("a country has two letters, as \"DE\""),
            ("hidden", DeValue::Boolean(hidden)) => {
                wifi.hidden = *hidden;
                None
            }
            ("hidden", _) => Some("true or false"),
            _ => Some("known are ssid, password, country and hidden"),
        };
        if let Some(allowed) = refused {
            let shown: String = key.chars().take(40).filter(|letter| !letter.is_control()).collect();
            mistakes.push(format!("Line {}: {shown}: {allowed}.", line));
        }
    }
    if mistakes.len() == before && wifi.ssid.is_empty() {
        let line = text.lines().position(|line| !line.is_empty()).map_or(1, |at| at + 1);
        mistakes.push(format!("Line {line}: [wifi] names no network: ssid is missing."));
    }
    (mistakes.len() == before).then_some(wifi)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
