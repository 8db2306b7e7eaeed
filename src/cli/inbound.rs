//! `nudged inbound`: a page of replies, or one in full.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Call, Server, field, outline, table};

const COLUMNS: [&str; 7] = ["id", "received_at", "from", "link", "intent", "held", "text"];
/// Characters of a text that a table shows.
const TEXT_SHOWN: usize = 60;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this reply, in full
    #[arg(conflicts_with_all = ["from", "link", "intent", "since", "until", "limit", "cursor", "order"])]
    id: Option<String>,
    /// Only from this number
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// Only by this link
    #[arg(long, value_name = "NAME")]
    link: Option<String>,
    /// opt_out, may_be_opt_out, opt_in, other or unreadable
    #[arg(long)]
    intent: Option<String>,
    /// Not received before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not received after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Replies in the page, at most 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    /// desc or asc
    #[arg(long, value_parser = ["desc", "asc"])]
    order: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    if let Some(id) = &args.id {
        return args.server.run(Call::get(&["v1", "inbound", id]), outline);
    }
    let server = args.server.clone();
    server.run(Call { query: query(args), ..Call::get(&["v1", "inbound"]) }, show)
}

fn query(args: Args) -> Vec<(&'static str, String)> {
    let pairs = [
        ("from", args.from),
        ("link", args.link),
        ("intent", args.intent),
        ("since", args.since),
        ("until", args.until),
        ("limit", args.limit.map(|limit| limit.to_string())),
        ("cursor", args.cursor),
        ("order", args.order),
    ];
    pairs.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect()
}

fn show(answer: &Value) -> String {
    page(answer, &COLUMNS)
}

/// A page of a list with where the next one begins; long texts are cut.
pub fn page(answer: &Value, columns: &[&str]) -> String {
    let Some(rows) = answer.get("data").and_then(Value::as_array) else { return outline(answer) };
    let more = match field(answer, "next_cursor") {
        cursor if cursor.is_empty() => String::new(),
        cursor => format!("more: --cursor {cursor}\n"),
    };
    let rows: Vec<Value> = rows.iter().map(cut).collect();
    table(&rows, columns) + &more
}

fn cut(row: &Value) -> Value {
    let mut row = row.clone();
    if let Some(text) = row.get("text").and_then(Value::as_str)
        && text.chars().count() > TEXT_SHOWN
    {
        let begin: String = text.chars().take(TEXT_SHOWN).collect();
        row["text"] = Value::from(begin + "…");
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_shows_a_strangers_text_cut_and_plain() {
        let reply = json!({"id": "inb_1", "from": "+49", "held": true, "text": format!("\u{1b}[2J{}", "x".repeat(99))});
        let shown = show(&json!({"data": [reply], "next_cursor": "inb_1"}));
        assert!(shown.contains("\\u{1b}[2Jxxx") && shown.contains("x…\n"), "{shown}");
        assert!(shown.ends_with("more: --cursor inb_1\n"), "{shown}");
    }
}
