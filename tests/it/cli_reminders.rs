//! The commands of the reminder side against a real daemon: exit codes, what goes where, what is kept.

use std::path::{Path, PathBuf};
use std::process::Output;

use nudged::clock::Clock;
use nudged::http::auth::Scope;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http_reminders::{creditor, eur, sequence, template};
use crate::process::nudged;
use crate::redirect::Sent;
use crate::support::{World, nobody};

const HEADER: &str = "external_id,creditor,phone,amount,currency,due_date";

/// A daemon on a port, a token for it, and files to send.
struct Desk {
    world: World,
    dir: TempDir,
}

impl Desk {
    async fn open() -> Desk {
        let scopes = [Scope::Reminders, Scope::Read];
        let world = World::start_as(Clock::system(), "", &scopes).await;
        Desk { world, dir: tempfile::tempdir().unwrap() }
    }

    /// With a creditor, a template and a sequence.
    async fn furnished() -> Desk {
        let desk = Desk::open().await;
        for (path, body) in
            [("/v1/creditors", creditor()), ("/v1/templates", template()), ("/v1/sequences", sequence())]
        {
            assert_eq!(desk.world.post(path, body).await.0, 201, "{path}");
        }
        desk
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        ran(&self.world, arguments).await
    }

    async fn stop(mut self) {
        self.world.stop().await;
    }
}

/// The program, with the daemon's address and token beside it.
async fn ran(world: &World, arguments: &[&str]) -> Output {
    let mut command = nudged(arguments);
    command.env("NUDGED_URL", format!("http://{}", world.address())).env("NUDGED_TOKEN", world.token());
    command.stdin(std::process::Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reminders")
}

fn rows(count: usize) -> String {
    let row = |n: usize| format!("R-{n},acme,+491511200{n:04},120.50,EUR,2036-12-20\n");
    format!("{HEADER}\n{}", (0..count).map(row).collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_seeds_is_made_and_again_changes_nothing() {
    let desk = Desk::open().await;
    let dir = shipped();
    let first = desk.run(&["import", dir.to_str().unwrap()]).await;
    ended(&first, 0);
    assert!(text(&first.stdout).contains("created template due/de\n"), "{first:?}");
    let again = desk.run(&["import", dir.to_str().unwrap(), "--json"]).await;
    ended(&again, 0);
    let told = told(&again);
    assert_eq!((&told["created"], &told["changed"], &told["refused"]), (&json!(0), &json!(0), &json!(0)));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_that_cannot_be_read_end_with_1_and_name_file_and_line() {
    let desk = Desk::open().await;
    desk.file("seeds/menus.toml", "[[menu]]\nkey = 'ask'\noptions = [{ digit = 1, do = 'pay' }]\n");
    desk.file(
        "seeds/creditors.toml",
        "[[creditor]]\nkey = 'firm'\nname = 'Firm'\nsender_rol = 'first_party'\n",
    );
    let output = desk.run(&["import", desk.path("seeds").to_str().unwrap()]).await;
    ended(&output, 1);
    let why = text(&output.stderr);
    assert!(why.contains("creditors.toml") && why.contains("sender_rol"), "{why}");
    assert_eq!(desk.world.get("/v1/menus").await["data"], json!([]), "nothing of it is made");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_cases_is_only_looked_at_without_a_yes() {
    let desk = Desk::furnished().await;
    let file = desk.file("cases.csv", &rows(3));
    let output = desk.run(&["import", &file]).await;
    ended(&output, 0);
    assert_eq!(text(&output.stdout), "nothing was changed\n");
    assert!(text(&output.stderr).contains("new          3\n"), "{output:?}");
    assert_eq!(desk.world.get("/v1/obligations").await["data"], json!([]));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_cases_is_committed_once_with_a_yes() {
    let desk = Desk::furnished().await;
    let file = desk.file("cases.csv", &rows(3));
    let output = desk.run(&["import", &file, "--yes"]).await;
    ended(&output, 0);
    assert_eq!(text(&output.stdout), "committed created 3, changed 0, unchanged 0, rejected 0\n");
    let again = desk.run(&["import", &file, "--yes"]).await;
    ended(&again, 0);
    assert_eq!(text(&again.stdout), "nothing was changed\n");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_ends_with_1_and_the_others_are_taken() {
    let desk = Desk::furnished().await;
    let file = desk.file("cases.csv", &format!("{}R-9,acme,4.4E+11,1,EUR,2036-12-20\n", rows(2)));
    let output = desk.run(&["import", &file, "--yes", "--json"]).await;
    ended(&output, 1);
    let told = told(&output);
    assert_eq!((&told["state"], &told["result"]["created"]), (&json!("committed"), &json!(2)), "{told}");
    assert_eq!((&told["errors"][0]["row"], &told["errors"][0]["column"]), (&json!(4), &json!("phone")));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_none_of_cases_ends_with_1() {
    let desk = Desk::furnished().await;
    let file = desk.file("cases.csv", "a,b\n1,2\n");
    let output = desk.run(&["import", &file, "--yes"]).await;
    ended(&output, 1);
    assert!(text(&output.stderr).contains("is not known"), "{output:?}");
    assert!(output.stdout.is_empty());
    ended(&desk.run(&["import", desk.path("none.csv").to_str().unwrap()]).await, 1);
    ended(&desk.run(&["import", &file, "--mapping", "none"]).await, 1);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_are_booked_and_what_is_of_nobody_ends_with_1() {
    let desk = Desk::furnished().await;
    let cases = desk.file("cases.csv", &rows(2));
    ended(&desk.run(&["import", &cases, "--yes"]).await, 0);
    let head = "external_id,obligation,amount,currency,at\n";
    let good = desk.file("good.csv", &format!("{head}P-1,R-0,120.50,EUR,2026-11-20\n"));
    let output = desk.run(&["import", "--payments", &good]).await;
    ended(&output, 0);
    assert!(text(&output.stdout).contains("booked 1"), "{output:?}");
    assert_eq!(desk.world.get("/v1/obligations/R-0").await["status"], "paid");
    let bad = desk.file("bad.csv", &format!("{head}P-2,R-9,1.00,EUR,2026-11-20\n"));
    let output = desk.run(&["import", "--payments", &bad]).await;
    ended(&output, 1);
    assert!(text(&output.stdout).contains("no such obligation"), "{output:?}");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_statement_is_booked_and_what_is_none_ends_with_1() {
    let desk = Desk::furnished().await;
    let cases = desk.file("cases.csv", &rows(2));
    ended(&desk.run(&["import", &cases, "--yes"]).await, 0);
    let statement = ":20:STARTUMS\n:25:10020030/1234567\n:28C:1/1\n:60F:C261119EUR1000,00\n\
        :61:2611201120C120,50NTRFNONREF//B1\n:86:166?20R-1\n:62F:C261120EUR1120,50\n-\n";
    let good = desk.file("bank.sta", statement);
    let output = desk.run(&["import", "--bank", &good, "--json"]).await;
    ended(&output, 0);
    assert_eq!(told(&output)["booked"], 1, "{output:?}");
    let bad = desk.file("bank.txt", "hello\n");
    ended(&desk.run(&["import", "--bank", &bad]).await, 1);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_log_tells_who_opened_a_link() {
    let sent = Sent::new().await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("access.log");
    let line = |token: &str, method: &str, agent: &str| {
        format!(
            "10.0.0.1 - - [21/Nov/2026:15:20:00 +0100] \"{method} /i/{token} HTTP/1.1\" 200 12 \"-\" \"{agent}\"\n"
        )
    };
    let lines = [
        line(sent.token(), "GET", "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"),
        line(sent.token(), "GET", "curl/8"),
        line("0123456789ab", "GET", "Mozilla/5.0 (X11)"),
        String::from("\u{fffd} no line of a log\n"),
    ];
    std::fs::write(&log, lines.concat()).unwrap();
    let output = ran(&sent.world, &["import-clicks", log.to_str().unwrap()]).await;
    ended(&output, 0);
    assert_eq!(text(&output.stdout), "human 1, fetched 1, unknown 1\n");
    let output = ran(&sent.world, &["import-clicks", log.to_str().unwrap(), "--json"]).await;
    assert_eq!(told(&output)["unknown"], 1);
    sent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_log_that_is_not_there_ends_with_1() {
    let desk = Desk::open().await;
    ended(&desk.run(&["import-clicks", desk.path("none.log").to_str().unwrap()]).await, 1);
    ended(&desk.run(&["import-clicks"]).await, 64);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_to_standard_output_or_whole_into_a_file() {
    let desk = Desk::furnished().await;
    let output = desk.run(&["export", "creditors"]).await;
    ended(&output, 0);
    assert!(
        text(&output.stdout).starts_with("key,name,") && text(&output.stdout).contains("\r\nacme,Acme GmbH,")
    );
    let out = desk.path("creditors.json");
    let saved = desk.run(&["export", "creditors", "--format", "json", "--out", out.to_str().unwrap()]).await;
    ended(&saved, 0);
    assert!(saved.stdout.is_empty());
    let row: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(row["key"], "acme");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_refused_leaves_the_file_as_it_was() {
    let desk = Desk::open().await;
    let out = desk.file("out.csv", "before");
    ended(&desk.run(&["export", "secrets", "--out", &out]).await, 1);
    let away = format!("http://{}", nobody());
    ended(&desk.run(&["export", "contacts", "--out", &out, "--url", &away]).await, 69);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "before");
    assert_eq!(std::fs::read_dir(desk.dir.path()).unwrap().count(), 1, "no half of a file is left");
    ended(&desk.run(&["export", "contacts", "--format", "xls"]).await, 64);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_listed_given_to_somebody_and_done() {
    let desk = Desk::furnished().await;
    let contact = json!({"external_id": "c-1", "phones": [{"number": "+4915112345678"}]});
    let owed = json!({"external_id": "R-1", "creditor": "acme", "contact": contact, "amount": eur("1"),
        "due_date": "2036-12-20"});
    assert_eq!(desk.world.post("/v1/obligations", owed).await.0, 201);
    let (_, task) = desk.world.post("/v1/tasks", json!({"kind": "callback", "obligation": "R-1"})).await;
    let id = task["id"].as_str().unwrap();
    let list = desk.run(&["tasks", "--state", "open", "--obligation", "R-1"]).await;
    ended(&list, 0);
    assert!(text(&list.stdout).contains(id), "{list:?}");
    ended(&desk.run(&["tasks", "assign", id, "Eve"]).await, 0);
    let shown = desk.run(&["tasks", "show", id, "--json"]).await;
    assert_eq!((&told(&shown)["assignee"], &told(&shown)["state"]), (&json!("Eve"), &json!("assigned")));
    let line = ["tasks", "done", id, "--outcome", "extend", "--due-date", "2037-01-10"];
    ended(&desk.run(&line).await, 0);
    assert_eq!(desk.world.get("/v1/obligations/R-1").await["due_date"], "2037-01-10");
    assert_eq!(told(&desk.run(&["tasks", "--state", "open", "--json"]).await)["data"], json!([]));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_done_so_ends_with_1_and_a_wrong_filter_with_64() {
    let desk = Desk::open().await;
    let (_, task) = desk.world.post("/v1/tasks", json!({"kind": "callback"})).await;
    let id = task["id"].as_str().unwrap();
    ended(&desk.run(&["tasks", "show", "tsk_0000000000000"]).await, 1);
    let output = desk.run(&["tasks", "done", id, "--outcome", "lost"]).await;
    ended(&output, 1);
    assert!(text(&output.stderr).contains("outcome: must be one of"), "{output:?}");
    ended(&desk.run(&["tasks", "done", id, "--outcome", "extend"]).await, 1);
    ended(&desk.run(&["tasks", "--state", "late"]).await, 64);
    ended(&desk.run(&["tasks", "--limit", "501"]).await, 64);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_them_tells_who_may_not_and_who_is_not_there() {
    let desk = Desk::open().await;
    let cases = desk.file("cases.csv", &rows(1));
    let seeds = shipped();
    let log = desk
        .file("access.log", "1 - - [21/Nov/2026:15:20:00 +0100] \"GET /i/0123456789ab HTTP/1.1\" 200 1\n");
    let away = format!("http://{}", nobody());
    for line in [
        &["import", seeds.to_str().unwrap()][..],
        &["import", &cases],
        &["import", "--payments", &cases],
        &["import", "--bank", &cases],
        &["import-clicks", &log],
        &["export", "contacts"],
        &["tasks"],
        &["tasks", "show", "tsk_0000000000000"],
    ] {
        let refused = desk.run(&[line, &["--token", "ndg_wrong"]].concat()).await;
        ended(&refused, 1);
        assert!(!refused.stderr.is_empty() && refused.stdout.is_empty(), "{line:?}");
        ended(&desk.run(&[line, &["--url", &away]].concat()).await, 69);
        ended(&desk.run(&[line, &["--fast"]].concat()).await, 64);
    }
    desk.stop().await;
}

/// The files of a rehearsal, in a directory of their own.
struct Stage(TempDir);

impl Stage {
    fn new() -> Stage {
        use std::os::unix::fs::PermissionsExt as _;
        let stage = Stage(tempfile::tempdir().unwrap());
        let link = crate::support::link("c", nobody(), "");
        stage.file("nudged.toml", &format!("state_dir = 'state'\ntimezone = 'Europe/Berlin'\n{link}"));
        std::fs::set_permissions(stage.file("pw", "pw\n"), std::fs::Permissions::from_mode(0o600)).unwrap();
        stage.file(
            "cases.csv",
            &format!("{HEADER},language,country\nR-1,acme,+4915112345678,120.50,EUR,2026-03-09,de,DE\n"),
        );
        stage
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Three weeks of March; `more` beside it.
    async fn run(&self, more: &[&str]) -> Output {
        self.run_with(&[], more).await
    }

    /// The same with other values of these flags.
    async fn run_with(&self, other: &[(&str, &str)], more: &[&str]) -> Output {
        let (config, cases, out) =
            (self.path("nudged.toml"), self.path("cases.csv"), self.path("out.ndjson"));
        let seeds = shipped().to_str().unwrap().to_owned();
        let mut line = vec!["rehearse"];
        for (flag, value) in [
            ("--config", config.as_str()),
            ("--reminders", &seeds),
            ("--import", &cases),
            ("--from", "2026-03-01T00:00Z"),
            ("--to", "2026-03-22T00:00Z"),
            ("--out", &out),
        ] {
            let value = other.iter().find(|(of, _)| *of == flag).map_or(value, |(_, value)| value);
            line.extend([flag, value]);
        }
        line.extend(more);
        let mut command = nudged(&line);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let out = std::fs::read_to_string(self.path("out.ndjson")).unwrap();
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_writes_what_would_go_and_a_summary_and_twice_the_same() {
    let stage = Stage::new();
    let output = stage.run(&[]).await;
    ended(&output, 0);
    assert!(text(&output.stdout).starts_with("1 obligations, "), "{output:?}");
    let lines = stage.lines();
    let sent = lines.iter().filter(|line| line["sent"].is_object()).count();
    assert!(sent > 0, "{lines:?}");
    assert_eq!(lines.last().unwrap()["summary"]["texts"], sent, "{lines:?}");
    let before = std::fs::read(stage.path("out.ndjson")).unwrap();
    ended(&stage.run(&[]).await, 0);
    assert_eq!(std::fs::read(stage.path("out.ndjson")).unwrap(), before);
    assert!(!Path::new(&stage.path("state")).exists(), "the daemon's own state is not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_takes_events_from_a_file() {
    let stage = Stage::new();
    let paid = r#"{"at": "2026-03-01T12:00Z", "payment": {"obligation": "R-1", "external_id": "P-1", "amount": {"value": "120.50", "currency": "EUR"}}}"#;
    let events = stage.file("events.ndjson", &format!("{paid}\n"));
    ended(&stage.run(&["--events", &events]).await, 0);
    let lines = stage.lines();
    assert!(!lines.iter().any(|line| line["sent"].is_object()), "it was paid before: {lines:?}");
    assert!(lines.iter().any(|line| line["exited"]["reason"] == "paid"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_rehearsal_cannot_read_end_with_64_and_say_where() {
    let stage = Stage::new();
    let events = stage.file("events.ndjson", "{\"at\": \"2026-03-01T12:00Z\", \"rain\": {}}\n");
    let output = stage.run(&["--events", &events]).await;
    ended(&output, 64);
    assert!(text(&output.stderr).contains("line 1"), "{output:?}");
    let cases = stage.file("bad.csv", &format!("{HEADER}\nR-1,acme,4.4E+11,1,EUR,2026-03-09\n"));
    let output = stage.run_with(&[("--import", &cases)], &[]).await;
    ended(&output, 64);
    assert!(text(&output.stderr).contains("row 2, phone: "), "{output:?}");
    for (flag, value) in [
        ("--import", stage.path("none.csv")),
        ("--reminders", stage.path("none")),
        ("--to", String::from("2026-02-01T00:00Z")),
        ("--from", String::from("March")),
    ] {
        ended(&stage.run_with(&[(flag, &value)], &[]).await, 64);
    }
    assert!(!Path::new(&stage.path("out.ndjson")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_a_rehearsal_cannot_use_end_with_78() {
    let stage = Stage::new();
    let bad = stage.file("bad.toml", "timezon = 'UTC'\n");
    let alone = stage.file("alone.toml", "timezone = 'UTC'\n");
    for config in [bad, alone, stage.path("none.toml")] {
        let output = stage.run_with(&[("--config", &config)], &[]).await;
        ended(&output, 78);
        assert!(!output.stderr.is_empty(), "{config}");
    }
    let seeds = tempfile::tempdir().unwrap();
    std::fs::write(seeds.path().join("menus.toml"), "[[menu]]\nkey = 'x'\n").unwrap();
    let output = stage.run_with(&[("--reminders", seeds.path().to_str().unwrap())], &[]).await;
    ended(&output, 78);
    assert!(text(&output.stderr).contains("menus.toml"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_cannot_be_written_ends_with_74() {
    let stage = Stage::new();
    let out = stage.path("none/out.ndjson");
    ended(&stage.run_with(&[("--out", &out)], &[]).await, 74);
}
