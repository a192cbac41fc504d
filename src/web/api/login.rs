//! `/login`, `/logout` and `/tokens`: how a page and a script show that they may.
//!
//! * `GET /login` (always open): `{"mode": "open" | "password" | "private", "authenticated": bool, "by": "session" | "token" | null}`.
//! * `POST /login {"password"}`: the same and a cookie, 401 `WRONG_PASSWORD`, 429 `TOO_MANY_ATTEMPTS` with `Retry-After`, 409
//!   `PASSWORD_NOT_SET`.
//! * `POST /logout`: 204, whoever asks.
//! * `/tokens` need the password itself.

use embedded_svc::http::server::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::base::secret::Secret;
use crate::web::guard::Who;
use crate::web::guard::sessions::cookie;
use crate::web::guard::tokens::Token;
use crate::web::respond::{ApiError, Reply};
use crate::web::server::{Answer, Call};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
}

pub fn state<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let who = api.guard.known_by(&call.asking());
    Reply::json(200, &view(api, who.as_ref()))
}

pub fn login<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let login: Login = call.json()?;
    let id = api.guard.login(login.password.reveal(), call.asking().peer)?;
    let body = json!({"mode": api.guard.mode(), "authenticated": true, "by": "session"});
    Ok(Reply::json(200, &body)?.header("Set-Cookie", cookie(Some(&id))))
}

pub fn logout<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    api.guard.logout(&call.asking())?;
    Ok(Reply::empty(204).header("Set-Cookie", cookie(None)))
}

pub fn tokens<C: Connection>(_: &mut Call<'_, C>, api: &Api) -> Answer {
    let tokens: Vec<Value> = api.guard.tokens().iter().map(token_view).collect();
    let count = tokens.len();
    Reply::json(200, &json!({"tokens": tokens, "total_count": count}))
}

pub fn add_token<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let wanted: NewToken = call.json()?;
    let (token, secret) = api.guard.add_token(&wanted.name)?;
    let mut view = token_view(&token);
    if let Some(fields) = view.as_object_mut() {
        // The one answer that holds a secret: it is never shown again.
        fields.insert("token".into(), json!(secret.reveal()));
    }
    Reply::json(201, &view)
}

pub fn remove_token<C: Connection>(call: &mut Call<'_, C>, api: &Api) -> Answer {
    let id = call.param("id");
    let unknown = || ApiError::not_found("token", id);
    let number = id.strip_prefix('t').and_then(|number| number.parse().ok()).ok_or_else(unknown)?;
    if api.guard.remove_token(number)? { Ok(Reply::empty(204)) } else { Err(unknown()) }
}

fn view(api: &Api, who: Option<&Who>) -> Value {
    let mode = api.guard.mode();
    json!({"mode": mode, "authenticated": who.is_some(), "by": who.map(Who::by)})
}

fn token_view(token: &Token) -> Value {
    json!({"id": format!("t{}", token.id), "name": token.name, "created_at": token.created_at.map(|at| at.to_string())})
}
