//! The first program of the appliance: the kernel starts it from memory (initramfs), it chooses the system, and becomes
//! that system's init. It runs before anything on the card is in use.
//!
//! ```text
//! modules  -> those that reading a system needs, in the order of /modules
//! card     -> wait for it; the data partition is grown to its end (one sector)
//! records  -> which slot, and the try of a trial is spent on the card first (board::slots)
//! slot     -> mounted read-only and looked at; what cannot start gives way to the other one
//!             one that starts and never says that it works gives way after a few starts
//! /run     -> what was decided, for the system to read; a sentence for the page where something was odd
//! ```
//! When neither system can be started it says so and ends; the kernel then panics and starts anew after ten seconds (`panic=10`).
//!
//! Not here: the data partition's file system, which the system itself checks and mounts.

mod system;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use board::slots::partitions::{Part, SECTOR_BYTES, TABLE_BYTES, grown};
use board::slots::{Choice, Slot, SlotFile, State};

use system::{mount, move_mount, read_table_again, unmount};

/// The card.
const CARD: &str = "/dev/mmcblk0";
/// Where the chosen system is mounted.
const ROOT: &str = "/system";
/// Looks for a device, and the pause between two of them: ten seconds. A card answers within one.
const LOOKS: u32 = 400;
const PAUSE: Duration = Duration::from_millis(25);
/// Options of /run, as the system itself would mount it.
const RUN_OPTIONS: &str = "mode=0755,size=20%,nr_inodes=8192";

fn main() -> ExitCode {
    match start() {
        Ok(never) => match never {},
        Err(error) => {
            say(&format!("no system on this card can be started: {error}. Flash the card again."));
            ExitCode::FAILURE
        }
    }
}

/// Something that never is.
enum Never {}

fn start() -> io::Result<Never> {
    for directory in ["/dev", "/proc", ROOT] {
        fs::create_dir_all(directory)?;
    }
    // The kernel may have mounted it already.
    let _ = mount("dev", "/dev", "devtmpfs", "");
    load_modules();
    wait_for(Path::new(CARD))?;
    let mut odd = Vec::new();
    if let Err(error) = grow_data() {
        odd.push(format!("The data partition could not be grown to the end of the card: {error}."));
    }
    let (slot, state) = mount_a_system(&mut odd)?;
    hand_over(slot, state, &odd)?;
    let error = Command::new("/sbin/init").env("PRINTERNIZER_SLOT", slot.label()).exec();
    Err(io::Error::new(error.kind(), format!("its init does not start: {error}")))
}

/// Says a line to whoever looks at the console.
fn say(text: &str) {
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        let _ = writeln!(console, "printernizer: {text}");
    }
}

/// Loads what `/modules` names, in its order. One that fails is told: the system may start without it.
fn load_modules() {
    for path in fs::read_to_string("/modules").unwrap_or_default().lines().filter(|line| !line.is_empty()) {
        let loaded = File::open(path)
            .and_then(|file| rustix::system::finit_module(&file, c"", 0).map_err(io::Error::from));
        if let Err(error) = loaded {
            say(&format!("{path}: {error}"));
        }
    }
}

fn wait_for(device: &Path) -> io::Result<()> {
    for _ in 0..LOOKS {
        if device.exists() {
            return Ok(());
        }
        pause();
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} did not appear", device.display())))
}

#[expect(clippy::disallowed_methods, reason = "there is one thread and nothing else to do")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Rewrites the table where the card is larger than the image, and lets the kernel read it again. Nothing is mounted yet.
fn grow_data() -> io::Result<()> {
    let mut card = OpenOptions::new().read(true).write(true).open(CARD)?;
    let mut table = [0; TABLE_BYTES];
    card.read_exact(&mut table)?;
    let sectors = card.seek(SeekFrom::End(0))? / SECTOR_BYTES;
    if let Some(table) = grown(&table, sectors) {
        card.seek(SeekFrom::Start(0))?;
        card.write_all(&table)?;
        card.sync_all()?;
        read_table_again(&card)?;
        say("the data partition now reaches to the end of the card");
    }
    Ok(())
}

/// Chooses a system and mounts it at [`ROOT`]; tries the other one where it cannot be.
fn mount_a_system(odd: &mut Vec<String>) -> io::Result<(Slot, State)> {
    let records = SlotFile::new(Path::new(CARD));
    let state = records.read().unwrap_or_default();
    let mut choice = state.choose();
    match records.write(choice.next) {
        Ok(written) => choice.next = written,
        Err(error) => {
            odd.push(format!("The record of the two systems could not be written: {error}."));
            // A try that is not spent on the card would be tried for ever.
            if choice.write_first {
                choice = Choice { slot: state.good, next: state, write_first: false };
            }
        }
    }
    if choice.next.trial.is_none() && choice.slot != state.good {
        odd.push(format!(
            "System {} has been started several times and never came up; system {} runs instead. Flash the card again.",
            state.good.label(),
            choice.slot.label()
        ));
    }
    let first = match mount_slot(choice.slot) {
        Ok(()) => return Ok((choice.slot, choice.next)),
        Err(error) => error,
    };
    odd.push(format!("System {} could not be started: {first}.", choice.slot.label()));
    let instead = choice.next.cannot_start(choice.slot);
    let next = records.write(instead.next).unwrap_or(instead.next);
    mount_slot(instead.slot)
        .map_err(|second| io::Error::other(format!("neither the one ({first}) nor the other ({second})")))?;
    Ok((instead.slot, next))
}

/// Mounts one system and looks whether it has an init.
fn mount_slot(slot: Slot) -> io::Result<()> {
    let part = match slot {
        Slot::A => Part::SystemA,
        Slot::B => Part::SystemB,
    };
    let device = format!("{CARD}p{}", part.number());
    wait_for(Path::new(&device))?;
    mount(&device, ROOT, "squashfs", "ro")?;
    // It is a link to an absolute name, which only means something after the root has moved.
    fs::symlink_metadata(Path::new(ROOT).join("sbin/init")).map(|_| ()).inspect_err(|_| unmount(ROOT))
}

/// Moves into the system: its /dev and /run are ours, its root becomes the root.
fn hand_over(slot: Slot, state: State, odd: &[String]) -> io::Result<()> {
    let inside = |name: &str| Path::new(ROOT).join(name);
    mount("run", &inside("run").to_string_lossy(), "tmpfs", RUN_OPTIONS)?;
    let notes = inside("run/printernizer");
    fs::create_dir_all(notes.join("notices"))?;
    note(&notes.join("slot"), slot.label())?;
    note(&notes.join("boots"), &state.boots.to_string())?;
    if !odd.is_empty() {
        note(&notes.join("notices/start"), &odd.join(" "))?;
        say(&odd.join(" "));
    }
    move_mount("/dev", &inside("dev").to_string_lossy())?;
    std::env::set_current_dir(ROOT)?;
    move_mount(".", "/")?;
    std::os::unix::fs::chroot(".")?;
    std::env::set_current_dir("/")
}

/// Leaves a line in a file in memory.
fn note(path: &Path, line: &str) -> io::Result<()> {
    File::create(path)?.write_all(format!("{line}\n").as_bytes())
}
