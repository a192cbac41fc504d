//! Password, sessions, tokens, settings and the machine, as a client sees them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use board::{Board, BoardError, Facts, Signal};
use serde_json::{Value, json};

use crate::client::{Answer, Listener, request};
use crate::service::{Service, Setup, wait_for};

const PASSWORD: &str = "a long sentence";
const JSON: &str = "Content-Type: application/json";

fn guarded(private: bool) -> Service {
    Service::with(Setup { password: Some(PASSWORD), private, ..Setup::default() })
}

/// Asks with header lines of one's own.
fn ask(service: &Service, method: &str, path: &str, shown: &[&str], body: Option<Value>) -> Answer {
    let mut headers = vec![JSON];
    headers.extend(shown);
    let body = body.map(|body| body.to_string());
    service.raw(method, path, &headers, body.as_deref().map(str::as_bytes))
}

/// Logs in; answers the cookie's header line.
fn login(service: &Service, password: &str) -> String {
    let answer = service.post("/login", json!({"password": password}));
    answer.expect(200);
    let cookie = answer.header("Set-Cookie").unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000");
    format!("Cookie: {pair}")
}

/// One route of each kind that has a guard, and the smallest body that it takes: method, path, body.
fn changing() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/printers", json!({})),
        ("PUT", "/settings", json!({})),
        ("DELETE", "/jobs/j1", Value::Null),
        ("POST", "/library?filename=a.gcode", json!({"file_id": "f1"})),
        ("PATCH", "/materials/m1", json!({})),
    ]
}

const READING: [&str; 8] = [
    "/printers",
    "/health",
    "/events/recent",
    "/jobs/export",
    "/files/f1/content",
    "/system/logs",
    "/system/support-bundle",
    "/settings",
];

const OWNERS: [(&str, &str); 6] = [
    ("POST", "/system/reboot"),
    ("POST", "/system/shutdown"),
    ("POST", "/system/update"),
    ("POST", "/system/factory-reset"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
];

#[test]
fn a_password_guards_what_changes_something_and_private_everything() {
    let bearer = format!("Authorization: Bearer {PASSWORD}");
    for private in [false, true] {
        let service = Service::with(Setup { password: Some(PASSWORD), ..Setup::default() });
        // The listener of the service's own harness reads without a password, so it is made private afterwards.
        if private {
            ask(&service, "PUT", "/settings", &[&bearer], Some(json!({"private": true}))).expect(200);
        }
        for (method, path, body) in changing() {
            let nobody = ask(&service, method, path, &[], Some(body.clone()));
            assert_eq!(nobody.error(401), "PASSWORD_NEEDED", "{method} {path}");
            assert_eq!(nobody.header("WWW-Authenticate"), Some("Bearer"));
            let known = ask(&service, method, path, &[&bearer], Some(body));
            assert!(![401, 403, 429].contains(&known.status), "{method} {path}: {known:?}");
        }
        for path in READING {
            let nobody = ask(&service, "GET", path, &[], None);
            assert_eq!(nobody.status == 401, private, "{path}: {}", nobody.status);
            let known = ask(&service, "GET", path, &[&bearer], None);
            assert!([200, 404].contains(&known.status), "{path}: {known:?}");
        }
        let stream = request(service.address, "HEAD", "/api/v1/events", &[], None);
        assert_eq!(stream.status, 200, "a HEAD shows nothing of it");
        for path in ["/api/v1/events", "/api/v1/events?after=0"] {
            if private {
                assert_eq!(request(service.address, "GET", path, &[], None).error(401), "PASSWORD_NEEDED");
            }
        }
        Listener::open(service.address, "", &[&bearer]).first("a snapshot", |seen| seen.name == "snapshot");
        // The page itself is nobody's secret: without it nobody could log in.
        let page = request(service.address, "GET", "/", &[], None);
        assert_eq!(page.status, 200);
    }
}

#[test]
fn the_owners_routes_need_a_password_in_any_case() {
    let service = Service::start();
    for (method, path) in OWNERS {
        let answer = service.call(method, path, Some(json!({"confirm": "factory-reset", "name": "x"})));
        assert_eq!(answer.error(403), "PASSWORD_NOT_SET", "{method} {path}");
    }
    let shown = service.call("PUT", "/settings", Some(json!({"password": PASSWORD}))).expect(200);
    assert_eq!((&shown["has_password"], &shown["private"]), (&json!(true), &json!(false)));
    for (method, path) in OWNERS {
        let answer = service.call(method, path, Some(json!({})));
        assert_eq!(answer.error(401), "PASSWORD_NEEDED", "{method} {path}");
    }
    let cookie = login(&service, PASSWORD);
    let update = ask(&service, "POST", "/system/update", &[&cookie], Some(json!({})));
    assert_eq!(update.error(501), "UPDATE_NOT_SUPPORTED");
    let reset = ask(&service, "POST", "/system/factory-reset", &[&cookie], Some(json!({"confirm": "yes"})));
    assert_eq!(reset.error(400), "BAD_VALUE");
    let reboot = ask(&service, "POST", "/system/reboot", &[&cookie], None);
    assert_eq!(reboot.error(501), "NOT_SUPPORTED", "this host has no helper");
}

#[test]
fn a_page_logs_in_and_out_and_stays_in_over_a_restart() {
    let service = Service::start();
    assert_eq!(service.get("/login"), json!({"mode": "open", "authenticated": false, "by": null}));
    assert_eq!(service.post("/login", json!({"password": "x"})).error(409), "PASSWORD_NOT_SET");
    service.call("PUT", "/settings", Some(json!({"password": PASSWORD}))).expect(200);
    assert_eq!(service.post("/login", json!({"password": "x"})).error(401), "WRONG_PASSWORD");
    assert_eq!(service.post("/login", json!({"word": "x"})).error(422), "WRONG_SHAPE");
    let cookie = login(&service, PASSWORD);
    let foreign = ["Origin: http://evil.example", cookie.as_str(), JSON];
    let body = json!({"password": PASSWORD}).to_string();
    for path in ["/login", "/logout"] {
        let answer = service.raw("POST", path, &foreign, Some(body.as_bytes()));
        assert_eq!(answer.error(403), "FOREIGN_ORIGIN");
    }
    let service = service.restart();
    let state = ask(&service, "GET", "/login", &[&cookie], None).expect(200);
    assert_eq!(state, json!({"mode": "password", "authenticated": true, "by": "session"}));
    ask(&service, "PUT", "/settings", &[&cookie], Some(json!({"log_level": "trace"}))).expect(200);
    let out = ask(&service, "POST", "/logout", &[&cookie], None);
    out.expect(204);
    assert!(out.header("Set-Cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(ask(&service, "PUT", "/settings", &[&cookie], Some(json!({}))).error(401), "PASSWORD_NEEDED");
    let service = service.restart();
    assert_eq!(ask(&service, "GET", "/login", &[&cookie], None).expect(200)["authenticated"], false);
}

#[test]
fn a_stream_ends_when_its_session_does() {
    let service = guarded(false);
    let cookie = login(&service, PASSWORD);
    let stream = Listener::open(service.address, "", &[&cookie]);
    let anybody = Listener::open(service.address, "", &[]);
    stream.first("a snapshot", |seen| seen.name == "snapshot");
    anybody.first("a snapshot", |seen| seen.name == "snapshot");
    ask(&service, "PUT", "/settings", &[&cookie], Some(json!({"private": true, "low_stock_percentage": 30})))
        .expect(200);
    anybody.wait_for_end();
    stream.first("the change", |seen| seen.name == "settings_changed");
    ask(&service, "POST", "/logout", &[&cookie], None).expect(204);
    // Whatever comes next is not told any more.
    let bearer = format!("Authorization: Bearer {PASSWORD}");
    ask(&service, "PUT", "/settings", &[&bearer], Some(json!({"low_stock_percentage": 31}))).expect(200);
    stream.wait_for_end();
    assert_eq!(stream.all().iter().filter(|seen| seen.name == "settings_changed").count(), 1);
}

#[test]
fn who_guesses_waits_and_who_is_logged_in_does_not() {
    let service = Service::with(Setup { password: Some(PASSWORD), ..Setup::manual() });
    let cookie = login(&service, PASSWORD);
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(service.post("/login", json!({"password": "guess"})).status);
    }
    assert_eq!(codes[..5], [401; 5]);
    assert!(codes[10..].iter().all(|code| *code == 429), "{codes:?}");
    let refused = service.post("/login", json!({"password": PASSWORD}));
    assert_eq!(refused.error(429), "TOO_MANY_ATTEMPTS");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    ask(&service, "PUT", "/settings", &[&cookie], Some(json!({}))).expect(200);
    service.setup.clock.advance(Duration::from_secs(wait));
    login(&service, PASSWORD);
}

#[test]
fn a_token_is_shown_once_and_can_be_taken_back() {
    let service = guarded(false);
    let cookie = login(&service, PASSWORD);
    let made = ask(&service, "POST", "/tokens", &[&cookie], Some(json!({"name": "home"}))).expect(201);
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("pzt_") && secret.len() > 40);
    let header = format!("Authorization: Bearer {secret}");
    ask(&service, "PUT", "/settings", &[&header], Some(json!({}))).expect(200);
    for change in [json!({"password": "x"}), json!({"password": null}), json!({"private": true})] {
        assert_eq!(ask(&service, "PUT", "/settings", &[&header], Some(change)).error(403), "PASSWORD_NEEDED");
    }
    assert_eq!(ask(&service, "GET", "/tokens", &[&header], None).error(403), "PASSWORD_NEEDED");
    assert_eq!(
        ask(&service, "POST", "/tokens", &[&cookie], Some(json!({"name": "home"}))).error(409),
        "NAME_TAKEN"
    );
    assert_eq!(
        ask(&service, "POST", "/tokens", &[&cookie], Some(json!({"name": ""}))).error(400),
        "BAD_VALUE"
    );
    let listed = ask(&service, "GET", "/tokens", &[&cookie], None);
    assert!(!listed.body.contains(&secret) && !listed.body.contains("pzt_"));
    let listed = listed.expect(200);
    assert_eq!((&listed["tokens"][0]["name"], &listed["total_count"]), (&json!("home"), &json!(1)));
    let path = format!("/tokens/{}", listed["tokens"][0]["id"].as_str().unwrap());
    let service = service.restart();
    ask(&service, "DELETE", &path, &[&cookie], None).expect(204);
    assert_eq!(ask(&service, "DELETE", &path, &[&cookie], None).error(404), "NOT_FOUND");
    assert_eq!(ask(&service, "PUT", "/settings", &[&header], Some(json!({}))).error(401), "WRONG_PASSWORD");
}

#[test]
fn settings_are_judged_as_a_whole_kept_and_taken_into_effect() {
    let service = Service::start();
    let before = service.get("/settings");
    assert_eq!((&before["changed"], &before["restart_needed"]), (&json!([]), &json!([])));
    // Every fault is named at once, and nothing of it is changed.
    let wrong = json!({
        "log_level": "loud", "max_file_size": "much", "low_stock_percentage": 101, "names": ["a b"], "listen": 80,
        "private": true, "password": " x", "library_quota": 5000,
    });
    let answer = service.call("PUT", "/settings", Some(wrong));
    assert_eq!(answer.error(422), "WRONG_SHAPE");
    let faults = answer.json()["details"]["faults"].as_array().unwrap().clone();
    let mut fields: Vec<&str> = faults.iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields, ["listen", "log_level", "low_stock_percentage", "max_file_size", "names", "password"]);
    assert!(faults.iter().all(|fault| fault["message"].as_str().unwrap().len() > 5), "{faults:?}");
    assert_eq!(service.get("/settings"), before);
    let answer = service.call("PUT", "/settings", Some(json!({"private": true})));
    assert_eq!(
        (answer.error(400).as_str(), &answer.json()["details"]["field"]),
        ("BAD_VALUE", &json!("private"))
    );

    let wanted = json!({
        "names": ["Werkstatt"], "max_file_size": 2048, "library_auto_add": true, "library_quota": 5_000_000_000_u64,
        "library_min_free": 16_777_216, "low_stock_percentage": 35, "auto_download": false, "time_zone": "Europe/Berlin",
        "watch_folder": "/srv/prints",
    });
    let shown = service.call("PUT", "/settings", Some(wanted.clone())).expect(200);
    let expected = json!({"names": ["werkstatt"]});
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&shown[name], expected.get(name).unwrap_or(value), "{name}");
    }
    assert_eq!(shown["restart_needed"], json!(["time_zone", "watch_folder"]));
    assert_eq!(shown["changed"].as_array().unwrap().len(), 9);
    let event = service.log.first("the event", |seen| seen.name == "settings_changed");
    assert_eq!(event.data()["keys"].as_array().unwrap().len(), 9);

    // In effect at once: names, size of an upload, thresholds.
    let host = |service: &Service, name: &str| {
        let mut stream = std::net::TcpStream::connect(service.address).unwrap();
        use std::io::{Read as _, Write as _};
        write!(stream, "GET /api/v1/liveness HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse::<u16>().unwrap()
    };
    assert_eq!((host(&service, "werkstatt.local"), host(&service, "printernizer.local")), (200, 421));
    let upload = service.raw("POST", "/library?filename=a.gcode", &[], Some(&[b'G'; 70_000]));
    assert_eq!(upload.status, 413, "{upload:?}");
    let spool = service.post("/materials", json!({"material_type": "PLA", "weight": 1})).expect(201);
    assert_eq!(spool["threshold_percentage"], 35.0, "{spool}");

    // And after a restart, with what needed one.
    let service = service.restart();
    let after = service.get("/settings");
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&after[name], expected.get(name).unwrap_or(value), "{name}");
    }
    assert_eq!(after["restart_needed"], json!([]));
    assert_eq!(service.get("/jobs/statistics")["time_zone"], "Europe/Berlin");
    assert_eq!(host(&service, "werkstatt.local"), 200);

    // Nothing changed: no event.
    let newest = service.newest();
    service.call("PUT", "/settings", Some(wanted)).expect(200);
    assert_eq!(service.newest(), newest);
}

#[test]
fn two_who_change_settings_at_once_are_told_apart_by_the_tag() {
    let service = Service::start();
    let tag = service.call("GET", "/settings", None).header("ETag").unwrap().to_owned();
    let header = format!("If-Match: {tag}");
    let first = ask(&service, "PUT", "/settings", &[&header], Some(json!({"library_quota": 1_000})));
    let new_tag = first.header("ETag").unwrap().to_owned();
    first.expect(200);
    let second = ask(&service, "PUT", "/settings", &[&header], Some(json!({"library_quota": 2_000})));
    assert_eq!(second.error(412), "SETTINGS_CHANGED");
    let header = format!("If-Match: {new_tag}");
    ask(&service, "PUT", "/settings", &[&header], Some(json!({"library_quota": 2_000}))).expect(200);
}

#[test]
fn a_forgotten_password_is_taken_away_by_a_file() {
    let mut service = Service::start();
    std::fs::create_dir(service.directory().join("boot")).unwrap();
    // In the data directory, and on the boot partition as a person's computer names it.
    for name in ["reset-password", "boot/Reset-Password.TXT"] {
        service.call("PUT", "/settings", Some(json!({"password": PASSWORD}))).expect(200);
        let cookie = login(&service, PASSWORD);
        let token = ask(&service, "POST", "/tokens", &[&cookie], Some(json!({"name": "x"}))).expect(201);
        let token = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
        let (setup, _) = service.stop();
        let file = setup.directory.path().join(name);
        std::fs::File::create(&file).unwrap();
        service = Service::with(setup);
        assert!(!file.exists(), "{name}");
        for shown in [&cookie, &token] {
            let state = ask(&service, "GET", "/login", &[shown], None).expect(200);
            assert_eq!(state, json!({"mode": "open", "authenticated": false, "by": null}), "{name}");
        }
        let lines = crate::service::logged();
        assert!(
            lines.iter().any(|line| line.contains("the password, all sessions") && line.contains(name)),
            "{name}"
        );
    }
}

/// A board that does what it is told.
#[derive(Default)]
struct Obedient {
    restarts: AtomicU32,
    words: Mutex<Vec<&'static str>>,
    lights: Mutex<Vec<Signal>>,
}

impl Board for Obedient {
    fn facts(&self) -> Facts {
        Facts {
            model: Some("Raspberry Pi Zero W Rev 1.1".into()),
            temperature_c: Some(41.5),
            ..Facts::default()
        }
    }

    /// Busy when it is first told that all is well.
    fn show(&self, signal: Signal) -> Result<(), BoardError> {
        let mut lights = self.lights.lock().unwrap();
        lights.push(signal);
        match lights.iter().filter(|light| **light == Signal::Fine).count() {
            1 => Err(BoardError::System {
                what: "setting the light",
                source: std::io::ErrorKind::WouldBlock.into(),
            }),
            _ => Ok(()),
        }
    }

    fn restart(&self) -> Result<(), BoardError> {
        self.words.lock().unwrap().push("restart");
        match self.restarts.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(BoardError::System {
                what: "asking the system for it",
                source: std::io::Error::other("no helper"),
            }),
        }
    }

    fn power_off(&self) -> Result<(), BoardError> {
        self.words.lock().unwrap().push("power-off");
        Ok(())
    }
}

#[test]
fn a_light_that_is_busy_once_is_set_at_the_next_look_and_then_left_alone() {
    let board = Arc::new(Obedient::default());
    let service = Service::with(Setup { board: board.clone(), ..Setup::manual() });
    let lights = || board.lights.lock().unwrap().clone();
    let wanted = [Signal::Starting, Signal::Fine, Signal::Fine];
    wait_for("the light is asked for", || lights().len() == 2);
    wait_for("it is asked for again", || {
        service.pass(Duration::from_secs(1));
        lights().len() == wanted.len()
    });
    service.pass(Duration::from_secs(20));
    assert_eq!(lights(), wanted);
}

#[test]
fn the_owner_restarts_and_switches_off_and_reads_how_the_board_is() {
    let board = Arc::new(Obedient::default());
    let service = Service::with(Setup { password: Some(PASSWORD), board: board.clone(), ..Setup::default() });
    let cookie = login(&service, PASSWORD);
    let post = |path: &str| ask(&service, "POST", path, &[&cookie], None);
    assert_eq!(post("/system/reboot").expect(202)["status"], "restarting");
    assert_eq!(post("/system/reboot").error(503), "POWER_FAILED");
    assert_eq!(post("/system/shutdown").expect(202)["status"], "switching_off");
    assert_eq!(*board.words.lock().unwrap(), ["restart", "restart", "power-off"]);
    let system = service.get("/system");
    assert_eq!(system["board"]["model"], "Raspberry Pi Zero W Rev 1.1");
    assert_eq!(system["board"]["temperature_c"], 41.5);
    assert_eq!(system["auth"], "password");
    assert!(system["uptime_seconds"].is_u64() && system["memory"]["rss_bytes"].is_u64());
    assert!(system["storage"]["written_since_start"].is_u64());
}

#[test]
fn logs_are_paged_by_number_and_level() {
    let service = Service::start();
    let logs = service.get("/system/logs?limit=5&level=warn");
    for name in ["lines", "newest", "suppressed", "log_level"] {
        assert!(!logs[name].is_null(), "{name}");
    }
    for query in ["limit=0", "limit=501", "limit=x", "level=loud", "after=-1"] {
        let answer = service.call("GET", &format!("/system/logs?{query}"), None);
        assert_eq!(answer.error(400), "BAD_VALUE", "{query}");
    }
    let bundle = service.call("GET", "/system/support-bundle", None);
    assert!(
        bundle.header("Content-Disposition").unwrap().starts_with("attachment; filename=\"printernizer-2")
    );
    let bundle = bundle.expect(200);
    for part in
        ["made_at", "version", "settings", "health", "system", "printers", "odd_input", "events", "log"]
    {
        assert!(!bundle[part].is_null(), "{part}");
    }
    assert_eq!(bundle["events"][0]["event"], "service_started");
}

#[test]
fn a_factory_reset_erases_what_is_ours_and_nothing_else() {
    let service = guarded(false);
    let cookie = login(&service, PASSWORD);
    ask(&service, "POST", "/materials", &[&cookie], Some(json!({"material_type": "PLA", "weight": 1})))
        .expect(201);
    let printer = json!({
        "name": "P", "printer_type": "bambu_lab", "is_enabled": false,
        "connection_config": {"ip_address": "127.0.0.1", "serial_number": "01P00A000000001", "access_code": "SeCr3tC0"},
    });
    ask(&service, "POST", "/printers", &[&cookie], Some(printer)).expect(201);
    let directory = service.directory().to_owned();
    std::fs::File::create(directory.join("not-ours.txt")).unwrap();
    let answer =
        ask(&service, "POST", "/system/factory-reset", &[&cookie], Some(json!({"confirm": "factory-reset"})));
    assert_eq!(answer.expect(202)["status"], "resetting");
    // It ends by itself, and whoever has started it starts it again.
    wait_for("it ends", || service.manager.is_stopping());
    let (setup, _) = service.stop();
    assert!(directory.join("factory-reset").exists() && directory.join("printernizer.redb").exists());
    let service = Service::with(setup);
    assert!(!directory.join("factory-reset").exists() && directory.join("not-ours.txt").exists());
    assert_eq!(service.get("/printers")["total_count"], 0);
    assert_eq!(service.get("/materials")["total_count"], 0);
    assert_eq!(service.journal()[0]["seq"], 1);
    let state = ask(&service, "GET", "/login", &[&cookie], None).expect(200);
    assert_eq!(
        state,
        json!({"mode": "password", "authenticated": false, "by": null}),
        "the configuration's counts"
    );
    let bytes = std::fs::read(directory.join("printernizer.redb")).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"SeCr3tC0"));
}
