//! `/obligations/{id}/plan`: what is owed in instalments. First it is split evenly, then each line may be changed; only
//! what comes to the whole is taken, and then every instalment is an obligation with reminders of its own.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::entries::Entries;
use super::forms::{FORM_MAX, amount, day, make as change};
use super::{Frame, Look, SHOWN, again, filled, page, told};
use crate::engine::Change;
use crate::engine::reminders::change::Which;
use crate::http::page::forms::see;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::id::ObligationId;
use crate::message::TokenName;
use crate::reminder::money::Money;
use crate::reminder::obligation::Obligation;
use crate::reminder::plan::PlanPart;
use crate::reminder::schedule::today;
use crate::reminder::zone::ZoneSet;

/// Lines of the form: five years by the month. The API takes twice as many.
const LINES_MAX: u16 = 60;
/// Instalments that are offered first.
const USUAL: u16 = 3;

#[derive(Template)]
#[template(path = "reminders/plan.html", config = "src/http/page/askama.toml")]
struct Plan {
    frame: Frame,
    here: &'static str,
    id: String,
    external_id: String,
    balance: String,
    /// How it is split.
    count: u16,
    first: String,
    is_weekly: bool,
    lines: Vec<Line>,
    entries: Entries,
}

/// One instalment of the form: the names of its fields.
struct Line {
    n: u16,
    date: String,
    amount: String,
    amount_label: String,
}

impl Line {
    fn of(n: u16, o: &Obligation) -> Line {
        let amount_label = format!("Amount in {}", o.amount.currency().as_str());
        Line { n, date: format!("date_{n}"), amount: format!("amount_{n}"), amount_label }
    }

    fn is_entered(&self, entries: &Entries) -> bool {
        [&self.date, &self.amount].iter().any(|name| entries.text(name).is_some())
    }
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Response {
    page(app, parts, &["count", "first", "every"], move |look| {
        let id: ObligationId = id.0.parse().map_err(|_| Problem::not_found())?;
        split(id, look)
    })
    .await
}

/// An even split, to be changed.
fn split(id: ObligationId, look: Look) -> Result<Plan, Problem> {
    let o = look.view.obligation(id)?.ok_or_else(Problem::not_found)?;
    let count = look.asked.parse("count", |text| match text.parse::<u16>() {
        Ok(count) if (1..=LINES_MAX).contains(&count) => Ok(count),
        _ => Err(format!("must be 1 to {LINES_MAX}")),
    })?;
    let is_weekly = look.asked.parse("every", |text| match text {
        "month" => Ok(false),
        "week" => Ok(true),
        _ => Err("must be month or week"),
    })?;
    let now = today(&ZoneSet::one(look.catalog.home.clone()), look.now);
    let first = look.asked.parse("first", day)?.unwrap_or_else(|| later(now, 1, false));
    let (count, is_weekly) = (count.unwrap_or(USUAL), is_weekly.unwrap_or_default());
    let mut entries = Entries::default();
    let mut lines = Vec::new();
    for (n, share) in (1..).zip(shares(o.balance(), count)) {
        let line = Line::of(n, &o);
        entries.set(&line.date, later(first, n - 1, is_weekly).to_string());
        entries.set(&line.amount, share.value());
        lines.push(line);
    }
    let first = first.to_string();
    Ok(Plan { count, first, is_weekly, ..form(id, &o, look.frame, lines, entries) })
}

fn form(id: ObligationId, o: &Obligation, frame: Frame, lines: Vec<Line>, entries: Entries) -> Plan {
    Plan {
        frame,
        here: "/obligations",
        id: id.to_string(),
        external_id: visible(o.external_id.as_str(), SHOWN),
        balance: o.balance().to_string(),
        count: USUAL,
        first: String::new(),
        is_weekly: false,
        lines,
        entries,
    }
}

/// So many weeks or months on; the last day of a month without that one.
fn later(date: Date, by: u16, is_weekly: bool) -> Date {
    let by = i64::from(by);
    let span = if is_weekly { by.weeks() } else { by.months() };
    date.checked_add(span).unwrap_or(Date::MAX)
}

/// As even as can be; what does not divide is in the first ones.
fn shares(whole: Money, count: u16) -> Vec<Money> {
    let (each, over) = (whole.minor() / i64::from(count), whole.minor() % i64::from(count));
    let share = |n: i64| Money::new(each + i64::from(n < over), whole.currency()).ok();
    (0..i64::from(count)).filter_map(share).collect()
}

/// `POST /page/obligations/{id}/plan`
pub async fn make(State(app): State<App>, id: Segment, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    let Ok(id) = id.0.parse::<ObligationId>() else { return told(&app, &signed, Problem::not_found()) };
    match agree(&app, id, &mut entries, signed.name.clone()).await {
        Ok(()) => see(&format!("/obligations/{id}")),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => told(&app, &signed, problem),
        Err(problem) => {
            let make = move |look: Look, mut entries: Entries| {
                let o = look.view.obligation(id)?.ok_or_else(Problem::not_found)?;
                whole(&mut entries);
                let lines = (1..=LINES_MAX).map(|n| Line::of(n, &o));
                let lines = lines.filter(|line| line.n == 1 || line.is_entered(&entries)).collect();
                Ok(form(id, &o, look.frame, lines, entries))
            };
            again(&app, &signed, problem, entries, make).await
        }
    }
}

/// What is wrong with all of them is no line's fault.
fn whole(entries: &mut Entries) {
    if let Some(at) = entries.faults.iter().position(|fault| fault.field == "instalments") {
        entries.wrong = Some(format!("The instalments {}.", entries.faults.remove(at).why));
    }
}

async fn agree(app: &App, id: ObligationId, entries: &mut Entries, by: TokenName) -> Result<(), Problem> {
    let o = app.read(move |view| view.obligation(id)).await?.ok_or_else(Problem::not_found)?;
    let parts = parts(entries, &o);
    if parts.is_empty() && entries.faults.is_empty() {
        entries.refuse("date_1", "is required");
    }
    entries.check()?;
    change(app, Change::Plan { which: Which::Id(id), parts }, by).await?;
    Ok(())
}

/// A line of which nothing is entered is none.
fn parts(entries: &mut Entries, o: &Obligation) -> Vec<PlanPart> {
    let mut parts = Vec::new();
    for line in (1..=LINES_MAX).map(|n| Line::of(n, o)) {
        if !line.is_entered(entries) {
            continue;
        }
        let due_date = entries.required(&line.date, day);
        let amount = entries.required(&line.amount, |text| amount(text, o.amount.currency()));
        parts.extend(due_date.zip(amount).map(|(due_date, amount)| PlanPart { due_date, amount }));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::money::Currency;
    use jiff::civil::date;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
    }

    #[test]
    fn shares_come_to_the_whole_and_differ_by_a_cent() {
        for (whole, count) in [(100, 3), (99_999, 7), (2, 1), (2, 5)] {
            let shares: Vec<i64> = shares(eur(whole), count).iter().map(|share| share.minor()).collect();
            assert_eq!((shares.len(), shares.iter().sum::<i64>()), (usize::from(count), whole));
            assert!(shares[0] - shares[shares.len() - 1] <= 1, "{shares:?}");
        }
    }

    #[test]
    fn months_are_counted_from_the_first_date_and_not_from_a_short_one() {
        let dates = [1, 2].map(|n| later(date(2027, 1, 31), n, false));
        assert_eq!(dates, [date(2027, 2, 28), date(2027, 3, 31)]);
        assert_eq!(later(date(2027, 1, 31), 1, true), date(2027, 2, 7));
    }

    #[test]
    fn an_empty_line_is_none_and_half_a_line_is_a_fault() {
        let mut entries =
            Entries::with(&[("date_1", "2027-01-01"), ("amount_1", "5"), ("date_3", "2027-02-01")]);
        assert_eq!(parts(&mut entries, &crate::reminder::obligation::sample()).len(), 1);
        assert_eq!(entries.fault("amount_3"), Some("is required"));
        assert!(entries.fault("date_2").is_none());
    }
}
