//! STOP against a full queue: a phone says it while the daemon has messages for it to spare and every link is
//! busy. From the instant the simulator has the reply for us, which its control call bounds from before, to the
//! last segment for that number that the network took: by the simulators' wire logs, the one confirmation aside.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::Fallible;
use crate::cells::{CONNECTIONS, fresh_dir};
use crate::client::{self, Door};
use crate::peers::{self, Gsm, Nudged, Sim};
use crate::process::until;

/// Phones that say stop, one after the other, by each link.
const STOPS: usize = 5;
/// Messages queued for each of them, before all others in priority: they go one after the other all the time.
const FOR_EACH: usize = 200;
/// How long the wire is watched after the last stop.
const WATCHED: Duration = Duration::from_secs(3);
const SERVICE_TIME: Duration = Duration::from_millis(50);
const SMSC_DELAY: Duration = Duration::from_millis(20);
/// What every text to such a phone begins with; a confirmation does not.
const MARK: &str = "Invoice";
/// The number that phones of the carrier answer to.
const OWN: &str = "+4915100000000";

/// What was seen on one link.
#[derive(Debug)]
pub struct Way {
    pub link: &'static str,
    pub stops: usize,
    /// The longest, from the reply to the last segment on the wire.
    pub last_byte: Duration,
    /// The longest, from the reply to the opt-out in the API.
    pub shown: Duration,
}

#[derive(serde::Deserialize)]
struct Line {
    at: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    text: String,
    kind: String,
}

pub fn run(queued: u32) -> Fallible<Vec<Way>> {
    let dir = fresh_dir("stop")?;
    let sim = Sim::start(&dir, SMSC_DELAY)?;
    let gsm = Gsm::start(&dir, "gsm", SERVICE_TIME)?;
    let routes =
        "[[route]]\nto = [\"+44\"]\nvia = [\"gsm\"]\n[[route]]\nto = [\"+49\"]\nvia = [\"carrier\"]\n";
    let links = peers::bind("carrier", sim.address, 10) + &peers::modem("gsm", &gsm) + routes;
    let mut nudged = Nudged::start_with(Command::new(peers::program()), &dir, &links)?;
    nudged.pause(true)?;
    let sent = client::load(&nudged, 0..queued, CONNECTIONS)?;
    if let Some((number, status, body)) = sent.refused.first() {
        return Err(format!("{number}: {status} {body}").into());
    }
    let ways = [("gsm", gsm.control, None, "+4477009"), ("carrier", sim.control, Some(OWN), "+4915999")];
    for (_, _, _, prefix) in ways {
        for n in 0..STOPS {
            queue_for(&nudged, &format!("{prefix}{n:05}"))?;
        }
    }
    nudged.pause(false)?;
    let mut seen = Vec::new();
    for (link, control, to, prefix) in ways {
        let mut way = Way { link, stops: STOPS, last_byte: Duration::ZERO, shown: Duration::ZERO };
        let wire = if link == "gsm" { &gsm.wire } else { &sim.wire };
        let mut said = Vec::new();
        for n in 0..STOPS {
            let number = format!("{prefix}{n:05}");
            until("a message to the phone", || Ok(last_to(wire, &number)?.is_some()))?;
            let at = SystemTime::now();
            peers::reply(control, &number, to, "STOP")?;
            let path = format!("/v1/optouts/%2B{}", &number[1..]);
            until("the opt-out", || Ok(nudged.call("GET", &path)?.0 == 200))?;
            way.shown = way.shown.max(at.elapsed()?);
            said.push((number, at));
        }
        std::thread::sleep(WATCHED);
        for (number, at) in said {
            let last = last_to(wire, &number)?.ok_or("nothing on the wire")?;
            way.last_byte = way.last_byte.max(last.duration_since(at).unwrap_or_default());
        }
        seen.push(way);
    }
    nudged.process.stop()?;
    Ok(seen)
}

/// Queues the phone's messages, before all that waits.
fn queue_for(nudged: &Nudged, number: &str) -> Fallible<()> {
    let lines: Vec<String> = (0..FOR_EACH)
        .map(|n| {
            format!(
                "{{\"to\":\"{number}\",\"text\":\"{MARK} {n} is due.\",\"priority\":9,\"receipt\":false}}"
            )
        })
        .collect();
    let (body, token) = (format!("[{}]", lines.join(",")), &nudged.token);
    let head = format!(
        "POST /v1/messages/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (status, answer) = client::ask(nudged.address(), &format!("{head}{body}"))?;
    if status == 202 { Ok(()) } else { Err(format!("batch: {status} {answer}").into()) }
}

/// When the last segment to `number` was taken that is no confirmation.
fn last_to(wire: &Path, number: &str) -> Fallible<Option<SystemTime>> {
    let mut last = None;
    for line in BufReader::new(File::open(wire)?).lines() {
        let line = line?;
        if !line.contains(number) {
            continue;
        }
        let line: Line = serde_json::from_str(&line)?;
        if line.kind.contains("submit") && line.to == number && line.text.starts_with(MARK) {
            last = Some(SystemTime::from(line.at.parse::<jiff::Timestamp>()?));
        }
    }
    Ok(last)
}
