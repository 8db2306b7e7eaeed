//! The comparison for people: what became of the messages, what the carriers saw, and the verdict.

use super::compare::{CarrierLog, Findings, Row, STATUSES, Submit};
use crate::cli::plain;

/// Findings shown of each kind; the first few tell what is wrong.
const SHOWN: usize = 5;
/// ESME_RTHROTTLED, SMPP 3.4 section 5.1.3.
const THROTTLED: u32 = 0x58;

/// What the API answered.
pub struct Promises {
    pub accepted: usize,
    /// Requests repeated under their key, which made no further message.
    pub repeats: usize,
    /// What the phones said, and how much of it was a stop.
    pub answers: usize,
    pub stops: usize,
}

/// `most_in_flight` is one number a log.
pub fn render(
    promises: &Promises,
    rows: &[Row],
    logs: &[CarrierLog],
    most_in_flight: &[u64],
    findings: &Findings,
) -> String {
    let mut lines = vec![String::new()];
    statuses(rows, &mut lines);
    lines.push(format!("  {:<12}{:>6}", "shown", rows.len()));
    lines.push(format!("  {:<12}{:>6}", "accepted", promises.accepted));
    lines.push(format!("  {:<12}{:>6}", "repeats", promises.repeats));
    lines.push(format!("  {:<12}{:>6}", "answers", promises.answers));
    lines.push(format!("  {:<12}{:>6}", "stops", promises.stops));
    lines.push(String::new());
    carriers(logs, most_in_flight, &mut lines);
    lines.push(String::new());
    let kinds =
        [("lost", &findings.lost), ("doubled", &findings.doubled), ("unaccounted", &findings.unaccounted)];
    for (kind, found) in kinds {
        lines.push(format!("  {kind:<12}{:>6}", found.len()));
        lines.extend(found.iter().take(SHOWN).map(|finding| format!("    {}", plain(finding))));
        if found.len() > SHOWN {
            lines.push(format!("    and {} more", found.len() - SHOWN));
        }
    }
    lines.push(verdict(findings));
    lines.join("\n") + "\n"
}

fn statuses(rows: &[Row], lines: &mut Vec<String>) {
    lines.push(format!("  {:<12}{:>6}", "status", "count"));
    for status in STATUSES {
        let count = rows.iter().filter(|row| row.status == status).count();
        if count > 0 {
            lines.push(format!("  {status:<12}{count:>6}"));
        }
    }
}

fn carriers(logs: &[CarrierLog], most_in_flight: &[u64], lines: &mut Vec<String>) {
    let columns = ["taken", "unanswered", "throttled", "refused", "receipts", "in flight"];
    lines.push(row("segments", &columns.map(str::to_owned)));
    for (log, most) in logs.iter().zip(most_in_flight) {
        let count = |wanted: fn(&Submit) -> bool| log.submits.iter().filter(|s| wanted(s)).count();
        let throttled = count(|s| s.status == Some(THROTTLED));
        let counts = [
            count(|s| s.message_id.is_some()),
            count(|s| s.status.is_none()),
            throttled,
            count(|s| s.message_id.is_none()) - throttled,
            log.receipts.len(),
        ];
        let mut cells: Vec<String> = counts.iter().map(ToString::to_string).collect();
        cells.push(most.to_string());
        lines.push(row(&log.name, &cells));
    }
}

fn row(name: &str, cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("  {cell:>10}")).collect();
    format!("  {name:<10}{cells}")
}

fn verdict(findings: &Findings) -> String {
    if findings.is_clean() {
        return String::from("OK: every accepted message is where it says it is; none lost, none doubled");
    }
    let Findings { lost, doubled, unaccounted } = findings;
    format!("FAILED: {} lost, {} doubled, {} unaccounted for", lost.len(), doubled.len(), unaccounted.len())
}
