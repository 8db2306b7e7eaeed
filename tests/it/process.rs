//! The program itself: exit codes, signals, a kill at the worst moment, and what its log never says.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nudged::clock::{Clock, Timestamp};
use nudged::daemon::{Daemon, Ended};
use nudged::engine::Draft;
use nudged::http::auth::{Scope, TokenFile};
use nudged::message::Msisdn;
use nudged::store::Options;
use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::receiver::Receiver;
use crate::support::{
    Carrier, HOOK_KEY, checked, draft, faulty, holding, link, nobody, number, silent, until,
};

/// A directory with a configuration, its password file and its state.
struct Home {
    dir: TempDir,
    clock: Clock,
}

impl Home {
    fn new(links: &str) -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap(), clock: Clock::system() };
        let password = home.dir.path().join("pw");
        std::fs::write(&password, "pw\n").unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::create_dir(home.state()).unwrap();
        let head = format!("state_dir = '{}'\n[http]\nlisten = ['127.0.0.1:0']\n", home.state().display());
        std::fs::write(home.config(), head + links).unwrap();
        home
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("nudged.toml")
    }

    fn token(&self) -> String {
        let scopes = [Scope::Send, Scope::Read, Scope::Admin];
        TokenFile::new(&self.state()).add("test", &scopes, self.clock.now().wall).unwrap()
    }

    fn run(&self) -> Running {
        self.run_by(nudged(&["run"]))
    }

    /// On a wall clock that goes as the file [`Home::clock_path`] says; the monotonic one is the machine's.
    fn run_on_its_own_clock(&self) -> Running {
        self.set_clock(0);
        let mut command = nudged(&["run"]);
        command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", self.clock_path());
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        self.run_by(command)
    }

    fn clock_path(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// So many seconds ahead of the machine's.
    fn set_clock(&self, ahead: i32) {
        let new = self.dir.path().join("clock.new");
        std::fs::write(&new, format!("{ahead:+}\n")).unwrap();
        std::fs::rename(&new, self.clock_path()).unwrap();
    }

    fn run_by(&self, mut command: Command) -> Running {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut child =
            command.arg("--config").arg(self.config()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap();
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        assert!(line.starts_with("listening on "), "{line:?} {}", self.log());
        Running {
            child,
            url: format!("http://{address}"),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap()
    }
}

struct Running {
    child: Child,
    url: String,
    client: Client,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a test that failed; one that ended is reaped already.
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl Running {
    async fn call(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn send(&self, token: &str, message: Value) -> String {
        let (status, answer) = self.call(token, Method::POST, "/v1/messages", Some(message)).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    async fn await_status(&self, token: &str, id: &str, status: &str) {
        let path = format!("/v1/messages/{id}");
        let look = async || {
            let (_, message) = self.call(token, Method::GET, &path, None).await;
            (message["status"] == status).then_some(())
        };
        until(&Clock::system(), &format!("{id} {status}"), look).await;
    }

    /// Asks it to stop; the exit code.
    async fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let ended = async || self.child.try_wait().unwrap();
        until(&Clock::system(), "the end of the process", ended).await.code()
    }
}

pub fn nudged(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nudged"));
    for name in ["NUDGED_URL", "NUDGED_TOKEN", "RUST_LOG", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn with_config(arguments: &[&str], config: &Path) -> Output {
    nudged(arguments).arg("--config").arg(config).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_with_0_when_it_is_asked_to_with_its_link_up_or_down() {
    let carrier = Carrier::start(silent()).await;
    for at in [carrier.addr(), nobody()] {
        let home = Home::new(&link("carrier", at, ""));
        let running = home.run();
        assert_eq!(running.terminate().await, Some(0), "{}", home.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_state_ends_with_75_and_the_first_goes_on() {
    let home = Home::new(&link("carrier", nobody(), ""));
    let token = home.token();
    let first = home.run();
    // The very same configuration, address and all, where the system chose no port.
    let config = std::fs::read_to_string(home.config()).unwrap();
    let address = first.url.trim_start_matches("http://");
    std::fs::write(home.config(), config.replace("127.0.0.1:0", address)).unwrap();
    let second = with_config(&["run"], &home.config());
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    assert!(second.stdout.is_empty());
    first.send(&token, json!({"to": number(1), "text": "x"})).await;
    assert_eq!(first.terminate().await, Some(0));
}

#[test]
fn a_bad_configuration_ends_with_78_and_every_problem_with_its_line() {
    let home = Home::new("[queue]\nvalidity = 'soon'\nretri = ['1s']\n[[smpp]]\nname = 'a'\nwindow = 0\n");
    for command in ["run", "check"] {
        let output = with_config(&[command], &home.config());
        let shown = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{shown}");
        for key in
            ["queue.validity", "queue.retri", "smpp[1].window", "smpp[1].address", "smpp[1].password_file"]
        {
            assert!(shown.contains(key), "{key} in {shown}");
        }
    }
}

#[test]
fn usage_that_makes_no_sense_ends_with_64() {
    let home = Home::new("");
    assert_eq!(with_config(&["run", "--fast"], &home.config()).status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_while_the_daemon_runs_is_noticed_and_a_revoked_one_too() {
    let home = Home::new(&link("carrier", nobody(), ""));
    let running = home.run();
    let output = with_config(&["token", "add", "crm", "--scope", "read"], &home.config());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let becomes = async |wanted: u16| {
        let look = async || {
            let (status, _) = running.call(&token, Method::GET, "/v1/status", None).await;
            (status == wanted).then_some(())
        };
        until(&home.clock, &wanted.to_string(), look).await;
    };
    becomes(200).await;
    let (status, _) = running.call(&token, Method::POST, "/v1/messages", Some(json!({}))).await;
    assert_eq!(status, 403, "it may only read");
    assert_eq!(with_config(&["token", "revoke", "crm"], &home.config()).status.code(), Some(0));
    becomes(401).await;
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_mid_window_leaves_a_window_unknown_and_sends_the_rest_once() {
    let carrier = Carrier::start(holding()).await;
    let home = Home::new(&link("carrier", carrier.addr(), "window = 4"));
    let token = home.token();
    let mut running = home.run();
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(running.send(&token, json!({"to": number(n), "text": n.to_string()})).await);
    }
    carrier.await_submits(4, &home.clock).await;
    let written: BTreeSet<String> = carrier.texts().into_iter().collect();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    carrier.release().await;
    let running = home.run();
    for (n, id) in ids.iter().enumerate() {
        let status = if written.contains(&n.to_string()) { "unknown" } else { "sent" };
        running.await_status(&token, id, status).await;
    }
    let texts = carrier.texts();
    assert_eq!((texts.len(), texts.iter().collect::<BTreeSet<_>>().len()), (10, 10), "{texts:?}");
    assert_eq!(running.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_kill_after_kill_and_a_repeated_key_stays_one_message() {
    let carrier = Carrier::start(silent()).await;
    let home = Home::new(&link("carrier", carrier.addr(), ""));
    let token = home.token();
    let mut ids = Vec::new();
    for round in 0..3 {
        let mut running = home.run();
        for n in 0..20 {
            let message =
                json!({"to": number(n), "text": format!("{round}.{n}"), "send_at": "2027-06-01T12:00:00Z"});
            ids.push(running.send(&token, message).await);
        }
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }
    let running = home.run();
    for id in &ids {
        running.await_status(&token, id, "scheduled").await;
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 60);
    assert_eq!(running.terminate().await, Some(0));
}

/// Debian's, or the one that `FAKETIME_LIB` names.
fn faketime() -> PathBuf {
    if let Some(named) = std::env::var_os("FAKETIME_LIB") {
        return named.into();
    }
    let lib =
        |dir: std::io::Result<std::fs::DirEntry>| dir.unwrap().path().join("faketime/libfaketimeMT.so.1");
    let found = std::fs::read_dir("/usr/lib").unwrap().map(lib).find(|path| path.exists());
    found.expect("libfaketime: install Debian's faketime")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime: scripts/test brings it and runs this"]
async fn a_daemon_whose_clock_is_set_while_it_runs_holds_what_came_due_by_it() {
    let carrier = Carrier::start(silent()).await;
    let home = Home::new(&link("carrier", carrier.addr(), ""));
    let token = home.token();
    let running = home.run_on_its_own_clock();
    let at = home.clock.now().wall.saturating_add(std::time::Duration::from_secs(3600));
    let dated = json!({"to": number(1), "text": "dated", "send_at": at.to_rfc3339()});
    let dated = running.send(&token, dated).await;
    let doubt = async || running.call(&token, Method::GET, "/v1/status", None).await.1["clock_doubt"].clone();
    assert_eq!(doubt().await, Value::Null);
    home.set_clock(7200);
    let look = async || Some(doubt().await).filter(|doubt| doubt["why"] == "set_forward");
    until(&home.clock, "the doubt", look).await;
    let plain = running.send(&token, json!({"to": number(2), "text": "plain"})).await;
    running.await_status(&token, &plain, "sent").await;
    running.await_status(&token, &dated, "queued").await;
    assert_eq!(running.call(&token, Method::POST, "/v1/clock/accept", None).await.0, 200);
    running.await_status(&token, &dated, "sent").await;
    home.set_clock(0);
    let look = async || Some(doubt().await).filter(|doubt| doubt["why"] == "set_back");
    until(&home.clock, "another doubt", look).await;
    assert_eq!(running.terminate().await, Some(0));
}

/// Takes one message for a day later and stops, all on a clock that stands at this time.
async fn run_at(home: &Home, wall: Timestamp) {
    let config = checked(&std::fs::read_to_string(home.config()).unwrap());
    let daemon = Daemon::start_with(config, Clock::manual(wall), Options::for_tests()).await.unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let to = Msisdn::parse_e164(&number(1)).unwrap();
    let later = Draft { send_at: Some(wall.saturating_add(day)), ..draft(to, "later") };
    daemon.engine.accept(later).await.unwrap();
    let ended = daemon.stop().await;
    assert!(matches!(ended, Ended::Stopped), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_clock_went_back_while_it_was_down_holds_what_has_a_date_until_it_is_told() {
    let carrier = Carrier::start(silent()).await;
    let home = Home::new(&link("carrier", carrier.addr(), ""));
    let token = home.token();
    let now = home.clock.now().wall;
    run_at(&home, now.saturating_add(std::time::Duration::from_secs(7200))).await;
    let running = home.run();
    let dated = json!({"to": number(2), "text": "dated", "send_at": now.to_rfc3339()});
    let dated = running.send(&token, dated).await;
    let plain = running.send(&token, json!({"to": number(3), "text": "plain"})).await;
    running.await_status(&token, &plain, "sent").await;
    let (_, status) = running.call(&token, Method::GET, "/v1/status", None).await;
    assert_eq!(status["clock_doubt"]["why"], "behind_the_store", "{status}");
    assert_eq!(carrier.texts(), ["plain"]);
    let mut resume = nudged(&["resume", "--clock", "--url", &running.url]);
    let output = resume.env("NUDGED_TOKEN", &token).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    running.await_status(&token, &dated, "sent").await;
    assert_eq!(running.terminate().await, Some(0));
    let log = home.log();
    assert!(log.contains("event=\"clock_in_doubt\"") && log.contains("event=\"clock_accepted\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_every_event_whatever_is_killed_when() {
    let receiver = Receiver::start().await;
    let home = Home::new(&receiver.hook("crm", "events = ['message.*']"));
    let key = home.dir.path().join("whsec");
    std::fs::write(&key, HOOK_KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let token = home.token();
    let mut ids = Vec::new();
    for round in 0..4 {
        let mut running = home.run();
        let known = async || {
            let (_, hook) = running.call(&token, Method::GET, "/v1/webhooks/crm", None).await;
            (hook["state"] == "up").then_some(())
        };
        until(&home.clock, "the webhook runs", known).await;
        for n in 0..10 {
            let message = json!({"to": number(n), "text": format!("{round}.{n}")});
            ids.push(running.send(&token, message).await);
        }
        // Somewhere between nothing posted and everything.
        receiver.await_posts(round * 5, &home.clock).await;
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }
    let running = home.run();
    let told = async || {
        let told: BTreeSet<String> =
            receiver.events().iter().map(|event| event["data"]["id"].as_str().unwrap().to_owned()).collect();
        ids.iter().all(|id| told.contains(id)).then_some(())
    };
    until(&home.clock, "every message is told of", told).await;
    assert_eq!(running.terminate().await, Some(0));
    receiver.assert_signed_and_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_no_number_and_no_text_whatever_happens_to_a_message() {
    let to = ["+4915199000111", "+4915199000222", "+4915199000333"];
    let reject = Carrier::start(faulty("reject@1")).await;
    let lose = Carrier::start(faulty("no-answer@1")).await;
    let home = Home::new(
        &[link("a", reject.addr(), ""), link("b", lose.addr(), "response_timeout = '100ms'")].concat(),
    );
    let token = home.token();
    let running = home.run();
    let message = |n: usize, link: &str| json!({"to": to[n], "text": "canary canary", "link": link, "client_ref": "canary"});
    let failed = running.send(&token, message(0, "a")).await;
    running.await_status(&token, &failed, "failed").await;
    let sent = running.send(&token, message(1, "a")).await;
    running.await_status(&token, &sent, "sent").await;
    let unknown = running.send(&token, message(2, "b")).await;
    running.await_status(&token, &unknown, "unknown").await;
    assert_eq!(running.call(&token, Method::POST, "/v1/messages", Some(message(1, "a"))).await.0, 409);
    let odd = json!({"to": to[0], "text": "canary \u{0} canary"});
    assert_eq!(running.call(&token, Method::POST, "/v1/messages", Some(odd)).await.0, 422);
    for path in [
        format!("/v1/{}", to[0]),
        format!("/v1/messages/{}", to[1]),
        format!("/v1/messages?to={}&canary=1", to[2]),
    ] {
        assert!((404..423).contains(&running.call(&token, Method::GET, &path, None).await.0), "{path}");
    }
    reject.reply(to[0], "canary reply").await;
    assert_eq!(reject.await_delivery("canary reply", &home.clock).await["status"], 0);
    reject.receipt(&reject.submits()[1]["message_id"], "UNDELIV").await;
    running.await_status(&token, &sent, "undelivered").await;
    assert_eq!(running.terminate().await, Some(0));
    let log = home.log();
    assert!(log.contains("message_unknown") && log.contains("inbound_received"), "the log speaks: {log}");
    for secret in to.iter().map(|number| &number[3..]).chain(["canary", token.as_str(), "pw\n"]) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
