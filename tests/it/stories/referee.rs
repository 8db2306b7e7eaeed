//! The judge of every story. It knows the script and the lines, and reckons hours, days and caps by itself: none of
//! the product's gates, zones or schedules is asked.

use std::collections::BTreeMap;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use nudged::cli::rehearse::{Event, Line, Said, Sent, What};
use nudged::clock::Timestamp;
use nudged::engine::Change;
use nudged::engine::reminders::change::Which;
use nudged::reminder::import::Case;
use nudged::reminder::zone::Zone;

/// What holds in a story.
pub struct Law {
    /// By number: all zones in which its owner may be. Where it is not there the case's own zone counts.
    pub zones: BTreeMap<String, Vec<&'static str>>,
    /// Local hours, from and to.
    pub hours: (i8, i8),
    /// Days on which nothing goes.
    pub closed: Vec<Weekday>,
    /// At most so many to a phone in so many days.
    pub caps: Vec<(usize, i64)>,
    /// Enrolments that a person began anew, by obligation.
    pub restarts: BTreeMap<String, usize>,
}

impl Default for Law {
    /// The shipped pack `base`, as its title says it.
    fn default() -> Law {
        Law {
            zones: BTreeMap::new(),
            hours: (8, 20),
            closed: vec![Weekday::Sunday],
            caps: vec![(2, 7), (6, 30)],
            restarts: BTreeMap::new(),
        }
    }
}

pub fn local(at: Timestamp, zone: &str) -> jiff::civil::DateTime {
    let zone = TimeZone::get(zone).unwrap();
    jiff::Timestamp::from_millisecond(at.as_millis() as i64).unwrap().to_zoned(zone).datetime()
}

struct Reminder<'a> {
    at: Timestamp,
    sent: &'a Sent,
    obligation: &'a str,
    /// Or the rule that sent it.
    step: &'a str,
}

impl Reminder<'_> {
    fn is_step(&self) -> bool {
        self.sent.step.is_some()
    }
}

pub fn judge(cases: &[Case], events: &[Event], lines: &[Line], law: &Law) {
    let reminders: Vec<Reminder> = lines
        .iter()
        .filter_map(|line| match &line.said {
            Said::Sent(sent) => {
                let step = sent.step.as_deref().or(sent.rule.as_deref())?;
                let obligation = sent.obligation.as_deref()?;
                Some(Reminder { at: line.at, sent, obligation, step })
            }
            _ => None,
        })
        .collect();
    assert!(lines.windows(2).all(|pair| pair[0].at <= pair[1].at), "lines are in order");
    hours(&reminders, cases, law);
    once_a_day(&reminders, cases, law);
    caps(&reminders, law);
    no_step_twice(&reminders, events, law);
    nothing_after_payment(&reminders, cases, events);
    one_confirmation_a_payment(&reminders, events);
    nothing_after_the_bank_paid(&reminders, lines);
    nothing_after_stop(&reminders, lines, events);
    no_blank_is_left(lines);
}

fn zones<'a>(reminder: &Reminder, cases: &'a [Case], law: &'a Law) -> Vec<&'a str> {
    if let Some(zones) = law.zones.get(&reminder.sent.to) {
        return zones.clone();
    }
    let case = cases.iter().find(|case| case.phone.to_e164() == reminder.sent.to);
    vec![case.and_then(|case| case.timezone.as_ref().map(Zone::name)).unwrap_or("Europe/Berlin")]
}

fn hours(reminders: &[Reminder], cases: &[Case], law: &Law) {
    for reminder in reminders {
        for zone in zones(reminder, cases, law) {
            let there = local(reminder.at, zone);
            let (from, to) = law.hours;
            let what = format!("{} {} at {there} in {zone}", reminder.obligation, reminder.step);
            assert!((from..to).contains(&there.hour()), "{what}: outside hours");
            assert!(!law.closed.contains(&there.weekday()), "{what}: on a closed day");
        }
    }
}

fn by_phone<'a>(reminders: &'a [Reminder<'a>]) -> BTreeMap<&'a str, Vec<&'a Reminder<'a>>> {
    let mut phones = BTreeMap::<&str, Vec<&Reminder>>::new();
    for reminder in reminders {
        phones.entry(&reminder.sent.to).or_default().push(reminder);
    }
    phones
}

fn once_a_day(reminders: &[Reminder], cases: &[Case], law: &Law) {
    for (phone, sent) in by_phone(reminders) {
        for pair in sent.windows(2) {
            for zone in zones(pair[0], cases, law) {
                let days = (local(pair[0].at, zone).date(), local(pair[1].at, zone).date());
                assert_ne!(days.0, days.1, "two texts to {phone} on {} in {zone}", days.0);
            }
        }
    }
}

fn caps(reminders: &[Reminder], law: &Law) {
    for (phone, sent) in by_phone(reminders) {
        for &(max, days) in &law.caps {
            for window in sent.windows(max + 1) {
                let apart = window[max].at.since(window[0].at).as_secs() as i64;
                let (first, last) = (window[0].at, window[max].at);
                assert!(apart >= days * 86_400, "{} texts to {phone} from {first} to {last}", max + 1);
            }
        }
    }
}

/// Once a cycle; only a payment that went back, or a person, begins another.
fn no_step_twice(reminders: &[Reminder], events: &[Event], law: &Law) {
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    // What the network refused for certain is with nobody.
    let steps = reminders.iter().filter(|reminder| reminder.is_step());
    for reminder in steps.filter(|reminder| reminder.sent.status != "failed") {
        let count = counts.entry((reminder.obligation, reminder.step)).or_default();
        *count += 1;
        let reversed = changes(events).filter(|(at, change)| {
            matches!(change, Change::Reverse { which, .. } if is(which, reminder.obligation))
                && *at <= reminder.at
        });
        let cycles = 1 + reversed.count() + law.restarts.get(reminder.obligation).copied().unwrap_or(0);
        assert!(*count <= cycles, "{} {} went {count} times", reminder.obligation, reminder.step);
    }
}

fn changes(events: &[Event]) -> impl Iterator<Item = (Timestamp, &Change)> {
    events.iter().flat_map(|event| {
        let changes: &[Change] = if let What::Changes(changes) = &event.what { changes } else { &[] };
        changes.iter().map(|change| (event.at, change))
    })
}

fn is(which: &Which, obligation: &str) -> bool {
    matches!(which, Which::External { id, .. } if id.as_str() == obligation)
}

fn nothing_after_payment(reminders: &[Reminder], cases: &[Case], events: &[Event]) {
    for case in cases {
        let id = case.external_id.as_str();
        for reminder in reminders.iter().filter(|reminder| reminder.obligation == id && reminder.is_step()) {
            let mut paid = BTreeMap::new();
            for (_, change) in changes(events).filter(|(at, _)| *at < reminder.at) {
                match change {
                    Change::Pay { which, payment } if is(which, id) => {
                        paid.entry(&payment.external_id).or_insert(payment.amount.minor());
                    }
                    Change::Reverse { which, payment } if is(which, id) => {
                        paid.insert(&payment.external_id, 0);
                    }
                    _ => {}
                }
            }
            let paid: i64 = paid.into_values().sum();
            let (step, at) = (reminder.step, reminder.at);
            assert!(paid < case.amount.minor(), "{id} {step} went at {at} though it was paid");
        }
    }
}

/// The rules of stories confirm payments: never more texts than payments that came before, and three days late at most.
fn one_confirmation_a_payment(reminders: &[Reminder], events: &[Event]) {
    for (n, text) in reminders.iter().enumerate().filter(|(_, text)| !text.is_step()) {
        let before =
            reminders[..n].iter().filter(|other| !other.is_step() && other.obligation == text.obligation);
        let mut paid = std::collections::BTreeSet::new();
        let mut last = None;
        for (at, change) in changes(events).filter(|(at, _)| *at <= text.at) {
            if let Change::Pay { which, payment } = change
                && is(which, text.obligation)
                && paid.insert(&payment.external_id)
            {
                last = Some(at);
            }
        }
        let what = format!("{} to {} at {}", text.step, text.obligation, text.at);
        assert!(before.count() < paid.len(), "{what}: no payment of its own");
        assert!(last.is_some_and(|last| text.at.since(last).as_secs() <= 3 * 86_400), "{what}: too late");
    }
}

/// Where a bank file is all that paid: from the word of the core on, until a bank file takes something back.
fn nothing_after_the_bank_paid(reminders: &[Reminder], lines: &[Line]) {
    let files: Vec<(Timestamp, u64)> = lines
        .iter()
        .filter_map(|line| match &line.said {
            Said::Bank(bank) => Some((line.at, bank.reversed)),
            _ => None,
        })
        .collect();
    for (at, obligation) in lines.iter().filter_map(|line| match &line.said {
        Said::Exited(exited) if exited.reason == "paid" => Some((line.at, &exited.obligation)),
        _ => None,
    }) {
        if !files.iter().any(|(when, _)| *when == at) {
            continue;
        }
        let until = files.iter().find(|(when, reversed)| *when > at && *reversed > 0).map(|(when, _)| *when);
        let late = reminders.iter().find(|reminder| {
            reminder.is_step()
                && reminder.obligation == obligation
                && reminder.at > at
                && until.is_none_or(|until| reminder.at < until)
        });
        assert!(late.is_none(), "{obligation} was texted though a bank file paid it at {at}");
    }
}

/// Neither after the word of the core, nor after what was written.
fn nothing_after_stop(reminders: &[Reminder], lines: &[Line], events: &[Event]) {
    let mut stopped = BTreeMap::<String, Timestamp>::new();
    for line in lines {
        match &line.said {
            Said::Optout(optout) => {
                stopped.insert(optout.number.clone(), line.at);
            }
            Said::Consent(consent) => {
                stopped.remove(&consent.number);
            }
            Said::Sent(sent) if sent.obligation.is_some() => {
                let since = stopped.get(&sent.to);
                assert!(since.is_none(), "a text at {} though {} said stop", line.at, sent.to);
            }
            _ => {}
        }
    }
    let stops = events.iter().filter_map(|event| match &event.what {
        What::Reply { from, text } if text == "STOP" => Some((event.at, from.to_e164())),
        _ => None,
    });
    for (at, number) in stops {
        let heard = lines.iter().find(|line| {
            line.at >= at && matches!(&line.said, Said::Optout(optout) if optout.number == number)
        });
        let known = stopped.contains_key(&number);
        assert!(heard.is_some() || known, "the STOP of {number} at {at} was not heard");
        let again = events.iter().any(|event| {
            event.at > at && matches!(&event.what, What::Reply { from, text } if from.to_e164() == number && text == "START")
        });
        let until = heard.map_or(at, |line| line.at);
        let late = reminders.iter().find(|reminder| reminder.at > until && reminder.sent.to == number);
        assert!(late.is_none() || again, "a text to {number} after STOP");
    }
}

fn no_blank_is_left(lines: &[Line]) {
    for line in lines {
        if let Said::Sent(sent) = &line.said {
            assert!(!sent.text.contains("{{") && !sent.text.is_empty(), "{:?}", sent.text);
            assert!(!sent.status.is_empty(), "{sent:?}");
        }
    }
}
