//! Debian's vsftpd as a peer: implicit TLS, session reuse demanded, passive data connections on loopback.
//!
//! It is run as inetd would run it, one process for each connection that a listener of ours accepts: so the port is ours
//! and free for certain. The login is vsftpd's anonymous one with a list of allowed passwords: no account is made, no file
//! outside of a temporary directory is touched. It works for root, and for others without the change of root directory.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::certificates::Identity;

/// The user that may log in; vsftpd knows this name without an account.
pub const USER: &str = "anonymous";
/// The user's password.
pub const CODE: &str = "12345678";

/// Whose rights vsftpd takes for the transfers: an account of every Debian whose home directory exists.
const ACCOUNT: &str = "daemon";

/// A listening vsftpd. Its processes are killed and its files removed when this is dropped.
pub struct Vsftpd {
    pub address: SocketAddr,
    directory: TempDir,
    root: PathBuf,
    /// What stands before paths where the root directory is the machine's own.
    prefix: String,
    stopped: Arc<AtomicBool>,
    children: Arc<Mutex<Vec<Child>>>,
    listener: Option<JoinHandle<()>>,
}

impl Vsftpd {
    /// Starts a server on 127.0.0.1 that presents `identity` and has no files.
    pub fn start(identity: &Identity) -> Vsftpd {
        Vsftpd::start_on(Ipv4Addr::LOCALHOST.into(), identity)
    }

    /// Starts a server on this address.
    pub fn start_on(address: IpAddr, identity: &Identity) -> Vsftpd {
        let program = program();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        open_to_all(directory.path());
        for folder in ["root", "empty"] {
            fs::create_dir(path(folder)).unwrap();
            open_to_all(&path(folder));
        }
        put(&path("certificate.pem"), identity.certificate_pem().as_bytes());
        put(&path("key.pem"), identity.key_pem().as_bytes());
        put(&path("passwords"), format!("{CODE}\n").as_bytes());
        put(&path("vsftpd.conf"), configuration(directory.path()).as_bytes());
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, configuration) = (Arc::clone(&stopped), path("vsftpd.conf"));
        let children = Arc::default();
        let started = Arc::clone(&children);
        let thread = std::thread::spawn(move || serve(&listener, &stop, &program, &configuration, &started));
        let root = path("root");
        let prefix =
            if is_root(directory.path()) { String::new() } else { root.to_str().unwrap().to_owned() };
        Vsftpd { address, directory, root, prefix, stopped, children, listener: Some(thread) }
    }

    /// The path of a file for a client.
    pub fn path(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        [self.prefix.as_bytes(), b"/", name.as_ref()].concat()
    }

    /// Puts a file there, its folders included. The name is bytes, as names are.
    pub fn put(&self, name: &[u8], content: &[u8]) -> PathBuf {
        let path = self.root.join(OsStr::from_bytes(name));
        let folder = path.parent().unwrap();
        fs::create_dir_all(folder).unwrap();
        open_to_all(folder);
        put(&path, content);
        path
    }

    /// Puts a file of this many zero bytes there, which takes no room.
    pub fn put_sparse(&self, name: &str, bytes: u64) {
        File::options().write(true).open(self.put(name.as_bytes(), b"")).unwrap().set_len(bytes).unwrap();
    }

    /// Puts a file of this many bytes there that cannot be packed; another seed gives another file.
    pub fn put_noise(&self, name: &str, bytes: u64, seed: u64) {
        const PIECE: usize = 1 << 20;
        let mut file = File::options().write(true).open(self.put(name.as_bytes(), b"")).unwrap();
        let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ seed;
        let mut piece = Vec::with_capacity(PIECE);
        let mut left = usize::try_from(bytes).unwrap();
        while left > 0 {
            piece.clear();
            while piece.len() < left.min(PIECE) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                piece.extend(state.to_le_bytes());
            }
            piece.truncate(left);
            file.write_all(&piece).unwrap();
            left -= piece.len();
        }
    }

    /// Whether no client is being served.
    pub fn is_idle(&self) -> bool {
        self.children.lock().unwrap().iter_mut().all(|child| child.try_wait().unwrap().is_some())
    }

    /// Everything vsftpd has logged.
    pub fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Vsftpd {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        let _ = self.listener.take().map(JoinHandle::join);
        for child in self.children.lock().unwrap().iter_mut() {
            // It leads the group of its helpers.
            if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn serve(
    listener: &TcpListener,
    stop: &AtomicBool,
    program: &Path,
    configuration: &Path,
    children: &Mutex<Vec<Child>>,
) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let stream = OwnedFd::from(stream.unwrap());
        let child = Command::new(program)
            .arg(configuration)
            .stdin(Stdio::from(stream))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("vsftpd starts");
        children.lock().unwrap().push(child);
    }
}

fn configuration(directory: &Path) -> String {
    let is_root = fs::metadata(directory).unwrap().uid() == 0;
    let rights =
        if is_root { format!("ftp_username={ACCOUNT}") } else { "run_as_launching_user=YES".to_owned() };
    let directory = directory.display();
    format!(
        "listen=NO\nbackground=NO\n{rights}\n\
         anonymous_enable=YES\nlocal_enable=NO\nsecure_email_list_enable=YES\n\
         email_password_file={directory}/passwords\nanon_root={directory}/root\n\
         secure_chroot_dir={directory}/empty\n\
         ssl_enable=YES\nimplicit_ssl=YES\nallow_anon_ssl=YES\nssl_tlsv1=YES\nrequire_ssl_reuse=YES\n\
         force_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n\
         force_local_logins_ssl=YES\nforce_local_data_ssl=YES\n\
         ssl_ciphers=ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305\n\
         rsa_cert_file={directory}/certificate.pem\nrsa_private_key_file={directory}/key.pem\n\
         xferlog_enable=YES\nxferlog_std_format=NO\nlog_ftp_protocol=YES\ndebug_ssl=YES\n\
         vsftpd_log_file={directory}/log\n"
    )
}

/// Whether we are root, told by who owns what we have made.
fn is_root(directory: &Path) -> bool {
    fs::metadata(directory).unwrap().uid() == 0
}

/// `/usr/sbin` is not on everybody's path.
fn program() -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join("vsftpd")).find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("`vsftpd` is missing; the tests need the Debian package `vsftpd`: apt-get install vsftpd")
    })
}

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
}
