//! Writing answers: status line, the headers that every answer carries, framing.

use super::socket::{Client, Gone};
use crate::web::respond::{Reply, reason};

/// Answers up to this size go out in one piece with their head; larger bodies are not copied for it.
const ONE_PIECE_BYTES: usize = 16 * 1024;

/// Sent with every answer unless its handler says otherwise. Pages bring their own, wider content security policy.
const DEFAULTS: [(&str, &str); 5] = [
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

/// Headers that are the front's own business.
const OWN: [&str; 7] =
    ["connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "upgrade"];

/// The length that the head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes.
    Known(u64),
    /// Until the connection closes.
    UntilClose,
    /// The status has no body (204, 304).
    None,
}

/// The head of an answer. `headers` are taken as they are, except those that are the front's own business and those that
/// could break the framing.
pub(super) fn head<'h>(
    status: u16,
    headers: impl Iterator<Item = (&'h str, &'h str)> + Clone,
    length: Length,
    keep_alive: bool,
) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    let plain = |text: &str| text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte));
    let mut line = |name: &str, value: &str| {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    };
    for (name, value) in headers.clone() {
        if plain(name) && plain(value) && !OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            line(name, value);
        }
    }
    for (name, value) in DEFAULTS {
        if !headers.clone().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            line(name, value);
        }
    }
    match length {
        Length::Known(length) => line("Content-Length", &length.to_string()),
        Length::UntilClose | Length::None => {}
    }
    line("Connection", if keep_alive { "keep-alive" } else { "close" });
    text.push_str("\r\n");
    text.into_bytes()
}

/// Writes a whole answer; without its body where the request was a HEAD.
pub(super) async fn send(
    client: &mut Client,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    without_body: bool,
    keep_alive: bool,
) -> Result<(), Gone> {
    let length = match status {
        204 | 304 => Length::None,
        _ => Length::Known(u64::try_from(body.len()).unwrap_or(u64::MAX)),
    };
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut bytes = head(status, pairs, length, keep_alive);
    let body = if without_body || length == Length::None { &[][..] } else { body };
    if body.len() <= ONE_PIECE_BYTES {
        bytes.extend_from_slice(body);
        client.write(&bytes).await
    } else {
        client.write(&bytes).await?;
        client.write(body).await
    }
}

/// Writes a reply that the front made itself, and announces that the connection closes.
pub(super) async fn refuse(client: &mut Client, reply: &Reply, without_body: bool) -> Result<(), Gone> {
    let headers: Vec<(String, String)> =
        reply.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    send(client, reply.status, &headers, &reply.body, without_body, false).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_framed_and_guarded() {
        let headers = [
            ("Content-Type", "text/html"),
            ("content-security-policy", "script-src 'self'"),
            ("Server", "x"),
        ];
        let text = String::from_utf8(head(200, headers.into_iter(), Length::Known(5), true)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 5\r\nConnection: keep-alive\r\n\r\n"), "{text}");
        assert_eq!(
            text.matches("ecurity-").count() + text.matches("ecurity-policy").count(),
            2 - 1 + 1,
            "{text}"
        );
        assert!(!text.contains("Server") && !text.contains("default-src"), "{text}");
        assert!(text.contains("X-Content-Type-Options: nosniff") && text.contains("Cache-Control: no-store"));
    }

    #[test]
    fn a_header_cannot_break_out() {
        let headers = [("X-Name", "a\r\nSet-Cookie: b"), ("X\r\nY", "c"), ("X-Fine", "d")];
        let text = String::from_utf8(head(204, headers.into_iter(), Length::None, false)).unwrap();
        assert!(
            !text.contains("Set-Cookie") && !text.contains("Content-Length") && text.contains("X-Fine: d"),
            "{text}"
        );
    }
}
