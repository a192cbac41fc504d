//! The configuration as a whole: texts in, values or mistakes out.

use super::*;

fn load_text(text: impl AsRef<[u8]>, environment: &[(&str, &str)]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    crate::base::file::write_atomic(&file, text.as_ref()).unwrap();
    let environment = environment.iter().map(|(name, text)| (name.into(), text.into())).collect();
    let loaded = load(&Sources { file: Some(file), environment, ..Sources::default() });
    loaded.map_err(|mistakes| mistakes.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn mistakes(text: &str) -> String {
    load_text(text, &[]).unwrap_err()
}

#[test]
fn nothing_given_means_defaults() {
    let loaded = load_text("", &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.web.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(loaded.config.storage.data_dir, Path::new("/var/lib/printernizer"));
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    crate::base::file::write_atomic(
        &file,
        b"[web]\nlisten = '1.1.1.1:1'\nname = 'one'\n[log]\nlevel = 'warn'",
    )
    .unwrap();
    let loaded = load(&Sources {
        file: Some(file.clone()),
        data_dir: Some("relative".into()),
        listen: Some("[::]:80".into()),
        environment: vec![
            ("PRINTERNIZER_WEB_LISTEN".into(), "2.2.2.2:2".into()),
            ("PRINTERNIZER_WEB_NAME".into(), "Two, three".into()),
            ("PRINTERNIZER_STORAGE_JOURNAL_MAX".into(), "500".into()),
            ("PRINTERNIZER_SOMETHING".into(), "x".into()),
            ("OTHER_WEB_LISTEN".into(), "x".into()),
        ],
    })
    .unwrap();
    assert_eq!(loaded.config.web.listen.to_string(), "[::]:80");
    assert_eq!(loaded.config.web.names, ["two", "three"]);
    assert_eq!(loaded.config.storage.journal_max, 500);
    assert_eq!(loaded.config.log.level, log::LevelFilter::Warn);
    assert!(loaded.config.storage.data_dir.is_absolute());
    assert_eq!(loaded.places["web.listen"], Place::Flag("--listen"));
    assert_eq!(loaded.places["log.level"], Place::Line { file, line: 5, column: 9 });
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn a_credential_wins_over_the_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let load = |credential: Option<&[u8]>, variables: &[(&str, &str)]| {
        let secret = dir.path().join("web.password");
        match credential {
            Some(bytes) => crate::base::file::write_atomic(&secret, bytes).unwrap(),
            None => std::fs::remove_file(&secret).unwrap_or_default(),
        }
        let mut environment: Vec<_> =
            variables.iter().map(|(name, text)| (name.into(), text.into())).collect();
        environment.push(("CREDENTIALS_DIRECTORY".into(), dir.path().into()));
        let file = dir.path().join("p.toml");
        crate::base::file::write_atomic(&file, b"[web]\npassword = 'of the file'").unwrap();
        super::load(&Sources { file: Some(file), environment, ..Sources::default() })
    };
    let password = |loaded: Loaded| loaded.config.web.password.map(|secret| secret.reveal().to_owned());
    for (credential, expected) in [
        (None, "of the file"),
        (Some(&b""[..]), "of the file"),
        (Some(b"\n"), "of the file"),
        (Some(b"of the unit"), "of the unit"),
        (Some("für die Unit\r\n".as_bytes()), "für die Unit"),
    ] {
        assert_eq!(password(load(credential, &[]).unwrap()).as_deref(), Some(expected));
    }
    let variable = [("PRINTERNIZER_WEB_PASSWORD", "of the environment")];
    assert_eq!(password(load(Some(b"x"), &variable).unwrap()).as_deref(), Some("of the environment"));
    for wrong in [&b"two\nlines-hunter2"[..], b"hunter2\xFF", b" hunter2", &[b'h'; 70_000]] {
        let said = load(Some(wrong), &[]).unwrap_err().to_string();
        assert!(said.contains("web.password: ") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn every_mistake_is_shown_with_its_place() {
    let said = load_text(
        "[web]\nlisten = \"nowhere\"\nlisen = 3\n\n[storage]\n  journal_max = \"many\"\n[what]\n",
        &[("PRINTERNIZER_LOG_LEVEL", "loud"), ("PRINTERNIZER_LOG_LEVLE", "info")],
    )
    .unwrap_err();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 6, "{said}");
    assert!(lines[0].starts_with("p.toml:2:10: web.listen: found \"nowhere\"; allowed: an IPv4"), "{said}");
    assert_eq!(lines[1], "p.toml:3:1: web: unknown key \"lisen\"; allowed: listen, name, password, private");
    assert!(
        lines[2].starts_with("p.toml:6:17: storage.journal_max: found \"many\"; allowed: a number"),
        "{said}"
    );
    assert!(lines[3].starts_with("p.toml:7:2: unknown section or key \"what\""), "{said}");
    assert!(
        lines[4].starts_with("environment variable PRINTERNIZER_LOG_LEVEL: log.level: found \"loud\""),
        "{said}"
    );
    assert!(lines[5].starts_with("environment variable PRINTERNIZER_LOG_LEVLE: no such setting"), "{said}");
}

#[test]
fn wrong_types_are_named() {
    let said = mistakes(
        "printers = 3\nlog = 'x'\nstorage = []\n[web]\nlisten = 8080\nname = [1]\npassword = 12\nprivate = 'yes'",
    );
    for part in [
        "p.toml:1:1: printers: found an integer",
        "p.toml:2:1: log: found a string; allowed: a section that begins with [log]",
        "p.toml:3:1: storage: found an array",
        "p.toml:5:10: web.listen: found the number 8080",
        "p.toml:6:8: web.name: found a list",
        "p.toml:7:12: web.password: found a number (not shown)",
        "p.toml:8:11: web.private: found \"yes\"; allowed: true or false",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn secrets_are_in_no_message() {
    for text in [
        "[web]\npassword = \"hunter2\nprivate = true",
        "[web]\npassword = hunter2",
        "[web]\npassword = 'hunter2' 'x'",
        "[web]\npassword = 'hunter2\\u0000\\n'\npassword = 'hunter2'",
        "[web]\npassword = \"hunter2\\u0000\"",
        "[web]\npassword = 'hunter2 '",
        "[web]\npassword hunter2",
        "[web]\npassword = ['hunter2']",
        "[web]\npassword = { x = 'hunter2' }",
        "[[printers]]\naccess_code = \"hunter2\\u0007\"",
    ] {
        let said = mistakes(text);
        assert!(!said.contains("hunter2"), "{text}\n{said}");
        assert!(said.contains("p.toml:2:") || said.contains("p.toml:3:"), "{text}\n{said}");
    }
    let said = load_text("", &[("PRINTERNIZER_WEB_PASSWORD", "hunter2\n")]).unwrap_err();
    assert!(said.contains("PRINTERNIZER_WEB_PASSWORD") && !said.contains("hunter2"), "{said}");
}

#[test]
fn broken_toml_and_wrong_values_are_shown_together() {
    let said = mistakes("[web]\nlisten = = 3\nprivate = 7\n[log\nlevel = \"loud\"\n");
    assert!(said.contains("p.toml:2:10: not TOML"), "{said}");
    assert!(said.contains("p.toml:3:11: web.private"), "{said}");
    assert!(said.contains("p.toml:4:"), "{said}");
    assert!(!said.contains("p.toml:2:10: web.listen"), "{said}");
}

#[test]
fn files_of_other_systems_are_read() {
    let text = "\u{FEFF}[web]\r\nname = \"werkstatt\" # Büro\r\n[[printers]]\r\nname = \"Würfel\"\r\ntype = \"prusa_core\"\r\nhost = \"x.local\"\r\n";
    let config = load_text(text, &[]).unwrap().config;
    assert_eq!(config.printers[0].name, "Würfel");
    assert_eq!(config.web.names, ["werkstatt"]);
    let said = mistakes("\u{FEFF}wbe = 1\r\n[log]\r\nlevel = 1");
    assert!(said.contains("p.toml:1:1: ") && said.contains("p.toml:3:9: "), "{said}");
    assert!(load_text(b"[web]\nname = \"B\xFCro\"", &[]).unwrap_err().starts_with("p.toml:2:10: "));
    assert!(load_text(b"[\0w\0", &[]).is_err());
}

#[test]
fn a_file_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let said =
        |file: PathBuf| load(&Sources { file: Some(file), ..Sources::default() }).unwrap_err().to_string();
    assert!(said(dir.path().into()).contains("this is a directory"));
    assert!(said(dir.path().join("absent")).contains("does not exist"));
    let huge = load_text("#".repeat(64 * 1024 + 1), &[]).unwrap_err();
    assert!(huge.contains("larger than 64 KiB"), "{huge}");
    assert!(load_text("#".repeat(64 * 1024), &[]).is_ok());
    assert!(load(&Sources { file: Some("/dev/zero".into()), ..Sources::default() }).is_err());
}

#[test]
fn thousands_of_mistakes_are_cut() {
    let text: String = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
    let said = mistakes(&text);
    assert_eq!(said.lines().count(), mistake::MISTAKES_MAX + 1);
    assert!(said.ends_with("and 4950 more"), "{said}");
    // Nested deeper than any parser's stack should follow.
    assert!(load_text("a = ".to_owned() + &"[".repeat(60_000), &[]).is_err());
    assert!(load_text("a.".repeat(30_000) + "a = 1", &[]).is_err());
    assert!(load_text(format!("[{}a]", "a.".repeat(30_000)), &[]).is_err());
    assert!(load_text("a = ".to_owned() + &"{a=".repeat(20_000), &[]).is_err());
}

#[test]
fn printers_of_the_file() {
    let text = r#"
[[printers]]
name = " One "
type = "bambu_lab"
host = "[FD00::1]"
serial = "01s00a000000000"
access_code = "12345678"

[[printers]]
name = "Two"
type = "prusa_link"
host = "Prusa.local"
api_key = "k"
http_port = 8080
enabled = false
"#;
    let config = load_text(text, &[]).unwrap().config;
    let [one, two] = config.printers.as_slice() else { panic!("{config:?}") };
    assert_eq!((one.name.as_str(), one.connection.host.as_str(), one.port()), ("One", "fd00::1", 8883));
    assert_eq!(one.connection.serial.as_deref(), Some("01S00A000000000"));
    assert_eq!((two.connection.host.as_str(), two.port(), two.enabled), ("prusa.local", 8080, false));
    assert!(!format!("{config:?}").contains("12345678"));
}

#[test]
fn mistakes_in_printers() {
    let text = r#"[[printers]]
name = "One"
type = "bambu_lab"
host = "a"
access_code = 12345678
[[printers]]
name = "Two"
type = "bambu_lab"
host = "A"
api_key = "k"
[[printers]]
type = "ender"
http_port = 0
"#;
    let said = mistakes(text);
    for part in [
        "p.toml:5:15: printers[1].access_code: found a number (not shown); allowed: the code in quotes",
        "p.toml:6:1: printers[2]: the same serial number, or host and port, as printer 1",
        "p.toml:10:1: printers[2].api_key: means nothing for a printer of type \"bambu_lab\"",
        "p.toml:11:1: printers[3]: the key name is missing",
        "p.toml:11:1: printers[3]: the key host is missing",
        "p.toml:12:8: printers[3].type: found \"ender\"; allowed: \"bambu_lab\" or \"prusa_link\"",
        "p.toml:13:13: printers[3].http_port: found the number 0",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(said.lines().count(), 7, "{said}");
    let many: String = (0..=PRINTERS_MAX)
        .map(|n| format!("[[printers]]\nname='n'\ntype='bambu_lab'\nhost='h{n}'\n"))
        .collect();
    assert!(mistakes(&many).contains("at most 32"));
}

#[test]
fn private_needs_a_password() {
    let said = mistakes("[web]\nprivate = true");
    assert!(said.starts_with("p.toml:2:11: web.private: found true, but there is no password"), "{said}");
    assert!(load_text("[web]\nprivate = true\npassword = 'x'", &[]).is_ok());
}

#[test]
fn what_is_printed_can_be_read_again() {
    let text = "[web]\nname = ['a', 'b']\npassword = 'hunter2'\n[[printers]]\nname = 'Ä\"'\ntype = 'bambu_lab'\nhost = 'h'\naccess_code = 'hunter3'\n";
    let loaded = load_text(text, &[("PRINTERNIZER_LOG_LEVEL", "debug")]).unwrap();
    let printed = print(&loaded);
    assert!(!printed.contains("hunter"), "{printed}");
    assert!(printed.contains("# password is set and not shown"), "{printed}");
    assert!(
        printed.contains("level = \"debug\"  # environment variable PRINTERNIZER_LOG_LEVEL"),
        "{printed}"
    );
    let mut expected = loaded.config.clone();
    expected.web.password = None;
    expected.printers[0].connection.access_code = None;
    assert_eq!(load_text(&printed, &[]).unwrap().config, expected, "{printed}");
    assert!(print(&Loaded::default()).contains("#[[printers]]"));
    assert_eq!(load_text(print(&Loaded::default()), &[]).unwrap().config, Config::default());
    // The commented examples must be valid when the marks are taken off.
    let examples: String = print(&Loaded::default())
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n"
        })
        .filter(|line| {
            !["api_key", "username", "password = \"p", "http_port", "description"]
                .iter()
                .any(|k| line.starts_with(k))
        })
        .collect();
    assert!(load_text(&examples, &[]).is_ok(), "{examples}");
}
