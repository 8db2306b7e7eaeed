//! `/subscriptions/new` and `/subscriptions/{id}`: what comes again and again: a form for a new one, what one has made
//! so far, and its end. What was made before the end stays owed.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::entries::Entries;
use super::forms::{FORM_MAX, SAID_MAX, amount, day, make as change, meanwhile};
use super::obligations::{Choice, creditors};
use super::words::When;
use super::{Frame, Look, SHOWN, again, filled, in_path, page, told};
use crate::engine::reminders::subscriptions::StoredSubscription;
use crate::engine::{Change, ReadError, View};
use crate::http::page::forms::see;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::http::{App, Segment};
use crate::message::TokenName;
use crate::reminder::money::Currency;
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::recurrence::{Every, MonthDay, OnHoliday};
use crate::reminder::schedule::today;
use crate::reminder::subscription::Subscription;
use crate::reminder::zone::ZoneSet;

#[derive(Template)]
#[template(path = "reminders/subscription_new.html", config = "src/http/page/askama.toml")]
struct New {
    frame: Frame,
    here: &'static str,
    creditors: Vec<Choice>,
    sequences: Vec<String>,
    entries: Entries,
}

pub async fn new(State(app): State<App>, parts: Parts) -> Response {
    page(app, parts, &["account", "creditor"], |look| {
        let mut entries = Entries::with(&[("currency", "EUR"), ("every", "monthly")]);
        for name in ["account", "creditor"] {
            entries.set(name, look.asked.get(name).unwrap_or_default());
        }
        Ok(form(look, entries))
    })
    .await
}

fn form(look: Look, entries: Entries) -> New {
    New {
        here: "/subscriptions",
        creditors: creditors(&look.catalog, entries.text("creditor")),
        sequences: look.catalog.sequences.keys().map(ToString::to_string).collect(),
        entries,
        frame: look.frame,
    }
}

/// `POST /page/subscriptions`
pub async fn make(State(app): State<App>, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    match enter(&app, &mut entries, signed.name.clone()).await {
        Ok(id) => see(&format!("/subscriptions/{}", in_path(id.as_str()))),
        Err(problem) => again(&app, &signed, problem, entries, |look, entries| Ok(form(look, entries))).await,
    }
}

async fn enter(app: &App, entries: &mut Entries, by: TokenName) -> Result<ExternalId, Problem> {
    let entered = entered(app.engine().view(), entries)?;
    entries.check()?;
    let subscription = entered.ok_or_else(Problem::internal)?;
    let id = subscription.external_id.clone();
    match change(app, Change::Subscription(Box::new(subscription)), by).await {
        Ok(_) => Ok(id),
        // An account that is not there is no page that is not there.
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
            Err(Problem::field("account", "is not known: enter a case for it first"))
        }
        Err(problem) => Err(problem),
    }
}

fn entered(view: &View, entries: &mut Entries) -> Result<Option<Subscription>, ReadError> {
    let external_id = entries.required("external_id", ExternalId::parse);
    if let Some(id) = &external_id
        && view.subscription(id)?.is_some()
    {
        entries.refuse("external_id", "is there already: look for it in the list");
    }
    let account = entries.required("account", ExternalId::parse);
    let currency = entries.required("currency", |text| Currency::parse(&text.to_ascii_uppercase()));
    let amount = currency.and_then(|currency| entries.required("amount", |text| amount(text, currency)));
    let every = entries.required("every", |text| Every::try_from(text.to_owned()));
    let on = entries.optional("day", month_day);
    let from = entries.required("from", day);
    let (until, creditor) = (entries.optional("until", day), entries.optional("creditor", Key::parse));
    let (description, link) = (entries.short("description", SAID_MAX), entries.short("link", SAID_MAX));
    let sequence = entries.optional("sequence", Key::parse);
    let needed = (external_id, account, amount, every, from);
    let (Some(external_id), Some(account), Some(amount), Some(every), Some(from)) = needed else {
        return Ok(None);
    };
    let (skip, on_holiday) = (Vec::new(), OnHoliday::default());
    let subscription = Subscription {
        external_id,
        account,
        creditor,
        amount,
        every,
        day: on,
        from,
        until,
        skip,
        on_holiday,
        description,
        link,
        sequence,
    };
    if let Err(bad) = subscription.recurrence() {
        use crate::reminder::recurrence::BadRecurrence::{Day, DayWithoutMonth, Every, Skips, Until};
        let field = match bad {
            Every | Skips => "every",
            Day | DayWithoutMonth => "day",
            Until => "until",
        };
        entries.refuse(field, bad);
    }
    Ok(Some(subscription))
}

/// `31`, or `last`.
fn month_day(text: &str) -> Result<MonthDay, &'static str> {
    match text.parse::<u8>() {
        Ok(day) if (1..=31).contains(&day) => Ok(MonthDay::Day(day)),
        Err(_) if text.eq_ignore_ascii_case("last") => Ok(MonthDay::Last),
        _ => Err("must be a day from 1 to 31, or last"),
    }
}

/// How often, in words.
pub fn often(subscription: &Subscription) -> String {
    let every = match subscription.every {
        Every::Monthly => String::from("every month"),
        Every::Weekly => String::from("every week"),
        Every::Days(1) => String::from("every day"),
        Every::Days(days) => format!("every {days} days"),
    };
    match subscription.day {
        None => every,
        Some(MonthDay::Day(day)) => format!("{every} on day {day}"),
        Some(MonthDay::Last) => format!("{every} on its last day"),
    }
}

#[derive(Template)]
#[template(path = "reminders/subscription.html", config = "src/http/page/askama.toml")]
struct One {
    frame: Frame,
    here: &'static str,
    path: String,
    external_id: String,
    amount: String,
    often: String,
    facts: Vec<(&'static str, String)>,
    next: Option<When>,
    /// Whose it is.
    contact: Option<String>,
    version: u64,
    entries: Entries,
}

pub async fn show(State(app): State<App>, id: Segment, parts: Parts) -> Response {
    page(app, parts, &[], move |look| {
        let date = today(&ZoneSet::one(look.catalog.home.clone()), look.now).to_string();
        one(&id.0, look, Entries::with(&[("until", &date)]))
    })
    .await
}

fn find(view: &View, id: &str) -> Result<StoredSubscription, Problem> {
    let id = ExternalId::parse(id).map_err(|_| Problem::not_found())?;
    view.subscription(&id)?.ok_or_else(Problem::not_found)
}

fn one(id: &str, look: Look, entries: Entries) -> Result<One, Problem> {
    let stored = find(&look.view, id)?;
    let s = &stored.subscription;
    let account = look.view.account(&s.account, s.creditor.as_ref())?.ok();
    let creditor = s.creditor.as_ref().map(|key| match look.catalog.creditor(key) {
        Some(creditor) => visible(&creditor.name, SHOWN),
        None => key.to_string(),
    });
    let facts = [
        ("Creditor", creditor),
        ("Account", Some(visible(s.account.as_str(), SHOWN))),
        ("From", Some(s.from.to_string())),
        ("Until", s.until.map(|date| date.to_string())),
        ("Description", s.description.as_deref().map(|text| visible(text, SHOWN))),
        ("Payment link", s.link.as_deref().map(|text| visible(text, SHOWN))),
        ("Sequence", s.sequence.as_ref().map(ToString::to_string)),
    ];
    let home = ZoneSet::one(look.catalog.home.clone());
    Ok(One {
        here: "/subscriptions",
        path: in_path(s.external_id.as_str()),
        external_id: visible(s.external_id.as_str(), SHOWN),
        amount: s.amount.to_string(),
        often: often(s),
        facts: facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        next: stored.timer.map(|at| When::of(at, &home, look.now)),
        contact: account.map(|account| account.contact.to_string()),
        version: stored.version,
        entries,
        frame: look.frame,
    })
}

/// `POST /page/subscriptions/{id}/end`
pub async fn end(State(app): State<App>, id: Segment, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    match finish(&app, &id.0, &mut entries, signed.name.clone()).await {
        Ok(()) => see(&format!("/subscriptions/{}", in_path(&id.0))),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => told(&app, &signed, problem),
        Err(problem) => {
            again(&app, &signed, problem, entries, move |look, entries| one(&id.0, look, entries)).await
        }
    }
}

async fn finish(app: &App, id: &str, entries: &mut Entries, by: TokenName) -> Result<(), Problem> {
    let stored = find(app.engine().view(), id)?;
    let until = entries.required("until", day);
    entries.check()?;
    if !entries.is("version", &stored.version.to_string()) {
        return Err(meanwhile());
    }
    let mut subscription = stored.subscription;
    if let Some(until) = until {
        end_on(&mut subscription, until);
    }
    change(app, Change::Subscription(Box::new(subscription)), by).await?;
    Ok(())
}

/// Nothing is due after that day; one that ends before it begins makes nothing at all.
fn end_on(subscription: &mut Subscription, until: jiff::civil::Date) {
    if until < subscription.from {
        subscription.skip.push(subscription.from);
    }
    subscription.until = Some(until.max(subscription.from));
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn weekly() -> Subscription {
        let json = r#"{"external_id":"s","account":"a","amount":{"value":"5","currency":"EUR"},"every":"weekly",
            "from":"2027-01-04"}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn nothing_is_due_after_the_end_and_nothing_at_all_when_it_ends_before_it_begins() {
        for (until, dues) in [(date(2027, 1, 12), 2), (date(2027, 1, 4), 1), (date(2027, 1, 3), 0)] {
            let mut subscription = weekly();
            end_on(&mut subscription, until);
            let recurrence = subscription.recurrence().unwrap();
            let mut after = date(2027, 1, 1);
            let mut count = 0;
            while let Some(period) = recurrence.next_after(after) {
                (after, count) = (period.due, count + 1);
            }
            assert_eq!(count, dues, "{until}");
        }
    }

    #[test]
    fn how_often_it_comes_is_said_in_words() {
        assert_eq!(often(&weekly()), "every week");
        let monthly = Subscription { every: Every::Monthly, day: Some(MonthDay::Last), ..weekly() };
        assert_eq!(often(&monthly), "every month on its last day");
        assert_eq!(often(&Subscription { every: Every::Days(14), ..weekly() }), "every 14 days");
    }

    #[test]
    fn a_day_of_the_month_is_a_number_or_the_last() {
        assert_eq!(month_day("31"), Ok(MonthDay::Day(31)));
        assert_eq!(month_day("Last"), Ok(MonthDay::Last));
        assert!(["0", "32", "first"].iter().all(|text| month_day(text).is_err()));
    }
}
