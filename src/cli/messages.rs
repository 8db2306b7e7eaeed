//! `nudged messages`: a page of messages, or one in full.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Call, Server, field, outline};
use super::listing::{Stretch, page};

const COLUMNS: [&str; 6] = ["id", "accepted_at", "status", "to", "link", "reason"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this message, in full
    #[arg(conflicts_with_all = ["to", "client_ref", "batch", "status", "link", "since", "until", "limit", "cursor", "order"])]
    id: Option<String>,
    /// Only to this number
    #[arg(long, value_name = "NUMBER", group = "one")]
    to: Option<String>,
    /// Only with this client_ref
    #[arg(long, value_name = "REF", group = "one")]
    client_ref: Option<String>,
    /// Only of this batch
    #[arg(long, value_name = "ID", group = "one")]
    batch: Option<String>,
    /// Only with this status
    #[arg(long, group = "one")]
    status: Option<String>,
    /// Only by this link
    #[arg(long, value_name = "NAME")]
    link: Option<String>,
    #[command(flatten)]
    stretch: Stretch,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    if let Some(id) = &args.id {
        return args.server.run(Call::get(&["v1", "messages", id]), outline);
    }
    let server = args.server.clone();
    server.run(Call { query: query(args), ..Call::get(&["v1", "messages"]) }, show)
}

fn query(args: Args) -> Vec<(&'static str, String)> {
    args.stretch.query([
        ("to", args.to),
        ("client_ref", args.client_ref),
        ("batch", args.batch),
        ("status", args.status),
        ("link", args.link),
    ])
}

fn show(answer: &Value) -> String {
    page(answer, &COLUMNS, row)
}

/// The message with its reason as one text: the code, and what the network said where it said something.
fn row(message: &Value) -> Value {
    let mut row = message.clone();
    if let Some(reason @ Value::Object(_)) = message.get("reason") {
        let (code, raw) = (field(reason, "code"), field(reason, "raw"));
        row["reason"] = Value::from(if raw.is_empty() { code } else { format!("{code} ({raw})") });
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_shows_the_code_of_a_reason_and_where_the_next_page_begins() {
        let reason = json!({"code": "smsc.throttled", "raw": "0x58", "sentence": "..."});
        let message = json!({"id": "msg_1", "status": "queued", "reason": reason});
        let shown = show(&json!({"data": [message], "next_cursor": "c"}));
        assert!(shown.contains("smsc.throttled (0x58)\n"), "{shown}");
        assert!(shown.ends_with("more: --cursor c\n"), "{shown}");
    }
}
