//! `nudged demo`: the daemon against two simulated carriers, one of which fails for a while, and two simulated
//! modems, with phones that answer; and a comparison that decides whether it kept its promise.
//!
//! The daemon is [`Daemon`] as it is, in this process, on a state directory that is gone afterwards; carriers
//! and modems are processes of their own that speak SMPP over TCP and AT commands over a pty. The lists
//! compared at the end: what this client was promised and what its phones said, what the API shows, what the
//! carriers wrote down. Beside it the reminder side is played over weeks ([`reminders`]). `--sabotage` makes a carrier or the client cheat, which the comparison has to find.

mod carrier;
mod client;
pub mod compare;
pub mod phones;
pub mod reminders;
mod sample;
mod table;

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{answer, log, refuse_config};
use crate::clock::Clock;
use crate::config::{self, Config, Problem, Secret, value};
use crate::daemon::{Daemon, Ended, StartError};
use crate::http::auth::{Scope, TokenError, TokenFile};
use carrier::{Carrier, Kind};
use client::{Client, Listing, VISITOR};
use compare::{Answers, Findings};
use phones::{Answer, Means, PHONES, Phone};
use sample::Sample;

/// Messages before the trickle, and how many of them go in one batch.
const MESSAGES: u32 = 300;
const BATCH: u32 = 100;
/// After so many messages the failing carrier drops its connections.
const HANG_UP_AT: u32 = 200;
/// From one message of the trickle to the next.
const TRICKLE: Duration = Duration::from_secs(1);
/// With `--for`: kept for what is under way at the end. The longest is an answer that never comes.
const LAST_WORDS: Duration = Duration::from_secs(8);
/// Of that, for the last look around, after the queue has run dry or not.
const PAUSED: Duration = Duration::from_secs(3);
/// After the last answer; a simulated receipt comes within a third of it.
const RECEIPTS: Duration = Duration::from_millis(700);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a stop may take to be shown; it is told of when it never is.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// The carrier among [`Stage::carriers`] that fails for a while.
const FAILING: usize = 1;
/// Less has no room for the messages, an unanswered one and the end.
const SHORTEST_MILLIS: u64 = 5_000;
const LONGEST_MILLIS: u64 = 24 * 3_600_000;
/// How long a sabotage runs that nobody gave a time: what `--for` is best tried with.
const SABOTAGE_FOR: Duration = Duration::from_secs(15);
/// The only account of the simulated carriers.
const PASSWORD: &str = "demo";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the API and the status page; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8025")]
    listen: SocketAddr,
    /// End by itself, with exit code 0 only if nothing is lost, doubled or unaccounted for
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    length: Option<Duration>,
    /// A carrier or the client cheats: the exit code must be 1
    #[arg(long, value_enum, value_name = "HOW")]
    sabotage: Option<Sabotage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sabotage {
    /// It says it took a message and did not
    Lose,
    /// It takes a message twice
    Double,
    /// The client undoes each stop behind the comparison's back and sends on
    IgnoreStop,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = value::duration(text).map_err(|bad| format!("{}; {}", bad.why, bad.remedy))?;
    let (least, most) = (Duration::from_millis(SHORTEST_MILLIS), Duration::from_millis(LONGEST_MILLIS));
    if (least..=most).contains(&length) {
        return Ok(length);
    }
    let (least, most) = (value::show_duration(least), value::show_duration(most));
    Err(format!("{text} is out of range; write {least} to {most}"))
}

/// Why the demo could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{0}: {1}")]
    Dir(String, io::Error),
    #[error("token: {0}")]
    Token(#[from] TokenError),
    #[error("carrier {0}: {1}")]
    Carrier(&'static str, String),
    #[error("{0} is in use, perhaps by a daemon; name another address, such as --listen 127.0.0.1:0")]
    InUse(SocketAddr),
    #[error(transparent)]
    Start(StartError),
    #[error("the daemon did not name its address")]
    NoAddress,
    #[error("configuration: {}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<Problem>),
    #[error("reminders: {0}")]
    Reminders(String),
    #[error("API: {0}")]
    Api(String),
    #[error("the daemon ended: {0:?}")]
    Ended(Ended),
}

/// Exit 0 on Ctrl-C or when the comparison is clean, 1 when it is not or the demo could not be played.
pub fn run(args: Args) -> ExitCode {
    log::start(&log::LogArgs::warnings());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nudged demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(play(&args)) {
        Ok(code) => code,
        Err(DemoError::Config(problems)) => refuse_config(&problems),
        Err(error) => {
            eprintln!("nudged demo: {}", super::plain(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &Args) -> Result<ExitCode, DemoError> {
    let clock = Clock::system();
    let length = args.length.or(args.sabotage.map(|_| SABOTAGE_FOR));
    let over = CancellationToken::new();
    tokio::spawn(end_of_play(length, clock.clone(), over.clone()));
    let mut stage = Stage::set_up(args, clock).await?;
    stage.introduce(length);
    let Stage { client, carriers, daemon, clock, answers, .. } = &mut stage;
    // Weeks in seconds, beside the traffic.
    let now = clock.now().wall;
    let reminders = tokio::task::spawn_blocking(move || reminders::play(now));
    let cheats = args.sabotage == Some(Sabotage::IgnoreStop);
    let trickle = length.map(|length| clock.now().mono + (length / 2).max(length.saturating_sub(LAST_WORDS)));
    let performed = tokio::select! {
        performed = perform(client, carriers, clock, trickle, &over, answers, cheats) => Some(performed),
        () = daemon.ended() => None,
    };
    match performed {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            let ended = stage.daemon.stop().await;
            tracing::debug!(event = "demo_stopped", ?ended);
            return Err(error);
        }
        None => return Err(DemoError::Ended(stage.daemon.stop().await)),
    }
    let played = reminders.await.map_err(|error| DemoError::Reminders(error.to_string()))?;
    let (text, clean) = stage.conclude(played?).await?;
    let code = if clean || length.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok(answer(&text, code))
}

/// Cancels `over` at Ctrl-C, or when it is time to look around for the last time.
async fn end_of_play(length: Option<Duration>, clock: Clock, over: CancellationToken) {
    let time = async {
        match length {
            Some(length) => clock.sleep(length.saturating_sub(PAUSED)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = super::signal() => {}
        () = time => {}
    }
    over.cancel();
}

/// Everything the client does, until nothing is on its way to a carrier any more.
async fn perform(
    client: &mut Client,
    carriers: &[Carrier; 4],
    clock: &Clock,
    trickle_until: Option<Instant>,
    over: &CancellationToken,
    answers: &mut Vec<Answer>,
    cheats: bool,
) -> Result<(), DemoError> {
    let samples = |from, to| -> Vec<Sample> {
        let now = clock.now().wall;
        (from..to).map(|n| sample::sample(n, now)).collect()
    };
    client.post_batch(samples(0, BATCH)).await?;
    let reminded = remind_phones(client).await?;
    client.post_each(samples(BATCH, HANG_UP_AT), over).await?;
    carriers[FAILING].hang_up().await?;
    client.post_each(samples(HANG_UP_AT, MESSAGES), over).await?;
    println!("{} messages accepted; now the phones answer ...", client.accepted.len());
    for (phone, first) in reminded {
        if let Some(answer) =
            let_answer(client, &carriers[phone.link], phone, &first, clock, over, cheats).await?
        {
            answers.push(answer);
        }
    }
    println!("{} phones answered; now a gentle trickle ...", answers.len());
    let mut n = MESSAGES;
    while !over.is_cancelled() && trickle_until.is_none_or(|until| clock.now().mono < until) {
        client.post_each(samples(n, n + 1), over).await?;
        n += 1;
        over.run_until_cancelled(clock.sleep(TRICKLE)).await;
    }
    println!("waiting for answers and receipts ...");
    while !over.is_cancelled() && client.count(&["queued", "sending"]).await? > 0 {
        over.run_until_cancelled(clock.sleep(LOOK_AGAIN)).await;
    }
    clock.sleep(RECEIPTS).await;
    // From here on the lists stand still: what waits goes nowhere, what is out is waited for.
    client.pause().await?;
    let deadline = clock.now().mono + PAUSED;
    while client.count(&["sending"]).await? > 0 && clock.now().mono < deadline {
        clock.sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Queues the messages of every phone: each phone and the id of its first.
async fn remind_phones(client: &mut Client) -> Result<Vec<(&'static Phone, String)>, DemoError> {
    let mut reminded = Vec::new();
    for phone in &PHONES {
        let first = client.accepted.len();
        client.post_batch((0..phones::BEFORE).map(|n| phones::message(phone, n)).collect()).await?;
        reminded.push((phone, client.accepted[first].id.clone()));
    }
    Ok(reminded)
}

/// The phone answers its first message, with others to it still queued, and is written to once more.
/// `None`: its first message did not get there in time.
async fn let_answer(
    client: &mut Client,
    carrier: &Carrier,
    phone: &Phone,
    first: &str,
    clock: &Clock,
    over: &CancellationToken,
    cheats: bool,
) -> Result<Option<Answer>, DemoError> {
    while !client.is_out(first).await? {
        if over.is_cancelled() {
            return Ok(None);
        }
        clock.sleep(LOOK_AGAIN).await;
    }
    carrier.answer(phone.number, phone.says).await?;
    let mut answer = Answer { from: phone.number.into(), text: phone.says.into(), stopped_at: None };
    if phone.means == Means::Stop {
        let deadline = clock.now().mono + STOP_WITHIN;
        while !client.is_opted_out(phone.number).await? && clock.now().mono < deadline {
            clock.sleep(LOOK_AGAIN).await;
        }
        answer.stopped_at = Some(clock.now().wall);
        if cheats {
            client.ignore_stop(phone.number).await?;
        }
    }
    client.post_batch(vec![phones::message(phone, phones::BEFORE)]).await?;
    Ok(Some(answer))
}

/// All that plays, in the order in which it is dropped.
struct Stage {
    daemon: Daemon,
    client: Client,
    /// Two binds and two modems, in the order that [`phones::Phone::link`] counts.
    carriers: [Carrier; 4],
    answers: Vec<Answer>,
    address: SocketAddr,
    /// For people.
    token: String,
    clock: Clock,
    scratch: Scratch,
}

impl Stage {
    async fn set_up(args: &Args, clock: Clock) -> Result<Stage, DemoError> {
        let scratch = Scratch::make()?;
        let carriers = carriers(args.sabotage, &scratch.0, &clock).await?;
        let state_dir = scratch.0.join("state");
        make_dir(&state_dir)?;
        let scopes = [Scope::Send, Scope::Read, Scope::Admin];
        let (tokens, now) = (TokenFile::new(&state_dir), clock.now().wall);
        let own = tokens.add("demo", &scopes, now)?;
        let token = tokens.add(VISITOR, &scopes, now)?;
        let config = config(args.listen, &state_dir, &carriers)?;
        let daemon = Daemon::start(config, clock.clone()).await.map_err(|error| match error {
            StartError::Listen(error) if error.kind() == io::ErrorKind::AddrInUse => {
                DemoError::InUse(args.listen)
            }
            other => DemoError::Start(other),
        })?;
        let address = daemon.address.ok_or(DemoError::NoAddress)?;
        let client = Client::new(address, own)?;
        Ok(Stage { daemon, client, carriers, answers: Vec::new(), address, token, clock, scratch })
    }

    fn introduce(&self, length: Option<Duration>) {
        let Stage { address, token, .. } = self;
        println!("status page  http://{address}/");
        println!("token        {token}");
        println!(
            "try          curl -H 'Authorization: Bearer {token}' 'http://{address}/v1/messages?limit=3'"
        );
        for carrier in &self.carriers {
            println!("network      {:<6} {}, {}", carrier.name, carrier.address, carrier.what);
        }
        match length {
            Some(length) => println!("ends by itself after {}", value::show_duration(length)),
            None => println!("Ctrl-C ends it and compares"),
        }
    }

    /// Stops everything and compares: the text for people, and whether it is clean.
    async fn conclude(self, reminders: (String, Findings)) -> Result<(String, bool), DemoError> {
        let listing = self.client.list().await;
        // First the daemon: its last answers to receipts belong into the carriers' logs.
        match self.daemon.stop().await {
            Ended::Stopped => {}
            ended => return Err(DemoError::Ended(ended)),
        }
        let Listing { rows, visitors, replies } = listing?;
        let (mut logs, mut most_in_flight) = (Vec::new(), Vec::new());
        for carrier in self.carriers {
            most_in_flight.push(carrier.most_in_flight().await?);
            logs.push(carrier.finish().await?);
        }
        self.scratch.remove()?;
        let mut posted = self.client.accepted;
        posted.extend(visitors);
        let answers = Answers { said: self.answers, shown: replies };
        let mut findings = compare::compare(&posted, &rows, &logs, &answers);
        let (reminded, reminders) = reminders;
        findings.doubled.extend(reminders.doubled);
        findings.unaccounted.extend(reminders.unaccounted);
        let promises = table::Promises {
            accepted: posted.len(),
            repeats: self.client.repeats,
            answers: answers.said.len(),
            stops: answers.said.iter().filter(|answer| answer.stopped_at.is_some()).count(),
        };
        let text = table::render(&promises, &rows, &logs, &most_in_flight, &findings);
        Ok((reminded + &text, findings.is_clean()))
    }
}

/// A bind that is healthy, one that is slow, strict about its rate, and fails for a while; a modem that is
/// healthy, and one that restarts, floods and refuses.
async fn carriers(sabotage: Option<Sabotage>, dir: &Path, clock: &Clock) -> Result<[Carrier; 4], DemoError> {
    let mut healthy = vec!["--delay", "20ms-80ms", "--receipts", "mixed"];
    match sabotage {
        Some(Sabotage::Lose) => healthy.extend(["--cheat", "lose"]),
        Some(Sabotage::Double) => healthy.extend(["--cheat", "double"]),
        Some(Sabotage::IgnoreStop) | None => {}
    }
    // A fault's number counts the segments it sees; those of the outage come in a row.
    let outage: Vec<String> = (30..40).map(|n| format!("queue-full@{n}")).collect();
    let mut failing = vec!["--delay", "10ms-40ms", "--receipts", "mixed", "--rate", "60/s"];
    for fault in ["reject@9", "reject@23", "no-answer@55", "drop-after-submit@80"] {
        failing.extend(["--fault", fault]);
    }
    for fault in &outage {
        failing.extend(["--fault", fault]);
    }
    let modem = ["--service-time", "40ms-120ms", "--receipts", "--operator", "Demo Mobile"];
    let mut restless = modem.to_vec();
    for fault in ["urc-flood@5", "reboot@12", "reject@20", "throttle@25"] {
        restless.extend(["--fault", fault]);
    }
    restless.extend(["--vendor", "huawei"]);
    let (smsc, gsm) = (Kind::Smsc, Kind::Modem);
    Ok([
        Carrier::start(smsc, "north", "healthy, receipts of all kinds", dir, &healthy, clock).await?,
        Carrier::start(smsc, "south", "limited to 60/s, fails for a while", dir, &failing, clock).await?,
        Carrier::start(gsm, "gsm1", "a modem, healthy", dir, &modem, clock).await?,
        Carrier::start(gsm, "gsm2", "a modem that restarts, floods and refuses", dir, &restless, clock)
            .await?,
    ])
}

fn config(listen: SocketAddr, state_dir: &Path, carriers: &[Carrier; 4]) -> Result<Config, DemoError> {
    let state_dir = toml::Value::from(state_dir.display().to_string());
    let [north, south, gsm1, gsm2] =
        carriers.each_ref().map(|carrier| toml::Value::from(carrier.address.as_str()));
    let text = format!(
        r#"
state_dir = {state_dir}

[http]
listen = ["{listen}"]

[queue]
retry = ["500ms", "1s", "2s", "5s"]
min_free = "1MiB"

[[smpp]]
name = "north"
address = {north}
system_id = "demo"
password_file = "password"
window = 32
sender = "Nudged"
response_timeout = "2s"

[[smpp]]
name = "south"
address = {south}
system_id = "demo"
password_file = "password"
window = 8
sender = "Nudged"
response_timeout = "1s"

[[modem]]
name = "gsm1"
port = {gsm1}
rate = "unlimited"
quota = []
recipients = "unlimited"

[[modem]]
name = "gsm2"
port = {gsm2}
rate = "unlimited"
quota = []
recipients = "unlimited"

[[route]]
to = ["+44"]
via = ["gsm1"]

[[route]]
to = ["+353"]
via = ["gsm2"]

[[route]]
to = ["+49"]
via = ["north"]

[[route]]
to = ["+43"]
via = ["south"]

[[route]]
to = ["+41"]
via = ["south", "north"]
policy = "balance"
"#
    );
    config::check(&text, &|_| Ok(Secret::new(String::from(PASSWORD)))).map_err(DemoError::Config)
}

/// A directory of our own, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Scratch, DemoError> {
        let mut random = [0; 8];
        let dir = std::env::temp_dir();
        if let Err(error) = getrandom::fill(&mut random) {
            return Err(DemoError::Dir(dir.display().to_string(), io::Error::other(error.to_string())));
        }
        let dir = dir.join(format!("nudged-demo-{:016x}", u64::from_le_bytes(random)));
        make_dir(&dir)?;
        Ok(Scratch(dir))
    }

    fn remove(self) -> Result<(), DemoError> {
        std::fs::remove_dir_all(&self.0).map_err(|error| DemoError::Dir(self.0.display().to_string(), error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(event = "scratch_left", dir = %self.0.display(), %error),
        }
    }
}

fn make_dir(dir: &Path) -> Result<(), DemoError> {
    let made = DirBuilder::new().mode(0o700).create(dir);
    made.map_err(|error| DemoError::Dir(dir.display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_too_short_to_prove_anything_is_refused_with_its_remedy() {
        assert_eq!(length("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(length("1s"), Err(String::from("1s is out of range; write 5s to 1d")));
        assert!(length("soon").unwrap_err().contains("is not a duration"));
    }

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let scratch = Scratch::make().unwrap();
        let dir = scratch.0.clone();
        std::fs::write(dir.join("a"), "b").unwrap();
        drop(scratch);
        assert!(!dir.exists());
    }
}
