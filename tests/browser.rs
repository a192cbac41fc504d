//! The status page in a real Chromium, against the unmodified program and simulated printers.
//!
//! `tests/page/browser.mjs` does what people do and looks at what they see; this program starts everything, bounds the time
//! and takes it down again. Needed: Chromium and Node.js (Debian's `chromium` and `nodejs`), and playwright-core and
//! axe-core, which `scripts/install-playwright.sh` puts below `target`. Without them the test fails and says so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that is surprised fails where it stands, and its figures are of interest"
)]

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::any::{self, AnyConfig, AnyPrinter};
use simulator::bambu::{Config, Model};
use simulator::control::Control;
use simulator::fleet::Fleet;
use simulator::prusa;

/// The whole walk through the page takes about a minute on an idle machine.
const LIMIT: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(100);

/// A child that does not outlive the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn people_can_use_the_page() {
    let tools = tools();
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&place).unwrap();
    let printers = Arc::new(any::start(configs()).unwrap());
    let control = Control::start(Arc::clone(&printers), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let data = tempfile::tempdir().unwrap();
    let (service, address) = serve(data.path(), &place);

    let about: Vec<Value> = printers.iter().map(AnyPrinter::description).collect();
    let setup = json!({
        "page": format!("http://{address}"), "control": format!("http://{}", control.addr()), "printers": about,
        "tools": tools, "out": place, "pid": service.0.id(),
    });
    let output = place.join("walk.log");
    let log = File::create(&output).unwrap();
    let mut walk = Kept(
        Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/browser.mjs"))
            .arg(setup.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start node ({error}): apt-get install nodejs")),
    );
    let mut looks = LIMIT.as_millis() / LOOK.as_millis();
    let status = loop {
        match walk.0.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if looks == 0 => break None,
            None => {
                looks -= 1;
                thread::park_timeout(LOOK);
            }
        }
    };
    let said = std::fs::read_to_string(&output).unwrap_or_default();
    println!("{said}");
    match status {
        Some(status) => assert!(status.success(), "the walk through the page failed:\n{said}"),
        None => panic!("the walk through the page has not ended within {LIMIT:?}:\n{said}"),
    }
}

/// Where playwright-core and axe-core are.
fn tools() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let tools = target.join("playwright");
    assert!(
        tools.join("node_modules/playwright-core/package.json").exists(),
        "no playwright-core in {}: run scripts/install-playwright.sh",
        tools.display()
    );
    tools
}

/// One that is added by hand and prints from start to end, and the demonstration's printers with their clock standing, so
/// that every look at them sees the same.
fn configs() -> Vec<AnyConfig> {
    let still = Duration::from_millis(500);
    let mut first = Config::new(Model::X1c, "00M00A000000077", "31415926");
    first.name = "Workbench".into();
    (first.factor, first.report_interval) = (0.0, Some(still));
    let mut configs = vec![AnyConfig::Bambu(Box::new(first))];
    for (index, mut config) in
        (Fleet { count: 4, factor: 0.0, ..Fleet::default() }).configs().into_iter().enumerate()
    {
        config.report_interval = Some(still);
        // The paused one takes no orders, as without Developer Mode.
        config.is_developer_mode = index != 1;
        configs.push(AnyConfig::Bambu(Box::new(config)));
    }
    configs.extend(
        prusa::fleet::configs(1, 0.0, 0).into_iter().map(|config| AnyConfig::Prusa(Box::new(config))),
    );
    configs
}

/// Starts the program; whether it answers is found out by who talks to it.
fn serve(data: &Path, place: &Path) -> (Kept, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let log = File::create(place.join("service.log")).unwrap();
    let service = Command::new(env!("CARGO_BIN_EXE_printernizer"))
        .args(["serve", "--listen", &address.to_string(), "--data"])
        .arg(data)
        // Everything is on loopback; printers of the house are left alone.
        .env("PRINTERNIZER_NETWORK_FIND_PRINTERS", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    (Kept(service), address)
}
