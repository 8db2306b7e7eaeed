//! A wall clock that is set back or forward: what is due, in which order, what is a duplicate, what is listed and
//! what is swept, go by when it was accepted and not by what the clock says later.

use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::config::Queue;
use nudged::engine::core::{Core, Input, Settings};
use nudged::engine::memory::Memory;
use nudged::engine::{BatchWish, Command, Draft};
use nudged::link::{Inbound, InboundToken, LinkEvent, LinkFacts, Outcome, RawReply, Repeat, Submission};
use nudged::message::{Body, Cause, Msisdn, Reason, Reference};
use nudged::retry::RetryClass;
use nudged::store::keys::{self, LaneKey, family};
use nudged::store::record;
use serde_json::json;
use tokio::sync::oneshot;

use crate::login::{self, Visitor};
use crate::support::{self, START, World, checked, number, one_still, silent};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);

fn set_back(world: &World, by: Duration) {
    world.clock.jump(world.clock.now().wall.saturating_sub(by));
}

fn set_forward(world: &World, by: Duration) {
    world.clock.jump(world.clock.now().wall.saturating_add(by));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_send_at_is_queued_and_goes_although_the_clock_was_set_back() {
    let (world, carrier) = one_still(silent(), "", "").await;
    world.order("/v1/pause").await;
    let id = world.send(&number(1), "x").await;
    let before = world.message(&id).await;
    set_back(&world, HOUR);
    let after = world.message(&id).await;
    assert_eq!((&after["status"], &after["due_at"]), (&json!("queued"), &before["accepted_at"]));
    assert_eq!((&after["send_at"], &after["accepted_at"]), (&before["accepted_at"], &before["accepted_at"]));
    world.order("/v1/resume").await;
    world.await_status(&id, "sent").await;
    assert_eq!(carrier.texts(), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_message_does_not_overtake_an_older_one_from_before_the_clock_was_set_back() {
    let (mut world, carrier) = one_still(silent(), "", "").await;
    world.order("/v1/pause").await;
    let older = world.send(&number(1), "older").await;
    set_back(&world, HOUR);
    let newer = world.send(&number(1), "newer").await;
    world.restart().await;
    let newest = world.send(&number(1), "newest").await;
    world.order("/v1/resume").await;
    for id in [&older, &newer, &newest] {
        world.await_status(id, "sent").await;
    }
    assert_eq!(carrier.texts(), ["older", "newer", "newest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_waits_for_its_date_by_the_clock_as_it_stands() {
    let (world, carrier) = one_still(silent(), "", "").await;
    let at = world.clock.now().wall.saturating_add(HOUR).to_rfc3339();
    let id = world.accept(json!({"to": number(1), "text": "later", "send_at": at})).await;
    set_back(&world, HOUR);
    let now = world.send(&number(2), "now").await;
    world.await_status(&now, "sent").await;
    assert_eq!((world.status(&id).await.as_str(), carrier.texts().len()), ("scheduled", 1));
    set_forward(&world, 2 * HOUR);
    world.order("/v1/clock/accept").await;
    world.await_status(&id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_in_doubt_is_shown_everywhere_and_holds_what_has_a_date_until_it_is_accepted() {
    let (world, carrier) = one_still(silent(), "", "").await;
    let at = world.clock.now().wall.saturating_add(HOUR).to_rfc3339();
    let dated = world.accept(json!({"to": number(1), "text": "dated", "send_at": at})).await;
    world.await_link("carrier", "up").await;
    assert_eq!(world.get("/v1/status").await["clock_doubt"], json!(null));
    set_forward(&world, 2 * HOUR);
    let status = world.await_snapshot("the doubt", |status| !status["clock_doubt"].is_null()).await;
    let doubt = &status["clock_doubt"];
    assert_eq!((&doubt["why"], &doubt["by_seconds"]), (&json!("set_forward"), &json!(7200)));
    assert_eq!(status["verdict"], "degraded");
    let metrics = async || world.get("/metrics").await.as_str().unwrap().to_owned();
    assert!(metrics().await.contains("\nnudged_clock_doubt 1\n"));
    let visitor = Visitor::signed_in_at(world.address(), world.token()).await;
    let page = visitor.page("/").await;
    assert!(page.contains("The clock is in doubt") && page.contains("Accept the clock</button>"), "{page}");
    let plain = world.send(&number(2), "plain").await;
    world.await_status(&plain, "sent").await;
    let past = world.accept(json!({"to": number(3), "text": "past", "send_at": at})).await;
    assert_eq!(carrier.texts(), ["plain"], "what has a date waits, whatever the date");
    let key = visitor.key().await;
    assert_eq!(login::status(visitor.post("/page/accept-clock", &[("key", &key)])).await, 303);
    for id in [&dated, &past] {
        world.await_status(id, "sent").await;
    }
    assert_eq!(world.get("/v1/status").await["clock_doubt"], json!(null));
    assert!(metrics().await.contains("\nnudged_clock_doubt 0\n"));
    assert!(!visitor.page("/").await.contains("Accept the clock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_what_waits_is_told_also_while_the_clock_is_behind_the_ids() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    set_forward(&world, TEN_YEARS);
    world.send(&number(1), "x").await;
    world.clock.jump(START);
    world.order("/v1/pause").await;
    let id = world.send(&number(2), "y").await;
    let accepted_at = world.message(&id).await["accepted_at"].clone();
    world.await_snapshot("the oldest", |status| status["oldest_due_at"] == accepted_at).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_duplicate_window_ends_although_the_ids_are_ahead_of_the_clock() {
    let (world, _carrier) = one_still(silent(), "[queue]\nduplicate_window = '1s'", "").await;
    set_forward(&world, TEN_YEARS);
    world.send(&number(1), "x").await;
    world.clock.jump(START);
    // What was accepted under the wrong date, nobody knows when, is no duplicate; what came since is one.
    world.send(&number(1), "x").await;
    let body = json!({"to": number(1), "text": "x"});
    assert_eq!(world.post("/v1/messages", body.clone()).await.0, 409);
    world.clock.advance(Duration::from_secs(2));
    world.accept(body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_text_is_a_duplicate_also_after_the_clock_was_set_back_within_the_window() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    world.send(&number(1), "x").await;
    set_back(&world, HOUR);
    assert_eq!(world.post("/v1/messages", json!({"to": number(1), "text": "x"})).await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_by_the_time_of_acceptance_although_the_ids_are_ahead_of_the_clock() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    world.order("/v1/pause").await;
    let first = world.send(&number(1), "first").await;
    set_forward(&world, TEN_YEARS);
    let wrong = world.send(&number(1), "under the wrong date").await;
    world.clock.jump(START.saturating_add(HOUR));
    let second = world.send(&number(1), "second").await;
    let listed = async |query: String| -> Vec<String> {
        let list = world.get(&format!("/v1/messages?{query}")).await;
        list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    };
    let middle = START.saturating_add(HOUR / 2).to_rfc3339();
    let end = START.saturating_add(2 * HOUR).to_rfc3339();
    assert_eq!(listed(format!("until={end}")).await, [second.as_str(), first.as_str()]);
    assert_eq!(listed(format!("until={middle}")).await, [first.as_str()]);
    assert_eq!(listed(format!("since={middle}&until={end}&order=asc")).await, [second.as_str()]);
    assert_eq!(listed(format!("since={end}")).await, [wrong.as_str()]);
    // The same to the other index.
    let to = format!("to=%2B{}", number(1).trim_start_matches('+'));
    assert_eq!(listed(format!("{to}&until={end}")).await, [second.as_str(), first.as_str()]);
}

/// A core on a map with one link of this window.
struct Alone {
    settings: Settings,
    core: Core,
    state: Memory,
    clock: Clock,
    /// Not answered yet.
    open: Vec<Submission>,
    /// All that went out.
    texts: Vec<String>,
}

impl Alone {
    fn new(queue: Queue, window: u16) -> Alone {
        let link = LinkFacts { name: "a".into(), account: "a".into(), kind: "smpp", window };
        let settings = Settings {
            queue,
            inbound: checked("").inbound,
            routes: Vec::new(),
            links: vec![link],
            clock_floor: Timestamp::MIN,
        };
        let (state, clock) = (Memory::default(), Clock::manual(START));
        let (core, _) = Core::recover(settings.clone(), &state, clock.now()).unwrap();
        let mut alone = Alone { settings, core, state, clock, open: Vec::new(), texts: Vec::new() };
        alone.restart();
        alone
    }

    /// Begins on the state as it is, with nothing on the wire.
    fn restart(&mut self) {
        let (core, batch) = Core::recover(self.settings.clone(), &self.state, self.clock.now()).unwrap();
        self.core = core;
        self.state.apply(&batch);
        self.step(vec![Input::Link { link: 0, event: LinkEvent::Up }]);
    }

    fn step(&mut self, inputs: Vec<Input>) {
        self.clock.advance(Duration::from_millis(1));
        let step = self.core.step(&self.state, inputs, self.clock.now()).unwrap();
        self.state.apply(&step.batch);
        for (_, submission) in step.submissions {
            self.texts.push(submission.text.clone());
            self.open.push(submission);
        }
    }

    fn accept(&mut self, drafts: Vec<Draft>, batch: BatchWish) {
        let (reply, _) = oneshot::channel();
        self.step(vec![Input::Command(Command::Accept { drafts, batch, reply })]);
    }

    fn send(&mut self, to: u64, text: &str) {
        self.accept(vec![draft(to, text)], BatchWish::None);
    }

    /// Every open submission is answered so.
    fn answer(&mut self, outcome: &Outcome) {
        let answers = std::mem::take(&mut self.open).into_iter().map(|Submission { id, index, .. }| {
            let event = LinkEvent::Outcome { id, index, outcome: outcome.clone() };
            Input::Link { link: 0, event }
        });
        self.step(answers.collect());
    }

    fn pause(&mut self) {
        let (reply, _) = oneshot::channel();
        self.step(vec![Input::Command(Command::Pause { link: None, by: "crm".into(), reply })]);
    }

    fn set(&mut self, to: Timestamp) {
        self.clock.jump(to);
        self.step(Vec::new());
    }

    fn send_at(&mut self, to: u64, text: &str, at: Timestamp) {
        self.accept(vec![Draft { send_at: Some(at), ..draft(to, text) }], BatchWish::None);
    }

    fn accept_clock(&mut self) {
        let (reply, _) = oneshot::channel();
        self.step(vec![Input::Command(Command::AcceptClock { by: "crm".into(), reply })]);
        // What the lanes left on the disk is read between two steps.
        self.step(Vec::new());
    }

    fn resume(&mut self) {
        let (reply, _) = oneshot::channel();
        self.step(vec![Input::Command(Command::Resume { link: None, by: "crm".into(), reply })]);
    }

    fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.step(Vec::new());
    }

    fn kept(&self, family: u8) -> usize {
        self.state.map.keys().filter(|key| key[0] == family).count()
    }
}

fn draft(to: u64, text: &str) -> Draft {
    support::draft(Msisdn::from_u64(4_915_112_345_000 + to), text)
}

fn accepted() -> Outcome {
    Outcome::Accepted { reference: Reference(String::from("x")) }
}

/// Before, what was due at once bore the time of its acceptance in its body and in its place.
#[test]
fn what_an_older_program_left_in_its_lane_goes_before_what_came_since() {
    let mut alone = Alone::new(checked("").queue, 10);
    alone.pause();
    alone.send(1, "older");
    let place = alone.state.map.keys().find(|key| key[0] == family::LANE).unwrap().clone();
    let key = LaneKey::decode(&place).unwrap();
    let mut body: Body = record::decode(&alone.state.map[&keys::body(key.id)]).unwrap();
    body.due = body.accepted_at;
    alone.state.map.insert(keys::body(key.id), record::encode(&body));
    let entry = alone.state.map.remove(&place).unwrap();
    alone.state.map.insert(LaneKey { due: body.due, ..key }.encode(), entry);
    alone.restart();
    alone.send(1, "newer");
    alone.resume();
    alone.answer(&accepted());
    alone.answer(&accepted());
    assert_eq!(alone.texts, ["older", "newer"]);
    assert_eq!(alone.kept(family::LANE), 0);
}

/// A retry has a date, and is not put off by what is accepted meanwhile for ever.
#[test]
fn a_retry_takes_its_turn_among_what_was_accepted_before_and_after_its_date() {
    let mut alone = Alone::new(checked("").queue, 1);
    alone.send(0, "retried");
    let busy = Cause::plain(Reason::SmscTemporary);
    alone.answer(&Outcome::Refused { cause: busy, retry: RetryClass::Temporary });
    alone.pause();
    alone.send(1, "before");
    alone.pass(Duration::from_secs(60));
    alone.send(2, "after");
    alone.resume();
    while !alone.open.is_empty() {
        alone.answer(&accepted());
    }
    assert_eq!(alone.texts, ["retried", "before", "retried", "after"]);
}

/// A core that keeps messages for a week, whose ids are ten years ahead of its clock.
fn ids_ahead() -> Alone {
    let queue = checked("[queue]\nretention = '7d'\n").queue;
    let mut alone = Alone::new(queue, 10);
    alone.clock.jump(START.saturating_add(TEN_YEARS));
    alone.send(9, "under the wrong date");
    alone.answer(&accepted());
    alone.clock.jump(START);
    alone
}

#[test]
fn what_is_past_its_retention_goes_although_the_ids_are_ahead_of_the_clock() {
    let mut alone = ids_ahead();
    let (bodies, replies) = (alone.kept(family::BODY), alone.kept(family::INBOUND));
    alone.send(1, "x");
    alone.answer(&accepted());
    alone.step(vec![reply()]);
    alone.pass(6 * DAY);
    assert_eq!((alone.kept(family::BODY), alone.kept(family::INBOUND)), (bodies + 1, replies + 1));
    alone.pass(2 * DAY);
    alone.pass(Duration::from_secs(2));
    assert_eq!((alone.kept(family::BODY), alone.kept(family::INBOUND)), (bodies, replies));
}

#[test]
fn what_is_not_past_its_retention_stays_although_the_ids_are_ahead_of_the_clock() {
    let mut alone = ids_ahead();
    let bodies = alone.kept(family::BODY);
    for day in 0..3 {
        alone.send(day, "x");
        alone.answer(&accepted());
        alone.pass(3 * DAY);
    }
    alone.pass(Duration::from_secs(2));
    assert_eq!(alone.kept(family::BODY), bodies + 2);
}

#[test]
fn the_list_of_a_batch_goes_once_its_messages_are_past_it_although_the_ids_are_ahead() {
    let mut alone = ids_ahead();
    alone.accept(vec![draft(1, "x"), draft(2, "x")], BatchWish::New);
    alone.answer(&accepted());
    alone.pass(6 * DAY);
    assert_eq!(alone.kept(family::BATCH), 1);
    for _ in 0..3 {
        alone.pass(40 * DAY);
    }
    assert_eq!(alone.kept(family::BATCH), 0);
}

fn reply() -> Input {
    let reply = RawReply {
        from: String::from("4915112345678"),
        to: String::from("12345"),
        raw: vec![],
        text: None,
        concat: None,
        number: None,
        sent_at: None,
        repeat: Repeat::UntilAnswered([0; 16]),
    };
    Input::Inbound { link: 0, token: InboundToken(1), inbound: Inbound::Reply(reply) }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A core with a message that is due in an hour.
fn dated() -> Alone {
    let mut alone = Alone::new(checked("").queue, 10);
    alone.send_at(1, "dated", START.saturating_add(HOUR));
    alone
}

#[test]
fn what_came_due_by_a_jump_goes_after_ten_steady_minutes_or_when_the_clock_is_accepted() {
    for accepted in [true, false] {
        let mut alone = dated();
        alone.set(START.saturating_add(2 * HOUR));
        alone.pass(9 * MINUTE);
        assert!(alone.texts.is_empty());
        if accepted {
            alone.accept_clock()
        } else {
            alone.pass(MINUTE)
        }
        assert_eq!(alone.texts, ["dated"], "accepted: {accepted}");
    }
}

#[test]
fn what_comes_due_in_the_course_of_time_is_not_held_while_the_clock_is_steered() {
    let mut alone = dated();
    for _ in 0..60 {
        alone.clock.jump(alone.clock.now().wall.saturating_add(Duration::from_secs(5)));
        alone.pass(MINUTE);
    }
    assert_eq!(alone.texts, ["dated"]);
}

#[test]
fn after_a_jump_back_what_has_a_date_waits_until_the_clock_is_past_what_it_said_before() {
    let mut alone = Alone::new(checked("").queue, 10);
    alone.pass(HOUR);
    alone.set(START);
    alone.send_at(1, "dated", START.saturating_add(20 * MINUTE));
    alone.pass(59 * MINUTE);
    assert!(alone.texts.is_empty());
    alone.pass(MINUTE);
    assert_eq!(alone.texts, ["dated"]);
}

#[test]
fn a_clock_that_was_set_back_while_the_daemon_was_down_is_doubted_at_its_start() {
    let mut alone = dated();
    alone.pass(HOUR / 2);
    alone.send(2, "plain");
    alone.answer(&accepted());
    alone.clock.jump(START.saturating_sub(HOUR));
    alone.restart();
    alone.pass(80 * MINUTE);
    alone.send_at(3, "another", alone.clock.now().wall);
    assert_eq!(alone.texts, ["plain"], "the last time that the store knows is not reached");
    alone.restart();
    alone.pass(5 * MINUTE);
    assert_eq!(alone.texts, ["plain"], "another start changes nothing");
    alone.pass(36 * MINUTE);
    assert_eq!(alone.texts, ["plain", "another", "dated"]);
}

#[test]
fn a_clock_that_was_accepted_stays_so_over_a_restart() {
    let mut alone = dated();
    alone.set(START.saturating_sub(2 * HOUR));
    alone.accept_clock();
    alone.restart();
    alone.send_at(2, "soon", alone.clock.now().wall.saturating_add(MINUTE));
    alone.pass(2 * MINUTE);
    assert_eq!(alone.texts, ["soon"]);
}

#[test]
fn a_retry_has_a_date_and_goes_on_while_schedules_are_held() {
    let mut alone = Alone::new(checked("").queue, 10);
    let busy = Cause::plain(Reason::SmscTemporary);
    alone.send(1, "retried");
    for n in 0..300 {
        alone.send_at(10 + n, "dated", START.saturating_add(MINUTE / 2));
    }
    alone.answer(&Outcome::Refused { cause: busy, retry: RetryClass::Temporary });
    alone.set(START.saturating_add(HOUR));
    // The schedules are as many as the lanes read twice; the retry is behind them.
    for _ in 0..5 {
        alone.step(Vec::new());
    }
    assert_eq!(alone.texts, ["retried", "retried"]);
    alone.accept_clock();
    assert_eq!(alone.texts.len(), 11, "as many as the window has room for beside the retry");
}

#[test]
fn a_message_that_is_held_can_be_canceled_and_expires() {
    let mut alone = dated();
    let until = Some(START.saturating_add(2 * HOUR));
    let short = Draft { send_at: Some(START.saturating_add(HOUR)), valid_until: until, ..draft(2, "short") };
    alone.accept(vec![short], BatchWish::None);
    alone.set(START.saturating_add(HOUR + MINUTE));
    let held: Vec<_> = alone.state.map.keys().filter_map(|key| LaneKey::decode(key)).collect();
    assert_eq!((held.len(), alone.texts.len()), (2, 0));
    let (reply, _) = oneshot::channel();
    alone.step(vec![Input::Command(Command::Cancel { id: held[0].id, reply })]);
    assert_eq!(alone.kept(family::LANE), 1);
    alone.set(START.saturating_add(3 * HOUR));
    alone.pass(2 * MINUTE);
    assert_eq!((alone.kept(family::LANE), alone.texts.len()), (0, 0));
}

#[test]
fn nothing_is_forgotten_for_its_age_while_the_clock_is_in_doubt() {
    let queue = checked("[queue]\nretention = '7d'\n").queue;
    let mut alone = Alone::new(queue, 10);
    alone.send(1, "x");
    alone.answer(&accepted());
    alone.set(START.saturating_add(TEN_YEARS));
    alone.pass(9 * MINUTE);
    assert_eq!(alone.kept(family::BODY), 1);
    alone.set(START.saturating_add(HOUR));
    alone.pass(DAY);
    assert_eq!(alone.kept(family::BODY), 1, "its clock was put right");
}
