//! What stands on the page of somebody who is signed in, as rows ready to be shown.
//!
//! Every list is bounded. Numbers and texts are there only with the scope `read`, buttons only with `admin`;
//! whoever has neither sees the links and the counts.

use std::time::Duration;

use super::say::{Since, counted, spoken, visible};
use super::traffic::{DAY, Graph, HOUR};
use super::verdict::{count, shown, since};
use super::{problems, problems::Trouble};
use crate::clock::Now;
use crate::engine::{
    Filter, HoldView, LinkSnapshot, MessageView, OptOutView, QuotaUse, ReadError, ReplyFilter, ReplyView,
    Snapshot, View,
};
use crate::http::App;
use crate::http::links::state_of;
use crate::http::session::Signed;
use crate::link::{Connection, ModemStatus, Registration};
use crate::message::{Msisdn, Status};
use crate::reminder::suppression::{Intent, Party, Source};

/// Rows of any list.
pub const ROWS: usize = 20;
/// Characters of a text in a list; a conversation has all of it.
pub const EXCERPT: usize = 320;
/// Characters of what a peer says of itself.
const SAID: usize = 160;
/// Characters of why a link is not up: room for a path and what to do.
pub const REASON: usize = 480;

/// All of it.
pub struct Board {
    pub name: String,
    pub form_key: String,
    pub changes: bool,
    pub troubles: Vec<Trouble>,
    /// Who paused all sending, and when.
    pub paused: Option<(String, Since)>,
    pub clock_doubted: bool,
    pub links: Vec<LinkRow>,
    pub drain: String,
    pub graphs: [Graph; 2],
    /// `None` without the scope `read`.
    pub read: Option<Lists>,
}

/// What names people.
pub struct Lists {
    pub messages: Vec<MessageRow>,
    pub replies: Vec<ReplyRow>,
    pub unknowns: Vec<MessageRow>,
    pub unknowns_left: u64,
    pub held: Vec<HeldRow>,
    pub held_left: u64,
    pub opt_outs: Vec<OptOutRow>,
    pub opt_outs_total: u64,
}

pub struct ReplyRow {
    /// As written on the wire where it names no number.
    pub from: String,
    /// Whose conversation it belongs to.
    pub number: Option<String>,
    pub text: Option<String>,
    /// What it means for sending, where that is something.
    pub means: Option<&'static str>,
    /// Why there is no text, or not all of it.
    pub lacks: Option<String>,
    pub link: String,
    pub at: Since,
}

pub struct HeldRow {
    /// As forms say it.
    pub party: String,
    pub reply: Option<ReplyRow>,
    pub since: Since,
}

pub struct OptOutRow {
    pub party: String,
    pub number: Option<String>,
    /// How it came about.
    pub source: String,
    pub since: Since,
}

pub struct LinkRow {
    pub name: String,
    /// What a form says, not cut.
    pub full_name: String,
    pub kind: &'static str,
    pub state: &'static str,
    pub since: Since,
    pub reason: Option<String>,
    pub paused: bool,
    pub in_use: u16,
    pub window: u16,
    pub submitted: u64,
    pub pace: String,
    /// What is left of each quota.
    pub quotas: Vec<String>,
    pub modem: Option<ModemRow>,
}

pub struct ModemRow {
    pub model: Option<String>,
    pub operator: Option<String>,
    pub registration: Option<&'static str>,
    pub signal: Option<Signal>,
    pub sim: Option<String>,
    pub storage: Option<Storage>,
    pub last_error: Option<String>,
}

/// Bars as a telephone shows them.
#[derive(Debug, PartialEq, Eq)]
pub struct Signal {
    /// 0 to 4.
    pub bars: u8,
    pub word: &'static str,
    pub dbm: i16,
}

pub struct Storage {
    pub used: u32,
    pub total: u32,
}

pub struct MessageRow {
    pub id: String,
    pub to: String,
    pub text: String,
    pub status: &'static str,
    pub link: Option<String>,
    pub at: Since,
}

impl Board {
    pub fn of(app: &App, snapshot: &Snapshot, signed: &Signed, now: Now) -> Result<Board, ReadError> {
        let read = signed.reads().then(|| Lists::of(app, snapshot, now)).transpose()?;
        let paused = snapshot.paused.as_ref();
        Ok(Board {
            name: signed.name.to_string(),
            form_key: signed.form_key.clone(),
            changes: signed.changes(),
            troubles: problems::with_webhooks(problems::of(snapshot), app.engine().webhooks()),
            clock_doubted: snapshot.clock_doubt.is_some(),
            paused: paused.map(|pause| (pause.by.to_string(), Since::of(pause.since, now.wall))),
            links: snapshot.links.iter().map(|link| LinkRow::of(link, now)).collect(),
            drain: drain(snapshot),
            graphs: [HOUR, DAY].map(|span| app.traffic().graph(span, snapshot, now)),
            read,
        })
    }
}

impl Lists {
    fn of(app: &App, snapshot: &Snapshot, now: Now) -> Result<Lists, ReadError> {
        let list = |status: Option<Status>, newest_first| {
            let filter = Filter { status, ..Filter::default() };
            app.engine().view().list(&filter, None, newest_first, ROWS, now.wall)
        };
        let rows = |messages: &[MessageView]| {
            messages.iter().map(|message| MessageRow::of(message, now, EXCERPT)).collect::<Vec<_>>()
        };
        let messages = rows(&list(None, true)?.messages);
        let unknowns = match count(snapshot, Status::Unknown) {
            0 => Vec::new(),
            _ => rows(&list(Some(Status::Unknown), false)?.messages),
        };
        let view = app.engine().view();
        let replies = view.replies(&ReplyFilter::default(), None, true, ROWS)?.replies;
        let replies = replies.iter().map(|reply| ReplyRow::read(view, reply, now));
        let held = view.holds(None, ROWS)?.holds;
        let held = held.iter().map(|held| HeldRow::read(view, held, now)).collect::<Result<Vec<_>, _>>()?;
        let opt_outs = view.opt_outs(None, ROWS)?.opt_outs;
        let left = |total: u64, shown: usize| total.saturating_sub(shown as u64);
        Ok(Lists {
            messages,
            replies: replies.collect::<Result<_, _>>()?,
            unknowns_left: left(count(snapshot, Status::Unknown), unknowns.len()),
            unknowns,
            held_left: left(snapshot.holds, held.len()),
            held,
            opt_outs_total: snapshot.opt_outs.max(opt_outs.len() as u64),
            opt_outs: opt_outs.iter().map(|opt_out| OptOutRow::of(opt_out, now)).collect(),
        })
    }
}

impl ReplyRow {
    pub fn of(reply: &ReplyView, number: Option<Msisdn>, now: Now, most: usize) -> ReplyRow {
        let means = match reply.intent {
            Intent::OptOut => Some("opt-out"),
            Intent::MayBeOptOut if reply.held => Some("may be opt-out: held"),
            Intent::MayBeOptOut => Some("may be opt-out"),
            Intent::OptIn => Some("opt-in"),
            Intent::Other | Intent::Unreadable => None,
        };
        let lacks = match (&reply.problem, &reply.text, reply.complete) {
            (Some(problem), ..) => Some(format!("Not readable: {}", visible(problem, SAID))),
            (None, None, _) => Some(String::from("No text: binary or in no known alphabet.")),
            (None, Some(_), false) => Some(String::from("Incomplete: not all segments came.")),
            (None, Some(_), true) => None,
        };
        let from = match (number, reply.from.is_empty()) {
            (Some(number), _) => number.to_e164(),
            (None, true) => String::from("sender not readable"),
            (None, false) => visible(&reply.from, SAID),
        };
        ReplyRow {
            from,
            number: number.map(Msisdn::to_e164),
            text: reply.text.as_deref().map(|text| visible(text, most)),
            means,
            lacks,
            link: visible(reply.link.as_str(), SAID),
            at: Since::of(reply.received_at, now.wall),
        }
    }

    /// Where the wire does not say whose it is, the message it answers does.
    pub fn read(view: &View, reply: &ReplyView, now: Now) -> Result<ReplyRow, ReadError> {
        let number = match (reply.party.and_then(Party::number), reply.answers) {
            (Some(number), _) => Some(number),
            (None, Some(answered)) => view.message(answered, now.wall)?.map(|message| message.body.to),
            (None, None) => None,
        };
        Ok(ReplyRow::of(reply, number, now, EXCERPT))
    }
}

impl HeldRow {
    fn read(view: &View, held: &HoldView, now: Now) -> Result<HeldRow, ReadError> {
        let reply = view.reply(held.hold.reply)?;
        Ok(HeldRow {
            party: held.party.as_written(),
            reply: reply.map(|reply| ReplyRow::read(view, &reply, now)).transpose()?,
            since: Since::of(held.hold.since, now.wall),
        })
    }
}

impl OptOutRow {
    pub fn of(opt_out: &OptOutView, now: Now) -> OptOutRow {
        let source = match &opt_out.suppression.source {
            Source::Reply(_) => String::from("by a reply"),
            Source::Token { by, note } if note.is_empty() => format!("by {by}"),
            Source::Token { by, note } => format!("by {by}: {}", visible(note, SAID)),
        };
        OptOutRow {
            party: opt_out.party.as_written(),
            number: opt_out.party.number().map(Msisdn::to_e164),
            source,
            since: Since::of(opt_out.suppression.at, now.wall),
        }
    }
}

impl MessageRow {
    pub fn of(message: &MessageView, now: Now, most: usize) -> MessageRow {
        let link = message.head.attempts.last().map(|attempt| visible(attempt.link.as_str(), SAID));
        MessageRow {
            id: message.id.to_string(),
            to: message.body.to.to_e164(),
            text: visible(&message.body.text, most),
            status: message.status.as_str(),
            link,
            at: Since::of(message.body.accepted_at, now.wall),
        }
    }
}

impl LinkRow {
    fn of(link: &LinkSnapshot, now: Now) -> LinkRow {
        LinkRow {
            name: shown(link),
            full_name: link.facts.name.to_string(),
            kind: link.facts.kind,
            state: state_of(link),
            since: Since::of(since(link), now.wall),
            reason: link.status.reason.as_deref().map(|reason| visible(reason, REASON)),
            paused: link.paused.is_some(),
            in_use: link.leased,
            window: link.facts.window,
            submitted: link.status.submitted_total,
            pace: pace(link.status.pace),
            quotas: left(link),
            modem: link.status.modem.as_ref().map(|modem| ModemRow::of(modem, link.status.reason.as_deref())),
        }
    }
}

impl ModemRow {
    /// `reason` is said above it, once.
    fn of(modem: &ModemStatus, reason: Option<&str>) -> ModemRow {
        let said = |text: &Option<String>| text.as_deref().map(|text| visible(text, SAID));
        let model = [said(&modem.manufacturer), said(&modem.model)];
        let model = model.into_iter().flatten().collect::<Vec<_>>().join(" ");
        ModemRow {
            model: (!model.is_empty()).then_some(model),
            operator: said(&modem.operator),
            registration: modem.registration.map(registration),
            signal: modem.signal_dbm.map(Signal::of),
            sim: sim(modem),
            storage: modem.storage.map(|(used, total)| Storage { used, total }),
            last_error: said(&modem.last_error).filter(|_| modem.last_error.as_deref() != reason),
        }
    }
}

impl Signal {
    /// The words of smstools, which operators know.
    fn of(dbm: i16) -> Signal {
        let (bars, word) = match dbm {
            -71.. => (4, "excellent"),
            -83.. => (3, "good"),
            -95.. => (2, "workable"),
            -109.. => (1, "poor"),
            _ => (0, "none"),
        };
        Signal { bars, word, dbm }
    }
}

const fn registration(registration: Registration) -> &'static str {
    match registration {
        Registration::Idle => "not searching",
        Registration::Home => "home network",
        Registration::Searching => "searching",
        Registration::Denied => "denied",
        Registration::Unknown => "not known",
        Registration::Roaming => "roaming",
        Registration::EmergencyOnly => "emergency calls only",
    }
}

/// Which SIM it is, told by the last digits only: the whole of it is a secret of the firm.
fn sim(modem: &ModemStatus) -> Option<String> {
    let masked = |name: &str, digits: &Option<String>| {
        let digits = digits.as_deref()?;
        let skip = digits.chars().count().saturating_sub(4);
        let last: String = digits.chars().skip(skip).collect();
        Some(format!("{name} …{}", visible(&last, 4)))
    };
    let known = [masked("IMSI", &modem.imsi), masked("ICCID", &modem.iccid)];
    let known = known.into_iter().flatten().collect::<Vec<_>>();
    (!known.is_empty()).then(|| known.join(", "))
}

/// As the configuration writes it: a second where it is fast, a minute where it is slow.
fn pace(pace: Option<f64>) -> String {
    match pace {
        None => String::from("unlimited"),
        Some(a_second) if a_second >= 5.0 => format!("{a_second:.0}/s"),
        Some(a_second) => format!("{}/min", (a_second * 600.0).round() / 10.0),
    }
}

/// `12 of 500 a day`, and numbers where they are limited.
fn left(link: &LinkSnapshot) -> Vec<String> {
    let one = |quota: &QuotaUse, what: &str| {
        let left = quota.quota.count.saturating_sub(quota.used);
        format!("{left} of {}{what} a {}", quota.quota.count, quota.quota.per.as_str())
    };
    let segments = link.quotas.iter().map(|quota| one(quota, ""));
    segments.chain(link.recipients.iter().map(|quota| one(quota, " numbers"))).collect()
}

/// How long the queue takes, or why nobody can say.
fn drain(snapshot: &Snapshot) -> String {
    let queued = count(snapshot, Status::Queued);
    if queued == 0 {
        return String::from("Nothing is queued.");
    }
    if snapshot.paused.is_some() {
        return String::from("Time to send them all: unknown, because all sending is paused.");
    }
    let working = |link: &&LinkSnapshot| link.status.connection == Connection::Up && link.paused.is_none();
    let paces: Vec<Option<f64>> =
        snapshot.links.iter().filter(working).map(|link| link.status.pace).collect();
    let Some(pace) = paces.iter().copied().sum::<Option<f64>>() else {
        return String::from("Time to send them all: unknown, because a link that is up has no limit.");
    };
    if pace <= 0.0 {
        return String::from("Time to send them all: unknown, because no link sends.");
    }
    let whole = Duration::try_from_secs_f64(queued as f64 / pace).unwrap_or(Duration::MAX);
    let least = if whole < Duration::from_secs(1) { Duration::from_secs(1) } else { whole };
    let messages = counted(queued, "queued message");
    format!("{messages} of one segment each take {} at the pace of the links that are up.", spoken(least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::engine::Pause;
    use crate::link::{LinkFacts, LinkStatus};

    const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn link(pace: Option<f64>) -> LinkSnapshot {
        let facts = LinkFacts { name: "a".into(), account: "a".into(), kind: "modem", window: 1 };
        let status = LinkStatus { connection: Connection::Up, pace, ..LinkStatus::new(NOW) };
        LinkSnapshot { facts, status, paused: None, leased: 0, quotas: Vec::new(), recipients: None }
    }

    fn queued(count: u64, links: Vec<LinkSnapshot>) -> Snapshot {
        let mut snapshot = Snapshot { links, ..Snapshot::empty(NOW) };
        snapshot.by_status[Status::Queued as usize] = count;
        snapshot
    }

    #[test]
    fn the_queue_drains_at_the_pace_of_the_links_that_work() {
        let mut paused = link(Some(100.0));
        paused.paused = Some(Pause { since: NOW, by: "crm".into() });
        let down = LinkSnapshot { status: LinkStatus::new(NOW), ..link(Some(100.0)) };
        let two = queued(600, vec![link(Some(0.5)), link(Some(0.5)), paused, down]);
        assert!(drain(&two).contains("10 minutes"), "{}", drain(&two));
        assert_eq!(drain(&queued(0, vec![])), "Nothing is queued.");
    }

    #[test]
    fn what_nobody_can_say_is_called_unknown() {
        let mut paused = queued(1, vec![link(Some(1.0))]);
        paused.paused = Some(Pause { since: NOW, by: "crm".into() });
        for snapshot in [queued(1, vec![]), queued(1, vec![link(Some(1.0)), link(None)]), paused] {
            assert!(drain(&snapshot).contains("unknown"), "{}", drain(&snapshot));
        }
    }

    #[test]
    fn a_sim_is_told_by_its_last_four_digits() {
        let imsi = Some(String::from("262011234567890"));
        let iccid = Some(String::from("89490200001234567890"));
        let both = ModemStatus { imsi, iccid, ..ModemStatus::default() };
        assert_eq!(sim(&both).unwrap(), "IMSI …7890, ICCID …7890");
        assert_eq!(sim(&ModemStatus::default()), None);
    }

    #[test]
    fn a_pace_reads_as_it_is_configured() {
        let said = [None, Some(0.2), Some(0.025), Some(50.0)].map(pace);
        assert_eq!(said, ["unlimited", "12/min", "1.5/min", "50/s"]);
    }

    #[test]
    fn signal_has_bars_and_a_word() {
        let bars = [-51, -71, -72, -90, -105, -113].map(|dbm| Signal::of(dbm).bars);
        assert_eq!(bars, [4, 4, 3, 2, 1, 0]);
    }
}
