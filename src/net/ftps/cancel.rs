//! Ending a session from another thread.

use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use event_listener::Event;

use super::wire::hang_up;

/// A handle that ends sessions. Clones are the same handle.
///
/// A cancelled handle stays cancelled: whatever a session that was opened with it does fails at once with
/// [`super::FtpsErrorKind::Cancelled`], waits included, because its sockets are shut down.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    cancelled: Event,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    /// Sockets of the session, alive or not; dead ones are taken out when another one is added, so there are at most a
    /// control, a data and one dead one per session that shares the handle.
    sockets: Vec<Weak<TcpStream>>,
    /// What else ends with it; whoever shares the handle adds one.
    hooks: Vec<Box<dyn FnOnce() + Send>>,
}

impl Cancel {
    /// A handle that has not been used.
    #[must_use]
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Shuts down the sockets of all sessions that were opened with this handle, now and later.
    pub fn cancel(&self) {
        let (sockets, hooks) = {
            let mut state = self.state();
            state.cancelled = true;
            (std::mem::take(&mut state.sockets), std::mem::take(&mut state.hooks))
        };
        self.0.cancelled.notify(usize::MAX);
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            hang_up(&socket);
        }
        for hook in hooks {
            hook();
        }
    }

    /// Runs `hook` with [`Cancel::cancel`], or now if that was called: for what waits on something else than a session.
    pub fn also(&self, hook: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        if state.cancelled {
            drop(state);
            hook();
        } else {
            state.hooks.push(Box::new(hook));
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Takes a socket in.
    pub(super) fn watch(&self, socket: &Arc<TcpStream>) {
        let mut state = self.state();
        if state.cancelled {
            hang_up(socket);
        } else {
            state.sockets.retain(|socket| socket.strong_count() > 0);
            state.sockets.push(Arc::downgrade(socket));
        }
    }

    /// Waits for [`Cancel::cancel`].
    pub async fn cancelled(&self) {
        loop {
            let listener = self.0.cancelled.listen();
            if self.is_cancelled() {
                return;
            }
            listener.await;
        }
    }

    /// A panic elsewhere cannot leave the state half written, so poisoning is recovered from.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
