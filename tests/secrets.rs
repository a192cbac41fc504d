//! No secret leaves the service: unique ones are planted wherever one can be, and everything that comes out is searched.
//!
//! The real program, with its own log at the finest level, its command line and its files. Codes, keys and passwords of
//! printers (right and wrong ones), passwords of the device (configured, set, guessed), a session's id, a token. Searched are
//! the answers of every address, known and unknown visitors alike, the event stream and the journal, the log, the support
//! bundle, what the command line says, and what the guard keeps on the card.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use printernizer::base::clock::RELEASE_FLOOR;
use printernizer::base::secret::Secret;
use printernizer::config::{self, Sources};
use printernizer::model::{ConnectionConfig, Printer, PrinterId, PrinterType};
use printernizer::net::ftps;
use serde_json::{Value, json};
use simulator::bambu::ftps::FilePlan;
use simulator::{bambu, prusa};

/// How long something is waited for that takes milliseconds when all is well.
const PATIENCE: Duration = Duration::from_secs(60);
/// Every planted secret holds this, and nothing else does.
const MARK: &str = "xSeCrEtx";

const CONFIGURED: &str = "xSeCrEtx configured";
const SET: &str = "xSeCrEtx set by hand";
const GUESSED: &str = "xSeCrEtx set by hanD";
/// What a backup's secrets are encrypted with.
const PHRASE: &str = "phrase-that-only-the-owner-knows-31";
const CODE: &str = "xSeCrEtx";
const WRONG_CODE: &str = "xSeCrEtx-no";
const PRUSA: &str = "xSeCrEtxPrusa";
const KEY: &str = "xSeCrEtxKey";
/// Set beside the secrets, and shown.
const NO_SECRET: &str = "a-name-of-mine";
const FILE_CODE: &str = "xSeCrEtxFile";

/// The program, running; its log goes to a file.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that fails leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(words: &[&str], config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printernizer"));
    command.env_clear().args(words).arg("--config").arg(config).stdin(Stdio::null());
    command
}

impl Program {
    fn start(config: &Path, log: &Path) -> Program {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child =
            command(&["serve", "--listen", &address.to_string()], config).stderr(log).spawn().unwrap();
        let mut program = Program { child, address };
        until("the program answers", || {
            let ended = program.child.try_wait().unwrap();
            assert!(ended.is_none(), "the program does not start: {ended:?}");
            program.ask("GET", "/liveness", &[], None).is_some()
        });
        program
    }

    /// One request: status, head and body as they came.
    fn ask(&self, method: &str, path: &str, headers: &[&str], body: Option<&Value>) -> Option<(u16, String)> {
        let mut socket = TcpStream::connect(self.address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let path = if path == "/metrics" || path == "/" { path.to_owned() } else { format!("/api/v1{path}") };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(&format!("{header}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        write!(socket, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Some((answer.get(9..12)?.parse().ok()?, answer))
    }

    fn body(&self, method: &str, path: &str, headers: &[&str], body: Option<&Value>) -> Value {
        let (_, answer) = self.ask(method, path, headers, body).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or(Value::Null)
    }

    /// Everything that the stream says from its beginning on, until it speaks of `last`.
    fn stream(&self, header: &str, query: &str, last: &str) -> String {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n").unwrap();
        let mut all = String::new();
        let mut reader = BufReader::new(socket);
        while !all.contains(last) {
            // A ping comes every 15 s.
            let patient = all.matches("event: ping").count() < 8;
            assert!(reader.read_line(&mut all).unwrap() > 0 && patient, "{last} is not said: {all}");
        }
        all
    }

    /// Ends it as SIGTERM does.
    fn end(mut self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Waits until `holds`, looking every few milliseconds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let (_keep, never) = sync_channel::<()>(0);
    for _ in 0..PATIENCE.as_millis() / 20 {
        if holds() {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

/// Everything that came out, by where.
#[derive(Default)]
struct Out(Vec<(String, String)>);

impl Out {
    fn keep(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    /// Searches everything, in any case of letters.
    fn search(&self, more: &[&str]) {
        assert!(self.0.len() > 100, "only {} places were looked at", self.0.len());
        // What is no secret is found: the search works.
        let shown = self.0.iter().filter(|(_, text)| text.contains(NO_SECRET)).count();
        assert!(shown > 2, "{NO_SECRET} is shown in {shown} places");
        for (place, text) in &self.0 {
            let text = text.to_lowercase();
            for secret in [MARK].iter().chain(more) {
                let at = text.find(&secret.to_lowercase());
                let around = at.map(|at| text.get(at.saturating_sub(120)..(at + 40).min(text.len())));
                assert!(at.is_none(), "{place} shows {secret}: ...{around:?}");
            }
        }
    }
}

/// Every address that answers GET, with ids that are there and some that are not.
fn addresses(program: &Program, header: &str) -> Vec<String> {
    let description = program.body("GET", "/openapi.json", &[header], None);
    let mut all = Vec::new();
    for (path, verbs) in description["paths"].as_object().unwrap() {
        if verbs.get("get").is_none() || path == "/api/v1/events" {
            continue;
        }
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        for id in ["1", "2", "3", "none"] {
            let mut filled = path.replace("{seq}", id).replace("{checksum}", &"ab".repeat(32));
            let letter = path.trim_start_matches('/').chars().next().unwrap_or('x');
            filled = filled
                .replace("{id}", &format!("{letter}{id}"))
                .replace("{slot}", "0")
                .replace("{filename}", "a.gcode");
            if !all.contains(&filled) {
                all.push(filled);
            }
        }
    }
    assert!(all.len() > 50, "{all:?}");
    all
}

fn plant(program: &Program, out: &mut Out) -> (String, String, String) {
    let bearer = format!("Authorization: Bearer {CONFIGURED}");
    let session_of = |answer: &str| {
        let cookie =
            answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: printernizer_session=")).unwrap();
        cookie.split(';').next().unwrap().to_owned()
    };
    // The configured password opens; another one is set; somebody guesses nearly right.
    let (status, answer) =
        program.ask("POST", "/login", &[], Some(&json!({"password": CONFIGURED}))).unwrap();
    assert_eq!(status, 200, "{answer}");
    let first = session_of(&answer);
    let change = json!({"password": SET, "log_level": "trace", "names": [NO_SECRET]});
    let (status, answer) = program.ask("PUT", "/settings", &[&bearer], Some(&change)).unwrap();
    assert_eq!(status, 200, "{answer}");
    out.keep("PUT /settings", answer);
    for (path, body) in [
        ("/login", json!({"password": GUESSED})),
        ("/login", json!({"password": [GUESSED]})),
        ("/login", json!({"password": 4711, GUESSED: 1})),
        ("/settings", json!({"password": format!(" {GUESSED}"), "log_level": 5})),
        ("/settings", json!({"password": {GUESSED: 1}})),
        ("/tokens", json!({"name": ""})),
    ] {
        let method = if path == "/settings" { "PUT" } else { "POST" };
        let right = format!("Authorization: Bearer {SET}");
        let wrong = format!("Authorization: Bearer {GUESSED}");
        for header in [&right, &wrong] {
            // Too many attempts are refused, which is an answer, too.
            let (status, answer) = program.ask(method, path, &[header], Some(&body)).unwrap();
            assert!(status >= 400, "{path} {answer}");
            out.keep(path, answer);
        }
    }
    let session = {
        let mut session = None;
        until("a login after the guesses", || {
            let (status, answer) =
                program.ask("POST", "/login", &[], Some(&json!({"password": SET}))).unwrap();
            session = (status == 200).then(|| session_of(&answer));
            session.is_some()
        });
        session.unwrap()
    };
    let cookie = format!("Cookie: printernizer_session={session}");
    let made = program.body("POST", "/tokens", &[&cookie], Some(&json!({"name": "a script"})));
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(first.len(), 64);
    (first, session, token)
}

fn add_printers(
    program: &Program,
    header: &str,
    out: &mut Out,
    bambu: &bambu::Printer,
    prusa: &prusa::Printer,
) {
    let way = |code: &str| {
        json!({
            "ip_address": "127.0.0.1", "serial_number": bambu.serial(), "access_code": code,
            "mqtt_port": bambu.port(), "ftps_port": bambu.ftps_addr().port(),
        })
    };
    let unreachable = json!({
        "ip_address": "127.0.0.1", "http_port": 9, "api_key": KEY, "username": "somebody", "password": PRUSA,
    });
    for (path, body) in [
        (
            "/printers/test-connection",
            json!({"name": "T", "printer_type": "bambu_lab", "connection_config": way(WRONG_CODE)}),
        ),
        ("/printers", json!({"name": "B", "printer_type": "bambu_lab", "connection_config": way(CODE)})),
        (
            "/printers",
            json!({"name": "B", "printer_type": "bambu_lab", "connection_config": way(WRONG_CODE)}),
        ),
        (
            "/printers",
            json!({
                "name": "P", "printer_type": "prusa_link",
                "connection_config": {"ip_address": "127.0.0.1", "http_port": prusa.port(), "password": PRUSA},
            }),
        ),
        ("/printers", json!({"name": "Q", "printer_type": "prusa_link", "connection_config": unreachable})),
        ("/printers", json!({"name": "", "printer_type": "x", "connection_config": {"access_code": [CODE]}})),
        (
            "/printers",
            json!({"name": "X", "printer_type": "bambu_lab", "connection_config": {"access_code": {CODE: CODE}}}),
        ),
    ] {
        let (status, answer) = program.ask("POST", path, &[header], Some(&body)).unwrap();
        assert_ne!(status, 401, "{path}");
        out.keep(&format!("POST {path}"), answer);
    }
    let change = json!({"connection_config": {"access_code": format!("{CODE}\u{1}")}});
    out.keep("PUT /printers/p2", program.ask("PUT", "/printers/p2", &[header], Some(&change)).unwrap().1);
}

#[test]
fn no_secret_leaves_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data, log) = (dir.path().join("p.toml"), dir.path().join("data"), dir.path().join("log"));
    let text = format!(
        "[web]\npassword = \"{CONFIGURED}\"\n[storage]\ndata_dir = {:?}\n[log]\nlevel = \"trace\"\n\
         [[printers]]\nname = \"F\"\ntype = \"bambu_lab\"\nhost = \"127.0.0.1\"\nmqtt_port = 9\n\
         serial = \"01P00A999999999\"\naccess_code = \"{FILE_CODE}\"\n",
        data.display().to_string()
    );
    File::create(&config).unwrap().write_all(text.as_bytes()).unwrap();
    let mut out = Out::default();
    let mut settings = bambu::Config::new(bambu::Model::P1s, "01P00A000000077", CODE);
    settings.report_interval = Some(Duration::from_millis(100));
    settings.factor = 60.0;
    let bambu = bambu::Printer::start(settings).unwrap();
    let mut settings = prusa::Config::new(prusa::Model::Mk4, PRUSA);
    settings.factor = 30.0;
    let prusa = prusa::Printer::start(settings).unwrap();

    let program = Program::start(&config, &log);
    let (first, session, token) = plant(&program, &mut out);
    let cookie = format!("Cookie: printernizer_session={session}");
    let bearer = format!("Authorization: Bearer {token}");
    add_printers(&program, &bearer, &mut out, &bambu, &prusa);

    // A print whose file is fetched: the code goes through FTPS, the password through digests.
    let plan = bambu::PrintPlan {
        name: "Cube".into(),
        source: bambu::Source::Lan,
        file: FilePlan { size: 200_000, ..FilePlan::default() },
        layers: 5,
        print_seconds: 300.0,
        calibration_seconds: 10.0,
        ..bambu::PrintPlan::default()
    };
    bambu.command(bambu::Command::StartPrint { plan }).unwrap();
    let arrived = program.stream(&cookie, "?after=0", "event: file_download_complete");
    assert!(arrived.contains("event: printer_connected"));
    out.keep("the stream", arrived);
    out.keep("a snapshot", program.stream(&bearer, "", "event: snapshot"));

    // Known and unknown visitors, and those who show something wrong or old.
    let wrong = format!("Authorization: Bearer {GUESSED}");
    let old = format!("Cookie: printernizer_session={first}");
    for address in addresses(&program, &cookie) {
        for header in [cookie.as_str(), bearer.as_str(), "X-Nothing: x", old.as_str()] {
            let (_, answer) = program.ask("GET", &address, &[header], None).unwrap();
            out.keep(&format!("GET {address}"), answer);
        }
    }
    out.keep("the page", program.ask("GET", "/", &[], None).unwrap().1);
    out.keep(
        "a reset",
        program.ask("POST", "/system/factory-reset", &[&wrong], Some(&json!({"confirm": CODE}))).unwrap().1,
    );
    let (status, bundle) = program.ask("GET", "/system/support-bundle", &[&cookie], None).unwrap();
    assert!(status == 200 && bundle.contains("\"events\":[{") && bundle.contains("\"log\":[{"), "{bundle}");
    for (name, wish, secrets) in [
        ("a backup", json!({"files": true, "pictures": true}), "X-Backup-Secrets: left-out"),
        ("a backup under a passphrase", json!({"passphrase": PHRASE}), "X-Backup-Secrets: encrypted"),
    ] {
        let (status, backup) = program.ask("POST", "/backup", &[&cookie], Some(&wish)).unwrap();
        assert!(status == 200 && backup.contains(secrets) && backup.contains("Cube"), "{name}: {status}");
        out.keep(name, backup);
    }
    let (_, lines) = program.ask("GET", "/system/logs?limit=500", &[&cookie], None).unwrap();
    assert!(
        lines.contains("\"level\":\"debug\"") || lines.contains("\"level\":\"trace\""),
        "the log is a fine one"
    );
    out.keep("the log by the API", lines);

    // The command line.
    let url = format!("http://{}", program.address);
    for words in [&["config", "print"][..], &["check-config"], &["trace", "3", "--url", &url], &["version"]] {
        let said = command(words, &config).output().unwrap();
        out.keep(
            &words.join(" "),
            String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned(),
        );
    }
    let bad = dir.path().join("bad.toml");
    File::create(&bad)
        .unwrap()
        .write_all(format!("[web]\npassword = \"{CODE}\n{text}\nx = {CODE}").as_bytes())
        .unwrap();
    let said = command(&["check-config"], &bad).output().unwrap();
    assert!(!said.status.success());
    out.keep("check-config", String::from_utf8_lossy(&said.stderr).into_owned());

    program.ask("POST", "/logout", &[&cookie], None).unwrap();
    program.end();
    // A second life reads everything back.
    let program = Program::start(&config, &log);
    out.keep("GET /login", program.ask("GET", "/login", &[&bearer], None).unwrap().1);
    program.end();
    let log = fs::read_to_string(&log).unwrap();
    for part in ["a wrong password was tried", "somebody logged in", "printernizer 0.", "DEBUG"] {
        assert!(log.contains(part), "the log is listened to: {part}");
    }
    out.keep("the log", log);
    out.search(&[&first, &session, &token, "argon2id$", PHRASE]);

    // What the guard keeps on the card: hashes only. (The printers' codes are there: the service has to show them.)
    let mut kept = 0;
    for file in files(&data) {
        let bytes = fs::read(&file).unwrap();
        for secret in [CONFIGURED, SET, GUESSED, &first, &session, &token] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", file.display());
        }
        kept += usize::from(bytes.windows(9).any(|window| window == b"argon2id$"));
    }
    assert!(kept > 0, "the hash is somewhere");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(files(&entry.path()));
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
    all
}

#[test]
fn debug_prints_show_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    let text = format!(
        "[web]\npassword = \"{CODE}\"\n[[printers]]\nname = \"F\"\ntype = \"bambu_lab\"\nhost = \"h\"\naccess_code = \"{CODE}\"\n\
         [[printers]]\nname = \"G\"\ntype = \"prusa_link\"\nhost = \"g\"\npassword = \"{CODE}\"\n\
         [[printers]]\nname = \"H\"\ntype = \"prusa_link\"\nhost = \"i\"\napi_key = \"{CODE}\"\n"
    );
    File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
    let loaded = config::load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    let secret = || Some(Secret::new(CODE));
    let printer = Printer {
        id: PrinterId(1),
        name: "P".into(),
        kind: PrinterType::PrusaLink,
        connection: ConnectionConfig {
            host: "h".into(),
            serial: None,
            access_code: secret(),
            api_key: secret(),
            username: None,
            password: secret(),
            mqtt_port: 1,
            ftps_port: 2,
            http_port: 3,
        },
        pin: None,
        location: None,
        description: None,
        enabled: true,
        created_at: RELEASE_FLOOR,
    };
    let mut link = ftps::Options::new(SocketAddr::from(([127, 0, 0, 1], 990)));
    link.password = Secret::new(CODE);
    let shown = format!("{loaded:?} {:#?} {printer:?} {printer:#?} {link:?} {:?}", loaded.config, secret());
    assert!(shown.contains("\"F\"") && !shown.contains(CODE), "{shown}");
}
