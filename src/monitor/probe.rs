//! A connection test, step by step, for a printer that is not in the list (yet).

use std::time::Duration;

use super::watch::Deps;
use crate::base::clock::within;
use crate::model::{ConnectionKind, Printer, PrinterType};
use crate::printers::driver::{SessionEnd, SessionEvent};
use crate::printers::registry::ProbeStep;
use crate::printers::session::{Last, Memory, Session};

/// Deadline of the whole test.
pub const PROBE_WITHIN: Duration = Duration::from_secs(20);

/// The steps of a Bambu printer in their order.
const BAMBU: [&str; 6] = ["address", "port", "tls", "serial", "login", "first_report"];
/// The steps of a Prusa printer, which speaks in clear and tells its number after the login.
const PRUSA: [&str; 5] = ["address", "port", "login", "serial", "first_report"];

/// The step that failed, and its trouble.
type Trouble = (&'static str, SessionEnd);

/// Runs the test. Never takes longer than [`PROBE_WITHIN`].
pub async fn run(deps: &Deps, mut printer: Printer) -> Vec<ProbeStep> {
    let result = attempt(deps, &mut printer).await;
    steps(printer.kind, &result)
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
    // Twice at most: the first time may only learn the serial number.
    for _ in 0..2 {
        let opening = Session::open(printer, Memory::default(), Last::default(), &deps.means);
        let opened = within(clock, left(), opening).await.unwrap_or_else(|| Err(late()));
        let mut session = opened.map_err(|end| ("address", end))?;
        match within(clock, left(), session.next()).await {
            None => return Err((session.reached(), late())),
            Some(SessionEvent::SerialLearnt(identity)) => {
                printer.connection.serial = identity.serial;
                printer.pin = identity.pin;
            }
            Some(
                SessionEvent::Connected(_)
                | SessionEvent::Report(_)
                | SessionEvent::Taken
                | SessionEvent::NotTaken(_),
            ) => return Ok(()),
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

fn steps(kind: PrinterType, result: &Result<(), Trouble>) -> Vec<ProbeStep> {
    let stages = match kind {
        PrinterType::BambuLab => &BAMBU[..],
        PrinterType::PrusaLink => &PRUSA[..],
    };
    let failed_at =
        result.as_ref().err().map(|(failed, _)| stages.iter().position(|step| step == failed).unwrap_or(0));
    let mut list = Vec::new();
    for (index, step) in stages.iter().copied().enumerate() {
        let ok = ProbeStep { step, result: "ok", kind: None, message: None };
        list.push(match (failed_at, result) {
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
        steps(PrinterType::BambuLab, &result).iter().map(|step| step.result).collect()
    }

    #[test]
    fn steps_before_the_trouble_are_ok_and_later_ones_are_skipped() {
        let trouble = |kind| SessionEnd { kind, message: "why".into(), seen: None };
        assert_eq!(results(Ok(())), ["ok", "ok", "ok", "ok", "ok", "ok", "skipped"]);
        let code = failed_step(ConnectionKind::WrongCode, "login");
        let code = results(Err((code, trouble(ConnectionKind::WrongCode))));
        assert_eq!(code, ["ok", "ok", "ok", "ok", "failed", "skipped", "skipped"]);
        assert_eq!(results(Err(("address", trouble(ConnectionKind::Unreachable))))[0], "failed");
        let prusa = steps(PrinterType::PrusaLink, &Err(("login", trouble(ConnectionKind::Auth))));
        let prusa: Vec<_> = prusa.iter().map(|step| (step.step, step.result)).collect();
        let expected = [("address", "ok"), ("port", "ok"), ("login", "failed"), ("serial", "skipped")];
        assert_eq!(prusa[..4], expected);
    }

    #[test]
    fn silence_belongs_to_the_step_that_was_under_way() {
        assert_eq!(failed_step(ConnectionKind::Silent, "tls"), "tls");
        assert_eq!(failed_step(ConnectionKind::Silent, "first_report"), "first_report");
    }
}
