//! What people say of one obligation: paid, promised, disputed, paused, moved, closed. Each form is one change of
//! the engine's, the same that the API makes. One that is not taken comes back on the obligation's page as it was
//! filled in; what cannot be taken back is asked twice.

use axum::extract::{FromRequestParts, Path as PathParam, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::civil::Date;

use super::confirm::{self, Confirm, SURE};
use super::entries::{Entries, Tried};
use super::words::plain;
use super::{Look, again, filled, obligation};
use crate::clock::Timestamp;
use crate::engine::reminders::change::Which;
use crate::engine::{Change, ChangeRefusal, Changed, Refusal};
use crate::http::App;
use crate::http::page::forms::see;
use crate::http::page::html;
use crate::http::page::say::visible;
use crate::http::problem::Problem;
use crate::id::ObligationId;
use crate::message::{Msisdn, TokenName};
use crate::reminder::enrolment::{ExitReason, PauseReason};
use crate::reminder::money::{Currency, Money};
use crate::reminder::name::{ExternalId, Key};
use crate::reminder::obligation::{Obligation, ObligationStatus, Payment};
use crate::reminder::schedule::{end_of, today};
use crate::reminder::zone::{Zone, ZoneSet};

/// A form of a few fields and texts.
pub const FORM_MAX: usize = 32 * 1024;
/// Characters of what somebody says.
pub const SAID_MAX: usize = 500;

/// The two last parts of an address.
pub struct Two(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for Two {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Two, Problem> {
        let params = PathParam::<(String, String)>::from_request_parts(parts, state).await;
        params.map(|PathParam((one, two))| Two(one, two)).map_err(|_| Problem::not_found())
    }
}

/// Makes one change and says what came of it.
pub async fn make(app: &App, change: Change, by: TokenName) -> Result<Changed, Problem> {
    let mut answers = app.engine().change(vec![change], by).await?;
    answers.pop().ok_or(Problem::from(Refusal::Unanswered))?.map_err(refused)
}

fn refused(refusal: ChangeRefusal) -> Problem {
    match refusal {
        ChangeRefusal::NotFound { what } => {
            let detail = format!("There is no such {what}.");
            Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
        }
        ChangeRefusal::Field { field, why } => Problem::field(field, why),
        ChangeRefusal::Conflict { .. } => meanwhile(),
        ChangeRefusal::State(why) => {
            let detail = format!("Its state does not allow that: {}.", plain(&why));
            Problem::new(StatusCode::CONFLICT, "state_forbids", detail)
        }
        ChangeRefusal::Full(most) => {
            let detail = format!("There are too many of them already: at most {most}.");
            Problem::new(StatusCode::CONFLICT, "too_many", detail)
        }
        held @ ChangeRefusal::Held => {
            let detail = format!("It was not done: {held}.");
            Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail)
        }
        ChangeRefusal::Closed(refusal) => refusal.into(),
    }
}

/// What was seen is not what is there any more.
pub fn meanwhile() -> Problem {
    let detail = "Somebody else has changed it meanwhile: look at it again.";
    Problem::new(StatusCode::CONFLICT, "version_conflict", detail)
}

/// `POST /page/obligations/{id}/{what}`
pub async fn change(State(app): State<App>, path: Two, request: Request) -> Response {
    let (signed, mut entries) = match filled(&app, request, FORM_MAX).await {
        Ok(filled) => filled,
        Err(answer) => return answer,
    };
    let Two(id, what) = path;
    let Ok(id) = id.parse::<ObligationId>() else { return super::told(&app, &signed, Problem::not_found()) };
    match said(&app, id, &what, &mut entries, signed.name.clone()).await {
        Ok(Done::Changed) => see(&format!("/obligations/{id}")),
        Ok(Done::Asked) => {
            match super::look(&app, &signed, super::Asked::none(), move |look| asked(look, id, entries)).await
            {
                Ok(page) => html(StatusCode::OK, &page),
                Err(problem) => super::told(&app, &signed, problem),
            }
        }
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => super::told(&app, &signed, problem),
        Err(problem) if entries.is(SURE, "yes") => {
            again(&app, &signed, problem, entries, move |look, entries| asked(look, id, entries)).await
        }
        Err(problem) => {
            let make = move |look, entries| obligation::with(id, look, Tried { what: what.clone(), entries });
            again(&app, &signed, problem, entries, make).await
        }
    }
}

enum Done {
    Changed,
    /// It cannot be taken back: first somebody must say that he means it.
    Asked,
}

async fn said(
    app: &App,
    id: ObligationId,
    what: &str,
    entries: &mut Entries,
    by: TokenName,
) -> Result<Done, Problem> {
    let read = app.read(move |view| Ok((view.obligation(id)?, view.catalog()?.home.clone())));
    let (obligation, home) = read.await?;
    let obligation = obligation.ok_or_else(Problem::not_found)?;
    let version = obligation.version.to_string();
    let said = Said { which: Which::Id(id), obligation, home, now: app.now().wall };
    let change = said.change(what, entries);
    entries.check()?;
    let change = change.ok_or_else(Problem::not_found)?;
    if let Change::Status { to, .. } = &change
        && confirm::closing(to.as_str()).is_some()
    {
        if !entries.is(SURE, "yes") {
            return Ok(Done::Asked);
        }
        if !entries.is("version", &version) {
            return Err(meanwhile());
        }
    }
    make(app, change, by).await?;
    Ok(Done::Changed)
}

/// Whether an obligation is to be closed for good.
fn asked(look: Look, id: ObligationId, entries: Entries) -> Result<Confirm, Problem> {
    let o = look.view.obligation(id)?.ok_or_else(Problem::not_found)?;
    let to = entries.value("to").to_owned();
    let (question, button, follows) = confirm::closing(&to).ok_or_else(Problem::not_found)?;
    Ok(Confirm {
        here: "/obligations",
        question: question.to_owned(),
        follows,
        facts: vec![
            confirm::fact("Obligation", visible(o.external_id.as_str(), super::SHOWN)),
            confirm::fact("Left to pay", o.balance().to_string()),
            confirm::fact("Due", o.due_date.to_string()),
            confirm::status(o.status.as_str()),
        ],
        action: format!("/page/obligations/{id}/status"),
        held: vec![("to", to), ("version", o.version.to_string())],
        button,
        back: format!("/obligations/{id}"),
        asks_why: true,
        entries,
        frame: look.frame,
    })
}

/// An obligation of which something is said.
struct Said {
    which: Which,
    obligation: Obligation,
    home: Zone,
    now: Timestamp,
}

impl Said {
    /// `None`: no such form, or what is wrong stands in the entries.
    fn change(self, what: &str, entries: &mut Entries) -> Option<Change> {
        let which = self.which.clone();
        Some(match what {
            "pay" => Change::Pay { which, payment: self.payment(entries)? },
            "reverse" => Change::Reverse { which, payment: self.reversed(entries)? },
            "promise" => {
                let date = entries.required("date", day)?;
                let amount =
                    entries.optional("amount", |text| amount(text, self.obligation.amount.currency()));
                Change::Promise { which, date, amount }
            }
            "dispute" => {
                let reason = entries.required("reason", |text| Ok::<_, String>(text.to_owned()))?;
                entries.short("reason", SAID_MAX)?;
                Change::Dispute { which, reason }
            }
            "move" => {
                let date = entries.required("date", day)?;
                Change::DueDate { which, date, restart: entries.is("restart", "yes") }
            }
            "pause" => {
                let reason = entries.required("reason", pause_reason)?;
                let until = entries.optional("until", day);
                let until = until.map(|date| end_of(&ZoneSet::one(self.home.clone()), date));
                Change::PauseEnrolment { which, reason, until }
            }
            "resume" => Change::ResumeEnrolment { which },
            "exit" => Change::ExitEnrolment { which, reason: entries.required("reason", exit_reason)? },
            "enrol" => Change::Enrol { which, sequence: entries.required("sequence", Key::parse)? },
            "status" => {
                let to = entries.required("to", status)?;
                Change::Status { which, to, reason: entries.short("reason", SAID_MAX).unwrap_or_default() }
            }
            _ => return None,
        })
    }

    fn payment(&self, entries: &mut Entries) -> Option<Payment> {
        let amount = entries.required("amount", |text| amount(text, self.obligation.amount.currency()));
        let date = entries.optional("date", day);
        let name = if entries.text("reference").is_some() { "reference" } else { "once" };
        let external_id = entries.required(name, ExternalId::parse);
        let at = self.came_at(date, entries);
        Some(Payment { external_id: external_id?, amount: amount?, at: at?, reversed: false })
    }

    /// Money of today came by now; of a day before, by the end of that day where the firm is.
    fn came_at(&self, date: Option<Date>, entries: &mut Entries) -> Option<Timestamp> {
        let home = ZoneSet::one(self.home.clone());
        match date {
            None => Some(self.now),
            Some(date) if date == today(&home, self.now) => Some(self.now),
            Some(date) if date < today(&home, self.now) => Some(end_of(&home, date)),
            Some(_) => {
                entries.refuse("date", "has not come yet");
                None
            }
        }
    }

    fn reversed(&self, entries: &mut Entries) -> Option<Payment> {
        let named = entries.required("payment", ExternalId::parse)?;
        let known = self.obligation.payments.iter().find(|payment| payment.external_id == named);
        if known.is_none() {
            entries.refuse("payment", "is no payment of this obligation");
        }
        known.cloned()
    }
}

/// A date as `2026-03-15`.
pub fn day(text: &str) -> Result<Date, &'static str> {
    text.parse().map_err(|_| "must be a date as 2026-03-15")
}

/// An amount as `120.50`; a comma before the minor unit is a point.
pub fn amount(text: &str, currency: Currency) -> Result<Money, String> {
    let plain = if text.contains('.') { text.to_owned() } else { text.replacen(',', ".", 1) };
    match Money::parse(&plain, currency) {
        Ok(money) if money.is_positive() => Ok(money),
        Ok(_) => Err(String::from("must be more than nothing")),
        Err(bad) => Err(bad.to_string()),
    }
}

/// A number with its country, as people write it.
pub fn number(text: &str) -> Result<Msisdn, String> {
    let digits: String = text.chars().filter(|c| !" -/().\u{a0}".contains(*c)).collect();
    let plus = digits.strip_prefix("00").map_or_else(|| digits.clone(), |rest| format!("+{rest}"));
    Msisdn::parse_e164(&plus).map_err(|bad| bad.to_string())
}

fn pause_reason(text: &str) -> Result<PauseReason, &'static str> {
    use PauseReason::{DeliveryProblem, Hardship, Manual, PaidClaim, Review};
    let known = [Manual, PaidClaim, Hardship, Review, DeliveryProblem];
    known.into_iter().find(|reason| reason.as_str() == text).ok_or("is no reason for a pause")
}

fn exit_reason(text: &str) -> Result<ExitReason, &'static str> {
    use ExitReason::{Attorney, Canceled, Deceased, WrongNumber};
    let known = [Canceled, WrongNumber, Deceased, Attorney];
    known.into_iter().find(|reason| reason.as_str() == text).ok_or("is no reason to end them")
}

fn status(text: &str) -> Result<ObligationStatus, &'static str> {
    use ObligationStatus::{Canceled, HandedOver, Open, WrittenOff};
    let known = [Open, HandedOver, Canceled, WrittenOff];
    known.into_iter().find(|status| status.as_str() == text).ok_or("is no status to set here")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::obligation::sample;

    fn said() -> Said {
        let now = Timestamp::parse_rfc3339("2026-03-10T22:30:00Z").unwrap();
        let home = Zone::parse("Europe/Berlin").unwrap();
        Said { which: Which::Id(ObligationId::from_u64(1)), obligation: sample(), home, now }
    }

    fn paid_at(date: &str) -> Result<Timestamp, String> {
        let mut entries = Entries::with(&[("amount", "1,50"), ("once", "p1"), ("date", date)]);
        let payment = said().payment(&mut entries);
        payment.map(|payment| payment.at).ok_or_else(|| entries.fault("date").unwrap().to_owned())
    }

    #[test]
    fn the_day_of_a_payment_is_the_firms_own_and_not_ahead() {
        let end = Timestamp::parse_rfc3339("2026-03-09T23:00:00Z").unwrap();
        assert_eq!(paid_at(""), Ok(said().now));
        assert_eq!(paid_at("2026-03-10"), Ok(said().now), "in Berlin it is still that day");
        assert_eq!(paid_at("2026-03-09"), Ok(end));
        assert_eq!(paid_at("2026-03-11").unwrap_err(), "has not come yet");
    }

    #[test]
    fn an_amount_is_read_as_people_write_it_and_never_guessed() {
        let eur = Currency::parse("EUR").unwrap();
        assert_eq!(amount("120,50", eur).unwrap().minor(), 12_050);
        assert_eq!(amount("120.5", eur).unwrap().minor(), 12_050);
        for bad in ["1.200,50", "1,200.50", "0", "-1", "1e3", "12.345", "€5"] {
            assert!(amount(bad, eur).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_form_that_there_is_not_changes_nothing() {
        let mut entries = Entries::default();
        assert!(said().change("forgive", &mut entries).is_none() && entries.check().is_ok());
        for (what, field) in
            [("promise", "date"), ("dispute", "reason"), ("exit", "reason"), ("status", "to")]
        {
            let mut entries = Entries::default();
            assert!(said().change(what, &mut entries).is_none());
            assert!(entries.fault(field).is_some(), "{what}");
        }
    }
}
