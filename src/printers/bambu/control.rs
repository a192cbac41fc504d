//! Orders about the print that is on, and what printers answer to them. Pure.
//!
//! An answer comes in the section of the order, with the order's number; many lack the command. Newer firmware takes orders
//! only from the maker's own programs unless Developer Mode is on: it answers with a reason, with a number, or with
//! nothing but a health message.

use crate::model::text::{MESSAGE_BYTES_MAX, clean};
use crate::model::{Control, ControlError, ControlKind, PrinterError};
use crate::printers::fields::Field;

/// Numbers of orders: those that the maker's program uses. Below are the requests for reports.
const SEQUENCE_FIRST: u32 = 20_002;
/// See [`SEQUENCE_FIRST`].
const SEQUENCE_LAST: u32 = 29_999;
/// Numbers of "the order is not signed".
const NOT_SIGNED: std::ops::RangeInclusive<i64> = 84_033_543..=84_033_548;
/// The health message of the same.
const NOT_SIGNED_HEALTH: &str = "0500-0500-0001-0007";

/// The order after that of number `last`.
pub fn next_sequence(last: Option<u32>) -> u32 {
    match last {
        Some(last) if last < SEQUENCE_LAST => last + 1,
        _ => SEQUENCE_FIRST,
    }
}

/// The payload of an order.
pub fn payload(order: Control, sequence: u32) -> String {
    format!(r#"{{"print":{{"sequence_id":"{sequence}","command":"{}","param":""}}}}"#, order.name())
}

/// What a payload says about the order of number `sequence`; `None` when it speaks of something else.
pub fn answer(payload: &[u8], sequence: u32) -> Option<Result<(), ControlError>> {
    let text = String::from_utf8_lossy(payload);
    let root = Field::payload(&text)?;
    let (_, print) = root.into_iter().rfind(|(key, _)| key == "print")?;
    let print = print.list();
    let find = |name: &str| print.iter().rfind(|(key, _)| key == name).map(|(_, value)| *value);
    let command = find("command").and_then(Field::text);
    if command.as_deref() == Some("push_status") || find("sequence_id")?.integer::<u32>() != Some(sequence) {
        return None; // Reports carry numbers of the printer's own.
    }
    let result = find("result").and_then(Field::text)?;
    let reason = find("reason").and_then(Field::text).unwrap_or_default();
    if result.eq_ignore_ascii_case("success") {
        return Some(Ok(()));
    }
    let number = find("err_code").and_then(Field::integer::<i64>);
    let unsigned = number.is_some_and(|number| NOT_SIGNED.contains(&number))
        || reason.to_ascii_lowercase().contains("verify failed");
    Some(Err(if unsigned {
        not_permitted()
    } else {
        let reason = clean(&reason, MESSAGE_BYTES_MAX / 4);
        let why =
            if reason.is_empty() { "without a reason".to_owned() } else { format!("it says: {reason}") };
        ControlError::new(ControlKind::Refused, format!("the printer refuses the order; {why}"))
    }))
}

/// Whether a health message says that orders are not taken.
pub fn is_refused_by_health(errors: &[PrinterError]) -> bool {
    errors.iter().any(|error| error.code == NOT_SIGNED_HEALTH)
}

/// The refusal of firmware that takes orders from the maker's programs only.
pub fn not_permitted() -> ControlError {
    ControlError::new(
        ControlKind::NotPermitted,
        "the printer's firmware takes orders from Bambu programs only; to allow them from here, switch on LAN Only Mode and \
         then Developer Mode in the printer's network settings",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_numbered_as_the_makers_program_does() {
        assert_eq!(next_sequence(None), 20_002);
        assert_eq!(next_sequence(Some(20_002)), 20_003);
        assert_eq!(next_sequence(Some(29_999)), 20_002);
        assert_eq!(
            payload(Control::Pause, 20_002),
            r#"{"print":{"sequence_id":"20002","command":"pause","param":""}}"#
        );
    }

    #[test]
    fn answers_are_told_from_everything_else() {
        let kind =
            |text: &str| answer(text.as_bytes(), 20_002).map(|answer| answer.map_err(|error| error.kind));
        let refused = |kind| Some(Err(kind));
        for (text, expected) in [
            (
                r#"{"print":{"sequence_id":"20002","command":"pause","result":"success","reason":"success"}}"#,
                Some(Ok(())),
            ),
            (r#"{"print":{"sequence_id":"20002","result":"SUCCESS"}}"#, Some(Ok(()))),
            (r#"{"print":{"sequence_id":20002,"result":"success"}}"#, Some(Ok(()))),
            (
                r#"{"print":{"sequence_id":"20002","command":"pause","result":"failed","reason":"mqtt message verify failed"}}"#,
                refused(ControlKind::NotPermitted),
            ),
            (
                r#"{"print":{"sequence_id":"20002","result":"fail","err_code":84033545}}"#,
                refused(ControlKind::NotPermitted),
            ),
            (
                r#"{"print":{"sequence_id":"20002","result":"fail","reason":"busy"}}"#,
                refused(ControlKind::Refused),
            ),
            (r#"{"print":{"sequence_id":"20003","result":"success"}}"#, None),
            (r#"{"print":{"sequence_id":"20002","command":"push_status","result":"success"}}"#, None),
            (r#"{"print":{"sequence_id":"20002","command":"pause"}}"#, None),
            (r#"{"print":{"result":"success"}}"#, None),
            (r#"{"info":{"sequence_id":"20002","result":"success"}}"#, None),
            (r#"{"print":7}"#, None),
            ("", None),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
