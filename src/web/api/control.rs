//! Orders about a print: pause, resume, stop. The answer is what the printer's own status says.

use std::time::Duration;

use embedded_svc::http::server::Connection;
use serde_json::json;

use super::Api;
use super::printers::{tell, watched};
use crate::base::clock::within;
use crate::model::{Control, ControlError, ControlKind, JobId};
use crate::printers::registry::{Command, Entry, REPLIES_MAX, Reply};
use crate::web::respond::{ApiError, Reply as Body};
use crate::web::server::{Answer, Call};

/// A client waits for its order to be carried out for this long; a handler has 30 s.
const WAIT: Duration = Duration::from_secs(25);
/// While another handler waits for a printer, an order is given and its answer looked for this long only: two waiting
/// handlers would leave nobody for the page, and a stop must not be refused because of that.
const WAIT_BESIDE: Duration = Duration::from_secs(1);

pub fn pause<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    order(call, api, Control::Pause)
}

pub fn resume<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    order(call, api, Control::Resume)
}

pub fn stop<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    order(call, api, Control::Stop)
}

fn order<C: Connection>(call: &mut Call<'_, C>, api: &Api, order: Control) -> Answer {
    let (printer, entry) = watched(api, call.param("id"))?;
    match carry_out(api, &entry, order)? {
        Some(job) => Body::json(
            200,
            &json!({"printer_id": printer.id, "command": order, "confirmed": true, "job_id": job}),
        ),
        // It goes on: `print_paused` and the like, or `printer_control_failed`, will tell.
        None => {
            let job = entry.state.get().job_id;
            Body::json(
                200,
                &json!({"printer_id": printer.id, "command": order, "confirmed": false, "job_id": job}),
            )
        }
    }
}

/// Gives an order and waits until the printer's own status confirms it; answers the job then, or `None` where that takes
/// longer than a client waits.
///
/// # Errors
/// What became of the order, as the API says it.
pub(super) fn carry_out(api: &Api, entry: &Entry, order: Control) -> Result<Option<Option<JobId>>, ApiError> {
    let (reply, replies) = smol::channel::bounded(REPLIES_MAX);
    tell(entry, Command::Control(order, reply))?;
    let pass = api.slow.try_enter();
    let wait = if pass.is_some() { WAIT } else { WAIT_BESIDE };
    let last = smol::block_on(within(&api.clock, wait, async {
        loop {
            match replies.recv().await {
                Ok(Reply::Taken) => {}
                Ok(Reply::Done(job)) => return Ok(job),
                Ok(Reply::Failed(error)) => return Err(error),
                // The watch was stopped or has restarted.
                Err(_) => {
                    return Err(ControlError::new(ControlKind::Offline, "the printer is not connected"));
                }
            }
        }
    }));
    match last {
        Some(Err(error)) => Err(failure(order, &error)),
        Some(Ok(job)) => Ok(Some(job)),
        None => Ok(None),
    }
}

fn failure(order: Control, error: &ControlError) -> ApiError {
    let (status, code) = match error.kind {
        ControlKind::NotPermitted => (409, "CONTROL_NOT_PERMITTED"),
        ControlKind::WrongState => (409, "CONTROL_WRONG_STATE"),
        ControlKind::Refused => (409, "CONTROL_REFUSED"),
        ControlKind::Offline => (503, "PRINTER_OFFLINE"),
        ControlKind::Timeout => (503, "CONTROL_TIMEOUT"),
    };
    let message = format!("{} was not carried out: {}.", order.name(), error.message);
    ApiError::new(status, code, message).with_details(json!({"command": order, "kind": error.kind}))
}
