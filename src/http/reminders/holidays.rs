//! Files of holidays as bodies of `PUT /v1/calendars/{key}`: iCalendar, or a list of dates.

use axum::body::Body;
use axum::http::HeaderMap;

use crate::http::problem::Problem;
use crate::http::{App, BODY_WITHIN, MAX_BODY, media_of, read_body};
use crate::reminder::calendar::Holiday;
use crate::reminder::{holidays, ics};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ics,
    List,
}

/// What the body says it is; `None`: no such file.
pub fn kind_of(headers: &HeaderMap) -> Option<Kind> {
    match media_of(headers, &["text/calendar", "text/csv"])? {
        "text/calendar" => Some(Kind::Ics),
        _ => Some(Kind::List),
    }
}

/// The days it holds; 422 with the line of what cannot be taken.
pub async fn read(app: &App, headers: &HeaderMap, body: Body, kind: Kind) -> Result<Vec<Holiday>, Problem> {
    let bytes = read_body(app.clock(), headers, body, MAX_BODY, BODY_WITHIN).await?;
    let text = std::str::from_utf8(&bytes).map_err(|why| {
        let line = bytes[..why.valid_up_to()].iter().filter(|&&octet| octet == b'\n').count() + 1;
        Problem::field("holidays", format!("line {line}: is not UTF-8"))
    })?;
    match kind {
        Kind::Ics => ics::parse(text).map(|found| found.holidays).map_err(|why| why.to_string()),
        Kind::List => holidays::parse(text).map_err(|why| why.to_string()),
    }
    .map_err(|why| Problem::field("holidays", why))
}
