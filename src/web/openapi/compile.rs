//! Makes the OpenAPI document out of the descriptions in `*.api`. Part of the build script, and of the tests; not of the program.
//!
//! A description is lines. An entry begins at the margin, its parts are indented; `#` begins a comment line.
//! ```text
//! object Job "A print."              what we answer: closed, every field is always there
//! input NewJob "A job to enter."     what a client sends: unknown fields are passed over
//! closed Change "..."                what a client sends: unknown fields are refused
//!   name: text "for people"
//!   note?: text?                     a field that may be absent, with a value that may be null
//! enum JobStatus: pending | running
//!
//! GET /jobs "Jobs, newest first."
//!   query job_status: JobStatus "only these"      `query name!:` where it must be there
//!   header X-Filename: text
//!   path seq: uint                   parameters of the path are texts unless this says otherwise
//!   paged                            `page` and `limit`
//!   etag                             may be asked with If-None-Match, and answered with 304
//!   body NewJob                      JSON; `body?` may be absent; `body text/csv` is any bytes of that type
//!   200 list(jobs: Job)              JSON of that type; `200 text/csv` is bytes; `204` has no body
//!   201 Job location                 with a Location header
//!   404 NOT_FOUND                    errors by their codes
//! ```
//! Types: `text`, `int`, `uint`, `num`, `bool`, `flag` (a yes or no in a query), `decimal` (a number that may stand in quotes),
//! `time`, `date`, `any`, the name of an entry, `text(1..255)` and `uint(1..65535)` with bounds, `one(a, b)` of these words, `[T]` a list, `{T}` an object with names that
//! nobody knows before, and `T?` for a value that may be null.
//!
//! The answers that every address may give (401, 421 and the like) stand in [`COMMON`] once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What a reader should know first.
const INTRO: &str = "The LAN API of printernizer. Errors have one shape (`Error`); lists come by pages; times are RFC 3339 in UTC; \
    unknown values are null. Every GET may also be a HEAD. Where a password is set, whatever changes something needs it, or with \
    `private` everything does.";

/// Answers of every operation, whoever asks: status, name, words. 403 is for those that change something.
const COMMON: [(u16, &str); 6] = [
    (400, "The request cannot be understood: a query or a value that cannot be used."),
    (401, "The password is needed (PASSWORD_NEEDED) or wrong (WRONG_PASSWORD)."),
    (
        403,
        "The request came from another site's page (FOREIGN_ORIGIN); or only the owner may: the password itself is needed \
         (PASSWORD_NEEDED) and may have to be set first (PASSWORD_NOT_SET).",
    ),
    (429, "Somebody guesses the password: TOO_MANY_ATTEMPTS. `Retry-After` says when to try again."),
    (421, "The `Host` is neither an address nor a name of this device."),
    (
        503,
        "Too much to do at once, or the records cannot be used right now. `Retry-After` says when to try again.",
    ),
];

/// Answers of every operation that takes JSON.
const COMMON_JSON: [(u16, &str); 3] = [
    (413, "The body is too large: BODY_TOO_LARGE."),
    (415, "The body is not announced as application/json: UNSUPPORTED_MEDIA_TYPE."),
    (422, "A field is missing or of the wrong type: WRONG_SHAPE, with its name in `details.field`."),
];

/// A number in quotes, as some clients write prices.
const DECIMAL: &str = "^-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$";

/// What a description says.
#[derive(Default)]
struct Document {
    /// Schemas by name.
    schemas: BTreeMap<String, String>,
    /// Operations by path, in the order of the descriptions.
    paths: Vec<(String, Vec<(String, String)>)>,
    /// Names that were spoken of, to find those that do not exist.
    used: BTreeSet<String>,
}

/// One entry with its indented parts.
struct Entry<'t> {
    line: usize,
    head: &'t str,
    parts: Vec<(usize, &'t str)>,
}

/// Makes the document out of `sources` (name and text), for this version of the program.
///
/// # Errors
/// Where and why a description cannot be understood.
pub fn compile(version: &str, sources: &[(String, String)]) -> Result<String, String> {
    let mut document = Document::default();
    for (name, text) in sources {
        for entry in entries(text).map_err(|error| format!("{name}: {error}"))? {
            document.add(&entry).map_err(|error| format!("{name}:{}: {error}", entry.line))?;
        }
    }
    document.used.insert("Error".to_owned());
    let known: BTreeSet<String> = document.schemas.keys().cloned().collect();
    if let Some(name) = document.used.difference(&known).next() {
        return Err(format!("nothing says what {name} is"));
    }
    if let Some(name) = known.difference(&document.used).next() {
        return Err(format!("nobody uses {name}"));
    }
    Ok(document.render(version))
}

fn entries(text: &str) -> Result<Vec<Entry<'_>>, String> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (line, number) = (line.trim_end(), number + 1);
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if line.starts_with(' ') {
            let entry = entries.last_mut().ok_or(format!("{number}: a part of nothing"))?;
            entry.parts.push((number, line.trim()));
        } else {
            entries.push(Entry { line: number, head: line, parts: Vec::new() });
        }
    }
    Ok(entries)
}

impl Document {
    fn add(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let (word, rest) = entry.head.split_once(' ').ok_or("one word alone says nothing")?;
        match word {
            "object" | "input" | "closed" => self.object(word != "input", rest, &entry.parts),
            "enum" => {
                let (head, words) = described(rest)?;
                let (name, values) = head.split_once(':').ok_or("an enum is `Name: a | b`")?;
                let values: Vec<String> = values.split('|').map(|value| quoted(value.trim())).collect();
                let text = format!("{{\"type\":\"string\",\"enum\":[{}]{}}}", values.join(","), words);
                self.schema(name, text)
            }
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => self.operation(word, rest, &entry.parts),
            other => Err(format!("{other} begins no entry")),
        }
    }

    fn schema(&mut self, name: &str, text: String) -> Result<(), String> {
        match self.schemas.insert(name.trim().to_owned(), text) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is said twice")),
        }
    }

    fn object(&mut self, closed: bool, head: &str, parts: &[(usize, &str)]) -> Result<(), String> {
        let (name, words) = described(head)?;
        let (mut fields, mut required) = (Vec::new(), Vec::new());
        for (line, part) in parts {
            let (text, words) = described(part).map_err(|error| format!("line {line}: {error}"))?;
            let (field, kind) =
                text.split_once(':').ok_or(format!("line {line}: a field is `name: type`"))?;
            let optional = field.strip_suffix('?');
            if optional.is_none() {
                required.push(quoted(field));
            }
            let kind = self.kind(kind).map_err(|error| format!("line {line}: {error}"))?;
            fields.push(format!("{}:{}", quoted(optional.unwrap_or(field)), with_words(&kind, &words)));
        }
        let mut text = format!("{{\"type\":\"object\"{words},\"properties\":{{{}}}", fields.join(","));
        if !required.is_empty() {
            let _ = write!(text, ",\"required\":[{}]", required.join(","));
        }
        text.push_str(if closed { ",\"additionalProperties\":false}" } else { "}" });
        self.schema(name, text)
    }

    /// The schema of a type.
    fn kind(&mut self, text: &str) -> Result<String, String> {
        let text = text.trim();
        if let Some(inner) = text.strip_suffix('?') {
            let schema = self.kind(inner)?;
            return nullable(&schema);
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Ok(format!("{{\"type\":\"array\",\"items\":{}}}", self.kind(inner)?));
        }
        if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return Ok(format!("{{\"type\":\"object\",\"additionalProperties\":{}}}", self.kind(inner)?));
        }
        let (word, inner) = match text.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
            Some((word, inner)) => (word, Some(inner)),
            None => (text, None),
        };
        let bounds = |least: &str, most: &str| match inner {
            None => Ok::<_, String>(String::new()),
            Some(inner) => {
                let (from, to) = inner.split_once("..").ok_or(format!("{inner} are no bounds"))?;
                Ok(format!(",\"{least}\":{from},\"{most}\":{to}"))
            }
        };
        Ok(match word {
            "text" => format!("{{\"type\":\"string\"{}}}", bounds("minLength", "maxLength")?),
            "int" | "num" => {
                let name = if word == "int" { "integer" } else { "number" };
                format!("{{\"type\":\"{name}\"{}}}", bounds("minimum", "maximum")?)
            }
            "uint" if inner.is_none() => "{\"type\":\"integer\",\"minimum\":0}".to_owned(),
            "uint" => format!("{{\"type\":\"integer\"{}}}", bounds("minimum", "maximum")?),
            "bool" => "{\"type\":\"boolean\"}".to_owned(),
            "time" => "{\"type\":\"string\",\"format\":\"date-time\"}".to_owned(),
            "date" => "{\"type\":\"string\",\"format\":\"date\"}".to_owned(),
            "decimal" => format!("{{\"type\":[\"number\",\"string\"],\"pattern\":{}}}", quoted(DECIMAL)),
            "any" => "{}".to_owned(),
            "flag" => {
                "{\"type\":\"string\",\"enum\":[\"true\",\"false\",\"1\",\"0\",\"yes\",\"no\"]}".to_owned()
            }
            "one" => {
                let values: Vec<String> =
                    inner.ok_or("one of what?")?.split(',').map(|value| quoted(value.trim())).collect();
                format!("{{\"type\":\"string\",\"enum\":[{}]}}", values.join(","))
            }
            "list" => {
                let (name, kind) = inner.and_then(|inner| inner.split_once(':')).ok_or("list(name: Type)")?;
                self.used.insert("Pagination".to_owned());
                let (name, items) = (quoted(name.trim()), self.kind(kind)?);
                format!(
                    "{{\"type\":\"object\",\"properties\":{{{name}:{{\"type\":\"array\",\"items\":{items}}},\"total_count\":{{\"type\":\"integer\",\"minimum\":0}},\"pagination\":{{\"$ref\":\"#/components/schemas/Pagination\"}}}},\"required\":[{name},\"total_count\",\"pagination\"],\"additionalProperties\":false}}"
                )
            }
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) && inner.is_none() => {
                self.used.insert(name.to_owned());
                format!("{{\"$ref\":\"#/components/schemas/{name}\"}}")
            }
            other => return Err(format!("{other} is no type")),
        })
    }

    fn operation(&mut self, verb: &str, head: &str, parts: &[(usize, &str)]) -> Result<(), String> {
        let (path, words) = described(head)?;
        let summary = words.replacen("\"description\"", "\"summary\"", 1);
        let path = match path.strip_prefix("root ") {
            Some(path) => path.to_owned(),
            None => format!("/api/v1{path}"),
        };
        let mut operation = Operation::default();
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            operation
                .path_parameters
                .push((name.to_owned(), "{\"type\":\"string\",\"minLength\":1}".to_owned()));
        }
        for (line, part) in parts {
            self.part(&mut operation, part).map_err(|error| format!("line {line}: {error}"))?;
        }
        let json = if operation.takes_json { &COMMON_JSON[..] } else { &[] };
        for (status, _) in COMMON.iter().chain(json) {
            if *status != 403 || verb != "GET" {
                operation
                    .answers
                    .entry(*status)
                    .or_insert_with(|| format!("{{\"$ref\":\"#/components/responses/E{status}\"}}"));
            }
        }
        let tag = path.split('/').find(|part| !matches!(*part, "" | "api" | "v1")).unwrap_or("metrics");
        let id: String = format!("{verb}{path}")
            .replacen("/api/v1", "", 1)
            .to_lowercase()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("_");
        let text = format!(
            "{{\"operationId\":\"{id}\",\"tags\":[\"{tag}\"]{summary}{}{},\"responses\":{{{}}}}}",
            operation.parameters(),
            operation.body,
            operation.answers(),
        );
        let verb = verb.to_lowercase();
        match self.paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, verbs)) if verbs.iter().any(|(known, _)| *known == verb) => {
                Err(format!("{verb} {path} is said twice"))
            }
            Some((_, verbs)) => {
                verbs.push((verb, text));
                Ok(())
            }
            None => {
                self.paths.push((path, vec![(verb, text)]));
                Ok(())
            }
        }
    }

    fn part(&mut self, operation: &mut Operation, part: &str) -> Result<(), String> {
        let (text, words) = described(part)?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "query" | "header" => {
                let (name, kind) = rest.split_once(':').ok_or("a parameter is `name: type`")?;
                let needed = name.ends_with('!');
                let name = name.trim_end_matches('!');
                let schema = self.kind(kind)?;
                operation.parameters.push(parameter(word, name, needed, &schema, &words));
            }
            "path" => {
                let (name, kind) = rest.split_once(':').ok_or("a parameter is `name: type`")?;
                let place = operation.path_parameters.iter_mut().find(|(known, _)| known == name);
                place.ok_or(format!("the path has no {name}"))?.1 = self.kind(kind)?;
            }
            "paged" => operation.parameters.extend(["page", "limit"].map(shared_parameter)),
            "etag" => operation.etag = true,
            "body" | "body?" => {
                let mut content = Vec::new();
                for one in rest.split(" or ") {
                    content.push(self.content(one.trim())?);
                }
                operation.takes_json = !rest.contains('/');
                operation.body = format!(
                    ",\"requestBody\":{{\"required\":{}{words},\"content\":{{{}}}}}",
                    word == "body",
                    content.join(",")
                );
            }
            status => {
                let status: u16 =
                    status.parse().map_err(|_| format!("{status} is no part of an operation"))?;
                let answer =
                    if status >= 400 { error_answer(rest) } else { self.answer(status, rest, &words)? };
                if operation.answers.insert(status, answer).is_some() {
                    return Err(format!("{status} is said twice"));
                }
            }
        }
        Ok(())
    }

    /// A media type with what is in it: JSON of a type, or bytes.
    fn content(&mut self, text: &str) -> Result<String, String> {
        let media = text.split_once(' ').map_or(text, |(media, _)| media);
        if media.contains('/') && !media.starts_with('{') {
            let schema = match text.split_once(' ') {
                Some((_, kind)) => self.kind(kind)?,
                None if media.starts_with("text/") => "{\"type\":\"string\"}".to_owned(),
                None => "{}".to_owned(),
            };
            return Ok(format!("\"{media}\":{{\"schema\":{schema}}}"));
        }
        Ok(format!("\"application/json\":{{\"schema\":{}}}", self.kind(text)?))
    }

    fn answer(&mut self, status: u16, text: &str, words: &str) -> Result<String, String> {
        let words = if words.is_empty() {
            format!(",\"description\":{}", quoted(usual(status)))
        } else {
            words.to_owned()
        };
        let (text, headers) = match text.strip_suffix("location") {
            Some(text) => (
                text.trim(),
                ",\"headers\":{\"Location\":{\"schema\":{\"type\":\"string\"},\"description\":\"The address of what was made.\"}}",
            ),
            None => (text, ""),
        };
        let content =
            if text.is_empty() { String::new() } else { format!(",\"content\":{{{}}}", self.content(text)?) };
        Ok(format!("{{{}{headers}{content}}}", words.trim_start_matches(',')))
    }

    fn render(&self, version: &str) -> String {
        let paths: Vec<String> = self
            .paths
            .iter()
            .map(|(path, verbs)| {
                let verbs: Vec<String> =
                    verbs.iter().map(|(verb, text)| format!("\"{verb}\":{text}")).collect();
                format!("{}:{{\n{}\n}}", quoted(path), verbs.join(",\n"))
            })
            .collect();
        let schemas: Vec<String> =
            self.schemas.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
        let responses: Vec<String> = COMMON
            .iter()
            .chain(&COMMON_JSON)
            .map(|(status, words)| {
                format!("\"E{status}\":{{\"description\":{},{ERROR_CONTENT}}}", quoted(words))
            })
            .collect();
        format!(
            "{{\"openapi\":\"3.1.0\",\"info\":{{\"title\":\"printernizer\",\"version\":{},\"description\":{},\"license\":{{\"name\":\"MIT OR Apache-2.0\"}}}},\n\"servers\":[{{\"url\":\"/\"}}],\n\"security\":[{{}},{{\"bearer\":[]}},{{\"session\":[]}}],\n\"paths\":{{\n{}\n}},\n\"components\":{{\n\"securitySchemes\":{SECURITY},\n\"parameters\":{PARAMETERS},\n\"responses\":{{\n{}\n}},\n\"schemas\":{{\n{}\n}}}}}}\n",
            quoted(version),
            quoted(INTRO),
            paths.join(",\n"),
            responses.join(",\n"),
            schemas.join(",\n"),
        )
    }
}

const SECURITY: &str = "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"A token, or the password itself. Needed where a password is set.\"},\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"printernizer_session\",\"description\":\"What POST /login sets.\"}}";

const PARAMETERS: &str = "{\"page\":{\"name\":\"page\",\"in\":\"query\",\"description\":\"Counted from 1.\",\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,\"default\":1}},\"limit\":{\"name\":\"limit\",\"in\":\"query\",\"description\":\"Items on a page.\",\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200,\"default\":50}},\"if-none-match\":{\"name\":\"If-None-Match\",\"in\":\"header\",\"description\":\"The ETag of what is known already.\",\"schema\":{\"type\":\"string\"}}}";

const ERROR_CONTENT: &str =
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}";

/// An operation on its way.
#[derive(Default)]
struct Operation {
    path_parameters: Vec<(String, String)>,
    parameters: Vec<String>,
    etag: bool,
    body: String,
    takes_json: bool,
    answers: BTreeMap<u16, String>,
}

impl Operation {
    fn parameters(&self) -> String {
        let paths =
            self.path_parameters.iter().map(|(name, schema)| parameter("path", name, true, schema, ""));
        let mut all: Vec<String> = paths.chain(self.parameters.iter().cloned()).collect();
        if self.etag {
            all.push(shared_parameter("if-none-match"));
        }
        if all.is_empty() { String::new() } else { format!(",\"parameters\":[{}]", all.join(",")) }
    }

    fn answers(&self) -> String {
        let mut all: Vec<String> = Vec::new();
        for (status, text) in &self.answers {
            if *status == 200 && self.etag {
                let tagged =
                    text.replacen('{', "{\"headers\":{\"ETag\":{\"schema\":{\"type\":\"string\"}}},", 1);
                all.push(format!("\"200\":{tagged}"));
                all.push(format!("\"304\":{{\"description\":{}}}", quoted(usual(304))));
            } else {
                all.push(format!("\"{status}\":{text}"));
            }
        }
        let others = quoted(
            "What the server answers to anything else that it cannot take (408, 411, 413, 417, 431, 500, 504, 505).",
        );
        all.push(format!("\"default\":{{\"description\":{others},{ERROR_CONTENT}}}"));
        all.join(",")
    }
}

fn parameter(place: &str, name: &str, needed: bool, schema: &str, words: &str) -> String {
    let needed = if needed { ",\"required\":true" } else { "" };
    format!("{{\"name\":{},\"in\":\"{place}\"{needed}{words},\"schema\":{schema}}}", quoted(name))
}

fn shared_parameter(name: &str) -> String {
    format!("{{\"$ref\":\"#/components/parameters/{name}\"}}")
}

fn error_answer(codes: &str) -> String {
    let words = codes.split_whitespace().collect::<Vec<_>>().join(", ");
    format!("{{\"description\":{},{ERROR_CONTENT}}}", quoted(&words))
}

/// `text "words"` taken apart; the words come as a member that follows others, or as nothing.
fn described(text: &str) -> Result<(&str, String), String> {
    match text.split_once('"') {
        None => Ok((text.trim(), String::new())),
        Some((head, rest)) => {
            let words = rest.strip_suffix('"').ok_or("the words have no end")?;
            Ok((head.trim(), format!(",\"description\":{}", quoted(words))))
        }
    }
}

fn with_words(schema: &str, words: &str) -> String {
    match schema.strip_suffix('}') {
        Some("{") => format!("{{{}}}", words.trim_start_matches(',')),
        Some(head) => format!("{head}{words}}}"),
        None => schema.to_owned(),
    }
}

fn nullable(schema: &str) -> Result<String, String> {
    if let Some(rest) = schema.strip_prefix("{\"type\":\"") {
        let (name, rest) = rest.split_once('"').ok_or("a type without an end")?;
        let rest = match rest.split_once("\"enum\":[") {
            Some((before, after)) => {
                let (values, after) = after.split_once(']').ok_or("an enum without an end")?;
                format!("{before}\"enum\":[{values},null]{after}")
            }
            None => rest.to_owned(),
        };
        return Ok(format!("{{\"type\":[\"{name}\",\"null\"]{rest}"));
    }
    if schema == "{}" {
        return Err("`any` may be null already".to_owned());
    }
    Ok(format!("{{\"anyOf\":[{schema},{{\"type\":\"null\"}}]}}"))
}

fn usual(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Made.",
        202 => "Taken; it goes on.",
        204 => "Done; there is nothing more to say.",
        206 => "A part of it.",
        304 => "Nothing has changed.",
        _ => "An answer.",
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
