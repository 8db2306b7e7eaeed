//! What machines ask: alive, ready, and the numbers. None of it names a recipient or a text.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::auth::Scope;
use super::problem::Problem;
use super::{App, Peer};
use crate::engine::webhook::{self, Hook, Standing, Webhooks};
use crate::engine::{COMMIT_BUCKETS, LinkSnapshot, QuotaUse, Snapshot};
use crate::link::{Connection, LinkStatus, ModemStatus, Registration, SUBMIT_BUCKETS};
use crate::message::{LinkName, Status};
use crate::reminder::obligation::ObligationStatus;
use crate::reminder::suppression::Intent;

/// Alive means that this answers; whether it can work is [`ready`]'s answer.
pub async fn live() -> Response {
    super::json(StatusCode::OK, &json!({"status": "ok"}))
}

pub async fn ready(State(app): State<App>) -> Response {
    let reasons = reasons(&app.engine().snapshot());
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    super::json(status, &json!({"ready": reasons.is_empty(), "reasons": reasons}))
}

/// Why it is not ready. The sentences are fixed, because anybody may read them.
fn reasons(snapshot: &Snapshot) -> Vec<Value> {
    let reason = |code: &str, detail: String| json!({"code": code, "detail": detail});
    let mut reasons = Vec::new();
    if snapshot.quarantine.is_some() {
        reasons.push(reason("quarantined", String::from("the state did not fit the journal")));
    }
    if let Some(closed) = &snapshot.intake_closed
        && snapshot.quarantine.is_none()
    {
        reasons.push(reason("intake_closed", closed.why.to_string()));
    }
    if !snapshot.links.iter().any(|link| link.status.connection == Connection::Up) {
        reasons.push(reason("no_link_up", String::from("no link is up")));
    }
    reasons
}

pub async fn metrics(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    let local = parts.extensions.get::<Peer>().is_some_and(Peer::is_local);
    if !local || is_forwarded(&parts.headers) {
        app.allow(&parts, Scope::Read).await?;
    }
    let mut text = Text(render(&app.engine().snapshot()));
    webhooks(&mut text, app.engine().webhooks());
    if app.engine().snapshot().known().is_some() {
        let due = app.engine().view().due_reminders(app.now().wall)?;
        let help = "Reminders whose time has come and that are not queued yet, counted to 10000.";
        text.single("nudged_reminders_due", "gauge", help, due.now);
    }
    let text = text.0;
    Ok(super::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}

/// Through a proxy on this machine everybody looks local.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// The text exposition format of Prometheus, 0.0.4.
struct Text(String);

/// A label's value with the three characters escaped that the format asks for.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        if self.0.write_fmt(line).is_ok() {
            self.0.push('\n');
        }
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) {
        self.family(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }

    /// `buckets` are cumulative and end with the infinite one. `label` is empty or `name="value",`.
    fn histogram(&mut self, name: &str, label: &str, bounds: &[f64], buckets: &[u64], sum: f64) {
        for (bound, count) in bounds.iter().zip(buckets) {
            let le = if bound.is_finite() { bound.to_string() } else { String::from("+Inf") };
            self.line(format_args!("{name}_bucket{{{label}le=\"{le}\"}} {count}"));
        }
        let braced = match label.trim_end_matches(',') {
            "" => String::new(),
            label => format!("{{{label}}}"),
        };
        self.line(format_args!("{name}_sum{braced} {sum}"));
        self.line(format_args!("{name}_count{braced} {}", buckets.last().copied().unwrap_or_default()));
    }
}

/// What is not known is left out: a zero would be believed.
fn render(snapshot: &Snapshot) -> String {
    let mut text = Text(String::with_capacity(4096));
    if let Some(known) = snapshot.known() {
        render_known(&mut text, known);
    }
    let quarantined = u8::from(snapshot.quarantine.is_some());
    text.single("nudged_quarantined", "gauge", "1 when nothing may be sent or written.", quarantined);
    text.0
}

fn render_known(text: &mut Text, snapshot: &Snapshot) {
    messages(text, snapshot);
    links(text, snapshot);
    let commit = "nudged_store_commit_seconds";
    text.family(commit, "histogram", "Time from a command to its answer being durable.");
    text.histogram(
        commit,
        "",
        &COMMIT_BUCKETS,
        &snapshot.commits.buckets,
        snapshot.commits.sum.as_secs_f64(),
    );
    let doubt = u8::from(snapshot.clock_doubt.is_some());
    let help = "1 while what is due by the wall clock is held because the clock is in doubt.";
    text.single("nudged_clock_doubt", "gauge", help, doubt);
    replies(text, snapshot);
    reminders(text, snapshot);
    let unmatched = "nudged_receipts_unmatched_total";
    text.single(unmatched, "counter", "Receipts that fitted no message.", snapshot.receipts_unmatched);
    text.single(
        "nudged_store_free_bytes",
        "gauge",
        "Free space under the state directory.",
        snapshot.free_bytes,
    );
    text.single(
        "nudged_journal_seq",
        "gauge",
        "Sequence number of the journal's head.",
        snapshot.journal_seq,
    );
}

fn reminders(text: &mut Text, snapshot: &Snapshot) {
    let counts = &snapshot.reminders;
    let name = "nudged_obligations";
    text.family(name, "gauge", "Obligations, by status.");
    for (status, count) in ObligationStatus::ALL.iter().zip(counts.obligations) {
        text.line(format_args!("{name}{{status=\"{}\"}} {count}", status.as_str()));
    }
    text.single("nudged_contacts", "gauge", "Contacts.", counts.contacts);
    text.single("nudged_open_tasks", "gauge", "Tasks that are not done.", counts.open_tasks);
}

fn replies(text: &mut Text, snapshot: &Snapshot) {
    let name = "nudged_inbound_total";
    text.family(name, "counter", "Replies received, by what they mean for sending.");
    for (intent, count) in Intent::ALL.iter().zip(snapshot.inbound_by_intent) {
        text.line(format_args!("{name}{{intent=\"{}\"}} {count}", intent.as_str()));
    }
    let repeated = "nudged_inbound_repeated_total";
    text.single(
        repeated,
        "counter",
        "Inbound PDUs that came again and were known.",
        snapshot.inbound_repeated,
    );
    text.single("nudged_optouts", "gauge", "Numbers that get nothing more.", snapshot.opt_outs);
    text.single("nudged_holds", "gauge", "Numbers whose reply needs a person.", snapshot.holds);
}

fn messages(text: &mut Text, snapshot: &Snapshot) {
    let name = "nudged_messages_total";
    text.family(name, "counter", "Changes of a message's status, by link where one was involved.");
    for total in &snapshot.totals {
        let link = Label(total.link.as_ref().map_or("", |link| link.as_str()));
        let status = total.status.as_str();
        text.line(format_args!("{name}{{status=\"{status}\",link=\"{link}\"}} {}", total.count));
    }
    let name = "nudged_queue_messages";
    text.family(name, "gauge", "Messages that are not closed, by status.");
    for (status, count) in Status::ALL.iter().zip(snapshot.by_status) {
        if is_open(*status) {
            text.line(format_args!("{name}{{status=\"{}\"}} {count}", status.as_str()));
        }
    }
    let oldest = snapshot.oldest_due.map_or(0.0, |at| snapshot.at.since(at).as_secs_f64());
    let help = "Age of the longest waiting message that is due.";
    text.single("nudged_queue_oldest_seconds", "gauge", help, oldest);
}

const fn is_open(status: Status) -> bool {
    match status {
        Status::Scheduled | Status::Queued | Status::Sending | Status::Unknown => true,
        Status::Sent
        | Status::Delivered
        | Status::Undelivered
        | Status::Failed
        | Status::Expired
        | Status::Canceled
        | Status::Blocked => false,
    }
}

fn links(text: &mut Text, snapshot: &Snapshot) {
    type Read = fn(&LinkSnapshot) -> u64;
    let families: [(&str, &str, &str, Read); 6] = [
        ("nudged_link_up", "gauge", "1 when the link is up and not paused.", |link| {
            u64::from(super::links::state_of(link) == "up")
        }),
        ("nudged_link_window_in_use", "gauge", "Segments leased and unanswered.", |link| link.leased.into()),
        ("nudged_link_submitted_total", "counter", "Segments submitted.", |link| link.status.submitted_total),
        ("nudged_link_throttled_total", "counter", "Requests to slow down.", |link| {
            link.status.throttled_total
        }),
        ("nudged_link_sessions_total", "counter", "Sessions begun.", |link| link.status.sessions_total),
        ("nudged_link_reconnects_total", "counter", "Sessions begun after the first.", |link| {
            link.status.sessions_total.saturating_sub(1)
        }),
    ];
    for (name, kind, help, read) in families {
        text.family(name, kind, help);
        for link in &snapshot.links {
            let label = Label(link.facts.name.as_str());
            text.line(format_args!("{name}{{link=\"{label}\"}} {}", read(link)));
        }
    }
    quotas(text, snapshot);
    unknowns(text, snapshot);
    let modems =
        snapshot.links.iter().filter_map(|link| Some((&link.facts.name, link.status.modem.as_ref()?)));
    let modems: Vec<(&LinkName, &ModemStatus)> = modems.collect();
    if !modems.is_empty() {
        self::modems(text, &modems);
    }
    let name = "nudged_submit_seconds";
    text.family(name, "histogram", "Time from a submission's bytes to its answer.");
    for link in &snapshot.links {
        let label = format!("link=\"{}\",", Label(link.facts.name.as_str()));
        let LinkStatus { submit_buckets, submit_sum, .. } = &link.status;
        text.histogram(name, &label, &SUBMIT_BUCKETS, submit_buckets, submit_sum.as_secs_f64());
    }
}

/// Segments by period; numbers have families of their own, because they do not add up with them.
fn quotas(text: &mut Text, snapshot: &Snapshot) {
    type Read = fn(&LinkSnapshot) -> &[QuotaUse];
    let families: [(&str, &str, Read); 2] = [
        ("nudged_link_quota", "segments", |link| &link.quotas),
        ("nudged_link_recipients", "different numbers", |link| link.recipients.as_slice()),
    ];
    for (name, what, read) in families {
        let mut family = |end: &str, help: String, value: fn(&QuotaUse) -> u32| {
            text.family(&format!("{name}_{end}"), "gauge", &help);
            for (link, quota) in
                snapshot.links.iter().flat_map(|link| read(link).iter().map(move |q| (link, q)))
            {
                let (label, per) = (Label(link.facts.name.as_str()), quota.quota.per.as_str());
                text.line(format_args!("{name}_{end}{{link=\"{label}\",period=\"{per}\"}} {}", value(quota)));
            }
        };
        family("used", format!("Of the quota of {what} in the period that runs."), |quota| quota.used);
        family("limit", format!("The quota of {what} in a period."), |quota| quota.quota.count);
    }
}

/// A link that is no longer configured may have left some.
fn unknowns(text: &mut Text, snapshot: &Snapshot) {
    let name = "nudged_unknown_messages";
    text.family(name, "gauge", "Messages that are unknown, by the link of their last attempt.");
    let none = snapshot.links.iter().map(|link| (&link.facts.name, 0));
    let mut counts: BTreeMap<&LinkName, u64> = none.collect();
    counts.extend(snapshot.unknown_by_link.iter().map(|(link, count)| (link, *count)));
    for (link, count) in counts {
        text.line(format_args!("{name}{{link=\"{}\"}} {count}", Label(link.as_str())));
    }
}

fn webhooks(text: &mut Text, hooks: &Webhooks) {
    let hooks: Vec<_> = hooks.iter().map(|hook| (hook, hook.status())).collect();
    if hooks.is_empty() {
        return;
    }
    let name = "nudged_webhook_deliveries_total";
    text.family(name, "counter", "Posts to webhooks since the start, and events given up.");
    for (hook, status) in &hooks {
        let totals =
            [("taken", status.taken_total), ("refused", status.refused_total), ("dead", status.dead_total)];
        for (result, count) in totals {
            let webhook = Label(hook.name().as_str());
            text.line(format_args!("{name}{{webhook=\"{webhook}\",result=\"{result}\"}} {count}"));
        }
    }
    type Read = fn(&Hook, &webhook::Status) -> u64;
    let families: [(&str, &str, Read); 4] = [
        ("nudged_webhook_up", "1 when the last post was taken.", |_, status| {
            u64::from(status.standing == Standing::Up)
        }),
        ("nudged_webhook_backlog", "Events not done with, wanted or not.", Hook::backlog),
        ("nudged_webhook_dead_letters", "Events given up and kept.", |_, status| status.dead),
        ("nudged_webhook_lost_events", "Events the journal did not hold any more.", |_, status| status.lost),
    ];
    for (name, help, read) in families {
        text.family(name, "gauge", help);
        for (hook, status) in &hooks {
            let webhook = Label(hook.name().as_str());
            text.line(format_args!("{name}{{webhook=\"{webhook}\"}} {}", read(hook, status)));
        }
    }
}

/// What a modem has not said, or says no more because it is gone, is left out.
fn modems(text: &mut Text, modems: &[(&LinkName, &ModemStatus)]) {
    type Read = fn(&ModemStatus) -> Option<i64>;
    let families: [(&str, &str, Read); 3] = [
        ("nudged_modem_signal_dbm", "Received signal strength.", |modem| modem.signal_dbm.map(i64::from)),
        ("nudged_modem_storage_used", "Slots in use, over all memories that are read.", |modem| {
            modem.storage.map(|(used, _)| used.into())
        }),
        ("nudged_modem_storage_slots", "Slots there are, over all memories that are read.", |modem| {
            modem.storage.map(|(_, total)| total.into())
        }),
    ];
    for (name, help, read) in families {
        text.family(name, "gauge", help);
        for (link, modem) in modems {
            if let Some(value) = read(modem) {
                text.line(format_args!("{name}{{link=\"{}\"}} {value}", Label(link.as_str())));
            }
        }
    }
    let name = "nudged_modem_registration";
    text.family(name, "gauge", "1 for the state of the modem in the network, 0 for the others.");
    for (link, modem) in modems {
        let Some(registration) = modem.registration else { continue };
        for state in Registration::ALL {
            let (link, is) = (Label(link.as_str()), u8::from(state == registration));
            text.line(format_args!("{name}{{link=\"{link}\",state=\"{}\"}} {is}", state.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(Label("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn a_histogram_ends_with_infinity_sum_and_count() {
        let mut text = Text(String::new());
        text.histogram("x", "link=\"a\",", &[0.5, f64::INFINITY], &[1, 3], 2.5);
        assert_eq!(
            text.0,
            "x_bucket{link=\"a\",le=\"0.5\"} 1\nx_bucket{link=\"a\",le=\"+Inf\"} 3\nx_sum{link=\"a\"} 2.5\nx_count{link=\"a\"} 3\n"
        );
    }
}
