//! The document against the router, and against the copy that people read.

use std::collections::BTreeSet;

use embedded_svc::http::server::Method;
use serde_json::Value;

use super::super::api;
use super::super::server::Router;
use super::super::server::double::DoubleConnection;
use super::*;
use crate::base::clock::Clock;

fn document() -> Value {
    serde_json::from_slice(&plain().unwrap()).unwrap()
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
        other => panic!("{other:?} is not used here"),
    }
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let nobody = |_: api::Handler<DoubleConnection>| {
        |_: &mut Call<'_, DoubleConnection>| Err(ApiError::internal("Only the table is looked at."))
    };
    let router = api::table(Router::new(Clock::system()), nobody);
    let routes: BTreeSet<String> = router
        .table()
        .map(|(method, pattern)| format!("{} {}", name(method), pattern.replace(":path}", "}")))
        .collect();
    let document = document();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, verbs)| verbs.as_object().unwrap().keys().map(move |verb| format!("{verb} {path}")))
        .collect();
    let missing: Vec<_> = routes.difference(&described).collect();
    let invented: Vec<_> = described.difference(&routes).collect();
    assert!(missing.is_empty(), "say in src/web/openapi/*.api what these do: {missing:?}");
    assert!(invented.is_empty(), "src/web/openapi/*.api speaks of what there is not: {invented:?}");
}

#[test]
fn the_copy_for_people_is_the_document() {
    let copy = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    let made = concat!(env!("OUT_DIR"), "/openapi.json");
    assert!(
        copy == plain().unwrap(),
        "the description has changed; look at it, then: cp {made} docs/openapi.json"
    );
}

#[test]
fn objects_that_are_answered_are_closed_and_whole() {
    fn walk(schema: &Value, place: &str, open: &BTreeSet<&str>) {
        let fields = schema["properties"].as_object();
        if let Some(fields) = fields
            && !open.contains(place)
        {
            assert_eq!(schema["additionalProperties"], false, "{place}");
            let required: BTreeSet<&str> =
                schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            for name in fields.keys().filter(|name| *name != "clock_synced") {
                assert!(required.contains(name.as_str()), "{place}.{name} may be absent");
            }
        }
        match schema {
            Value::Object(members) => members.values().for_each(|member| walk(member, "", open)),
            Value::Array(items) => items.iter().for_each(|item| walk(item, "", open)),
            _ => {}
        }
    }
    let document = document();
    let text = document["paths"].to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    // What a client sends may hold more than is looked at.
    let mut open = BTreeSet::new();
    for name in schemas.keys() {
        let reference = format!("#/components/schemas/{name}\"");
        let sent = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|verbs| verbs.as_object().unwrap().values());
        let sent =
            sent.map(|operation| operation["requestBody"].to_string()).any(|body| body.contains(&reference));
        if sent || name == "ConnectionInput" {
            open.insert(name.as_str());
        }
    }
    assert!(text.contains("#/components/responses/E400"), "every operation may refuse");
    for (name, schema) in schemas {
        walk(schema, name, &open);
    }
}

#[test]
fn what_is_served_is_small_and_not_sent_twice() {
    assert!(PACKED.len() < 24 * 1024, "{} bytes in the program", PACKED.len());
    // The front takes answers of half a megabyte.
    assert!(plain().unwrap().len() < 400 * 1024);
    for (offer, status) in [("", 200), ("gzip", 200)] {
        let serve = |tag: &str| {
            let mut connection = DoubleConnection::with(
                Method::Get,
                "/openapi.json",
                &[("Accept-Encoding", offer), ("If-None-Match", tag)],
                b"",
            );
            let router = Router::new(Clock::system()).page(Method::Get, "/openapi.json", |call| answer(call));
            embedded_svc::http::server::Handler::handle(&router, &mut connection).unwrap();
            connection
        };
        let first = serve("");
        assert_eq!(first.status(), status);
        let tag = first.answer_header("ETag").unwrap().to_owned();
        assert_eq!((serve(&tag).status(), first.answer_header("Vary")), (304, Some("Accept-Encoding")));
    }
}

#[test]
fn a_description_that_says_nonsense_is_refused() {
    for (text, words) in [
        ("  name: text", "a part of nothing"),
        ("thing A", "begins no entry"),
        ("object A\n  name text", "a field is"),
        ("object A\n  name: tekst", "is no type"),
        ("object Error\n  a: text\nobject Error\n  a: text", "said twice"),
        ("object Error\n  a: Missing", "nothing says what Missing is"),
        ("object Error\n  a: text\nobject A\n  a: text", "nobody uses A"),
        ("object Error\n  a: text\nGET /a\n  whatever", "no part of an operation"),
        ("object Error\n  a: text\nGET /a\n  200\nGET /a\n  200", "said twice"),
        ("object Error\n  a: any?", "may be null already"),
    ] {
        let refused = compile::compile("1", &[("a".to_owned(), text.to_owned())]).unwrap_err();
        assert!(refused.contains(words), "{text:?}: {refused}");
    }
}
