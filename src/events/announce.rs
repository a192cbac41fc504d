//! State events on their way to the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Envelope, Event, Flow};
use crate::base::clock::Clock;
use crate::bus::Bus;

/// Events that the ring holds. A dozen printers at five status updates a second fill it in four seconds, which is what a
/// slow listener may fall behind before it gets a snapshot; an envelope takes about 1 KB.
pub const RING: usize = 256;

/// The product's bus.
pub type EventBus = Bus<Envelope, RING>;

/// Announces events. Cloning gives another handle to the same bus.
#[derive(Clone)]
pub struct Announcer {
    bus: EventBus,
    newest: Arc<AtomicU64>,
    clock: Clock,
}

impl Announcer {
    /// An announcer on `bus`, when `newest` is the newest durable seq so far.
    #[must_use]
    pub fn new(bus: EventBus, newest: u64, clock: Clock) -> Announcer {
        Announcer { bus, newest: Arc::new(AtomicU64::new(newest)), clock }
    }

    /// Passes on a durable event that the store has committed. Called in the order of `seq`.
    pub fn committed(&self, envelope: Arc<Envelope>) {
        if let Some(seq) = envelope.seq {
            self.newest.store(seq, Ordering::Release);
        }
        self.bus.publish(envelope);
    }

    /// Continues after a restart, when `newest` is the newest durable seq of the journal.
    pub fn resume(&self, newest: u64) {
        self.newest.store(newest, Ordering::Release);
    }

    /// Announces a state event.
    pub fn state(&self, event: Event, flow: Option<Flow>) {
        let envelope = Envelope::state(self.newest(), self.clock.now(), flow, event);
        self.bus.publish(Arc::new(envelope));
    }

    /// The newest durable seq that was announced.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// The bus, to listen.
    #[must_use]
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }
}
