//! What is wrong now, each with what to do about it.

use super::board::REASON;
use super::say::{counted, spoken, visible};
use super::verdict::{count, shown};
use crate::engine::doubt::{Doubt, Why};
use crate::engine::webhook::{self, Standing, Webhooks};
use crate::engine::{LinkSnapshot, QuotaUse, Refusal, Snapshot};
use crate::link::{Connection, ModemStatus, Registration};
use crate::message::Status;

/// Lines shown; the verdict tells the worst.
const MOST: usize = 20;
/// Characters of a webhook's name; config allows no more.
const NAME: usize = 32;
/// Below it messages get lost on the air.
const WEAK_DBM: i16 = -105;
/// Slots of a memory, in percent, from which replies may soon be turned away.
const NEARLY_FULL: u64 = 80;

/// One line: what, and its remedy.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    pub what: String,
    pub remedy: &'static str,
}

/// The worst first.
pub fn of(snapshot: &Snapshot) -> Vec<Trouble> {
    let mut troubles = whole(snapshot);
    troubles.extend(snapshot.links.iter().filter_map(state));
    troubles.extend(snapshot.links.iter().flat_map(quotas));
    let modems = snapshot.links.iter().filter_map(|link| Some((link, link.status.modem.as_ref()?)));
    troubles.extend(modems.flat_map(|(link, status)| modem(link, status)));
    let unknown = count(snapshot, Status::Unknown);
    if unknown > 0 {
        let what = format!("{} unknown.", counted(unknown, "message"));
        let remedy = "Wait for receipts; then decide under Unknown, with the network's records at hand.";
        troubles.push(Trouble { what, remedy });
    }
    if snapshot.holds > 0 {
        let what =
            format!("{} held: a reply may mean that no more is wanted.", counted(snapshot.holds, "number"));
        troubles
            .push(Trouble { what, remedy: "Read it under Held, then release it or treat it as an opt-out." });
    }
    troubles.truncate(MOST);
    troubles
}

/// What is wrong with webhooks behind what is wrong with sending.
pub fn with_webhooks(mut troubles: Vec<Trouble>, webhooks: &Webhooks) -> Vec<Trouble> {
    troubles.extend(webhooks.iter().flat_map(|hook| webhook(hook.name().as_str(), &hook.status())));
    troubles.truncate(MOST);
    troubles
}

fn webhook(name: &str, status: &webhook::Status) -> Vec<Trouble> {
    let trouble =
        |what: String, remedy| Trouble { what: format!("Webhook {} {what}", visible(name, NAME)), remedy };
    let mut troubles = Vec::new();
    let error = status.last_error.as_ref().map_or("", |(_, error)| error.as_str());
    let error = visible(error, REASON);
    match &status.standing {
        Standing::Up => {}
        Standing::Failing { .. } => troubles.push(trouble(
            format!("takes no events: {error}."),
            "It is tried again by itself for a day; mend the endpoint, then post a test by the API.",
        )),
        Standing::Parked { .. } => troubles.push(trouble(
            String::from("is parked: the endpoint answered that it wants no more events (410)."),
            "Mend the endpoint and post a test by the API, or remove the webhook from the configuration.",
        )),
    }
    if status.dead > 0 {
        let what = format!("has {}.", counted(status.dead, "dead letter"));
        troubles.push(trouble(what, "Mend the endpoint, then have them posted again by the API (replay)."));
    }
    let lost = status.lost + status.dropped;
    if lost > 0 {
        let what = format!("lost {} for good.", counted(lost, "event"));
        troubles.push(trouble(what, "The endpoint was away too long; have it read the messages by the API."));
    }
    troubles
}

fn whole(snapshot: &Snapshot) -> Vec<Trouble> {
    let trouble = |what: String, remedy| Trouble { what, remedy };
    let mut troubles = Vec::new();
    if snapshot.quarantine.is_some() {
        let what = String::from("The stored state does not fit the journal.");
        troubles.push(trouble(what, "Keep a copy of the store directory and follow the README, Quarantine."));
    }
    if let Some(closed) = snapshot.intake_closed.as_ref().filter(|_| snapshot.quarantine.is_none()) {
        let remedy = match closed.why {
            Refusal::DiskLow => "Make room on the disk of the state directory.",
            Refusal::QueueFull => "Bring links up or raise max_queued; it opens by itself.",
            _ => "See the log.",
        };
        troubles.push(trouble(format!("Nothing is accepted: {}.", closed.why), remedy));
    }
    if let Some(pause) = &snapshot.paused {
        let what = format!("All sending is paused by {}.", pause.by);
        troubles.push(trouble(what, "Resume it when the reason is gone."));
    }
    troubles.extend(snapshot.clock_doubt.as_ref().map(clock));
    troubles
}

/// What has a date waits.
fn clock(doubt: &Doubt) -> Trouble {
    let by = spoken(doubt.why.by());
    let cause = match doubt.why {
        Why::Forward(_) => format!("it was set forward by {by}, or the machine slept"),
        Why::Backward(_) => format!("it was set back by {by}"),
        Why::Behind(_) => format!("it is {by} behind what it said before this start"),
        Why::BeforeBuild(_) => format!("it is {by} before this program was made"),
    };
    let what = format!("The clock is in doubt until {}: {cause}.", doubt.until.to_rfc3339());
    let remedy = "Look at the machine's time; press Accept the clock when it is right. Until then what has a date is held.";
    Trouble { what, remedy }
}

fn state(link: &LinkSnapshot) -> Option<Trouble> {
    let (state, remedy) = match link.status.connection {
        Connection::Parked => ("parked", parked_remedy(link.facts.kind)),
        Connection::Down => ("down", "It is tried again by itself; check cable, power or the carrier."),
        Connection::Up | Connection::Connecting => return None,
    };
    let reason = link.status.reason.as_deref().map(|reason| format!(": {}", visible(reason, REASON)));
    Some(Trouble { what: format!("{} is {state}{}.", shown(link), reason.unwrap_or_default()), remedy })
}

/// Nothing is wrong with the link: it waits.
fn quotas(link: &LinkSnapshot) -> Vec<Trouble> {
    let trouble = |quota: &QuotaUse, what: &str| {
        let (count, per, until) = (quota.quota.count, quota.quota.per.as_str(), quota.until.to_rfc3339());
        let what = format!("{} has used up its {count} {what} a {per} until {until}.", shown(link));
        Trouble {
            what,
            remedy: "What must go by it waits until then; add a link to its route, or raise the quota.",
        }
    };
    let segments = link.quotas.iter().filter(|quota| quota.is_used_up());
    let recipients = link.recipients.iter().filter(|quota| quota.is_used_up());
    let segments = segments.map(|quota| trouble(quota, "segments"));
    segments.chain(recipients.map(|quota| trouble(quota, "numbers"))).collect()
}

/// A new start of the daemon is needed only where its configuration or a file that it names was changed.
fn parked_remedy(kind: &str) -> &'static str {
    match kind {
        "modem" => {
            "It needs a person: mend the SIM or its PIN as the reason says, then press Restart at the link."
        }
        _ => {
            "It needs a person: have the account mended and press Restart at the link, or change the password and start the daemon anew."
        }
    }
}

fn modem(link: &LinkSnapshot, status: &ModemStatus) -> Vec<Trouble> {
    let trouble = |what: &str, remedy| Trouble { what: format!("{} {what}", shown(link)), remedy };
    let mut troubles = Vec::new();
    match status.registration {
        Some(Registration::Denied) => {
            troubles
                .push(trouble("is denied by the network.", "Ask the operator whether the SIM is blocked."));
        }
        Some(Registration::EmergencyOnly) => {
            troubles.push(trouble("has emergency calls only.", "Check the SIM and the operator's coverage."));
        }
        _ => {}
    }
    if status.signal_dbm.is_some_and(|dbm| dbm <= WEAK_DBM) {
        troubles.push(trouble("has hardly any signal.", "Move the antenna or the modem."));
    }
    let full = |(used, total): (u32, u32)| u64::from(used) * 100 >= u64::from(total) * NEARLY_FULL;
    if status.storage.is_some_and(|storage| storage.1 > 0 && full(storage)) {
        troubles
            .push(trouble("has its memory nearly full.", "Stored replies are fetched slowly; see the log."));
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::engine::{IntakeClosed, Pause};
    use crate::link::{LinkFacts, LinkStatus};
    use crate::quota::{Period, Quota};

    const NOW: Timestamp = Timestamp::from_millis(1_795_269_900_000);

    fn link(connection: Connection, modem: Option<ModemStatus>) -> LinkSnapshot {
        let facts = LinkFacts { name: "gsm1".into(), account: "gsm1".into(), kind: "modem", window: 1 };
        let reason = Some(String::from("SIM PUK\u{7}"));
        let status = LinkStatus { connection, reason, modem, ..LinkStatus::new(NOW) };
        LinkSnapshot { facts, status, paused: None, leased: 0, quotas: Vec::new(), recipients: None }
    }

    #[test]
    fn each_trouble_has_its_line() {
        let modem = ModemStatus {
            registration: Some(Registration::Denied),
            signal_dbm: Some(-113),
            storage: Some((8, 10)),
            ..ModemStatus::default()
        };
        let used = |used| QuotaUse { quota: Quota { count: 500, per: Period::Day }, used, until: NOW };
        let used_up = LinkSnapshot {
            quotas: vec![used(499), used(500)],
            recipients: Some(used(500)),
            ..link(Connection::Up, Some(modem))
        };
        let mut snapshot = Snapshot {
            links: vec![link(Connection::Parked, None), used_up],
            paused: Some(Pause { since: NOW, by: "crm".into() }),
            intake_closed: Some(IntakeClosed { why: Refusal::DiskLow, since: NOW }),
            holds: 1,
            ..Snapshot::empty(NOW)
        };
        snapshot.by_status[Status::Unknown as usize] = 2;
        let what: Vec<String> = of(&snapshot).into_iter().map(|trouble| trouble.what).collect();
        let expected = [
            "Nothing is accepted: the disk has too little free space.",
            "All sending is paused by crm.",
            "gsm1 is parked: SIM PUK⟨U+0007⟩.",
            "gsm1 has used up its 500 segments a day until 2026-11-21T14:05:00.000Z.",
            "gsm1 has used up its 500 numbers a day until 2026-11-21T14:05:00.000Z.",
            "gsm1 is denied by the network.",
            "gsm1 has hardly any signal.",
            "gsm1 has its memory nearly full.",
            "2 messages unknown.",
            "1 number held: a reply may mean that no more is wanted.",
        ];
        assert_eq!(what, expected);
    }

    #[test]
    fn a_webhook_says_what_it_does_not_take_what_is_dead_and_what_is_lost() {
        let config = crate::engine::webhook::Cursor { dead: 1, dropped: 2, lost: 3, ..Default::default() };
        let mut status = webhook::Status::new(&config);
        status.last_error = Some((NOW, String::from("no connection: \u{7}")));
        let clock = crate::clock::Clock::manual(NOW).now();
        status.standing = Standing::Failing { since: NOW, tries: 1, next: clock.mono, next_at: NOW };
        let said = |status: &webhook::Status| {
            super::webhook("crm", status).into_iter().map(|t| t.what).collect::<Vec<_>>()
        };
        let expected = [
            "Webhook crm takes no events: no connection: ⟨U+0007⟩.",
            "Webhook crm has 1 dead letter.",
            "Webhook crm lost 5 events for good.",
        ];
        assert_eq!(said(&status), expected);
        status.standing = Standing::Parked { since: NOW };
        assert!(said(&status)[0].contains("410"));
        assert!(said(&webhook::Status::new(&Default::default())).is_empty());
    }

    #[test]
    fn where_all_is_well_nothing_is_said() {
        let snapshot = Snapshot { links: vec![link(Connection::Up, None)], ..Snapshot::empty(NOW) };
        assert_eq!(of(&snapshot), []);
    }
}
