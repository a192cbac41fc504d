//! The listening socket that the service manager has opened for the service.
//!
//! An unprivileged service may not listen on port 80; a socket unit does it and hands the socket over (`LISTEN_FDS`, see
//! sd_listen_fds(3)). Whatever else is handed over is closed and said.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketType, sockopt};

/// Sockets that are taken at most: the unit has one; more say that another unit was meant.
const SOCKETS_MAX: usize = 8;

/// Why the handed over sockets cannot be used.
#[derive(Debug)]
pub enum InheritedError {
    /// The environment speaks of sockets that are not there.
    Environment(io::Error),
    /// None of them is a listening TCP socket.
    Unfit,
}

impl fmt::Display for InheritedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InheritedError::Environment(_) => "the service manager's sockets cannot be taken",
            InheritedError::Unfit => {
                "the service manager handed over no listening TCP socket; the socket unit needs one ListenStream= with a port"
            }
        })
    }
}

impl std::error::Error for InheritedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InheritedError::Environment(source) => Some(source),
            InheritedError::Unfit => None,
        }
    }
}

/// The socket that the service manager has opened, if it has. A second call finds none.
///
/// # Errors
/// When something was handed over that the page cannot be served on.
pub fn listener() -> Result<Option<TcpListener>, InheritedError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    let numbers = sd_notify::listen_fds().map_err(InheritedError::Environment)?;
    let mut sockets = Vec::new();
    for number in numbers.take(SOCKETS_MAX) {
        #[expect(unsafe_code, reason = "taking over a descriptor by its number has no other face")]
        // SAFETY: the service manager opened these descriptors for this process alone and says so in its environment, with our
        // process id; setting their close-on-exec flag has just worked, so they are open; `TAKEN` lets nobody take them twice.
        sockets.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    choose(sockets)
}

/// The first that fits; the others are closed.
fn choose(sockets: Vec<OwnedFd>) -> Result<Option<TcpListener>, InheritedError> {
    if sockets.is_empty() {
        return Ok(None);
    }
    let count = sockets.len();
    let chosen = sockets.into_iter().find(is_listening).ok_or(InheritedError::Unfit)?;
    if count > 1 {
        log::warn!("the service manager handed over {count} sockets; the page uses the first that fits");
    }
    Ok(Some(TcpListener::from(chosen)))
}

fn is_listening(socket: &OwnedFd) -> bool {
    let internet = [AddressFamily::INET, AddressFamily::INET6];
    sockopt::socket_acceptconn(socket) == Ok(true)
        && sockopt::socket_type(socket) == Ok(SocketType::STREAM)
        && sockopt::socket_domain(socket).is_ok_and(|domain| internet.contains(&domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_first_that_fits_is_taken() {
        assert!(choose(Vec::new()).unwrap().is_none());
        let place = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(place.path().join("s")).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wanted = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = wanted.local_addr().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = tempfile::tempfile().unwrap();
        let all = vec![file.into(), unix.into(), udp.into(), OwnedFd::from(wanted), other.into()];
        assert_eq!(choose(all).unwrap().unwrap().local_addr().unwrap(), address);
    }

    #[test]
    fn a_connection_is_no_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(matches!(choose(vec![connection.into()]), Err(InheritedError::Unfit)));
    }
}
