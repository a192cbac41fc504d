#![no_main]

use printernizer_fuzz::web::front::guard;
use printernizer_fuzz::web::front::head::{Parsed, parse};
use printernizer_fuzz::web::multipart::Form;
use printernizer_fuzz::web::respond::{ApiError, Paging, etag_matches};
use printernizer_fuzz::web::server::field_at;
use printernizer_fuzz::web::server::target::{Pairs, decode_segment, segments, split_target};

// The bytes of one connection: a head, and a body behind it.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (head, length) = match parse(data) {
        Ok(Parsed::Whole(head, length)) => (head, length),
        Ok(Parsed::Partial) => return,
        Err(error) => return sound(&error),
    };
    assert!(length <= data.len());
    // The same head cut short is never whole.
    assert!(!matches!(parse(&data[..length - 1]), Ok(Parsed::Whole(..))));
    // What is passed on cannot break out of its line.
    for (name, value) in head.forwarded() {
        assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']), "{name:?}: {value:?}");
    }
    assert!(head.target.starts_with('/') && head.target.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
    if let Err(error) = guard::check(&head, &["printernizer".to_owned()], Some("printernizer-2.local")) {
        sound(&error);
    }
    let (path, query) = split_target(&head.target);
    for part in segments(path).into_iter().flatten() {
        for path in [false, true] {
            if let Some(name) = decode_segment(part, path) {
                assert!(!name.is_empty() && !name.split('/').any(|part| matches!(part, "" | "." | "..")));
                assert!(path || !name.contains('/'));
                assert!(!name.contains(char::is_control) && !name.contains('\\'));
            }
        }
    }
    match Pairs::parse(query) {
        Ok(pairs) => {
            let _ = Paging::parse(pairs.get("page"), pairs.get("limit"));
            let _ = (pairs.number("days"), pairs.flag("force"));
        }
        Err(error) => sound(&error),
    }
    let _ = etag_matches(head.header("if-none-match").unwrap_or_default(), "\"abc\"");
    let body = &data[length..];
    form(head.header("content-type").unwrap_or_default(), body);
    if let Err(error) = serde_json::from_slice::<Vec<u8>>(body) {
        let _ = field_at(body, error.line(), error.column(), &error.to_string());
    }
});

/// A form gives the same file, whatever pieces it comes in.
fn form(content_type: &str, body: &[u8]) {
    let read = |piece: usize| {
        let mut form = Form::of(content_type)?;
        let mut file = Vec::new();
        for bytes in body.chunks(piece) {
            match form.feed(bytes) {
                Ok(more) => file.extend(more),
                Err(_) => return Some(None),
            }
        }
        Some(form.is_whole().then(|| (file, form.filename().map(str::to_owned))))
    };
    let whole = read(body.len().max(1));
    if let Some(whole) = whole {
        assert!(whole.as_ref().is_none_or(|(file, _)| file.len() <= body.len()));
        let pieces = read(7).expect("the same type");
        // A head that is too long is noticed sooner or later, by the pieces it comes in.
        if let (Some(one), Some(other)) = (whole, pieces) {
            assert_eq!(one, other);
        }
    }
}

/// A refusal is one that can be sent.
fn sound(error: &ApiError) {
    assert!((400..500).contains(&error.status) || error.status == 505, "{error}");
    assert!(!error.message.is_empty());
}
