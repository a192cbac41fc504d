//! Everything that can go wrong with a transfer, as a client sees it.
#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

mod common;

use std::time::Duration;

use common::PATIENCE;
use common::ftp::{Ftp, Got};
use simulator::bambu::{
    Clash, Command, Config, Content, Ending, FtpsFaults, Goodbye, Hiding, Mishap, Model, PrintPlan, Printer,
    Protection, Reuse, Source, Tcp, TransferFault,
};
use simulator::wait::now;

const SERIAL: &str = "01P00A000000001";
const CODE: &str = "12345678";
const PATH: &str = "/a.3mf";
const SIZE: usize = 300_000;

fn content() -> Vec<u8> {
    (0..SIZE / 4).flat_map(|number| u32::try_from(number).unwrap().to_be_bytes()).collect()
}

fn printer(model: Model) -> Printer {
    let printer = Printer::start(Config::manual(model, SERIAL, CODE)).unwrap();
    printer.files().put(PATH, Content::bytes(content()));
    printer
}

fn change(printer: &Printer, change: impl FnOnce(&mut FtpsFaults)) {
    printer.change_faults(|faults| change(&mut faults.ftps)).unwrap();
}

fn mishap(printer: &Printer, mishap: Mishap, at: u64) {
    change(printer, |faults| faults.transfers.push(TransferFault::next(mishap, at)));
}

fn get(ftp: &mut Ftp) -> Got {
    ftp.fetch(&format!("RETR {PATH}")).unwrap()
}

#[test]
fn transfers_end_early_in_every_way_and_the_next_one_is_whole() {
    let printer = printer(Model::P1s);
    let whole = content();
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    for (kind, answer) in [(Mishap::Truncated, "226"), (Mishap::Cut, "426"), (Mishap::Reset, "426")] {
        mishap(&printer, kind, 100_001);
        let got = get(&mut ftp);
        assert!(got.answer.starts_with(answer), "{kind:?} {}", got.answer);
        assert_eq!(got.is_clean, kind == Mishap::Truncated, "{kind:?}");
        match kind {
            // What was on its way is lost with the connection.
            Mishap::Reset => assert!(whole.starts_with(&got.bytes) && got.bytes.len() <= 100_001),
            _ => assert_eq!(got.bytes, whole[..100_001], "{kind:?}"),
        }
        assert_eq!(ftp.file(PATH), whole, "{kind:?}");
    }
    mishap(&printer, Mishap::Flipped, 77_777);
    let flipped = ftp.file(PATH);
    let different: Vec<_> = (0..SIZE).filter(|place| flipped[*place] != whole[*place]).collect();
    assert_eq!(different, [77_777]);
    mishap(&printer, Mishap::Refused(450), 0);
    assert!(ftp.begin(&format!("RETR {PATH}")).err().unwrap().starts_with("450"));
    mishap(&printer, Mishap::PausedMs(50), 5_000);
    assert_eq!(ftp.file(PATH), whole);
    mishap(&printer, Mishap::Vanished, 5_000);
    let got = get(&mut ftp);
    assert_eq!((got.bytes.len(), &got.answer[..3]), (5_000, "550"));
    assert_eq!(ftp.size(PATH), None);
    let codes: Vec<_> = printer.observations().ftps.retrievals.iter().map(|file| file.code).collect();
    assert_eq!(codes, [226, 226, 426, 226, 426, 226, 226, 226, 550]);
}

#[test]
fn a_stalled_transfer_stays_open_until_the_client_ends_it() {
    let printer = printer(Model::A1);
    mishap(&printer, Mishap::Stalled, 40_000);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    let mut data = ftp.begin(&format!("RETR {PATH}")).unwrap();
    let mut bytes = vec![0; 40_000];
    let mut count = 0;
    while count < bytes.len() {
        count += data.read(&mut bytes[count..]).unwrap();
    }
    assert_eq!(bytes, content()[..40_000]);
    assert!(ftp.is_silent());
    assert_eq!(printer.observations().ftps.open_transfers, 1);
    drop(data);
    assert!(ftp.answer().unwrap().starts_with("426"));
    assert_eq!(printer.observations().ftps.open_transfers, 0);
    // A stop ends it, too.
    mishap(&printer, Mishap::Stalled, 40_000);
    let _data = ftp.begin(&format!("RETR {PATH}")).unwrap();
    drop(printer);
    assert!(ftp.answer().is_err());
}

#[test]
fn a_lost_printer_takes_both_connections_along() {
    let printer = printer(Model::P1s);
    mishap(&printer, Mishap::Lost, 40_000);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    assert!(ftp.fetch(&format!("RETR {PATH}")).is_err());
    assert_eq!(Ftp::open(printer.ftps_addr(), CODE).file(PATH), content());
}

#[test]
fn the_rate_is_kept_also_when_it_changes() {
    let printer = printer(Model::P1s);
    change(&printer, |faults| faults.rate = 400_000);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    let start = now();
    let mut data = ftp.begin(&format!("RETR {PATH}")).unwrap();
    let (bytes, _) = data.read_to_end();
    assert_eq!(bytes, content());
    // Never faster; how much slower is the machine's affair.
    assert!(start.elapsed() >= Duration::from_millis(650), "{:?}", start.elapsed());
    assert!(ftp.answer().unwrap().starts_with("226"));
    // At this rate it would take half an hour.
    change(&printer, |faults| faults.rate = 160);
    let mut data = ftp.begin(&format!("RETR {PATH}")).unwrap();
    data.read(&mut [0; 8]).unwrap();
    change(&printer, |faults| faults.rate = 0);
    assert!(data.read_to_end().0.len() > SIZE - 100);
}

#[test]
fn ends_are_missing_late_and_contrary() {
    let printer = printer(Model::A1Mini);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    change(&printer, |faults| faults.goodbye = Goodbye::NoCloseNotify);
    let got = get(&mut ftp);
    assert!(!got.is_clean && got.bytes == content() && got.answer.starts_with("226"));
    for (ending, answer) in [(Ending::Code(426), "426"), (Ending::LateMs(100), "226")] {
        change(&printer, |faults| faults.ending = ending);
        let got = get(&mut ftp);
        assert!(got.bytes == content() && got.answer.starts_with(answer), "{ending:?}");
    }
    change(&printer, |faults| faults.ending = Ending::Missing);
    let (bytes, _) = ftp.begin(&format!("RETR {PATH}")).unwrap().read_to_end();
    assert!(bytes == content() && ftp.is_silent());
    assert!(ftp.ask("NOOP").starts_with("200"));
    change(&printer, |faults| *faults = FtpsFaults { goodbye: Goodbye::StaysOpen, ..FtpsFaults::default() });
    let mut data = ftp.begin(&format!("RETR {PATH}")).unwrap();
    let mut count = 0;
    while count < SIZE {
        count += data.read(&mut [0; 4_096]).unwrap();
    }
    assert!(ftp.is_silent());
    drop(data);
    assert!(ftp.answer().unwrap().starts_with("226"));
}

#[test]
fn files_are_locked_or_hidden_while_there_is_a_print() {
    for (hiding, size) in [(Hiding::LockedWhilePrinting, Some(300_000)), (Hiding::HiddenWhilePrinting, None)]
    {
        let printer = printer(Model::P2s);
        change(&printer, |faults| faults.hiding = hiding);
        let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
        assert_eq!(ftp.file(PATH), content());
        let plan = PrintPlan { source: Source::Screen, ..PrintPlan::default() };
        printer.command(Command::StartPrint { plan }).unwrap();
        printer.command(Command::Advance { seconds: 30.0 }).unwrap();
        assert_eq!(ftp.size(PATH), size, "{hiding:?}");
        assert!(ftp.begin(&format!("RETR {PATH}")).err().unwrap().starts_with("550"));
        assert_eq!(ftp.list("/").iter().any(|line| line.ends_with("a.3mf")), size.is_some());
        printer.command(Command::Advance { seconds: 8_000.0 }).unwrap();
        assert_eq!(printer.status().gcode_state, "FINISH");
        assert_eq!(ftp.file(PATH), content());
    }
}

#[test]
fn sizes_lie_cards_are_out_and_words_are_put_in_its_mouth() {
    let printer = printer(Model::P1s);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    change(&printer, |faults| faults.size_lie = -7);
    assert_eq!(ftp.size(PATH), Some(299_993));
    change(&printer, |faults| *faults = FtpsFaults { no_storage: true, ..FtpsFaults::default() });
    assert_eq!((ftp.size(PATH), ftp.list("/").len()), (None, 0));
    change(&printer, |faults| {
        *faults =
            FtpsFaults { no_size: true, no_rest: true, refuses_listings: true, ..FtpsFaults::default() };
        faults.answers.insert("NOOP".into(), "what is this".into());
        faults.answers.insert("RETR /b".into(), "450 busy".into());
    });
    assert!(ftp.ask(&format!("SIZE {PATH}")).starts_with("502") && ftp.ask("REST 5").starts_with("502"));
    assert!(ftp.begin("LIST").err().unwrap().starts_with("550"));
    assert!(ftp.ask("RETR /b").starts_with("450"));
    assert_eq!(ftp.file(PATH), content());
    change(&printer, |faults| *faults = FtpsFaults::default());
    change(&printer, |faults| {
        let cut = TransferFault { is_listing: true, ..TransferFault::next(Mishap::Cut, 10) };
        faults.transfers.push(cut);
    });
    let got = ftp.fetch("LIST").unwrap();
    assert_eq!((got.bytes.len(), &got.answer[..3]), (10, "426"));
}

#[test]
fn tls_on_the_data_connection_goes_wrong() {
    let printer = printer(Model::A1);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    change(&printer, |faults| faults.session_reuse = Some(Reuse::Demanded));
    ftp.forgets = true;
    assert!(get(&mut ftp).answer.starts_with("522"));
    ftp.forgets = false;
    assert_eq!(ftp.file(PATH), content());
    change(&printer, |faults| {
        *faults = FtpsFaults { protection: Protection::ClearOnly, ..FtpsFaults::default() }
    });
    assert!(ftp.ask("PROT P").starts_with("536") && ftp.ask("PROT C").starts_with("200"));
    ftp.is_private = false;
    assert_eq!(ftp.file(PATH), content());
    change(&printer, |faults| faults.protection = Protection::PrivateOnly);
    assert!(ftp.begin(&format!("RETR {PATH}")).err().unwrap().starts_with("522"));
    assert!(ftp.ask("PROT P").starts_with("200"));
    change(&printer, |faults| faults.protection = Protection::ClearInTruth);
    assert_eq!(ftp.file(PATH), content());
    ftp.quit();
    change(&printer, |faults| {
        *faults = FtpsFaults { session_reuse: Some(Reuse::Impossible), ..FtpsFaults::default() };
    });
    assert!(get(&mut Ftp::open(printer.ftps_addr(), CODE)).answer.starts_with("522"));
}

#[test]
fn two_transfers_at_once_may_both_fail() {
    let printer = printer(Model::X1c);
    change(&printer, |faults| (faults.clash, faults.rate) = (Clash::BothFail, 100_000));
    let mut one = Ftp::open(printer.ftps_addr(), CODE);
    let mut other = Ftp::open(printer.ftps_addr(), CODE);
    let mut data = one.begin(&format!("RETR {PATH}")).unwrap();
    assert!(other.begin(&format!("RETR {PATH}")).err().unwrap().starts_with("425"));
    let (bytes, is_clean) = data.read_to_end();
    assert!(bytes.len() < SIZE && !is_clean);
    assert!(one.answer().unwrap().starts_with("426"));
    assert_eq!(printer.observations().ftps.clashes, 1);
}

#[test]
fn control_connections_hang_break_idle_and_speak_plainly() {
    let printer = printer(Model::P1s);
    change(&printer, |faults| faults.hangs_at = Some("NOOP".into()));
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    ftp.send("NOOP").unwrap();
    assert!(ftp.is_silent());
    change(&printer, |faults| (faults.hangs_at, faults.hangs_up_at) = (None, Some("TYPE I".into())));
    assert!(ftp.is_silent(), "it hangs for good");
    let mut ftp = Ftp::connect(printer.ftps_addr()).unwrap();
    assert!(ftp.answer().unwrap().starts_with("220") && ftp.ask("TYPE A").starts_with("530"));
    assert!(ftp.try_ask("TYPE I").is_err());
    change(&printer, |faults| (faults.hangs_up_at, faults.clear_text_at) = (None, Some("NOOP".into())));
    assert!(Ftp::open(printer.ftps_addr(), CODE).try_ask("NOOP").is_err());
    change(&printer, |faults| (faults.clear_text_at, faults.idle_timeout_ms) = (None, 150));
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    assert!(ftp.answer().unwrap().starts_with("421"));
    assert_eq!(printer.wait_for(PATIENCE, |seen| seen.ftps.idle_ends == 1).unwrap().ftps.idle_ends, 1);
    change(&printer, |faults| *faults = FtpsFaults { refuses_login: true, ..FtpsFaults::default() });
    let mut ftp = Ftp::connect(printer.ftps_addr()).unwrap();
    ftp.answer().unwrap();
    ftp.ask("USER bblp");
    assert!(ftp.ask(&format!("PASS {CODE}")).starts_with("530"));
    for tcp in [Tcp::Close, Tcp::PlainText] {
        change(&printer, |faults| faults.tcp = tcp);
        assert!(Ftp::connect(printer.ftps_addr()).is_err(), "{tcp:?}");
    }
    change(&printer, |faults| (faults.tcp, faults.refuse_connections) = (Tcp::Tls, true));
    assert!(Ftp::connect(printer.ftps_addr()).is_err());
    change(&printer, |faults| *faults = FtpsFaults::default());
    Ftp::open(printer.ftps_addr(), CODE).quit();
}

#[test]
fn a_broken_off_transfer_wedges_the_server_until_it_is_left_alone() {
    let printer = printer(Model::A1);
    printer.files().put("/large.3mf", Content::bytes(vec![1; 20_000_000]));
    change(&printer, |faults| faults.wedges_after_abort_ms = 600_000);
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    drop(ftp.begin("RETR /large.3mf").unwrap());
    printer.wait_for(PATIENCE, |seen| seen.ftps.aborted == 1).unwrap();
    assert!(ftp.is_silent());
    ftp.cut();
    // TCP is there, TLS is not.
    let socket = std::net::TcpStream::connect(printer.ftps_addr()).unwrap();
    socket.set_read_timeout(Some(common::MOMENT)).unwrap();
    let hello_is_unanswered = std::io::Read::read(&mut &socket, &mut [0]).is_err();
    assert!(hello_is_unanswered);
    change(&printer, |faults| faults.wedges_after_abort_ms = 0);
    assert_eq!(Ftp::open(printer.ftps_addr(), CODE).file(PATH), content());
}

#[test]
fn small_servers_take_one_session_and_all_follow_the_power() {
    let printer = printer(Model::A1Mini);
    let one = Ftp::open(printer.ftps_addr(), CODE);
    let mut other = Ftp::connect(printer.ftps_addr());
    assert!(other.as_mut().map_or(Ok(String::new()), Ftp::answer).unwrap().starts_with("421"));
    assert_eq!(printer.observations().ftps.turned_away, 1);
    one.quit();
    let mut ftp = Ftp::open(printer.ftps_addr(), CODE);
    printer.command(Command::PowerCycle).unwrap();
    assert!(ftp.try_ask("NOOP").is_err());
    Ftp::open(printer.ftps_addr(), CODE).quit();
}
