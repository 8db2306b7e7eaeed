//! `/v1/optouts`: the list of who wants no messages. JSON and CSV, in and out.
//!
//! A number is written with its plus; the bare last digits of one, as some networks name a sender, stand for
//! every number that ends in them. To add what is there already changes nothing, so an import may be repeated.

use std::collections::HashSet;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::auth::Scope;
use super::csv::{self, Row, Rows};
use super::fields::Fields;
use super::listing::{Wish, number};
use super::problem::Problem;
use super::{App, BODY_WITHIN, MAX_BODY, Segment, media_of, no_query, query, read_body, wrong_type};
use crate::clock::Timestamp;
use crate::engine::{OptOutEntry, OptOutPage, OptOutView, ReadError, Refusal, View};
use crate::message::TokenName;
use crate::reminder::suppression::{Party, Source};

/// A file of opt-outs; 64 octets a row.
const MAX_IMPORT: usize = 64 << 20;
const IMPORT_WITHIN: Duration = Duration::from_secs(60);
/// Each row has a line in the answer.
const MAX_ROWS: usize = 250_000;
/// Characters of a reason: a letter's reference, a file's name.
const MAX_REASON: usize = 200;
/// Rows of an export read at once.
const EXPORTED_AT_ONCE: usize = 1_000;
/// Why a number is here that came without a reason.
const NO_REASON: &str = "";

/// One entry as every list shows it.
#[derive(Serialize)]
pub struct OptOutJson {
    number: String,
    /// Since when.
    at: String,
    /// `reply` or `token`.
    source: &'static str,
    reason: String,
    /// The token that added it.
    by: Option<String>,
    /// The reply that asked for it.
    reply: Option<String>,
    /// The message that confirmed it.
    confirmation: Option<String>,
}

impl OptOutJson {
    pub fn of(view: &OptOutView) -> OptOutJson {
        let (source, reason, by, reply) = match &view.suppression.source {
            Source::Reply(id) => ("reply", String::from("reply"), None, id.map(|id| id.to_string())),
            Source::Token { by, note } => ("token", note.clone(), Some(by.to_string()), None),
        };
        OptOutJson {
            number: view.party.as_written(),
            at: view.suppression.at.to_rfc3339(),
            source,
            reason,
            by,
            reply,
            confirmation: view.suppression.confirmation.map(|id| id.to_string()),
        }
    }
}

pub async fn list(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    if prefers_csv(&parts.headers) {
        return export(State(app), parts).await;
    }
    app.allow(&parts, Scope::Read).await?;
    let mut only = None;
    let wish = Wish::parse(query(&parts.uri)?, false, |name, value| {
        if name == "number" {
            only = Some(number(value)?);
        }
        Ok(name == "number")
    })?;
    if wish.newest_first {
        return Err(Problem::field("order", "opt-outs come in order of their numbers: asc"));
    }
    let after = wish.cursor(place)?;
    let page = match only {
        Some(number) => {
            let of = move |view: &View| Ok(OptOutPage { opt_outs: view.opt_outs_of(number)?, next: None });
            app.read(of).await?
        }
        None => app.read(move |view| view.opt_outs(after, wish.limit)).await?,
    };
    let rows: Vec<OptOutJson> = page.opt_outs.iter().map(OptOutJson::of).collect();
    Ok(super::json(StatusCode::OK, &json!({"data": rows, "next_cursor": page.next.map(cursor)})))
}

/// A cursor without a plus, which a query would lose.
pub fn cursor(party: Party) -> String {
    party.as_written().replace('+', "n")
}

pub fn place(text: &str) -> Option<Party> {
    Party::parse(&text.replace('n', "+")).ok()
}

fn prefers_csv(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| {
        let types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        types.take_while(|one| *one != "application/json").any(|one| one.eq_ignore_ascii_case("text/csv"))
    })
}

/// The whole list as CSV, however long: it is read while it goes out.
pub async fn export(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let head = Ok::<Bytes, Problem>(Bytes::from_static(b"number,reason,source,by,at\r\n"));
    let pages = stream::try_unfold((app, Some(None)), async |(app, after)| {
        let Some(after) = after else { return Ok::<_, Problem>(None) };
        let page = app.read(move |view| view.opt_outs(after, EXPORTED_AT_ONCE)).await?;
        let text: String = page.opt_outs.iter().map(csv_row).collect();
        Ok(Some((Bytes::from(text), (app, page.next.map(Some)))))
    });
    let whole = futures_util::StreamExt::chain(stream::iter([head]), pages);
    let body = Body::from_stream(futures_util::TryStreamExt::map_err(whole, |_| Unreadable));
    let mut response = super::typed(StatusCode::OK, "text/csv; charset=utf-8; header=present", body);
    let name = HeaderValue::from_static("attachment; filename=\"optouts.csv\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// Ends an answer that has begun; the state's fault is logged where it happened.
#[derive(Debug, thiserror::Error)]
#[error("the state cannot be read")]
struct Unreadable;

fn csv_row(view: &OptOutView) -> String {
    let row = OptOutJson::of(view);
    let cells = [
        csv::exact(&row.number),
        csv::free(&row.reason),
        csv::exact(row.source),
        csv::free(row.by.as_deref().unwrap_or_default()),
        csv::exact(&row.at),
    ];
    cells.join(",") + "\r\n"
}

pub async fn look(State(app): State<App>, of: Segment, parts: Parts) -> Result<Response, Problem> {
    app.allow(&parts, Scope::Read).await?;
    no_query(&parts.uri)?;
    let found = app.read(binding(party(&of.0)?)).await?;
    let first = found.first().ok_or_else(Problem::not_found)?;
    Ok(super::json(StatusCode::OK, &OptOutJson::of(first)))
}

/// Opt-outs that bind a number, or those of bare digits.
fn binding(party: Party) -> impl FnOnce(&View) -> Result<Vec<OptOutView>, ReadError> {
    move |view| match party {
        Party::Number(number) => view.opt_outs_of(number),
        Party::Tail(_) => {
            let found = view.opt_out(party)?;
            Ok(found.map(|suppression| OptOutView { party, suppression }).into_iter().collect())
        }
    }
}

/// As in a path or a list: blanks and signs between digits are how people write numbers.
pub fn party(text: &str) -> Result<Party, Problem> {
    read_party(text).map_err(|why| Problem::field("number", why))
}

fn read_party(text: &str) -> Result<Party, String> {
    let plus = text.starts_with([' ', '+']);
    let digits: String =
        text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/' | '+')).collect();
    let written = if plus { format!("+{digits}") } else { digits };
    if text.is_empty() {
        return Err(String::from("is required"));
    }
    Party::parse(&written).map_err(|why| why.to_string())
}

/// One entry, or why not.
struct Asked {
    line: usize,
    number: String,
    read: Result<OptOutEntry, Problem>,
}

#[derive(Serialize)]
struct ResultJson {
    /// 1-based: the line of the file, or the place in the array.
    line: usize,
    number: String,
    #[serde(flatten)]
    outcome: OutcomeJson,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OutcomeJson {
    /// `added`, or `already` there.
    Taken {
        status: &'static str,
    },
    Refused {
        error: Value,
    },
}

/// One number, an array of them, or a CSV file whose first row names its columns.
pub async fn add(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Admin).await?;
    no_query(&parts.uri)?;
    let Some(media) = media_of(&parts.headers, &["application/json", "text/csv"]) else {
        return Err(wrong_type("application/json or text/csv"));
    };
    if media == "text/csv" {
        let body = read_body(app.clock(), &parts.headers, body, MAX_IMPORT, IMPORT_WITHIN).await?;
        let read = tokio::task::spawn_blocking(move || read_csv(&body));
        return add_many(&app, read.await.map_err(|_| Problem::internal())??, by).await;
    }
    let body = read_body(app.clock(), &parts.headers, body, MAX_BODY, BODY_WITHIN).await?;
    if body.trim_ascii_start().starts_with(b"[") {
        return add_many(&app, read_array(&body)?, by).await;
    }
    let entry = read_object(Fields::parse(&body)?)?;
    add_one(&app, entry, by).await
}

/// 201 for a new one, 200 for one that was there.
async fn add_one(app: &App, entry: OptOutEntry, by: TokenName) -> Result<Response, Problem> {
    let party = entry.party;
    let added = app.engine().opt_out(vec![entry], by).await?;
    let kept = app.read(move |view| view.opt_out(party)).await?;
    // Lifted by somebody else in between.
    let suppression = kept.ok_or_else(|| Problem::from(Refusal::NotFound))?;
    let status = if added > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok(super::json(status, &OptOutJson::of(&OptOutView { party, suppression })))
}

async fn add_many(app: &App, asked: Vec<Asked>, by: TokenName) -> Result<Response, Problem> {
    let (asked, known) = app
        .read(move |view| {
            let parties = asked.iter().filter_map(|one| Some(one.read.as_ref().ok()?.party));
            let mut known = HashSet::new();
            for party in parties {
                if !known.contains(&party) && view.opt_out(party)?.is_some() {
                    known.insert(party);
                }
            }
            Ok((asked, known))
        })
        .await?;
    let mut known = known;
    let (mut entries, mut results, mut refused) = (Vec::new(), Vec::new(), 0);
    for Asked { line, number, read } in asked {
        let outcome = match read {
            Ok(entry) => {
                let status = if known.insert(entry.party) { "added" } else { "already" };
                entries.push(entry);
                OutcomeJson::Taken { status }
            }
            Err(problem) => {
                refused += 1;
                OutcomeJson::Refused { error: problem.to_json() }
            }
        };
        results.push(ResultJson { line, number, outcome });
    }
    let taken = entries.len() as u64;
    let added = app.engine().opt_out(entries, by).await?;
    let answer = json!({"added": added, "already": taken - added, "refused": refused, "results": results});
    Ok(super::json(StatusCode::OK, &answer))
}

fn read_object(mut fields: Fields<'_>) -> Result<OptOutEntry, Problem> {
    let party = fields.parsed("number", read_party);
    if party.is_none() && !fields.is_refused("number") {
        fields.refuse("number", "is required");
    }
    let note = fields.parsed("reason", reason).unwrap_or_else(|| NO_REASON.to_owned());
    fields.finish()?;
    Ok(OptOutEntry { party: party.ok_or_else(Problem::internal)?, at: None, note })
}

fn reason(text: &str) -> Result<String, String> {
    if text.chars().count() > MAX_REASON {
        return Err(format!("is longer than {MAX_REASON} characters"));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("holds the control character U+{:04X}", u32::from(c))),
        None => Ok(text.to_owned()),
    }
}

fn read_array(body: &[u8]) -> Result<Vec<Asked>, Problem> {
    let text = std::str::from_utf8(body).map_err(|e| not_utf8(e.valid_up_to()))?;
    let rows: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|e| Problem::bad_request("not_json", format!("The body is not a JSON array: {e}.")))?;
    let read = |row: &RawValue| {
        let named = serde_json::from_str::<Value>(row.get()).ok();
        let number = named.and_then(|value| Some(value.get("number")?.as_str()?.to_owned()));
        let read = Fields::parse_text(row.get()).and_then(read_object);
        (shown(&number.unwrap_or_default()), read)
    };
    let asked = rows.into_iter().enumerate().map(|(at, row)| {
        let (number, read) = read(row);
        Asked { line: at + 1, number, read }
    });
    Ok(asked.collect())
}

fn not_utf8(at: usize) -> Problem {
    Problem::bad_request("not_utf8", format!("The body is not UTF-8 at byte {at}."))
}

/// As much of what should be a number as an answer repeats.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Columns of a file that count; others are left alone.
struct Columns {
    number: usize,
    reason: Option<usize>,
    at: Option<usize>,
}

impl Columns {
    fn of(header: &Row) -> Result<Columns, Problem> {
        let find = |name: &str| header.cells.iter().position(|cell| cell.trim().eq_ignore_ascii_case(name));
        let number = find("number").ok_or_else(|| {
            Problem::field(
                "number",
                "the first row must name the columns; number is required, reason and at may be",
            )
        })?;
        Ok(Columns { number, reason: find("reason"), at: find("at") })
    }

    fn read(&self, row: &Row) -> Asked {
        let cell = |at: usize| csv::unguarded(row.cells.get(at).map_or("", String::as_str)).trim();
        let number = cell(self.number);
        let entry = || {
            let party = party(number)?;
            let note = self.reason.map_or(Ok(NO_REASON.to_owned()), |at| {
                reason(cell(at)).map_err(|why| Problem::field("reason", why))
            })?;
            let at = self.at.map(cell).filter(|text| !text.is_empty()).map(|text| {
                let why = "must be a time as RFC 3339 writes it, with an offset";
                Timestamp::parse_rfc3339(text).ok_or_else(|| Problem::field("at", why))
            });
            Ok(OptOutEntry { party, at: at.transpose()?, note })
        };
        Asked { line: row.line, number: shown(number), read: entry() }
    }
}

fn read_csv(body: &[u8]) -> Result<Vec<Asked>, Problem> {
    let text = std::str::from_utf8(body).map_err(|e| not_utf8(e.valid_up_to()))?;
    let mut rows = Rows::new(text);
    let broken = |error: csv::CsvError| Problem::bad_request("not_csv", format!("{error}."));
    let header = rows.next().unwrap_or(Ok(Row { line: 1, cells: Vec::new() })).map_err(broken)?;
    let columns = Columns::of(&header)?;
    let mut asked = Vec::new();
    for row in rows {
        if asked.len() == MAX_ROWS {
            let detail = format!("A file has at most {MAX_ROWS} rows.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_lines", detail));
        }
        asked.push(columns.read(&row.map_err(broken)?));
    }
    Ok(asked)
}

pub async fn remove(State(app): State<App>, of: Segment, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Admin).await?;
    no_query(&parts.uri)?;
    read_body(app.clock(), &parts.headers, body, super::NO_BODY, BODY_WITHIN).await?;
    lift(&app, party(&of.0)?, by).await
}

/// The number in the query or in a JSON body instead of the path.
pub async fn remove_named(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let by = app.allow(&parts, Scope::Admin).await?;
    lift(&app, named(&app, &parts, body).await?, by).await
}

/// The `number` of a query or else of a JSON body.
async fn named(app: &App, parts: &Parts, body: Body) -> Result<Party, Problem> {
    let pairs = query(&parts.uri)?;
    let body = read_body(app.clock(), &parts.headers, body, MAX_BODY, BODY_WITHIN).await?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| name != "number") {
        return Err(Problem::field(name, "is not a parameter of this call"));
    }
    match pairs.first() {
        Some((_, value)) => party(value),
        None if body.is_empty() => Err(Problem::field("number", "is required")),
        None => Ok(read_object(Fields::parse(&body)?)?.party),
    }
}

/// Ends every opt-out that binds the number, so that it may be written to again.
async fn lift(app: &App, party: Party, by: TokenName) -> Result<Response, Problem> {
    let found = app.read(binding(party)).await?;
    let mut removed = Vec::new();
    for OptOutView { party, .. } in found {
        match app.engine().lift_opt_out(party, by.clone()).await {
            Ok(()) => removed.push(party.as_written()),
            // Somebody else was first.
            Err(Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if removed.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(super::json(StatusCode::OK, &json!({"number": party.as_written(), "removed": removed})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Vec<(usize, String, Result<String, String>)> {
        let rows = read_csv(text.as_bytes()).unwrap().into_iter();
        let why = |problem: Problem| problem.to_json()["errors"][0]["field"].as_str().unwrap().to_owned();
        rows.map(|row| (row.line, row.number, row.read.map(|entry| entry.note).map_err(why))).collect()
    }

    #[test]
    fn a_file_is_read_by_the_names_of_its_columns_and_each_row_for_itself() {
        let rows = imported("Reason;Number;at\nletter;'+49 151 12345678;\nx;abc;\ny;+4915112345679;soon\n");
        assert_eq!(rows[0], (2, String::from("+49 151 12345678"), Ok(String::from("letter"))));
        assert_eq!((rows[1].0, &rows[1].2), (3, &Err(String::from("number"))));
        assert_eq!((rows[2].0, &rows[2].2), (4, &Err(String::from("at"))));
    }

    #[test]
    fn a_file_without_a_header_is_refused() {
        for text in ["", "+4915112345678\n", "phone\n+4915112345678\n"] {
            assert_eq!(read_csv(text.as_bytes()).map(|_| ()).unwrap_err().status(), 422, "{text}");
        }
        assert_eq!(read_csv(b"number\n\"x").map(|_| ()).unwrap_err().status(), 400);
        assert_eq!(read_csv(b"number\n\xff").map(|_| ()).unwrap_err().status(), 400);
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let number = |text| party(text).map(Party::as_written).map_err(|problem| problem.status());
        for text in ["+4915112345678", " 4915112345678", "+49 (151) 1234-5678", "004915112345678"] {
            assert_eq!(number(text).as_deref(), Ok("+4915112345678"), "{text}");
        }
        assert_eq!(number("015112345678").as_deref(), Ok("15112345678"));
        for text in ["", "abc", "+12", "12345", "+49151123456789012"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_names_its_place_without_a_plus() {
        for text in ["+4915112345678", "15112345678"] {
            let party = Party::parse(text).unwrap();
            assert_eq!(place(&cursor(party)), Some(party));
            assert!(!cursor(party).contains('+'));
        }
    }

    #[test]
    fn csv_is_given_where_it_is_preferred() {
        let prefers = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            prefers_csv(&headers)
        };
        assert!(prefers("text/csv") && prefers("TEXT/CSV;q=0.9, */*"));
        assert!(!prefers("*/*") && !prefers("application/json, text/csv") && !prefers_csv(&HeaderMap::new()));
    }
}
