//! `nudged inbound`: a page of replies, or one in full.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Call, Server, outline};
use super::listing::{Stretch, page};

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
    #[command(flatten)]
    stretch: Stretch,
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
    args.stretch.query([("from", args.from), ("link", args.link), ("intent", args.intent)])
}

fn show(answer: &Value) -> String {
    page(answer, &COLUMNS, cut)
}

/// Long texts are cut.
pub fn cut(row: &Value) -> Value {
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
