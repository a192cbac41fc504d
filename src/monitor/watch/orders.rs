//! Orders about a print, from the wire to the printer and back.

use smol::channel::Sender;

use super::Watch;
use crate::events::{ControlFailed, Event, PrintControlled};
use crate::jobs::record::flow_of;
use crate::model::status::ConnectionState;
use crate::model::{Control, ControlError, ControlKind};
use crate::monitor::control::{self, Pending};
use crate::printers::registry::Reply;
use crate::store::StoreError;

impl Watch {
    /// Takes an order in, if it makes sense now. Answers whether it is to be given to the printer.
    pub(super) async fn order(&mut self, order: Control, reply: Sender<Reply>) -> Result<bool, StoreError> {
        let now = self.deps.clock.now().mono;
        let pending = Pending::new(order, self.state.job_id, reply, now);
        let checked = if self.order.is_some() {
            let message = "the printer is still at the order before; try again in a few seconds";
            Err(ControlError::new(ControlKind::Refused, message))
        } else if self.state.connection != ConnectionState::Monitoring {
            Err(ControlError::new(ControlKind::Offline, "the printer is not connected"))
        } else {
            control::check(order, self.state.status)
        };
        match checked {
            Ok(()) => {
                self.order = Some(pending);
                Ok(true)
            }
            Err(error) => {
                self.tell_failed(&pending, error).await?;
                Ok(false)
            }
        }
    }

    /// What the newest report means for the order under way.
    pub(super) async fn order_seen(&mut self) -> Result<(), StoreError> {
        match self.order.as_ref().and_then(|pending| pending.judge(self.state.status)) {
            None => Ok(()),
            Some(Err(error)) => self.order_failed(error).await,
            Some(Ok(())) => {
                let Some(pending) = self.order.take() else { return Ok(()) };
                let data = PrintControlled { printer_id: self.printer.id, job_id: pending.job_id };
                let event = match pending.order {
                    Control::Pause => Event::PrintPaused(data),
                    Control::Resume => Event::PrintResumed(data),
                    Control::Stop => Event::PrintStopped(data),
                };
                let (flow, cause) = (pending.job_id.map(flow_of), self.status_seq);
                self.write(move |txn| Ok(Some(txn.emit(event, flow.as_ref(), cause)))).await?;
                let _ = pending.reply.try_send(Reply::Done(pending.job_id));
                Ok(())
            }
        }
    }

    pub(super) async fn order_overdue(&mut self) -> Result<(), StoreError> {
        let now = self.deps.clock.now().mono;
        match self.order.as_ref().filter(|pending| now >= pending.due()).map(Pending::overdue) {
            Some(error) => self.order_failed(error).await,
            None => Ok(()),
        }
    }

    /// The order under way, if there is one, is not carried out.
    pub(super) async fn order_failed(&mut self, error: ControlError) -> Result<(), StoreError> {
        match self.order.take() {
            Some(pending) => self.tell_failed(&pending, error).await,
            None => Ok(()),
        }
    }

    pub(super) async fn tell_failed(&self, pending: &Pending, error: ControlError) -> Result<(), StoreError> {
        log::info!("{}: {} was not carried out: {}", self.printer.id, pending.order.name(), error.message);
        let event = Event::PrinterControlFailed(ControlFailed {
            printer_id: self.printer.id,
            command: pending.order,
            error: error.message.clone(),
            kind: error.kind,
        });
        let flow = pending.job_id.map(flow_of);
        self.write(move |txn| Ok(Some(txn.emit(event, flow.as_ref(), None)))).await?;
        let _ = pending.reply.try_send(Reply::Failed(error));
        Ok(())
    }
}
