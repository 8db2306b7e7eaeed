//! `/v1/messages` and what is under it: accept, look at, list, cancel, resolve.
//!
//! Whether any of it may be done is the core's to say; what a message may hold is [`super::draft`]'s, how it
//! is shown [`super::show`]'s.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::auth::Scope;
use super::draft::{self, Parsed};
use super::fields::{Fields, first_16};
use super::listing::{DEFAULT_LIMIT, limit, moment, newest_first, number};
use super::problem::{FieldError, Problem};
use super::show::{self, MessageJson};
use super::{App, Segment, no_query, query, read_json};
use crate::engine::{Accepted, Draft, Filter, Idempotency, Resolution, UnknownFilter, View};
use crate::id::{BatchId, MessageId};
use crate::message::{Msisdn, Status};

const MAX_KEY_BYTES: usize = 255;

const OPTED_OUT: &str = "to: this number wants no messages; it is blocked";

/// The answer to an accepted message, also one line of a batch.
#[derive(Debug, Serialize)]
pub struct AcceptedJson {
    pub id: MessageIdText,
    pub status: Status,
    pub to: String,
    pub encoding: &'static str,
    pub segment_count: u8,
    pub warnings: Vec<String>,
}

/// An id as it is written outside.
#[derive(Debug)]
pub struct MessageIdText(pub MessageId);

impl Serialize for MessageIdText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What is answered about a draft, kept while the engine has the draft.
pub struct Echo {
    to: Msisdn,
    encoding: &'static str,
    segment_count: u8,
    warnings: Vec<String>,
}

impl Echo {
    pub fn of(draft: &Draft, warnings: Vec<String>) -> Echo {
        let encoding = draft.encoding.as_str();
        Echo { to: draft.to, encoding, segment_count: draft.segment_count, warnings }
    }

    /// A repeat by `client_ref` may have said something else: then the message that is kept is shown.
    pub fn answer(self, app: &App, accepted: Accepted) -> Result<AcceptedJson, Problem> {
        let mut echo = self;
        if accepted.repeated
            && let Some(kept) = app.engine().view().message(accepted.id, app.now().wall)?
        {
            echo.to = kept.body.to;
            echo.encoding = kept.body.encoding.as_str();
            echo.segment_count = kept.body.segment_count;
        }
        if accepted.status == Status::Blocked {
            echo.warnings.push(String::from(OPTED_OUT));
        }
        Ok(AcceptedJson {
            id: MessageIdText(accepted.id),
            status: accepted.status,
            to: echo.to.to_e164(),
            encoding: echo.encoding,
            segment_count: echo.segment_count,
            warnings: echo.warnings,
        })
    }
}

pub async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let token = app.allow(&parts, Scope::Send).await?;
    no_query(&parts.uri)?;
    let key = idempotency_key(&parts.headers)?;
    let body = read_json(&app, &parts, body).await?;
    let fields = Fields::parse(&body)?;
    let idempotency = key.map(|key| Idempotency { key, body: fields.digest() });
    let Parsed { draft, dry_run, warnings } = draft::parse(fields, &token, idempotency, app.languages())?;
    let mut echo = Echo::of(&draft, warnings);
    if dry_run {
        if let Some(refusal) = draft.untimely(app.now().wall) {
            return Err(refusal.into());
        }
        echo.warnings.extend(silenced(&app, echo.to).await?);
        return Ok(dry_answer(&echo));
    }
    let accepted = app.engine().accept(draft).await?;
    Ok(super::json(StatusCode::ACCEPTED, &echo.answer(&app, accepted)?))
}

/// Why nothing would go to this number now.
async fn silenced(app: &App, to: Msisdn) -> Result<Option<String>, Problem> {
    let read = move |view: &View| Ok((!view.opt_outs_of(to)?.is_empty(), !view.holds_of(to)?.is_empty()));
    Ok(match app.read(read).await? {
        (true, _) => Some(OPTED_OUT.to_owned()),
        (false, true) => Some(String::from("to: what this number wrote needs a person first; it would wait")),
        (false, false) => None,
    })
}

/// 200 and no id: nothing was kept.
fn dry_answer(echo: &Echo) -> Response {
    let answer = json!({
        "dry_run": true,
        "to": echo.to.to_e164(),
        "encoding": echo.encoding,
        "segment_count": echo.segment_count,
        "warnings": echo.warnings,
    });
    super::json(StatusCode::OK, &answer)
}

/// The digest of the `Idempotency-Key`, if there is one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.as_bytes();
    let visible = key.iter().all(u8::is_ascii_graphic);
    if keys.next().is_some() || key.is_empty() || key.len() > MAX_KEY_BYTES || !visible {
        let why = format!("must be one header of 1 to {MAX_KEY_BYTES} visible ASCII characters");
        return Err(Problem::field("Idempotency-Key", why));
    }
    Ok(Some(first_16(&blake3::hash(key))))
}

/// For calls that keep no key: one that would be ignored is refused.
pub fn no_idempotency_key(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key("idempotency-key") {
        let why = "is not kept by this call; what is there already is not made again";
        return Err(Problem::field("Idempotency-Key", why));
    }
    Ok(())
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let message = app.engine().view().message(parse_id(&id)?, app.now().wall)?;
    let message = message.ok_or_else(Problem::not_found)?;
    Ok(super::json(StatusCode::OK, &MessageJson::of(&message)))
}

fn parse_id(id: &Segment) -> Result<MessageId, Problem> {
    id.0.parse().map_err(|_| Problem::not_found())
}

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    let wish = ListWish::parse(query(&parts.uri)?)?;
    let (view, now) = (app.engine().view().clone(), app.now().wall);
    // A page looks at thousands of rows: not on a thread that answers others.
    let page = tokio::task::spawn_blocking(move || {
        view.list(&wish.filter, wish.after, wish.newest_first, wish.limit, now)
    });
    let page = page.await.map_err(|_| Problem::internal())??;
    let messages: Vec<MessageJson> = page.messages.iter().map(MessageJson::of).collect();
    let next = page.next.map(MessageIdText);
    Ok(super::json(StatusCode::OK, &show::ListJson { data: messages, next_cursor: next }))
}

#[derive(Debug, PartialEq, Eq)]
struct ListWish {
    filter: Filter,
    after: Option<MessageId>,
    newest_first: bool,
    limit: usize,
}

impl ListWish {
    fn parse(pairs: Vec<(String, String)>) -> Result<ListWish, Problem> {
        let mut wish =
            ListWish { filter: Filter::default(), after: None, newest_first: true, limit: DEFAULT_LIMIT };
        let mut errors = Vec::new();
        for (name, value) in &pairs {
            if let Err(why) = wish.set(name, value) {
                errors.push(FieldError::new(name.chars().take(40).collect::<String>(), why));
            }
        }
        let main = |name: &str| matches!(name, "to" | "client_ref" | "batch" | "status");
        let mains: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).filter(|n| main(n)).collect();
        if let [_, second, ..] = mains[..] {
            errors.push(FieldError::new(second, "only one of to, client_ref, batch and status at a time"));
        }
        if errors.is_empty() { Ok(wish) } else { Err(Problem::fields(errors)) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let filter = &mut self.filter;
        match name {
            "to" => filter.to = Some(number(value)?),
            "client_ref" => filter.client_ref = Some(draft::client_ref(value)?),
            "batch" => {
                filter.batch =
                    Some(value.parse::<BatchId>().map_err(|_| String::from("is no id of a batch"))?);
            }
            "status" => filter.status = Some(Status::parse(value).ok_or("is no status of a message")?),
            "link" => filter.link = Some(draft::link_name(value)?),
            "since" => filter.since = Some(moment(value)?),
            "until" => filter.until = Some(moment(value)?),
            "cursor" => self.after = Some(value.parse().map_err(|_| String::from("is no cursor"))?),
            "limit" => self.limit = limit(value)?,
            "order" => self.newest_first = newest_first(value)?,
            _ => return Err(String::from("is not a parameter of this call")),
        }
        Ok(())
    }
}

pub async fn cancel(State(app): State<App>, id: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Send).await?;
    no_query(&parts.uri)?;
    let id = parse_id(&id)?;
    let status = app.engine().cancel(id).await?;
    Ok(super::json(StatusCode::OK, &json!({"id": id.to_string(), "status": status})))
}

pub async fn resolve(State(app): State<App>, id: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    app.allow(&parts, Scope::Admin).await?;
    let id = parse_id(&id)?;
    let body = read_object(&app, &parts, body).await?;
    let mut fields = Fields::parse(&body)?;
    let how = resolution(&mut fields);
    fields.finish()?;
    let status = app.engine().resolve(id, how.ok_or_else(Problem::internal)?).await?;
    Ok(super::json(StatusCode::OK, &json!({"id": id.to_string(), "status": status})))
}

pub async fn resolve_many(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    app.allow(&parts, Scope::Admin).await?;
    let body = read_object(&app, &parts, body).await?;
    let mut fields = Fields::parse(&body)?;
    let how = resolution(&mut fields);
    let which = UnknownFilter {
        link: fields.parsed("link", draft::link_name),
        since: fields.parsed("since", moment),
        until: fields.parsed("until", moment),
    };
    fields.finish()?;
    let count = app.engine().resolve_many(which, how.ok_or_else(Problem::internal)?).await?;
    Ok(super::json(StatusCode::OK, &json!({"resolved": count})))
}

async fn read_object(app: &App, parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    no_query(&parts.uri)?;
    read_json(app, parts, body).await
}

/// `None` only when it was refused.
fn resolution(fields: &mut Fields<'_>) -> Option<Resolution> {
    let how = fields.parsed("as", |text| match text {
        "resend" => Ok(Resolution::Resend),
        "sent" => Ok(Resolution::Sent),
        "failed" => Ok(Resolution::Failed),
        _ => Err(String::from("must be resend, sent or failed")),
    });
    if how.is_none() && !fields.is_refused("as") {
        fields.refuse("as", "is required");
    }
    how
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&str, &str)]) -> Result<ListWish, Problem> {
        ListWish::parse(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a_list_takes_one_main_filter_and_names_what_it_does_not_know() {
        assert!(wish(&[("status", "queued"), ("link", "carrier"), ("limit", "500")]).is_ok());
        for bad in [
            &[("status", "queued"), ("to", "+4915112345678")][..],
            &[("token", "ndg_x")],
            &[("limit", "0")],
            &[("limit", "501")],
            &[("order", "up")],
            &[("cursor", "bat_0000000000000")],
            &[("status", "pending")],
            &[("since", "yesterday")],
        ] {
            assert_eq!(wish(bad).unwrap_err().status(), 422, "{bad:?}");
        }
    }

    #[test]
    fn a_plus_that_was_not_escaped_is_still_a_plus() {
        assert_eq!(wish(&[("to", " 4915112345678")]), wish(&[("to", "+4915112345678")]));
    }

    #[test]
    fn an_idempotency_key_is_one_header_of_visible_ascii() {
        let with = |keys: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append("idempotency-key", axum::http::HeaderValue::from_bytes(key).unwrap());
            }
            idempotency_key(&headers)
        };
        assert_eq!(with(&[]).unwrap(), None);
        assert_ne!(with(&[b"a"]).unwrap(), with(&[b"b"]).unwrap());
        assert!(with(&[&[b'x'; 255]]).is_ok());
        let long = [b'x'; 256];
        for bad in [&[b"".as_slice()][..], &[b"a b"], &[&long], &[b"a", b"a"], &[b"\xe4"]] {
            assert_eq!(with(bad).unwrap_err().status(), 422, "{bad:?}");
        }
    }
}
