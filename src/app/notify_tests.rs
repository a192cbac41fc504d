//! What a manager hears, and what one that does not listen costs.

use super::*;

fn told(by: &Systemd, ear: &UnixDatagram) -> io::Result<Vec<String>> {
    by.ready();
    by.alive();
    by.stopping();
    ear.set_nonblocking(true)?;
    let mut words = Vec::new();
    let mut bytes = [0; 64];
    while let Ok(length) = ear.recv(&mut bytes) {
        words.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
    Ok(words)
}

#[test]
fn the_manager_hears_at_a_path_and_at_a_name() -> io::Result<()> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("s");
    let ear = UnixDatagram::bind(&path)?;
    let words = ["READY=1", "WATCHDOG=1", "STOPPING=1"];
    assert_eq!(told(&Systemd::new(Some(path.clone().into()), None), &ear)?, words);
    // A name that nobody else has: the directory's.
    let name = path.as_os_str().as_bytes();
    let ear = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    let mut address = OsString::from("@");
    address.push(&path);
    assert_eq!(told(&Systemd::new(Some(address), None), &ear)?, words);
    Ok(())
}

#[test]
fn a_manager_that_cannot_be_told_is_no_reason_to_end() {
    for odd in ["", "@", "/no/such/socket", "relative", "vsock:2:1", &"x".repeat(500)] {
        let manager = Systemd::new(Some(odd.into()), None);
        manager.ready();
        assert!(manager.complained.load(Ordering::Relaxed), "{odd:?}");
    }
    let nobody = Systemd::new(None, None);
    nobody.ready();
    assert!(!nobody.complained.load(Ordering::Relaxed));
}

#[test]
fn a_manager_that_does_not_read_stops_nobody() -> io::Result<()> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("s");
    let _ear = UnixDatagram::bind(&path)?;
    let manager = Systemd::new(Some(path.into()), None);
    // More than any queue takes.
    while !manager.complained.load(Ordering::Relaxed) {
        manager.alive();
    }
    manager.alive();
    manager.ready();
    Ok(())
}

#[test]
fn words_of_life_come_in_time_and_not_in_a_spin() {
    let interval = |micros| Systemd::new(None, Some(Duration::from_micros(micros))).interval();
    assert_eq!(interval(60_000_000), Some(Duration::from_secs(20)));
    assert_eq!((interval(1), interval(299_999)), (Some(ALIVE_EVERY_MIN), Some(ALIVE_EVERY_MIN)));
    assert_eq!(interval(0), None);
    assert!(interval(u64::MAX) > Some(Duration::from_secs(1_000_000_000)));
    assert_eq!(Systemd::new(None, None).interval(), None);
}
