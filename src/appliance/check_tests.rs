//! What texts of people come to.

use super::*;

const GOOD: &str = "\u{feff}# my printers\r\n\
[WiFi]\r\n\
ssid = Home\r\n\
password = \u{201c}correct horse\u{201d}\r\n\
country = de\r\n\
\r\n\
[web]\r\n\
name = \"workshop\"\r\n\
password = \"a long sentence\"\r\n\
\r\n\
[time]\r\n\
zone = Europe/Berlin\r\n\
\r\n\
[[printers]]\r\n\
name = Big one\r\n\
type = bambu_lab\r\n\
host = 192.168.1.20\r\n\
serial = 01P00A000000001\r\n\
access_code = 12345678\r\n\
\r\n\
[[printers]]\r\n\
name = \"Prusa\"\r\n\
type = \"prusa_link\"\r\n\
host = \"192.168.1.21\"\r\n\
password = \"key\"\r\n";

fn erased(text: &str, checked: &Checked) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in &checked.secrets {
        let blank = super::super::erase::blank(span.len());
        bytes[span.clone()].copy_from_slice(&blank);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_whole_file_is_taken_and_its_secrets_are_found() {
    let checked = check(GOOD, "");
    assert_eq!(checked.mistakes, Vec::<String>::new());
    let wifi = checked.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid.as_str(), wifi.country.as_deref()), ("Home", Some("DE")));
    assert_eq!(wifi.password.as_ref().unwrap().reveal(), "correct horse");
    assert_eq!(checked.host_name.as_deref(), Some("workshop"));
    assert_eq!(checked.secrets.len(), 4);
    assert!(!checked.config.contains("Home") && checked.config.contains("12345678"));
    let left = erased(GOOD, &checked);
    for secret in ["correct horse", "a long sentence", "12345678", "\"key\""] {
        assert!(!left.contains(secret), "{secret} is still in {left}");
        assert!(!checked.taken.join(" ").contains(secret));
    }
    assert_eq!(left.len(), GOOD.len());
}

#[test]
fn stars_keep_what_was_taken_over_and_the_rest_may_change() {
    let first = check(GOOD, "");
    let left = erased(GOOD, &first);
    let again = check(&left, &first.kept);
    assert_eq!(again.mistakes, Vec::<String>::new());
    assert_eq!(again.wifi, first.wifi);
    let settings = |checked: &Checked| config::check_text(Path::new("f"), checked.config.clone()).unwrap();
    assert_eq!(settings(&again), settings(&first));
    // A third start finds the same.
    assert_eq!(check(&erased(&left, &again), &again.kept).wifi, first.wifi);
    let renamed = check(&left.replace("\"workshop\"", "\"attic\"").replace("Big one", "Small"), &again.kept);
    assert_eq!(renamed.mistakes, Vec::<String>::new());
    assert_eq!(settings(&renamed).printers[0].connection.access_code.as_ref().unwrap().reveal(), "12345678");
    // Another network, or another printer, needs its own.
    let moved = check(
        &left.replace("ssid = Home", "ssid = Work").replace("192.168.1.20", "192.168.1.99"),
        &again.kept,
    );
    assert!(moved.wifi.is_none());
    assert_eq!(moved.mistakes.len(), 2, "{:?}", moved.mistakes);
    assert!(
        moved.mistakes[0].starts_with("Line 4: the stars")
            && moved.mistakes[1].starts_with("Line 19: the stars")
    );
    let lost = check(&left, "");
    assert_eq!((lost.mistakes.len(), lost.wifi.is_none()), (4, true));
}

#[test]
fn one_wrong_section_leaves_the_others_alone() {
    let text =
        GOOD.replace("type = bambu_lab", "type = makerbot").replace("country = de", "country = Germany");
    let checked = check(&text, "");
    assert!(checked.wifi.is_none());
    assert_eq!(checked.mistakes.len(), 2, "{:?}", checked.mistakes);
    assert!(checked.mistakes[0].starts_with("Line 5: country: "), "{:?}", checked.mistakes);
    assert!(checked.mistakes[1].starts_with("Line 16: type: "), "{:?}", checked.mistakes);
    let settings = config::check_text(Path::new("f"), checked.config.clone()).unwrap();
    assert_eq!(settings.printers.len(), 1);
    assert_eq!(settings.web.password.unwrap().reveal(), "a long sentence");
    // Secrets of what was not taken stay, those of the others go.
    let left = erased(&text, &checked);
    assert!(left.contains("12345678") && left.contains("correct horse") && !left.contains("a long sentence"));
}

#[test]
fn mistakes_never_show_a_secret() {
    for text in [
        "[wifi]\nssid = \"a\"\npassword = \"geheim\"\n",
        "[wifi]\nssid = \"a\"\npassword = geheim # geheim\n",
        "[wifi]\nssid = \"a\"\npassword = \"geheim\n",
        "[wifi]\nssid = \"a\"\npassword = [\"geheimgeheim\"]\n",
        "[web]\npassword = \" geheim \"\n",
        "[web]\npassword = \"geheim\n",
        "[[printers]]\nname = \"x\"\ntype = \"bambu_lab\"\nhost = \"10.0.0.1\"\naccess_code = [\"geheim\"]\n",
    ] {
        let checked = check(text, "");
        assert!(!checked.mistakes.is_empty(), "{text}");
        let said = format!("{:?} {:?}", checked.mistakes, checked.taken);
        assert!(!said.contains("geheim"), "{text}: {said}");
        assert!(checked.secrets.is_empty(), "{text}");
    }
}

#[test]
fn secrets_that_could_not_be_erased_are_not_taken() {
    for (text, line) in [
        ("web.password = \"geheimgeheim\"\n", 1),
        ("web = { name = \"a\", password = \"geheimgeheim\" }\n", 1),
        ("[web]\n\"password\" = \"geheimgeheim\"\n", 2),
        ("[web]\nname = \"a\"\npassword = \"\"\"\ngeheimgeheim\"\"\"\n", 3),
        ("[wifi]\nssid = \"a\"\n\"password\" = \"geheimgeheim\"\n", 3),
        ("[wifi]\nssid = \"a\"\npassword = \"\"\"\ngeheimgeheim\"\"\"\n", 3),
        (
            "printers = [{ name = \"x\", type = \"bambu_lab\", host = \"10.0.0.1\", serial = \"01P00A000000001\", access_code = \"geheimge\" }]\n",
            1,
        ),
    ] {
        let checked = check(text, "");
        assert_eq!(checked.mistakes.len(), 1, "{text}: {:?}", checked.mistakes);
        assert!(
            checked.mistakes[0].starts_with(&format!("Line {line}: passwords")),
            "{:?}",
            checked.mistakes
        );
        assert!(checked.wifi.is_none() && checked.secrets.is_empty(), "{text}");
        assert!(!checked.config.contains("geheim") && !checked.kept.contains("geheim"), "{text}");
    }
    // On one line it may have any quotes.
    let checked = check("[web]\npassword = \"\"\"geheimgeheim\"\"\" # mine\n", "");
    assert_eq!((checked.mistakes.len(), checked.secrets.len()), (0, 1));
}

#[test]
fn a_section_with_a_mistake_changes_nothing() {
    let first = check(GOOD, "");
    let left = erased(GOOD, &first);
    let wrong = left
        .replace("name = \"workshop\"", "name = \"no name\"")
        .replace("country = de", "country = Germany")
        .replace("type = bambu_lab", "type = makerbot");
    let checked = check(&wrong, &first.kept);
    assert_eq!(checked.mistakes.len(), 3, "{:?}", checked.mistakes);
    let settings = |checked: &Checked| config::check_text(Path::new("f"), checked.config.clone()).unwrap();
    assert_eq!(settings(&checked).web, settings(&first).web);
    assert_eq!(settings(&checked).printers.len(), 2);
    assert!(checked.wifi.is_none());
    // And the stars are good again when the mistakes are mended, also after a second attempt.
    let again = check(&wrong, &checked.kept);
    let mended = check(&left, &again.kept);
    assert_eq!(mended.mistakes, Vec::<String>::new());
    assert_eq!((mended.wifi, again.kept.len()), (first.wifi, checked.kept.len()));
    // What was taken out is not kept.
    let without = check("[time]\nzone = \"UTC\"\n", &first.kept);
    assert!(!without.kept.contains("horse") && !without.config.contains("sentence"));
}

#[test]
fn a_backslash_is_told_as_what_it_is() {
    let checked = check("[wifi]\nssid = \"a\"\npassword = \"geheim\\geheim\"\n", "");
    assert!(checked.mistakes[0].contains("is written twice"), "{:?}", checked.mistakes);
    assert!(!checked.mistakes[0].contains("geheim"));
}

#[test]
fn the_template_is_right_and_changes_nothing() {
    let template = include_str!("../../image-build/card/boot/printernizer.toml");
    let checked = check(template, "");
    assert_eq!(checked.mistakes, Vec::<String>::new());
    assert!(checked.wifi.is_none() && checked.secrets.is_empty() && checked.host_name.is_none());
    assert_eq!(
        config::check_text(Path::new("f"), checked.config.clone()).unwrap(),
        config::Config::default()
    );
    // And what it shows is right once the signs before it are taken away.
    let lines: Vec<String> =
        template.lines().map(|line| line.strip_prefix("#! ").unwrap_or(line).to_owned()).collect();
    let shown = check(&lines.join("\n"), "");
    assert_eq!(shown.mistakes, Vec::<String>::new());
    assert!(shown.wifi.is_some() && shown.secrets.len() == 4, "{shown:?}");
}

#[test]
fn no_text_breaks_it() {
    let pieces = [
        "[wifi]\n",
        "[[printers]]\n",
        "[web]\n",
        "ssid = x\n",
        "password = ***\n",
        "password = \"abcdefgh\"\n",
        "name = [\n",
        "]\n",
        "\"\"\"\n",
        "host = 10.0.0.1\n",
        "type = bambu_lab\n",
        "wifi.ssid = \"a\"\n",
        "= \n",
        "[\n",
        "\u{0}\n",
        "[wifi.x]\n",
        "access_code = 'a'\n",
        "hidden = 7\n",
        "wifi = { ssid = \"a\" }\n",
        "description = \"\"\"\n",
    ];
    let mut seed = 7_u32;
    for _ in 0..500 {
        let mut text = String::new();
        for _ in 0..10 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(pieces[usize::try_from(seed >> 8).unwrap() % pieces.len()]);
        }
        let checked = check(&text, &text);
        for span in &checked.secrets {
            assert!(text.get(span.clone()).is_some());
        }
        // Whatever was taken is right by itself.
        assert!(
            config::check_text(Path::new("f"), checked.config.clone()).is_ok(),
            "{text:?}\n{}",
            checked.config
        );
    }
}
