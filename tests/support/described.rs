//! Every answer of a service under test against the description of the API (`docs/openapi.json`): the status has to be one that
//! is described, the body has to be of the described shape, and nothing more may be in it.
//!
//! Only what the description uses of JSON Schema is understood here; anything else fails, so that it cannot be overlooked.

use std::sync::OnceLock;

use serde_json::Value;

use super::client::Answer;

/// Statuses that the front may give to any request, described as `default`.
const ANY: [u16; 9] = [405, 408, 411, 413, 417, 431, 500, 504, 505];

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap())
}

/// Checks an answer to `method` on `path` (with its query). What no description fits has to be a 404 or 405.
pub fn check(method: &str, path: &str, answer: &Answer) {
    if let Err(what) = judge(method, path, answer) {
        panic!("{method} {path}: {what}\n{answer:?}");
    }
}

fn judge(method: &str, path: &str, answer: &Answer) -> Result<(), String> {
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_suffix('/').unwrap_or(path);
    let verb = if method == "HEAD" { "get" } else { &method.to_ascii_lowercase() };
    let operation = find(path).map(|verbs| &verbs[verb]).filter(|operation| !operation.is_null());
    let Some(operation) = operation else {
        return match answer.status {
            404 | 405 | 421 | 403 | 401 => Ok(()),
            204 if method == "OPTIONS" => Ok(()),
            status => Err(format!("answered {status}, and nothing is said of it in docs/openapi.json")),
        };
    };
    let responses = &operation["responses"];
    let mut described = &responses[answer.status.to_string()];
    if described.is_null() && ANY.contains(&answer.status) {
        described = &responses["default"];
    }
    if described.is_null() {
        return Err(format!("{} is not described", answer.status));
    }
    let described = resolve(described);
    for (name, _) in described["headers"].as_object().into_iter().flatten() {
        if answer.header(name).is_none() {
            return Err(format!("the header {name} is missing"));
        }
    }
    let Some(content) = described["content"].as_object() else {
        return if answer.bytes.is_empty() { Ok(()) } else { Err("there should be no body".to_owned()) };
    };
    let kind = answer.header("Content-Type").ok_or("no Content-Type")?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let family = format!("{}/*", kind.split('/').next().unwrap_or_default());
    let media =
        content.get(kind).or_else(|| content.get(&family)).ok_or(format!("{kind} is not described"))?;
    if kind != "application/json" || method == "HEAD" {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.bytes).map_err(|error| error.to_string())?;
    fits(&media["schema"], &body, "body")
}

/// The operations of the address that `path` is: the one with the most words of its own.
fn find(path: &str) -> Option<&'static Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let paths = document()["paths"].as_object().unwrap();
    let fitting = paths.iter().filter(|(template, _)| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len()
            && template
                .iter()
                .zip(&parts)
                .all(|(one, part)| one == part || (one.starts_with('{') && !part.is_empty()))
    });
    let own = |template: &str| template.split('/').map(|part| !part.starts_with('{')).collect::<Vec<_>>();
    fitting.max_by_key(|(template, _)| own(template)).map(|(_, verbs)| verbs)
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => document().pointer(reference.trim_start_matches('#')).expect("it leads somewhere"),
        None => value,
    }
}

/// Whether `value` is what `schema` says.
fn fits(schema: &'static Value, value: &Value, place: &str) -> Result<(), String> {
    let schema = resolve(schema);
    if let Some(several) = schema["anyOf"].as_array() {
        let tried: Vec<String> = several.iter().filter_map(|one| fits(one, value, place).err()).collect();
        return if tried.len() < several.len() { Ok(()) } else { Err(tried.join("; or ")) };
    }
    let wrong = |what: &str| Err(format!("{place} {what}: {value}"));
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "type" => {
                let names = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
                if !names.iter().any(|name| is(name.as_str().unwrap(), value)) {
                    return wrong(&format!("is no {wanted}"));
                }
            }
            "enum" => {
                if !wanted.as_array().unwrap().contains(value) {
                    return wrong(&format!("is none of {wanted}"));
                }
            }
            "minimum" if value.as_f64().is_some_and(|number| number < wanted.as_f64().unwrap()) => {
                return wrong("is too small");
            }
            "maximum" if value.as_f64().is_some_and(|number| number > wanted.as_f64().unwrap()) => {
                return wrong("is too large");
            }
            "format" => {
                let text = value.as_str().unwrap_or_default();
                let like = match wanted.as_str().unwrap() {
                    "date-time" => text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T',
                    "date" => text.len() == 10 && text.as_bytes()[4] == b'-',
                    other => panic!("the format {other} is not understood here"),
                };
                if value.is_string() && !like {
                    return wrong(&format!("is no {wanted}"));
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(wanted, item, &format!("{place}[{at}]"))?;
                }
            }
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        fits(schema, field, &format!("{place}.{name}"))?;
                    } else if schema["additionalProperties"] == false {
                        return Err(format!("{place}.{name} is not described"));
                    }
                }
            }
            "required" => {
                for name in wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
                    if value.is_object() && value.get(name).is_none() {
                        return Err(format!("{place}.{name} is missing"));
                    }
                }
            }
            "additionalProperties" if wanted.is_object() => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    fits(wanted, field, &format!("{place}.{name}"))?;
                }
            }
            "additionalProperties" | "description" | "minimum" | "maximum" => {}
            other => panic!("the keyword {other} is not understood here"),
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not understood here"),
    }
}
