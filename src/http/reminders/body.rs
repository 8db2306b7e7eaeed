//! What every call of the reminder side shares: JSON read into a type with the refused field named by its path,
//! which record an address means, versions as entity tags, and how the core's refusals are told.

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::reminders::change::{How, Which, Who};
use crate::engine::reminders::terms::Terms;
use crate::engine::reminders::view::{Place, Stretch};
use crate::engine::{Change, ChangeRefusal, Changed, Idempotency, Refusal};
use crate::http::auth::Scope;
use crate::http::fields::first_16;
use crate::http::listing::Wish;
use crate::http::messages::{idempotency_key, no_idempotency_key};
use crate::http::problem::Problem;
use crate::http::{App, BODY_WITHIN, NO_BODY, Segment, json, query, read_body, read_json, wrong_type};
use crate::message::TokenName;
use crate::reminder::name::{ExternalId, Key};

/// Characters of a free text such as a description or a case manager's name.
pub const TEXT_MAX: usize = 500;

/// Who calls, and on what terms.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: TokenName,
    pub terms: Terms,
}

impl Caller {
    /// Of a call whose body is no JSON, or none: it keeps no key.
    pub fn without_body(name: TokenName, parts: &Parts) -> Result<Caller, Problem> {
        no_idempotency_key(&parts.headers)?;
        Caller::of(name, parts, &[])
    }

    fn of(name: TokenName, parts: &Parts, body: &[u8]) -> Result<Caller, Problem> {
        let key = idempotency_key(&parts.headers)?;
        let once = key.map(|key| Idempotency { key, body: digest(parts, body) });
        let terms = Terms { expect: if_match(&parts.headers)?, once, keeps_holds: false };
        Ok(Caller { name, terms })
    }
}

/// Of all that a call says: what has the same key must be the same call.
fn digest(parts: &Parts, body: &[u8]) -> [u8; 16] {
    // However it is laid out it is the same.
    let value = serde_json::from_slice::<Value>(body).map(|value| value.to_string());
    let mut hasher = blake3::Hasher::new();
    for part in [parts.method.as_str(), &parts.uri.to_string()] {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
    }
    match value {
        Ok(value) => hasher.update(value.as_bytes()),
        Err(_) => hasher.update(body),
    };
    first_16(&hasher.finalize())
}

/// The body of a call that changes something, and who calls.
pub async fn written<T: DeserializeOwned>(
    app: &App,
    request: Request,
) -> Result<(Parts, Caller, T), Problem> {
    written_by(app, request, Scope::Reminders).await
}

/// The same of a call that takes another scope.
pub async fn written_by<T: DeserializeOwned>(
    app: &App,
    request: Request,
    scope: Scope,
) -> Result<(Parts, Caller, T), Problem> {
    let (parts, body) = request.into_parts();
    let name = app.allow(&parts, scope).await?;
    let body = read_json(app, &parts, body).await?;
    let read = parse(&body)?;
    let by = Caller::of(name, &parts, &body)?;
    Ok((parts, by, read))
}

/// The same for an order that may go without a body.
pub async fn ordered<T: DeserializeOwned + Default>(
    app: &App,
    request: Request,
) -> Result<(Parts, Caller, T), Problem> {
    if request.headers().contains_key(CONTENT_TYPE) {
        return written(app, request).await;
    }
    let (parts, body) = request.into_parts();
    let name = app.allow(&parts, Scope::Reminders).await?;
    let bytes = read_body(app.clock(), &parts.headers, body, NO_BODY, BODY_WITHIN).await?;
    if !bytes.trim_ascii().is_empty() {
        return Err(wrong_type("application/json"));
    }
    let by = Caller::of(name, &parts, &[])?;
    Ok((parts, by, T::default()))
}

/// The body of a call that only asks.
pub async fn asked<T: DeserializeOwned>(app: &App, request: Request) -> Result<(Parts, T), Problem> {
    let (parts, body) = request.into_parts();
    app.allow(&parts, Scope::Read).await?;
    let read = parse(&read_json(app, &parts, body).await?)?;
    Ok((parts, read))
}

/// One JSON object as a type; 400 where it is none, 422 with the path of what the type refuses.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // The object is taken apart once before: it says what is no JSON, and which names stand twice.
    let object = crate::http::fields::Fields::parse(body)?;
    object.check_once()?;
    typed(body)
}

/// The same for an array of objects.
pub fn parse_list<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Problem> {
    let not_json = |why: &str| Problem::bad_request("not_json", format!("The body is not JSON: {why}."));
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(_)) => typed(body),
        Ok(_) => Err(not_json("it must be an array")),
        Err(error) => Err(not_json(&crate::http::fields::reason(&error))),
    }
}

fn typed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        let why = crate::http::fields::reason(&inner);
        // Of another shape than an enum's name, serde_json says that it is no JSON.
        if !inner.is_data() && serde_json::from_slice::<Value>(body).is_err() {
            return Problem::bad_request("not_json", format!("The body is not JSON: {path}: {why}."));
        }
        named(&path, why)
    })
}

/// A missing field has no path of its own: serde names it in backticks.
fn named(path: &str, why: String) -> Problem {
    let inside = if path == "." { "" } else { path };
    let missing = why.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let (field, why) = match missing {
        Some(name) if inside.is_empty() => (name.to_owned(), String::from("is required")),
        Some(name) => (format!("{inside}.{name}"), String::from("is required")),
        None => (inside.to_owned(), why),
    };
    let field: String = field.chars().take(200).flat_map(char::escape_default).collect();
    Problem::field(&field, why)
}

/// Makes one change and says what came of it. `of`: what the address names, so that its absence is 404.
pub async fn change(app: &App, change: Change, by: Caller, of: &str) -> Result<Changed, Problem> {
    let terms = by.terms;
    let change = match terms == Terms::default() {
        true => change,
        false => Change::OnTerms { terms, change: Box::new(change) },
    };
    let mut answer = app.engine().change(vec![change], by.name).await?;
    match answer.pop() {
        Some(made) => made.map_err(|refusal| refused(refusal, of)),
        None => Err(Refusal::Unanswered.into()),
    }
}

/// How a refusal of the core is told.
pub fn refused(refusal: ChangeRefusal, of: &str) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        ChangeRefusal::NotFound { what } if what == of => Problem::not_found(),
        ChangeRefusal::NotFound { what } => Problem::field(what, detail),
        ChangeRefusal::Field { field, why } => Problem::field(field, why),
        ChangeRefusal::Conflict { .. } => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "version_conflict", detail)
        }
        ChangeRefusal::Held => Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail),
        ChangeRefusal::State(_) => Problem::new(StatusCode::CONFLICT, "state_forbids", detail),
        ChangeRefusal::Full(_) => Problem::new(StatusCode::CONFLICT, "too_many", detail),
        ChangeRefusal::Closed(refusal) => refusal.into(),
    }
}

/// A record after a change, with `result`: 201 where it is new.
pub fn answer(how: How, mut shown: Value) -> Response {
    let (status, word) = match how {
        How::Created => (StatusCode::CREATED, "created"),
        How::Changed => (StatusCode::OK, "changed"),
        How::Unchanged => (StatusCode::OK, "unchanged"),
    };
    if let Value::Object(members) = &mut shown {
        members.insert(String::from("result"), word.into());
    }
    json(status, &shown)
}

/// The answer with the version as its entity tag.
pub fn tagged(mut response: Response, version: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The version that `If-Match` wants; `None` where there is no such header, or any will do.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut tags = headers.get_all(IF_MATCH).iter();
    let Some(tag) = tags.next() else { return Ok(None) };
    if tag == "*" {
        return Ok(None);
    }
    let text = tag.to_str().ok().filter(|_| tags.next().is_none());
    let number = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    number.map(Some).ok_or_else(|| Problem::field("If-Match", "must be one tag as ETag gave it, or *"))
}

/// For what has no version: one that is asked for is refused.
pub fn no_if_match(headers: &HeaderMap) -> Result<(), Problem> {
    match if_match(headers)? {
        None => Ok(()),
        Some(_) => {
            Err(Problem::field("If-Match", "is not known here: what this call changes has no version"))
        }
    }
}

/// Which obligation an address means: ours or the firm's id, with the query's `creditor` beside it.
pub fn which(parts: &Parts, id: &Segment) -> Result<Which, Problem> {
    let creditor = only(parts, "creditor", |text| Key::parse(text).map_err(|e| e.to_string()))?;
    meant(&id.0, creditor).ok_or_else(Problem::not_found)
}

/// The same out of a body.
pub fn meant(text: &str, creditor: Option<Key>) -> Option<Which> {
    match text.parse() {
        Ok(id) => Some(Which::Id(id)),
        Err(_) => Some(Which::External { id: ExternalId::parse(text).ok()?, creditor }),
    }
}

pub fn who(text: &str) -> Result<Who, String> {
    match text.parse() {
        Ok(id) => Ok(Who::Id(id)),
        Err(_) => external(text).map(Who::External),
    }
}

pub fn external(text: &str) -> Result<ExternalId, String> {
    ExternalId::parse(text).map_err(|e| e.to_string())
}

pub fn key(text: &str) -> Result<Key, String> {
    Key::parse(text).map_err(|e| e.to_string())
}

/// A query of at most this one parameter.
pub fn only<T>(
    parts: &Parts,
    name: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Problem> {
    let mut found = None;
    for (given, value) in query(&parts.uri)? {
        if given != name {
            return Err(Problem::field(&given, "is not a parameter of this call"));
        }
        found = Some(parse(&value).map_err(|why| Problem::field(name, why))?);
    }
    Ok(found)
}

/// A list's stretch as it is asked for.
pub fn stretch(wish: &Wish) -> Result<Stretch, Problem> {
    let after = wish.cursor(|text| text.parse::<Place>().ok())?;
    Ok(Stretch { after, back: wish.newest_first, limit: wish.limit })
}

/// A page of a list as it is answered.
pub fn page(rows: Vec<Value>, next: Option<String>) -> Response {
    json(StatusCode::OK, &serde_json::json!({"data": rows, "next_cursor": next}))
}

/// A free text that is not too long.
pub fn short(field: &str, text: &Option<String>) -> Result<(), Problem> {
    match text {
        Some(text) if text.chars().count() > TEXT_MAX => {
            Err(Problem::field(field, format!("must be at most {TEXT_MAX} characters")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::contact::Contact;
    use crate::reminder::obligation::Payment;

    fn told<T: DeserializeOwned>(body: &str) -> (u16, String) {
        let problem = parse::<T>(body.as_bytes()).err().unwrap().to_json();
        let field = problem["errors"][0]["field"].as_str().unwrap_or_default();
        (problem["status"].as_u64().unwrap() as u16, field.to_owned())
    }

    #[test]
    fn what_a_type_refuses_is_named_by_its_path() {
        let phones = |phone: &str| format!(r#"{{"external_id":"c","phones":[{phone}]}}"#);
        for (body, field) in [
            (String::from("{}"), "external_id"),
            (phones(r#"{"number":"0151"}"#), "phones[0].number"),
            (phones(r#"{"primary":true}"#), "phones[0].number"),
            (phones(r#"{"number":"+4915112345678","fax":1}"#), "phones[0].fax"),
            (String::from(r#"{"external_id":"c","phones":[],"colour":"red"}"#), "colour"),
            (String::from(r#"{"external_id":"c","phones":[],"days":["someday"]}"#), "days[0]"),
            (String::from(r#"{"external_id":"c","phones":[],"kind":[[]]}"#), "kind"),
            (String::from(r#"{"external_id":"c","external_id":"d","phones":[]}"#), "external_id"),
        ] {
            assert_eq!(told::<Contact>(&body), (422, field.to_owned()), "{body}");
        }
        let money =
            r#"{"external_id":"p","at":"2026-03-01T00:00:00Z","amount":{"value":"1,20","currency":"EUR"}}"#;
        assert_eq!(told::<Payment>(money), (422, String::from("amount")));
        let time = r#"{"external_id":"p","at":"yesterday","amount":{"value":"1","currency":"EUR"}}"#;
        assert_eq!(told::<Payment>(time), (422, String::from("at")));
    }

    #[test]
    fn what_is_no_json_object_is_400() {
        let lone = r#"{"external_id":"\ud800","phones":[]}"#;
        for body in ["", "[]", "null", "{", "{} x", "\u{FEFF}{}", r#"["c",[]]"#, lone] {
            assert_eq!(told::<Contact>(body).0, 400, "{body}");
        }
    }

    #[test]
    fn what_a_list_refuses_is_named_with_its_place() {
        let told = |body: &str| {
            let problem = parse_list::<Contact>(body.as_bytes()).unwrap_err().to_json();
            (problem["status"].as_u64(), problem["errors"][0]["field"].as_str().map(str::to_owned))
        };
        let good = r#"{"external_id":"c","phones":[]}"#;
        assert!(parse_list::<Contact>(format!("[{good},{good}]").as_bytes()).is_ok());
        for (second, field) in [("{}", "[1].external_id"), (r#"{"x":1}"#, "[1].x"), ("7", "[1]")] {
            assert_eq!(told(&format!("[{good},{second}]")), (Some(422), Some(field.to_owned())));
        }
        for body in ["", "{}", "[", "[{}] x", "\"[]\""] {
            assert_eq!(told(body).0, Some(400), "{body}");
        }
    }

    #[test]
    fn a_refusal_of_the_core_has_one_status() {
        for (refusal, of, status, code) in [
            (ChangeRefusal::NotFound { what: "task" }, "task", 404, "not_found"),
            (ChangeRefusal::NotFound { what: "account" }, "obligation", 422, "fields_refused"),
            (ChangeRefusal::Field { field: "amount", why: String::new() }, "", 422, "fields_refused"),
            (ChangeRefusal::Conflict { version: 3 }, "", 412, "version_conflict"),
            (ChangeRefusal::State(String::from("it is paid")), "", 409, "state_forbids"),
            (ChangeRefusal::Held, "task", 403, "scope_missing"),
            (ChangeRefusal::Closed(Refusal::KeyReused), "", 422, "key_reused"),
            (ChangeRefusal::Full(5), "", 409, "too_many"),
            (ChangeRefusal::Closed(Refusal::DiskLow), "", 503, "disk_low"),
        ] {
            let problem = refused(refusal, of).to_json();
            assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(status), Some(code)));
        }
    }

    #[test]
    fn a_version_is_asked_for_as_its_tag_was_given() {
        let asked = |tag: &str| {
            let headers = [(IF_MATCH, HeaderValue::from_str(tag).unwrap())];
            if_match(&HeaderMap::from_iter(headers))
        };
        assert_eq!(asked("\"3\""), Ok(Some(3)));
        assert_eq!(asked("*"), Ok(None));
        for bad in ["3", "W/\"3\"", "\"3\", \"4\"", "\"x\"", ""] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
