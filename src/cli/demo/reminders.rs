//! The demo's reminder side: the shipped example over five weeks in seconds, by the real core on a clock of its own
//! ([`rehearse`]), with debts around today in eight languages, phones that answer and money that comes; and a list of
//! what must never be, held against every text that a link wrote.
//!
//! The judgement knows nothing of the core: it has what it itself said and paid, and the links' list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::DemoError;
use super::compare::Findings;
use crate::cli::rehearse::{self, Event, Line, Plan, Said, Sent, What};
use crate::clock::Timestamp;
use crate::config::{self, Secret};
use crate::engine::Change;
use crate::engine::reminders::change::Which;
use crate::engine::reminders::seeds;
use crate::message::Msisdn;
use crate::reminder::import::{Case, Mapping, Rows};
use crate::reminder::money::{Currency, Money};
use crate::reminder::name::ExternalId;
use crate::reminder::obligation::Payment;
use crate::reminder::seed::{self, SeedFile};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const WEEKS: u32 = 5;
/// Debts; each of [`PLACES`] has as many.
pub const DEBTS: usize = 40;
/// Hours of the base pack, where the phone is: from the first to before the second.
const OPEN: (i8, i8) = (8, 20);

/// The example that is shipped.
const SEEDS: [(&str, &str); 7] = [
    ("calendars.toml", include_str!("../../../config/reminders/calendars.toml")),
    ("packs.toml", include_str!("../../../config/reminders/packs.toml")),
    ("creditors.toml", include_str!("../../../config/reminders/creditors.toml")),
    ("menus.toml", include_str!("../../../config/reminders/menus.toml")),
    ("templates.toml", include_str!("../../../config/reminders/templates.toml")),
    ("sequences.toml", include_str!("../../../config/reminders/sequences.toml")),
    ("rules.toml", include_str!("../../../config/reminders/rules.toml")),
];

/// Where the debtors live: language, country, zone, and the beginning of their numbers.
const PLACES: [(&str, &str, &str, &str); 8] = [
    ("de", "DE", "Europe/Berlin", "+49151777"),
    ("fr", "FR", "Europe/Paris", "+33612777"),
    ("es", "ES", "Europe/Madrid", "+34612777"),
    ("it", "IT", "Europe/Rome", "+39347777"),
    ("nl", "NL", "Europe/Amsterdam", "+31612777"),
    ("pt", "PT", "Europe/Lisbon", "+35191277"),
    ("pl", "PL", "Europe/Warsaw", "+48512777"),
    ("en", "IE", "Europe/Dublin", "+35385177"),
];

/// What one debtor does, by turns.
const HABITS: [Habit; 5] =
    [Habit::Pays, Habit::Says("STOP"), Habit::Says("1"), Habit::Says("2"), Habit::Nothing];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Nothing,
    /// All of it, at noon some days after the due date.
    Pays,
    /// The day after the first overdue text.
    Says(&'static str),
}

/// One debt and its debtor.
#[derive(Clone, Debug)]
struct Debtor {
    external_id: String,
    number: String,
    place: usize,
    due: Date,
    habit: Habit,
}

/// What must not be crossed: paid debts and stopped numbers with when, and where numbers live.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub paid: HashMap<String, Timestamp>,
    pub stopped: HashMap<String, Timestamp>,
    pub zones: HashMap<String, &'static str>,
}

/// Plays the weeks that begin with this day; the text for people, and what is wrong.
///
/// # Errors
/// [`DemoError::Reminders`]: they could not be played.
pub fn play(now: Timestamp) -> Result<(String, Findings), DemoError> {
    let failed = |why: String| DemoError::Reminders(why);
    let from = Timestamp::from_millis(u64::from(now.day()) * 86_400_000);
    let debtors = debtors(from).map_err(|error| failed(error.to_string()))?;
    let (events, bounds) = events(&debtors, from).map_err(failed)?;
    let plan = Plan {
        config: config()?,
        setup: setup().map_err(failed)?,
        cases: cases(&debtors).map_err(failed)?,
        events,
        fates: BTreeMap::new(),
        from,
        to: from.saturating_add(DAY * WEEKS * 7),
    };
    let rehearsal = rehearse::rehearse(plan).map_err(|error| failed(error.to_string()))?;
    if let Some((row, why)) = rehearsal.summary.rows_refused.first() {
        return Err(failed(format!("{row}: {why}")));
    }
    let findings = judge(&rehearsal.lines, &bounds);
    Ok((told(&rehearsal.lines, &bounds), findings))
}

/// Due dates from three weeks ago to next week.
fn debtors(from: Timestamp) -> Result<Vec<Debtor>, jiff::Error> {
    let today = jiff::Timestamp::from_millisecond(i64::try_from(from.as_millis()).unwrap_or(i64::MAX))?;
    let today = today.to_zoned(TimeZone::UTC).date();
    let debtor = |n: usize| {
        let days = i64::try_from(n * 7 % 29).unwrap_or_default() - 20;
        let place = n % PLACES.len();
        Ok(Debtor {
            external_id: format!("demo-{n:03}"),
            number: format!("{}{n:04}", PLACES[place].3),
            place,
            due: today.checked_add(jiff::Span::new().try_days(days)?)?,
            habit: HABITS[n / PLACES.len() % HABITS.len()],
        })
    };
    (0..DEBTS).map(debtor).collect()
}

/// A file of cases, read as every import is.
fn cases(debtors: &[Debtor]) -> Result<Vec<Case>, String> {
    let mut file =
        String::from("external_id,creditor,phone,amount,currency,due_date,language,country,timezone,link\n");
    for (n, debtor) in debtors.iter().enumerate() {
        let (language, country, zone, _) = PLACES[debtor.place];
        let Debtor { external_id, number, due, .. } = debtor;
        let link = "https://pay.acme.example/i/{{token}}";
        writeln!(
            file,
            "{external_id},acme,{number},{}.50,EUR,{due},{language},{country},{zone},{link}",
            20 + n
        )
        .map_err(|error| error.to_string())?;
    }
    let rows = Rows::open(file.as_bytes(), &Mapping::default()).map_err(|error| error.to_string())?;
    let mut cases = Vec::new();
    for row in rows {
        let read = row.map_err(|error| error.to_string())?.read;
        cases.push(read.map_err(|faults| format!("{faults:?}"))?);
    }
    Ok(cases)
}

fn setup() -> Result<Vec<Change>, String> {
    let files = SEEDS.map(|(name, text)| SeedFile { name: name.to_owned(), text: text.to_owned() });
    let read =
        seed::read(&files).map_err(|faults| faults.iter().map(ToString::to_string).collect::<String>())?;
    Ok(read.into_iter().map(|seed| seeds::change(seed.table)).collect())
}

/// What debtors do, and from when on nothing may go to them.
fn events(debtors: &[Debtor], from: Timestamp) -> Result<(Vec<Event>, Bounds), String> {
    let (mut events, mut bounds) = (Vec::new(), Bounds::default());
    for (n, debtor) in (0u32..).zip(debtors) {
        bounds.zones.insert(debtor.number.clone(), PLACES[debtor.place].2);
        // At noon, from the second day on: some before a text, some after it.
        let at = from.saturating_add(DAY * (1 + n % 17) + DAY / 2);
        let what = match debtor.habit {
            Habit::Nothing => continue,
            Habit::Pays => {
                bounds.paid.insert(debtor.external_id.clone(), at);
                What::Changes(vec![payment(n, debtor, at)?])
            }
            Habit::Says(text) => {
                if text == "STOP" {
                    bounds.stopped.insert(debtor.number.clone(), at);
                }
                let from = Msisdn::parse_e164(&debtor.number).map_err(|error| error.to_string())?;
                What::Reply { from, text: text.to_owned() }
            }
        };
        events.push(Event { at, what });
    }
    events.sort_by_key(|event| event.at);
    Ok((events, bounds))
}

fn payment(n: u32, debtor: &Debtor, at: Timestamp) -> Result<Change, String> {
    let named = |text: &str| ExternalId::parse(text).map_err(|error| error.to_string());
    let currency = Currency::parse("EUR").map_err(|error| error.to_string())?;
    let amount = Money::new(2_050 + 100 * i64::from(n), currency).map_err(|error| error.to_string())?;
    let external_id = named(&format!("paid-{}", debtor.external_id))?;
    let which = Which::External { id: named(&debtor.external_id)?, creditor: None };
    Ok(Change::Pay { which, payment: Payment { external_id, amount, at, reversed: false } })
}

fn config() -> Result<config::Config, DemoError> {
    let text = r#"
state_dir = "/nonexistent"
timezone = "Europe/Berlin"

[[smpp]]
name = "north"
address = "127.0.0.1:2775"
system_id = "demo"
password_file = "password"
"#;
    config::check(text, &|_| Ok(Secret::unread())).map_err(DemoError::Config)
}

/// No step twice, no reminder after payment and no confirmation before it, nothing after STOP, nothing outside 8-20
/// where the phone is, one text a phone and day.
pub fn judge(lines: &[Line], bounds: &Bounds) -> Findings {
    let mut findings = Findings::default();
    let (mut steps, mut days) = (BTreeSet::new(), BTreeSet::new());
    for (at, sent) in reminders(lines) {
        let (Some(obligation), Some(step)) = (&sent.obligation, name(sent)) else { continue };
        let what = || format!("{obligation}, {step}, at {at}");
        if !steps.insert((obligation, step)) {
            findings.doubled.push(what());
        }
        let is_paid = bounds.paid.get(obligation).is_some_and(|paid| at >= *paid);
        if is_paid != sent.rule.is_some() {
            let side = if is_paid { "after its payment" } else { "before any payment" };
            findings.unaccounted.push(format!("{}: {side}", what()));
        }
        if bounds.stopped.get(&sent.to).is_some_and(|stopped| at >= *stopped) {
            findings.unaccounted.push(format!("{}: after STOP", what()));
        }
        let Some((hour, date)) = bounds.zones.get(&sent.to).and_then(|zone| local(zone, at)) else {
            findings.unaccounted.push(format!("{}: to a number of nobody", what()));
            continue;
        };
        if !(OPEN.0..OPEN.1).contains(&hour) {
            findings.unaccounted.push(format!("{}: at {hour} o'clock", what()));
        }
        if !days.insert((&sent.to, date)) {
            findings.unaccounted.push(format!("{}: the second of its day", what()));
        }
    }
    findings
}

fn reminders(lines: &[Line]) -> impl Iterator<Item = (Timestamp, &Sent)> {
    lines.iter().filter_map(|line| match &line.said {
        Said::Sent(sent) if sent.obligation.is_some() => Some((line.at, sent)),
        _ => None,
    })
}

/// The step of a text, or the rule that sent it.
fn name(sent: &Sent) -> Option<&str> {
    sent.step.as_deref().or(sent.rule.as_deref())
}

fn local(zone: &str, at: Timestamp) -> Option<(i8, Date)> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.as_millis()).ok()?).ok()?;
    let local = at.to_zoned(TimeZone::get(zone).ok()?);
    Some((local.hour(), local.date()))
}

/// A first text of each step and rule, and what came of all.
fn told(lines: &[Line], bounds: &Bounds) -> String {
    let mut text = format!("\n  reminders of {DEBTS} debts over {WEEKS} weeks, on a clock of their own\n");
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shown = BTreeSet::new();
    for (at, sent) in reminders(lines) {
        if let Some(step) = name(sent).filter(|step| shown.insert((*step).to_owned())) {
            let first = sent.text.lines().next().unwrap_or_default();
            text.push_str(&format!("    {at}  {step:<14}{}\n", crate::cli::plain(first)));
        }
        *count.entry("texts").or_default() += 1;
    }
    for line in lines {
        let what = match &line.said {
            Said::Task(_) => "tasks",
            Said::Refused(_) => "held back",
            Said::Exited(_) => "ended",
            Said::Sent(_) | Said::Optout(_) | Said::Consent(_) => continue,
            Said::Paused(_) | Said::Promise(_) | Said::Webhook(_) => continue,
            Said::Bank(_) | Said::Rule(_) => continue,
        };
        *count.entry(what).or_default() += 1;
    }
    count.insert("payments", bounds.paid.len());
    count.insert("stops", bounds.stopped.len());
    for (what, count) in count {
        text.push_str(&format!("  {what:<12}{count:>6}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn sent(at: &str, to: &str) -> Line {
        let said = Said::Sent(Sent {
            to: to.into(),
            text: "x".into(),
            obligation: Some("d".into()),
            step: Some("final".into()),
            rule: None,
            template: None,
            link: "north".into(),
            segments: 1,
            status: "delivered",
        });
        Line { at: Timestamp::parse_rfc3339(at).unwrap(), said }
    }

    fn bounds() -> Bounds {
        let zones = [("+491".to_owned(), "Europe/Berlin")];
        Bounds { zones: zones.into(), ..Bounds::default() }
    }

    fn found(lines: &[Line], bounds: &Bounds) -> (usize, usize) {
        let findings = judge(lines, bounds);
        (findings.doubled.len(), findings.unaccounted.len())
    }

    #[test]
    fn what_must_never_be_is_found() {
        let noon = Timestamp::parse_rfc3339("2026-11-23T12:00:00Z").unwrap();
        let one = [sent("2026-11-23T12:00:00Z", "+491")];
        assert_eq!(found(&one, &bounds()), (0, 0));
        assert_eq!(found(&[sent("2026-11-23T19:30:00Z", "+491")], &bounds()), (0, 1), "20:30 in Berlin");
        assert_eq!(found(&[sent("2026-11-23T12:00:00Z", "+492")], &bounds()), (0, 1), "nobody's");
        let twice = [one[0].clone(), sent("2026-11-24T12:00:00Z", "+491")];
        assert_eq!(found(&twice, &bounds()), (1, 0));
        let same_day = [one[0].clone(), sent("2026-11-23T13:00:00Z", "+491")];
        assert_eq!(found(&same_day, &bounds()), (1, 1));
        let paid = Bounds { paid: [("d".to_owned(), noon)].into(), ..bounds() };
        assert_eq!(found(&one, &paid), (0, 1));
        let mut thanks = one[0].clone();
        if let Said::Sent(sent) = &mut thanks.said {
            (sent.step, sent.rule) = (None, Some("thanks".into()));
        }
        assert_eq!(found(&[thanks.clone()], &paid), (0, 0), "it confirms the payment");
        assert_eq!(found(&[thanks], &bounds()), (0, 1), "nothing was paid");
        let stopped = Bounds { stopped: [("+491".to_owned(), noon)].into(), ..bounds() };
        assert_eq!(found(&one, &stopped), (0, 1));
    }

    #[test]
    fn the_weeks_are_played_clean_with_every_step_of_the_example() {
        let (text, findings) = play(NOW).unwrap();
        assert!(findings.is_clean(), "{findings:?}");
        for step in
            ["week_before", "days_before", "on_the_day", "overdue", "overdue_again", "final", "thanks"]
        {
            assert!(text.contains(step), "{step}: {text}");
        }
        for kind in ["tasks", "held back", "ended", "payments", "stops"] {
            assert!(text.contains(kind), "{kind}: {text}");
        }
    }
}
