//! `nudged import-clicks`: visits to payment links out of a web server's access log, common or combined format.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Body, Call, Server};
use super::{answer, plain};
use crate::reminder::link::Token;

/// A log of a day of a big firm.
const FILE_MAX: u64 = 256 << 20;
/// Visits of one request.
const AT_ONCE: usize = 500;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The access log; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> ExitCode {
    let visits = match read(&args.file) {
        Ok(visits) => visits,
        Err(error) => {
            eprintln!("nudged: {}: {error}", plain(&args.file.display().to_string()));
            return ExitCode::FAILURE;
        }
    };
    let (mut human, mut fetched, mut unknown) = (0, 0, 0);
    for some in visits.chunks(AT_ONCE) {
        let call = Call { body: Some(Body::Json(json!(some))), ..Call::post(&["v1", "clicks"]) };
        let told = match args.server.ask(call) {
            Ok(told) => told,
            Err(failure) => return failure.tell(),
        };
        for result in told.get("results").and_then(Value::as_array).into_iter().flatten() {
            match result.get("click").and_then(Value::as_str) {
                Some("human") => human += 1,
                Some("unknown_token") => unknown += 1,
                _ => fetched += 1,
            }
        }
    }
    let counts = json!({"human": human, "fetched": fetched, "unknown": unknown});
    let text = if args.server.is_json() {
        format!("{counts}\n")
    } else {
        format!("human {human}, fetched {fetched}, unknown {unknown}\n")
    };
    answer(&text, ExitCode::SUCCESS)
}

fn read(file: &PathBuf) -> std::io::Result<Vec<Value>> {
    let input: Box<dyn std::io::Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file)?),
    };
    let mut visits = Vec::new();
    for line in BufReader::new(input.take(FILE_MAX)).split(b'\n') {
        visits.extend(visit(&String::from_utf8_lossy(&line?)));
    }
    Ok(visits)
}

/// `HOST IDENT USER [TIME] "METHOD PATH PROTOCOL" STATUS SIZE "REFERRER" "AGENT"`; a line without a token is none.
fn visit(line: &str) -> Option<Value> {
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    let mut quoted = rest.split('"').skip(1).step_by(2);
    let mut request = quoted.next()?.split(' ');
    let (method, path) = (request.next()?, request.next()?);
    let token = path.split(['/', '?', '&', '=', '#']).rev().find_map(|word| Token::parse(word).ok())?;
    let at = jiff::Zoned::strptime("%d/%b/%Y:%H:%M:%S %z", time).ok()?.timestamp();
    let mut visit = json!({"token": token.to_string(), "method": method, "at": at.to_string()});
    // The common format has no agent: an empty one is no person's.
    visit["agent"] = Value::from(quoted.nth(1).unwrap_or_default());
    Some(visit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_is_a_visit_where_its_path_has_a_token() {
        let line = r#"10.0.0.1 - - [22/Nov/2026:10:00:00 +0100] "GET /i/0123456789ab?x=1 HTTP/1.1" 200 12 "-" "Mozilla/5.0 (X)""#;
        let seen = visit(line).unwrap();
        assert_eq!(
            seen,
            json!({"token": "0123456789ab", "method": "GET", "at": "2026-11-22T09:00:00Z", "agent": "Mozilla/5.0 (X)"})
        );
        let common = line.split(" \"-\"").next().unwrap();
        assert_eq!(visit(common).unwrap()["agent"], "");
        for none in ["", "[", "x [y] \"GET / HTTP/1.1\"", &line.replace("0123456789ab", "index.html")] {
            assert_eq!(visit(none), None, "{none}");
        }
    }
}
