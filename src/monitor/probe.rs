//! A connection test, step by step, for a printer that is not in the list (yet).

use std::time::Duration;

use super::watch::Deps;
use crate::base::clock::within;
use crate::model::{ConnectionKind, Printer, PrinterType};
use crate::printers::bambu;
use crate::printers::driver::{SessionEnd, SessionEvent};
use crate::printers::registry::ProbeStep;

/// Deadline of the whole test.
pub const PROBE_WITHIN: Duration = Duration::from_secs(20);

/// The steps in their order.
const STEPS: [&str; 6] = ["address", "port", "tls", "serial", "login", "first_report"];

/// The step that failed, and its trouble.
type Trouble = (&'static str, SessionEnd);

/// Runs the test. Never takes longer than [`PROBE_WITHIN`].
pub async fn run(deps: &Deps, mut printer: Printer) -> Vec<ProbeStep> {
    steps(attempt(deps, &mut printer).await)
}

async fn attempt(deps: &Deps, printer: &mut Printer) -> Result<(), Trouble> {
    let clock = &deps.clock;
    let deadline = clock.now().mono.after(PROBE_WITHIN);
    let left = || deadline.since(clock.now().mono);
    let late = || SessionEnd {
        kind: ConnectionKind::Silent,
        message: "the printer has not answered in time".into(),
        seen: None,
    };
    if printer.kind != PrinterType::BambuLab {
        let message = "this kind of printer is not supported yet".into();
        return Err(("address", SessionEnd { kind: ConnectionKind::Protocol, message, seen: None }));
    }
    // Twice at most: the first time may only learn the serial number.
    for _ in 0..2 {
        let reports = bambu::Reports::default();
        let opening = bambu::Session::open(printer, reports, clock.clone(), &deps.mqtt, &deps.resolver);
        let opened = within(clock, left(), opening).await.unwrap_or_else(|| Err(late()));
        let mut session = opened.map_err(|end| ("address", end))?;
        match within(clock, left(), session.next()).await {
            None => return Err((session.reached(), late())),
            Some(SessionEvent::SerialLearnt(identity)) => {
                printer.connection.serial = identity.serial;
                printer.pin = identity.pin;
            }
            Some(SessionEvent::Connected(_) | SessionEvent::Report(_)) => return Ok(()),
            Some(SessionEvent::Ended(end)) => return Err((failed_step(end.kind, session.reached()), end)),
        }
    }
    let message = "the printer shows no serial number".into();
    Err(("serial", SessionEnd { kind: ConnectionKind::WrongSerial, message, seen: None }))
}

/// The step that a trouble belongs to; where the kind alone does not tell, how far the session got.
fn failed_step(kind: ConnectionKind, reached: &'static str) -> &'static str {
    use ConnectionKind as K;
    match kind {
        K::Unreachable | K::Refused => "port",
        K::Tls | K::CertificateChanged => "tls",
        K::WrongSerial => "serial",
        K::WrongCode | K::Auth => "login",
        K::Busy | K::Silent | K::Protocol => reached,
    }
}

fn steps(result: Result<(), Trouble>) -> Vec<ProbeStep> {
    let failed_at =
        result.as_ref().err().map(|(failed, _)| STEPS.iter().position(|step| step == failed).unwrap_or(0));
    let mut list = Vec::new();
    for (index, step) in STEPS.into_iter().enumerate() {
        let ok = ProbeStep { step, result: "ok", kind: None, message: None };
        list.push(match (failed_at, &result) {
            (Some(at), Err((_, end))) if index == at => {
                ProbeStep { result: "failed", kind: Some(end.kind), message: Some(end.message.clone()), ..ok }
            }
            (Some(at), _) if index > at => ProbeStep { result: "skipped", ..ok },
            _ => ok,
        });
    }
    let message = Some("the printer's files are not looked at by this version".into());
    list.push(ProbeStep { step: "files", result: "skipped", kind: None, message });
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(result: Result<(), Trouble>) -> Vec<&'static str> {
        steps(result).iter().map(|step| step.result).collect()
    }

    #[test]
    fn steps_before_the_trouble_are_ok_and_later_ones_are_skipped() {
        let trouble = |kind| SessionEnd { kind, message: "why".into(), seen: None };
        assert_eq!(results(Ok(())), ["ok", "ok", "ok", "ok", "ok", "ok", "skipped"]);
        let code = failed_step(ConnectionKind::WrongCode, "login");
        let code = results(Err((code, trouble(ConnectionKind::WrongCode))));
        assert_eq!(code, ["ok", "ok", "ok", "ok", "failed", "skipped", "skipped"]);
        assert_eq!(results(Err(("address", trouble(ConnectionKind::Unreachable))))[0], "failed");
    }

    #[test]
    fn silence_belongs_to_the_step_that_was_under_way() {
        assert_eq!(failed_step(ConnectionKind::Silent, "tls"), "tls");
        assert_eq!(failed_step(ConnectionKind::Silent, "first_report"), "first_report");
    }
}
