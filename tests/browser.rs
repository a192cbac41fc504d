//! The status page in a real Chromium, against the unmodified program and simulated printers.
//!
//! `tests/page/browser.mjs` does what people do and looks at what they see; this program starts everything, plays the service
//! manager, bounds the time and takes it down again. All of it runs in a network of the test's own: a house with the printers
//! and the browser, and a cable to the device. So printers are found by their calls, the page comes from an address that
//! browsers trust no more than any other (unlike `localhost`), and printers of the tester's house are left alone.
//!
//! Needed: root (or unprivileged user namespaces), `unshare` and `nsenter` (util-linux), `ip` (iproute2), Chromium and Node.js
//! (Debian's `chromium` and `nodejs`), and playwright-core and axe-core, which `scripts/install-playwright.sh` puts below
//! `target`. Without them the test fails and says so.
//!
//! `PAGE_FROM=src/web/page` serves the page's files from there instead of those that were compiled in, `ONLY` chooses steps of
//! the walk, `DOCS=docs` takes the README's pictures anew: for people who work on the page.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that is surprised fails where it stands, and its figures are of interest"
)]

#[path = "support/house.rs"]
mod house;

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use house::{DEVICE, HOUSE};
use serde_json::{Value, json};
use simulator::any::{self, AnyConfig, AnyPrinter};
use simulator::bambu::{Config, Model};
use simulator::control::Control;
use simulator::fleet::Fleet;
use simulator::lan::{self, Entry, Responder};
use simulator::prusa;
use simulator::wait::Stop;

/// The whole walk through the page takes about two minutes on an idle machine.
const LIMIT: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);
/// The walk makes the service start afresh twice; one that keeps ending is broken.
const STARTS_MAX: u32 = 6;
/// The printer that is added by hand, with the ports and the calls of a real one.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const FIRST_SERIAL: &str = "00M00A000000077";
/// The Prusa printer.
const PRUSA: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 13);
const CALLS: &str = "255.255.255.255:2021";

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
    if !house::is_house("people_can_use_the_page", &[HOUSE, FIRST, PRUSA]) {
        return;
    }
    let tools = tools();
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&place).unwrap();
    // Goes last: with it goes the cable, and with that the house's addresses.
    let mut device = Device::start(&place);
    let printers = Arc::new(any::start(configs()).unwrap());
    let control = Control::start(Arc::clone(&printers), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let _calls = Caller::start();
    let prusa = Entry::Prusa { host: "prusa-mk4".into(), address: PRUSA, port: 80 };
    let _responder = Responder::start(HOUSE, vec![prusa]).unwrap();

    let about: Vec<Value> = printers.iter().map(AnyPrinter::description).collect();
    let setup = json!({
        "page": format!("http://{DEVICE}:8080"), "house": HOUSE, "control": format!("http://{}", control.addr()),
        "printers": about, "tools": tools, "out": place,
        // Where the product is installed it would really switch this machine off.
        "power": Path::new("/").join(board::helper::POWER_SOCKET).exists(),
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
                device.keep();
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
    let mut first = Config::new(Model::X1c, FIRST_SERIAL, "31415926");
    first.name = "Workbench".into();
    (first.host, first.port, first.ftps_port) = (IpAddr::V4(FIRST), 8883, 990);
    (first.factor, first.report_interval) = (0.0, Some(still));
    let mut configs = vec![AnyConfig::Bambu(Box::new(first))];
    let fleet = Fleet { count: 6, factor: 0.0, ..Fleet::default() };
    for (index, mut config) in fleet.configs().into_iter().enumerate() {
        config.host = IpAddr::V4(HOUSE);
        config.report_interval = Some(still);
        // The paused one takes no orders, as without Developer Mode.
        config.is_developer_mode = index != 1;
        configs.push(AnyConfig::Bambu(Box::new(config)));
    }
    for mut config in prusa::fleet::configs(1, 0.0, 80) {
        config.host = IpAddr::V4(PRUSA);
        configs.push(AnyConfig::Prusa(Box::new(config)));
    }
    configs
}

/// The first printer's calls on the network, as its firmware makes them.
struct Caller {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Caller {
    fn start() -> Caller {
        let (to, text) = (CALLS.parse().unwrap(), lan::call(FIRST_SERIAL, FIRST, "BL-P001", "Workbench"));
        let stop = Arc::new(Stop::default());
        let ending = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !ending.wait_for(Duration::from_secs(1)) {
                let _ = lan::shout(FIRST, to, text.as_bytes());
            }
        });
        Caller { stop, thread: Some(thread) }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.stop.set();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The device: a place on the network, and the program that runs there and is started again whenever it ends by itself.
struct Device {
    service: Kept,
    starts: u32,
    place: Kept,
    data: tempfile::TempDir,
    log: PathBuf,
}

impl Device {
    fn start(out: &Path) -> Device {
        let mut place = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(place.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        house::plug_in(place.id());
        let (data, log) = (tempfile::tempdir().unwrap(), out.join("service.log"));
        File::create(&log).unwrap();
        let service = serve(place.id(), data.path(), &log);
        Device { service, starts: 1, place: Kept(place), data, log }
    }

    /// Plays the service manager; whether the program answers is found out by who talks to it.
    fn keep(&mut self) {
        if self.service.0.try_wait().unwrap().is_some() {
            self.starts += 1;
            assert!(self.starts <= STARTS_MAX, "the service keeps ending, see {}", self.log.display());
            self.service = serve(self.place.0.id(), self.data.path(), &self.log);
        }
    }
}

/// Starts the program in the network of the process `place`.
fn serve(place: u32, data: &Path, log: &Path) -> Kept {
    let log = OpenOptions::new().append(true).open(log).unwrap();
    let service = Command::new("nsenter")
        .args(["--net", "--target", &place.to_string(), env!("CARGO_BIN_EXE_printernizer")])
        .args(["serve", "--config", "/dev/null", "--listen", "0.0.0.0:8080", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Kept(service)
}
