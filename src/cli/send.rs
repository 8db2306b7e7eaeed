//! `nudged send`: one message to the daemon. What may be in it, the daemon decides.

use std::io::Read;
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::client::{Body, Call, Server, field};
use super::plain;

/// The API takes no larger body.
const TEXT_MAX: u64 = 256 << 10;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recipient: + and 7 to 15 digits
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// Text; - reads standard input
    #[arg(long)]
    text: String,
    /// Source address
    #[arg(long)]
    sender: Option<String>,
    /// Only this link may send it
    #[arg(long, value_name = "NAME")]
    link: Option<String>,
    /// reminder, otp, alert or reply
    #[arg(long)]
    class: Option<String>,
    /// 0 to 9, 9 first
    #[arg(long, value_name = "N")]
    priority: Option<u8>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    send_at: Option<String>,
    /// Not after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    /// auto, gsm7 or ucs2
    #[arg(long)]
    encoding: Option<String>,
    /// More segments are refused
    #[arg(long, value_name = "N")]
    max_segments: Option<u8>,
    /// hold or resend
    #[arg(long, value_name = "POLICY")]
    on_unknown: Option<String>,
    /// Show it at once and store it nowhere
    #[arg(long)]
    flash: bool,
    /// Ask for no receipt
    #[arg(long)]
    no_receipt: bool,
    /// Your reference
    #[arg(long, value_name = "REF")]
    client_ref: Option<String>,
    /// A repeat of the client_ref is the same message
    #[arg(long, requires = "client_ref")]
    unique_ref: bool,
    /// Send it although the same text went to this number
    #[arg(long)]
    allow_duplicate: bool,
    /// A repeat with the same key is the same message
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Check it and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

pub fn run(mut args: Args) -> ExitCode {
    if args.text == "-" {
        match read_text() {
            Ok(text) => args.text = text,
            Err(why) => {
                eprintln!("nudged: standard input {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    let call = Call {
        body: Some(Body::Json(body(&args))),
        idempotency_key: args.idempotency_key.clone(),
        ..Call::post(&["v1", "messages"])
    };
    args.server.run(call, show)
}

/// The newline that ends the last line is the shell's, not the message's.
fn read_text() -> Result<String, String> {
    let mut text = String::new();
    let read = std::io::stdin().take(TEXT_MAX + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if read as u64 > TEXT_MAX {
        return Err(format!("is larger than {TEXT_MAX} octets"));
    }
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Only what was said goes out, so that the daemon's defaults count.
fn body(args: &Args) -> Value {
    let texts = [
        ("to", Some(&args.to)),
        ("text", Some(&args.text)),
        ("sender", args.sender.as_ref()),
        ("link", args.link.as_ref()),
        ("class", args.class.as_ref()),
        ("send_at", args.send_at.as_ref()),
        ("valid_until", args.valid_until.as_ref()),
        ("encoding", args.encoding.as_ref()),
        ("on_unknown", args.on_unknown.as_ref()),
        ("client_ref", args.client_ref.as_ref()),
    ];
    let numbers = [("priority", args.priority), ("max_segments", args.max_segments)];
    let switches = [
        ("flash", args.flash, true),
        ("receipt", args.no_receipt, false),
        ("unique_ref", args.unique_ref, true),
        ("allow_duplicate", args.allow_duplicate, true),
        ("dry_run", args.dry_run, true),
    ];
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
    for (key, text) in texts {
        text.map(|text| put(key, Value::from(text.as_str())));
    }
    for (key, number) in numbers {
        number.map(|number| put(key, Value::from(number)));
    }
    for (key, _, value) in switches.into_iter().filter(|(_, said, _)| *said) {
        put(key, Value::from(value));
    }
    Value::Object(body)
}

fn show(answer: &Value) -> String {
    let mut told = format!("{} {}\n", field(answer, "id"), field(answer, "status"));
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        let text = warning.as_str().map_or_else(|| warning.to_string(), str::to_owned);
        told.push_str(&format!("warning: {}\n", plain(&text)));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn body_of(line: &[&str]) -> Value {
        body(&Line::parse_from(std::iter::once(&"send").chain(line)).args)
    }

    #[test]
    fn only_what_was_said_goes_out() {
        assert_eq!(body_of(&["--to", "+491", "--text", "x"]), json!({"to": "+491", "text": "x"}));
        let full = body_of(&["--to", "+491", "--text", "x", "--priority", "9", "--no-receipt", "--flash"]);
        assert_eq!(full, json!({"to": "+491", "text": "x", "priority": 9, "receipt": false, "flash": true}));
    }
}
