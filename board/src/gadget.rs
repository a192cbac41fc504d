//! The board as a network adapter of the computer at its USB cable: one function (NCM) that Windows 11, macOS and Linux drive
//! without an installation.
//!
//! It is described to the kernel by directories and files (configfs). Whether the port is a device at all is decided by the
//! cable; making the description harms nothing.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::read;

/// Where gadgets are described, below the root.
const GADGETS: &str = "sys/kernel/config/usb_gadget";
/// Controllers that can be a device.
const CONTROLLERS: &str = "sys/class/udc";
/// The Linux Foundation's number for a gadget that combines functions; nobody else's.
const VENDOR: &str = "0x1d6b";
const PRODUCT: &str = "0x0104";

/// Describes the adapter and hands it to the first controller. An adapter that is there already stays.
///
/// # Errors
/// Where there is no controller, or the kernel refuses a part.
pub fn bring_up(root: &Path) -> io::Result<()> {
    let controller = controller(root)?;
    let gadget = root.join(GADGETS).join("printernizer");
    if read(&gadget.join("UDC")).is_some_and(|bound| !bound.is_empty()) {
        return Ok(());
    }
    let serial = read(&root.join("proc/device-tree/serial-number")).unwrap_or_default();
    let [ours, theirs] = addresses(&serial);
    let make = |name: &str| fs::create_dir_all(gadget.join(name));
    make("strings/0x409")?;
    make("configs/c.1/strings/0x409")?;
    make("functions/ncm.usb0")?;
    let put = |name: &str, value: &str| put(&gadget.join(name), value);
    put("idVendor", VENDOR)?;
    put("idProduct", PRODUCT)?;
    put("strings/0x409/manufacturer", "printernizer")?;
    put("strings/0x409/product", "printernizer network")?;
    put("strings/0x409/serialnumber", if serial.is_empty() { "0" } else { &serial })?;
    put("configs/c.1/strings/0x409/configuration", "network")?;
    put("configs/c.1/MaxPower", "250")?;
    put("functions/ncm.usb0/dev_addr", &ours)?;
    put("functions/ncm.usb0/host_addr", &theirs)?;
    // Windows finds its own driver by these words, which have to stand before the function is taken into the configuration.
    put("os_desc/use", "1")?;
    put("os_desc/b_vendor_code", "0xcd")?;
    put("os_desc/qw_sign", "MSFT100")?;
    put("functions/ncm.usb0/os_desc/interface.ncm/compatible_id", "WINNCM")?;
    link(&gadget.join("functions/ncm.usb0"), &gadget.join("configs/c.1/ncm.usb0"))?;
    link(&gadget.join("configs/c.1"), &gadget.join("os_desc/c.1"))?;
    put("UDC", &controller)
}

fn controller(root: &Path) -> io::Result<String> {
    let names = fs::read_dir(root.join(CONTROLLERS))?.flatten().map(|entry| entry.file_name());
    let first = names.min().and_then(|name| name.into_string().ok());
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no controller that can be a device"))
}

fn put(path: &Path, value: &str) -> io::Result<()> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(told)?;
    file.write_all(value.as_bytes()).map_err(told)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// The addresses of both ends: the same at each start, so that a computer knows the board again, and different for two boards.
fn addresses(serial: &str) -> [String; 2] {
    let sum = crc32fast::hash(serial.as_bytes()).to_be_bytes();
    // 02: given by us and not by a maker.
    let one = |end: u8| {
        let rest: Vec<String> = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("02:{end:02x}:{}", rest.join(":"))
    };
    [one(0x70), one(0x71)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel's configfs: the files that appear with their directories.
    fn system(controllers: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let gadget = root.path().join(GADGETS).join("printernizer");
        for name in [
            "idVendor",
            "idProduct",
            "UDC",
            "strings/0x409/manufacturer",
            "strings/0x409/product",
            "strings/0x409/serialnumber",
            "configs/c.1/strings/0x409/configuration",
            "configs/c.1/MaxPower",
            "functions/ncm.usb0/dev_addr",
            "functions/ncm.usb0/host_addr",
            "os_desc/use",
            "os_desc/b_vendor_code",
            "os_desc/qw_sign",
            "functions/ncm.usb0/os_desc/interface.ncm/compatible_id",
        ] {
            fs::create_dir_all(gadget.join(name).parent().unwrap()).unwrap();
            fs::File::create(gadget.join(name)).unwrap();
        }
        fs::create_dir_all(root.path().join(CONTROLLERS)).unwrap();
        for name in controllers {
            fs::create_dir(root.path().join(CONTROLLERS).join(name)).unwrap();
        }
        root
    }

    #[test]
    fn the_adapter_is_described_and_handed_over_once() {
        let root = system(&["20980000.usb"]);
        bring_up(root.path()).unwrap();
        let gadget = root.path().join(GADGETS).join("printernizer");
        assert_eq!(read(&gadget.join("UDC")).as_deref(), Some("20980000.usb"));
        assert!(gadget.join("configs/c.1/ncm.usb0").is_symlink() && gadget.join("os_desc/c.1").is_symlink());
        put(&gadget.join("idVendor"), "untouched").unwrap();
        bring_up(root.path()).unwrap();
        assert_eq!(read(&gadget.join("idVendor")).as_deref(), Some("untouched"));
    }

    #[test]
    fn a_board_without_a_controller_is_an_error() {
        assert!(bring_up(system(&[]).path()).is_err());
        assert!(bring_up(Path::new("/there/is/no/system")).is_err());
    }

    #[test]
    fn both_ends_have_addresses_of_their_own() {
        let [ours, theirs] = addresses("00000000deadbeef");
        assert_ne!(ours, theirs);
        assert_eq!(addresses("00000000deadbeef"), [ours.clone(), theirs]);
        assert_ne!(addresses("00000000deadbee0")[0], ours);
        assert!(ours.starts_with("02:70:") && ours.len() == 17);
    }
}
