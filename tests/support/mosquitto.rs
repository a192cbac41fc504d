//! Debian's Mosquitto as a peer: TLS 1.2 on both loopback addresses and a plain port for the test itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Identity;
use super::plain::PlainClient;
use super::wait_until;

/// The user that may log in.
pub const USER: &str = "bblp";
/// The user's password.
pub const CODE: &str = "12345678";

/// How often another free port is tried when somebody else took it between our look and Mosquitto's start.
const PORT_TRIES: usize = 5;

/// A running Mosquitto. It is killed and its files are removed when this is dropped.
pub struct Mosquitto {
    child: Child,
    directory: TempDir,
    /// TLS, on 127.0.0.1.
    pub tls: SocketAddr,
    /// The same, on ::1.
    pub tls_v6: SocketAddr,
    /// Without TLS, on 127.0.0.1.
    pub plain: SocketAddr,
}

impl Mosquitto {
    /// Starts a broker that presents `identity`.
    pub async fn start(identity: &Identity) -> Mosquitto {
        for _ in 0..PORT_TRIES {
            if let Some(broker) =
                Mosquitto::try_start(identity, [free_port(), free_port(), free_port()]).await
            {
                return broker;
            }
        }
        panic!("mosquitto found no free port in {PORT_TRIES} tries");
    }

    async fn try_start(identity: &Identity, [tls, tls_v6, plain]: [u16; 3]) -> Option<Mosquitto> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        write(&path("certificate.pem"), &identity.certificate_pem());
        write(&path("key.pem"), &identity.key_pem());
        write(&path("passwords"), &format!("{USER}:{CODE}\n"));
        let hashed = Command::new(tool("mosquitto_passwd")).arg("-U").arg(path("passwords")).status();
        assert!(hashed.expect("mosquitto_passwd runs").success());
        write(&path("mosquitto.conf"), &configuration(directory.path(), tls, tls_v6, plain));
        let mut child = Command::new(tool("mosquitto"))
            .arg("-c")
            .arg(path("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let log = path("log");
        let mut exited = false;
        wait_until("mosquitto runs", || {
            exited = child.try_wait().unwrap().is_some();
            exited || read(&log).contains(" running")
        })
        .await;
        if exited {
            let log = read(&log);
            assert!(log.contains("Address already in use"), "mosquitto ended:\n{log}");
            return None;
        }
        Some(Mosquitto {
            child,
            directory,
            tls: (Ipv4Addr::LOCALHOST, tls).into(),
            tls_v6: (Ipv6Addr::LOCALHOST, tls_v6).into(),
            plain: (Ipv4Addr::LOCALHOST, plain).into(),
        })
    }

    /// A client of the test's own on the plain port.
    pub fn client(&self) -> PlainClient {
        PlainClient::connect(TcpStream::connect(self.plain).unwrap(), USER, CODE)
    }

    /// Everything Mosquitto has logged.
    pub fn log(&self) -> String {
        read(&self.directory.path().join("log"))
    }

    /// Waits until the log contains `text`.
    pub async fn logged(&self, text: &str) {
        wait_until(&format!("mosquitto logs `{text}`"), || self.log().contains(text)).await;
    }

    /// Ends it at once, as a pulled plug would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(directory: &Path, tls: u16, tls_v6: u16, plain: u16) -> String {
    let directory = directory.display();
    let secure =
        format!("certfile {directory}/certificate.pem\nkeyfile {directory}/key.pem\ntls_version tlsv1.2\n");
    format!(
        "user root\nlog_dest file {directory}/log\nlog_type all\nconnection_messages true\n\
         allow_anonymous false\npassword_file {directory}/passwords\npersistence false\n\
         listener {plain} 127.0.0.1\nlistener {tls} 127.0.0.1\n{secure}listener {tls_v6} ::1\n{secure}"
    )
}

/// Both programs of the package; `/usr/sbin` is not on everybody's path.
fn tool(name: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!(
            "`{name}` is missing; the tests need the Debian package `mosquitto`: apt-get install mosquitto"
        )
    })
}

/// A port that was free a moment ago. Mosquitto cannot choose one by itself.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn write(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// How long the plain client waits for an answer.
pub const ANSWER: Duration = super::PATIENCE;
