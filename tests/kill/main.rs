//! The plug is pulled: the real program is killed with SIGKILL at seeded random moments while printers of both families
//! print and their files come. Afterwards everything that an outside observer was told is still there, byte for byte,
//! nothing is told twice, every file is whole, and every job ended as its print did.
//!
//! `PRINTERNIZER_KILLS` sets the number of kills (6 in an ordinary run), `PRINTERNIZER_SEED` the seed,
//! `PRINTERNIZER_LIFE_MS` the longest life between two kills.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that is surprised fails where it stands"
)]

mod check;
mod fleet;
mod process;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use printernizer::base::clock::Clock;
use serde_json::Value;

use fleet::Fleet;
use process::{Service, Told, observe};

const KILLS: u64 = 6;
/// The longest life; a start and the first reports take some hundred milliseconds.
const LIFE_MS: u64 = 2_500;
/// Everything has come to its end within this time after the last kill. Searches pause for minutes after failures.
const QUIET_WITHIN: Duration = Duration::from_secs(600);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Adds every printer; answers their serial numbers by id.
fn add(service: &Service, fleet: &Fleet) -> BTreeMap<String, String> {
    fleet
        .entries()
        .map(|entry| {
            let view = service.request("POST /api/v1/printers", &entry.to_string()).unwrap();
            let view: Value = serde_json::from_str(&view).unwrap();
            (view["id"].as_str().unwrap().to_owned(), entry["name"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn nothing_that_was_told_is_lost_and_nothing_is_told_twice() {
    let kills = setting("PRINTERNIZER_KILLS", KILLS);
    let life = setting("PRINTERNIZER_LIFE_MS", LIFE_MS);
    let mut random = fastrand::Rng::with_seed(setting("PRINTERNIZER_SEED", 7));
    let data = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (told, clock, fleet) = (Told::default(), Clock::system(), Fleet::start());
    let mut lives = Vec::new();
    std::thread::scope(|scope| {
        let mut service = Service::start(data.path(), address);
        let mut born = clock.now().mono;
        let printers = add(&service, &fleet);
        let (stop, stopped) = sync_channel::<()>(1);
        let fleet = &fleet;
        let driver = scope.spawn(move || fleet.drive(&stopped));
        let (_pause, never) = sync_channel::<()>(0);
        for kill in 1..=kills {
            let observer = observe(address, Arc::clone(&told));
            let _ = never.recv_timeout(Duration::from_millis(random.u64(20..life)));
            lives.push((born, clock.now().mono));
            service.kill();
            observer.join().unwrap();
            service = Service::start(data.path(), address);
            born = clock.now().mono;
            if kill % 50 == 0 {
                check::nothing_told_is_lost(&service, &told);
                println!("{kill} kills, {} events, {} prints", process::last(&told), fleet.prints().len());
            }
        }
        stop.send(()).unwrap();
        let observer = observe(address, Arc::clone(&told));
        driver.join().unwrap();
        let deadline = clock.now().mono.after(QUIET_WITHIN);
        while !check::is_quiet(&check::story(&service, &told)) {
            assert!(clock.now().mono < deadline, "jobs or downloads do not come to their ends");
            let _ = never.recv_timeout(Duration::from_millis(500));
        }
        check::nothing_told_is_lost(&service, &told);
        lives.push((born, clock.now().mono));
        service.kill();
        observer.join().unwrap();
        // One more start: it tidies up, and has nothing to say about jobs and files.
        let before = told.lock().unwrap().len();
        let service = Service::start(data.path(), address);
        let story = check::story(&service, &told);
        let after = story.iter().skip(before).map(|event| event["event"].as_str().unwrap());
        let news: Vec<&str> =
            after.filter(|name| name.starts_with("job_") || name.starts_with("file_download")).collect();
        assert!(news.is_empty(), "after everything was over: {news:?}");
        let figures = check::check(&story, data.path(), fleet, &lives, &printers);
        service.kill();
        println!("{kills} kills, {} events: {figures:#?}", figures.events);
        assert!(figures.prints > 0 && !figures.jobs.is_empty(), "no print was seen at all");
        assert!(figures.fetched > 0, "no file was fetched at all");
    });
}
