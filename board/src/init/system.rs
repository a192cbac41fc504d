//! System calls that the standard library has no face for.

use std::ffi::{CString, c_char, c_int, c_ulong, c_void};
use std::fs::File;
use std::io;

/// `MS_RDONLY` and `MS_MOVE` of sys/mount.h.
const READ_ONLY: c_ulong = 1;
const MOVE: c_ulong = 8192;

#[expect(unsafe_code, reason = "the C library's own functions, with the signatures of its headers")]
unsafe extern "C" {
    #[link_name = "mount"]
    fn c_mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    #[link_name = "umount"]
    fn c_umount(target: *const c_char) -> c_int;
}

/// Mounts `source` at `target`. The options are the file system's own, or `ro`.
pub fn mount(source: &str, target: &str, kind: &str, options: &str) -> io::Result<()> {
    let (flags, options) = if options == "ro" { (READ_ONLY, "") } else { (0, options) };
    call(source, target, kind, flags, options)
}

/// Moves the mount at `source` to `target`.
pub fn move_mount(source: &str, target: &str) -> io::Result<()> {
    call(source, target, "", MOVE, "")
}

#[expect(unsafe_code, reason = "mount(2) has no other face here")]
fn call(source: &str, target: &str, kind: &str, flags: c_ulong, options: &str) -> io::Result<()> {
    let [source, target, kind, options] = [source, target, kind, options].map(CString::new);
    let (source, target, kind, options) = (source?, target?, kind?, options?);
    // SAFETY: mount has this signature in every C library of Linux. The four texts end with a zero and live until it returns;
    // it reads them and keeps none of them.
    let result =
        unsafe { c_mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes the mount at `target` away; that it stays is told by the next mount there.
#[expect(unsafe_code, reason = "umount(2) has no other face here")]
pub fn unmount(target: &str) {
    let Ok(target) = CString::new(target) else { return };
    // SAFETY: umount reads one text that ends with a zero and lives until it returns.
    let _ = unsafe { c_umount(target.as_ptr()) };
}

/// Has the kernel read a card's table of partitions again.
#[expect(unsafe_code, reason = "an ioctl; rustix cannot know what it does")]
pub fn read_table_again(card: &File) -> io::Result<()> {
    /// `BLKRRPART` of linux/fs.h.
    const READ_TABLE: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(0x12, 95);
    // SAFETY: BLKRRPART takes no argument and touches no memory of ours.
    unsafe { rustix::ioctl::ioctl(card, rustix::ioctl::NoArg::<READ_TABLE>::new())? };
    Ok(())
}
