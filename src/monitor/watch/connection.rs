//! The connection of a watch: its beginning, its trouble and its end, each with its events and records.

use std::sync::Arc;

use super::{Next, RETRY, RETRY_USER, Watch};
use crate::base::backoff::Backoff;
use crate::base::clock::Mono;
use crate::events::{
    ConnectionProgress, DisconnectReason, Event, PrinterDisconnected, PrinterOnly, PrinterRef,
};
use crate::model::status::{ConnectionKind, ConnectionState, PrinterStatus};
use crate::model::{ControlError, ControlKind};
use crate::printers::driver::{Identity, SessionEnd};
use crate::store::{Read as _, StoreError};

impl Watch {
    pub(super) async fn connecting(&mut self, number: u32, is_first: bool) -> Result<(), StoreError> {
        self.state.connection = ConnectionState::Connecting;
        if is_first {
            self.state.status = PrinterStatus::Connecting;
        }
        let event = self.progress(ConnectionState::Connecting, number);
        self.root = None;
        if is_first {
            let flow = self.flow.clone();
            self.root = self
                .write(move |txn| {
                    Ok(Some(txn.emit(Event::PrinterConnectionProgress(event), flow.as_ref(), None)))
                })
                .await?;
            self.transition(false).await?;
        } else {
            self.tell(Event::PrinterConnectionProgress(event), self.flow.clone());
        }
        self.entry.state.set(self.state.clone());
        Ok(())
    }

    pub(super) async fn connected(
        &mut self,
        identity: Identity,
        number: u32,
        started: Mono,
    ) -> Result<(), StoreError> {
        let mut printer = (*self.printer).clone();
        if printer.pin.is_none() {
            printer.pin = identity.pin;
        }
        let pinned = printer.pin != self.printer.pin;
        self.state.connection = ConnectionState::Monitoring;
        self.state.connection_kind = None;
        self.state.connection_message = None;
        let duration_ms = self.deps.clock.now().mono.since(started).as_millis();
        let steps =
            [ConnectionState::Connected, ConnectionState::Monitoring].map(|state| ConnectionProgress {
                duration_ms: u64::try_from(duration_ms).ok(),
                ..self.progress(state, number)
            });
        let (flow, root, stored) = (self.flow.clone(), self.root, printer.clone());
        self.write(move |txn| {
            if pinned && let Some(mut current) = txn.printer(stored.id)? {
                current.pin = stored.pin;
                txn.put_printer(&current)?;
            }
            let [connected, monitoring] = steps;
            let only = PrinterOnly { printer_id: stored.id };
            let flow = flow.as_ref();
            let cause = txn.emit(Event::PrinterConnectionProgress(connected), flow, root);
            let cause = txn.emit(Event::PrinterConnected(PrinterRef::of(&stored)), flow, Some(cause));
            let cause = txn.emit(Event::PrinterMonitoringStarted(only), flow, Some(cause));
            txn.emit(Event::PrinterConnectionProgress(monitoring), flow, Some(cause));
            Ok(())
        })
        .await?;
        self.printer = Arc::new(printer);
        self.deps.registry.update(Arc::clone(&self.printer));
        self.entry.stranger.set(None);
        self.outage.over();
        self.connected_at = Some(self.deps.clock.now().mono);
        Ok(())
    }

    /// Keeps the serial number that the printer names, unless another printer of the list has it.
    pub(super) async fn learn(&mut self, identity: Identity) -> Result<Option<SessionEnd>, StoreError> {
        let (id, serial, pin) = (self.printer.id, identity.serial, identity.pin);
        let flow = self.flow.clone();
        let learnt = self.deps.store.write(move |txn| {
            if let Some(other) =
                txn.printers()?.into_iter().find(|other| other.id != id && other.connection.serial == serial)
            {
                return Ok::<_, StoreError>(Err(other.name));
            }
            let Some(mut printer) = txn.printer(id)? else { return Ok(Err(String::new())) };
            printer.connection.serial = serial;
            printer.pin = pin.or(printer.pin);
            txn.put_printer(&printer)?;
            txn.emit(Event::PrinterUpdated(PrinterRef::of(&printer)), flow.as_ref(), None);
            Ok(Ok(printer))
        });
        match learnt.await? {
            Ok(printer) => {
                self.printer = Arc::new(printer);
                self.deps.registry.update(Arc::clone(&self.printer));
                Ok(None)
            }
            Err(other) => Ok(Some(SessionEnd {
                kind: ConnectionKind::WrongSerial,
                message: format!(
                    "the printer at this address is in the list already, as {other}; remove one of the two"
                ),
                seen: None,
            })),
        }
    }

    pub(super) async fn failed(
        &mut self,
        end: SessionEnd,
        number: u32,
        started: Mono,
    ) -> Result<Next, StoreError> {
        let now = self.deps.clock.now().mono;
        let needs_user = end.kind.needs_user();
        let retry = if needs_user { RETRY_USER } else { RETRY };
        let pause = if needs_user {
            Backoff::new(retry).fail(fastrand::u32(..))
        } else {
            self.backoff.fail(fastrand::u32(..))
        };
        let durable = self.outage.fail(end.kind, now);
        let state = if needs_user { ConnectionState::Error } else { ConnectionState::Failed };
        self.entry.stranger.set(end.seen.clone().filter(|_| end.kind == ConnectionKind::CertificateChanged));
        let step = |status| ConnectionProgress {
            kind: Some(end.kind),
            message: Some(end.message.clone()),
            retry_in_s: u32::try_from(pause.as_secs()).ok(),
            duration_ms: u64::try_from(now.since(started).as_millis()).ok(),
            ..self.progress(status, number)
        };
        let mut steps = vec![step(ConnectionState::Failed)];
        if needs_user {
            steps.push(step(ConnectionState::Error));
        }
        let (flow, root) = (self.flow.clone(), self.root);
        if durable {
            log::warn!("{}: {}", self.printer.id, end.message);
            self.write(move |txn| {
                let mut cause = root;
                for step in steps {
                    cause = Some(txn.emit(Event::PrinterConnectionProgress(step), flow.as_ref(), cause));
                }
                Ok(())
            })
            .await?;
        } else {
            for step in steps {
                self.tell(Event::PrinterConnectionProgress(step), flow.clone());
            }
        }
        self.unreachable(state, Some(end.kind), Some(end.message)).await?;
        Ok(Next::Rest(Some(now.after(pause))))
    }

    /// The connection is over: says so once, and shows the printer as offline.
    pub(super) async fn disconnected(&mut self, reason: DisconnectReason) -> Result<(), StoreError> {
        let (id, name, flow) = (self.printer.id, self.printer.name.clone(), self.flow.clone());
        self.write(move |txn| {
            let cause = txn.emit(
                Event::PrinterMonitoringStopped(PrinterOnly { printer_id: id }),
                flow.as_ref(),
                None,
            );
            let event = PrinterDisconnected { printer_id: id, name, reason };
            txn.emit(Event::PrinterDisconnected(event), flow.as_ref(), Some(cause));
            Ok(())
        })
        .await?;
        let (kind, message) = (self.state.connection_kind, self.state.connection_message.take());
        let state = if reason == DisconnectReason::Requested {
            ConnectionState::Disconnected
        } else {
            ConnectionState::Failed
        };
        self.unreachable(state, kind, message).await
    }

    /// Shows the printer as offline, with its last words and their age.
    pub(super) async fn unreachable(
        &mut self,
        connection: ConnectionState,
        kind: Option<ConnectionKind>,
        message: Option<String>,
    ) -> Result<(), StoreError> {
        self.order_failed(ControlError::new(ControlKind::Offline, "the printer is not connected")).await?;
        self.state.connection = connection;
        self.state.connection_kind = kind;
        self.state.connection_message = message;
        if !self.offline_recorded || self.state.status != PrinterStatus::Offline {
            self.state.status = PrinterStatus::Offline;
            self.transition(false).await?;
            self.offline_recorded = true;
        }
        self.entry.state.set(self.state.clone());
        Ok(())
    }

    /// Ends the connection, if there is one, when the watch ends or the user wants it. A printer that was removed from
    /// the table says nothing more: its end is in the transaction that removed it.
    pub(super) async fn leave(&mut self) -> Result<(), StoreError> {
        if self.deps.registry.get(self.printer.id).is_none() {
            return Ok(());
        }
        if self.state.connection == ConnectionState::Monitoring {
            let reason = if self.wanted { DisconnectReason::Shutdown } else { DisconnectReason::Requested };
            self.disconnected(reason).await?;
        } else if !self.wanted {
            self.unreachable(ConnectionState::Disconnected, None, None).await?;
        }
        Ok(())
    }

    pub(super) fn progress(&self, status: ConnectionState, attempt: u32) -> ConnectionProgress {
        ConnectionProgress {
            printer_id: self.printer.id,
            status,
            kind: None,
            message: None,
            attempt,
            retry_in_s: None,
            duration_ms: None,
        }
    }
}
