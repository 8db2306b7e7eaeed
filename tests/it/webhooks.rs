//! Webhooks: complete, in order, signed, each for itself; retries, dead letters, replay, test.

use std::collections::BTreeSet;
use std::time::Duration;

use nudged::clock::{Clock, Timestamp};
use nudged::engine::webhook::{RETRY_AFTER_MOST, wait};
use nudged::http::auth::Scope;
use nudged::store::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::events::fill_journal;
use crate::login::Visitor;
use crate::receiver::{Does, Post, Receiver};
use crate::support::{Carrier, HOOK_KEYS, START, World, link, nobody, number, silent, until};

const DAY: Duration = Duration::from_secs(86_400);

async fn world(hooks: &[String]) -> World {
    World::start(&format!("{}{}", link("dead", nobody(), ""), hooks.concat())).await
}

/// On a clock that only the test moves.
async fn still(hooks: &[String]) -> World {
    World::start_still(&format!("{}{}", link("dead", nobody(), ""), hooks.concat())).await
}

async fn hook(world: &World, name: &str) -> Value {
    world.get(&format!("/v1/webhooks/{name}")).await
}

async fn await_hook(world: &World, name: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(&world.clock, what, async || Some(hook(world, name).await).filter(&fits)).await
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn messages(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["data"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_message_come_signed_in_order_and_without_its_text() {
    let (receiver, carrier) = (Receiver::start().await, Carrier::start(silent()).await);
    let hook = receiver.hook("crm", "events = ['message.*']");
    let world = World::start(&format!("{}{hook}", link("carrier", carrier.addr(), ""))).await;
    let message = json!({"to": number(1), "text": "canary", "client_ref": "r1", "metadata": {"k": "canary"}});
    let id = world.accept(message).await;
    world.await_status(&id, "sent").await;
    carrier.receipt(&carrier.submits()[0]["message_id"], "DELIVRD").await;
    receiver.await_events(4, &world.clock).await;
    assert_eq!(
        receiver.types(),
        ["message.accepted", "message.sending", "message.sent", "message.delivered"]
    );
    receiver.assert_signed_and_same();
    for post in receiver.posts() {
        assert_eq!(post.headers["content-type"], "application/json");
        let (event, text) = (post.event(), String::from_utf8(post.body.clone()).unwrap());
        assert_eq!((&event["data"]["id"], &event["data"]["client_ref"]), (&json!(id), &json!("r1")));
        assert!(!text.contains("canary") && !text.contains(&number(1)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_texts_go_where_they_are_asked_for() {
    let receiver = Receiver::start().await;
    let world = world(&[receiver.hook("crm", "events = ['message.accepted']\ninclude_text = true")]).await;
    world.accept(json!({"to": number(1), "text": "canary", "metadata": {"k": 1}})).await;
    let events = receiver.await_events(1, &world.clock).await;
    let told = &events[0]["data"];
    assert_eq!((&told["to"], &told["text"]), (&json!(number(1)), &json!("canary")));
    assert_eq!(told["metadata"], json!({"k": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_webhook_begins_with_what_happens_from_then_on() {
    let receiver = Receiver::start().await;
    let mut world = world(&[]).await;
    world.send(&number(0), "before").await;
    let hook = receiver.hook("crm", "events = ['message.*']");
    world.restart_with(&format!("{}{hook}", link("dead", nobody(), ""))).await;
    let id = world.send(&number(1), "after").await;
    assert_eq!(messages(&receiver.await_events(1, &world.clock).await), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_and_faults_lose_no_event_and_change_no_id_and_no_order() {
    let receiver = Receiver::start().await;
    let mut world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    let mut sent = Vec::new();
    for does in [Does::Answer(500), Does::Reset, Does::Answer(204), Does::Answer(302), Does::Answer(200)] {
        receiver.does(does);
        let before = receiver.posts().len();
        for n in 0..5 {
            sent.push(world.send(&number(sent.len()), &n.to_string()).await);
        }
        receiver.await_posts(before + 1, &world.clock).await;
        world.stop_while_time_passes().await;
        world.start_again().await;
    }
    let all = async || {
        pass_to_next_try(&world).await;
        let told: BTreeSet<String> = messages(&receiver.events()).into_iter().collect();
        (told.len() == sent.len()).then_some(())
    };
    until(&world.clock, "every message is told of", all).await;
    receiver.assert_signed_and_same();
    let mut first = Vec::new();
    for id in messages(&receiver.events()) {
        if !first.contains(&id) {
            first.push(id);
        }
    }
    assert_eq!(first, sent, "in order, whatever was posted twice");
    let events: Vec<Value> = world.get("/v1/events?limit=500").await["data"].as_array().unwrap().clone();
    let accepted: Vec<Value> =
        events.into_iter().filter(|event| event["type"] == "message.accepted").collect();
    let posted: BTreeSet<String> = ids(&receiver.events()).into_iter().collect();
    assert_eq!(posted, ids(&accepted).into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_delays_no_other_and_no_message() {
    let (hung, well, carrier) =
        (Receiver::start().await, Receiver::start().await, Carrier::start(silent()).await);
    hung.does(Does::Hang);
    let hooks = [hung.hook("hung", "events = ['*']"), well.hook("well", "events = ['message.sent']")];
    // Its time does not pass: the hanging post never ends.
    let clock = Clock::manual(START);
    let config = format!("{}{}", link("carrier", carrier.addr(), ""), hooks.concat());
    let world = World::start_by(clock, &config).await;
    hung.await_posts(1, &world.clock).await;
    let sent = world.send_many(20).await;
    let events = well.await_events(20, &world.clock).await;
    assert_eq!(messages(&events).into_iter().collect::<BTreeSet<_>>(), sent.into_iter().collect());
    let shown =
        await_hook(&world, "hung", "the backlog shows", |hook| hook["backlog"].as_u64() > Some(20)).await;
    assert!(shown["oldest_at"].is_string(), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_taken_is_tried_again_with_growing_delays() {
    let receiver = Receiver::start().await;
    receiver.does(Does::Answer(500));
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    world.send(&number(0), "x").await;
    let mut posts = receiver.await_posts(1, &world.clock).await;
    let (id, mut before) = (posts[0].id(), Duration::ZERO);
    for at in 0..9 {
        let failing = |hook: &Value| hook["tries"] == at + 1;
        await_hook(&world, "crm", "the try is counted", failing).await;
        let delay = wait(&"crm".into(), &id, u32::try_from(at).unwrap() + 1, None);
        assert!(delay > before || delay > Duration::from_secs(14_400), "they grow to four hours");
        before = delay;
        world.clock.advance(delay.saturating_sub(Duration::from_secs(4)));
        posts = receiver.await_posts(at + 2, &world.clock).await;
        let gap = posts[at + 1].at() - posts[at].at();
        assert!(gap.abs_diff(delay.as_secs()) <= 3, "{gap} s after try {}, not {delay:?}", at + 1);
    }
    assert_eq!(posts.iter().map(Post::id).collect::<BTreeSet<_>>().len(), 1);
    receiver.does(Does::Answer(200));
    pass_to_next_try(&world).await;
    receiver.await_events(1, &world.clock).await;
    let shown = await_hook(&world, "crm", "up", |hook| hook["state"] == "up").await;
    assert_eq!((&shown["dead_letters"], &shown["backlog"]), (&json!(0), &json!(0)), "{shown}");
    receiver.assert_signed_and_same();
}

/// When the first try failed, and when the next one is made.
async fn tries_of(does: Does) -> (Timestamp, Timestamp) {
    let receiver = Receiver::start().await;
    receiver.does(does);
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    world.send(&number(0), "x").await;
    let shown = await_hook(&world, "crm", "failing", |hook| hook["state"] == "failing").await;
    let at = |field: &str| shown[field].as_str().and_then(Timestamp::parse_rfc3339).unwrap();
    (at("since"), at("next_try_at"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_is_waited_for_within_the_bound_and_never_makes_a_wait_shorter() {
    let (failed, next) = tries_of(Does::Defer(503, "600")).await;
    assert_eq!(next.since(failed), Duration::from_secs(600));
    let (_, next) = tries_of(Does::Defer(429, "Sat, 21 Nov 2026 15:05:00 GMT")).await;
    let date = Timestamp::parse_rfc3339("2026-11-21T15:05:00Z").unwrap();
    // Time may pass between the answer's reading and its reckoning.
    assert!(next >= date && next.since(date) < Duration::from_secs(60), "{next}");
    let (failed, next) = tries_of(Does::Defer(429, "31536000")).await;
    assert_eq!(next.since(failed), RETRY_AFTER_MOST);
    for ours in [Does::Defer(503, "1"), Does::Defer(500, "600"), Does::Defer(503, "soon"), Does::Answer(503)]
    {
        let (failed, next) = tries_of(ours).await;
        assert!((5_000..6_250).contains(&next.since(failed).as_millis()), "{ours:?}: {next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_says_nothing_within_ten_seconds_has_not_taken_the_event() {
    let receiver = Receiver::start().await;
    receiver.does(Does::Hang);
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    let id = world.send(&number(0), "x").await;
    receiver.await_posts(1, &world.clock).await;
    world.clock.advance(Duration::from_secs(10));
    let shown = await_hook(&world, "crm", "failing", |hook| hook["state"] == "failing").await;
    assert_eq!(shown["last_error"]["error"], "did not answer within 10 s");
    receiver.does(Does::Answer(200));
    pass_to_next_try(&world).await;
    assert_eq!(messages(&receiver.await_events(1, &world.clock).await), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_without_end_a_bounded_piece_is_read_and_the_event_is_taken() {
    let receiver = Receiver::start().await;
    receiver.does(Does::Flood);
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    world.send(&number(0), "x").await;
    world.send(&number(1), "x").await;
    receiver.await_posts(2, &world.clock).await;
    let shown = await_hook(&world, "crm", "taken", |hook| hook["backlog"] == 0).await;
    assert_eq!(shown["state"], "up", "{shown}");
    let recent = world.get("/v1/webhooks/crm/deliveries").await["recent"].clone();
    assert!(recent[0]["said"].as_str().unwrap().len() <= 1_024, "{recent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_key_is_changed_posts_are_signed_with_both() {
    let receiver = Receiver::start().await;
    let hook = receiver.hook("crm", "events = ['message.accepted']").replace("'whsec'", "'whsec-changed'");
    let world = world(&[hook]).await;
    world.send(&number(0), "x").await;
    let posts = receiver.await_posts(1, &world.clock).await;
    let signatures: Vec<&str> = posts[0].headers["webhook-signature"].split(' ').collect();
    assert_eq!(signatures, posts[0].signatures(&HOOK_KEYS));
}

/// Lets time pass until the next post is due, and none while one is under way.
async fn pass_to_next_try(world: &World) {
    let shown = hook(world, "crm").await;
    let next = shown["next_try_at"].as_str().and_then(Timestamp::parse_rfc3339);
    world.clock.advance(next.map_or(Duration::ZERO, |next| next.since(world.clock.now().wall)));
}

/// A world whose webhook has two dead letters and takes events again; the messages of the letters.
async fn with_dead_letters(receiver: &Receiver) -> (World, Vec<String>) {
    receiver.does(Does::Answer(500));
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    let mut sent = vec![world.send(&number(0), "first").await, world.send(&number(1), "second").await];
    receiver.await_posts(1, &world.clock).await;
    world.clock.advance(DAY);
    let dead = |hook: &Value| hook["dead_letters"] == 2;
    let look = async || {
        pass_to_next_try(&world).await;
        Some(hook(&world, "crm").await).filter(dead)
    };
    until(&world.clock, "two dead letters", look).await;
    receiver.does(Does::Answer(204));
    sent.push(world.send(&number(2), "third").await);
    let look = async || {
        pass_to_next_try(&world).await;
        (messages(&receiver.events()) == sent[2..]).then_some(())
    };
    until(&world.clock, "it goes on with the third", look).await;
    sent.pop();
    (world, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_an_event_is_a_dead_letter_and_the_next_one_goes_and_a_restart_keeps_both() {
    let receiver = Receiver::start().await;
    let (mut world, dead) = with_dead_letters(&receiver).await;
    let listed = world.get("/v1/webhooks/crm/deliveries").await;
    assert_eq!(messages(listed["data"].as_array().unwrap()), dead);
    let letter = &listed["data"][0];
    assert_eq!((&letter["type"], &letter["error"]), (&json!("message.accepted"), &json!("answered 500")));
    assert!(letter["tries"].as_u64() > Some(0) && letter["given_up_at"].is_string(), "{letter}");
    assert_eq!(listed["recent"][0]["result"], "taken", "the newest first: {listed}");
    let page = world.get("/v1/webhooks/crm/deliveries?limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = world.get(&format!("/v1/webhooks/crm/deliveries?cursor={cursor}")).await;
    assert_eq!(
        (messages(rest["data"].as_array().unwrap()), &rest["next_cursor"]),
        (vec![dead[1].clone()], &Value::Null)
    );

    world.stop_while_time_passes().await;
    world.start_again().await;
    assert_eq!(world.get("/v1/webhooks/crm/deliveries").await["data"], listed["data"]);
    assert_eq!(hook(&world, "crm").await["dead_letters"], 2);
    let metrics = world.get("/metrics").await;
    assert!(
        metrics.as_str().unwrap().contains("nudged_webhook_dead_letters{webhook=\"crm\"} 2"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_one_or_all_in_order_and_with_their_ids() {
    let receiver = Receiver::start().await;
    let (world, dead) = with_dead_letters(&receiver).await;
    let letters = world.get("/v1/webhooks/crm/deliveries").await;
    let letters = ids(letters["data"].as_array().unwrap());
    let (status, shown) = world.post("/v1/webhooks/crm/replay", json!({"id": letters[1]})).await;
    assert_eq!(status, 202, "{shown}");
    await_hook(&world, "crm", "one is left", |hook| hook["dead_letters"] == 1).await;
    assert_eq!(ids(&receiver.events()[1..]), letters[1..]);
    for (body, status) in
        [(json!({"id": letters[1]}), 404), (json!({"id": "x"}), 422), (json!({"all": true}), 422)]
    {
        assert_eq!(world.post("/v1/webhooks/crm/replay", body).await.0, status);
    }
    let (status, _) = world.call(Method::POST, "/v1/webhooks/crm/replay", None).await;
    assert_eq!(status, 202);
    await_hook(&world, "crm", "none is left", |hook| hook["dead_letters"] == 0).await;
    assert_eq!(messages(&receiver.events()[2..]), dead[..1]);
    assert_eq!(world.call(Method::POST, "/v1/webhooks/crm/replay", None).await.0, 404);
    receiver.assert_signed_and_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_not_taken_when_replayed_stays_one() {
    let receiver = Receiver::start().await;
    let (world, dead) = with_dead_letters(&receiver).await;
    receiver.does(Does::Answer(500));
    let before = receiver.posts().len();
    assert_eq!(world.call(Method::POST, "/v1/webhooks/crm/replay", None).await.0, 202);
    receiver.await_posts(before + 1, &world.clock).await;
    await_hook(&world, "crm", "failing", |hook| hook["state"] == "failing").await;
    let listed = world.get("/v1/webhooks/crm/deliveries").await;
    assert_eq!(messages(listed["data"].as_array().unwrap()), dead);
    assert_eq!(receiver.posts().len(), before + 1, "the first that is not taken ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_left_alone_until_a_test_is_taken() {
    let receiver = Receiver::start().await;
    receiver.does(Does::Answer(410));
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    let id = world.send(&number(0), "x").await;
    await_hook(&world, "crm", "parked", |hook| hook["state"] == "parked").await;
    let failed = world.order("/v1/webhooks/crm/test").await;
    assert_eq!((&failed["result"], &failed["status"]), (&json!("refused"), &json!(410)), "{failed}");
    world.clock.advance(2 * DAY);
    assert_eq!(hook(&world, "crm").await["state"], "parked");
    assert_eq!(receiver.posts().len(), 2, "the event and the test");
    let page = world.get("/v1/status").await;
    assert_eq!(page["links"].as_array().unwrap().len(), 1);

    receiver.does(Does::Answer(200));
    let taken = world.order("/v1/webhooks/crm/test").await;
    assert_eq!((&taken["result"], &taken["status"]), (&json!("taken"), &json!(200)), "{taken}");
    assert_eq!(taken["said"], "heard\n");
    let events = receiver.await_events(2, &world.clock).await;
    assert_eq!((&events[0]["type"], &events[1]["data"]["id"]), (&json!("webhook.test"), &json!(id)));
    assert_eq!(hook(&world, "crm").await["state"], "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_answered_beside_a_post_that_hangs() {
    let receiver = Receiver::start().await;
    receiver.does(Does::Hang);
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    world.send(&number(0), "x").await;
    receiver.await_posts(1, &world.clock).await;
    receiver.does(Does::Answer(204));
    assert_eq!(world.order("/v1/webhooks/crm/test").await["result"], "taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_journal_does_not_hold_any_more_is_counted_as_lost() {
    let receiver = Receiver::start().await;
    let mut world = world(&[receiver.hook("crm", "events = ['message.accepted', 'link.up']")]).await;
    world.send(&number(0), "x").await;
    receiver.await_events(1, &world.clock).await;
    world.stop().await;
    let (oldest, last) = fill_journal(&world.store_dir(), Options::for_tests());
    world.start_again().await;
    let shown =
        await_hook(&world, "crm", "events are lost", |hook| hook["events_lost"].as_u64() > Some(0)).await;
    let events = receiver.await_events((last - oldest + 2) as usize, &world.clock).await;
    assert_eq!(events[1]["id"], nudged::id::EventId::from_u64(oldest).to_string());
    let lost = shown["events_lost"].as_u64().unwrap();
    assert!(lost < oldest, "{lost} of the events before {oldest}");
    let metrics = world.get("/metrics").await;
    assert!(
        metrics.as_str().unwrap().contains(&format!("nudged_webhook_lost_events{{webhook=\"crm\"}} {lost}"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_read_with_read_and_changed_with_admin() {
    let receiver = Receiver::start().await;
    let world = world(&[receiver.hook("crm", "events = ['message.*', 'link.up']")]).await;
    let reader = world.token_with(&[Scope::Read]).await;
    let sender = world.token_with(&[Scope::Send]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = async |method: Method, path: &str, token: &str| {
        let url = format!("http://{}{path}", world.address());
        client.request(method, url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    for path in ["/v1/webhooks", "/v1/webhooks/crm", "/v1/webhooks/crm/deliveries", "/v1/events"] {
        assert_eq!(call(Method::GET, path, &reader).await, 200, "{path}");
        assert_eq!(call(Method::GET, path, &sender).await, 403, "{path}");
    }
    for path in ["/v1/webhooks/crm/test", "/v1/webhooks/crm/replay"] {
        assert_eq!(call(Method::POST, path, &reader).await, 403, "{path}");
    }
    let shown = &world.get("/v1/webhooks").await["data"][0];
    assert_eq!(shown["events"], json!(["message.*", "link.up"]));
    assert!(!shown.to_string().contains("whsec"), "{shown}");
    for (method, path) in [(Method::GET, "/v1/webhooks/none"), (Method::POST, "/v1/webhooks/none/test")] {
        assert_eq!(world.call(method, path, None).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_a_webhook_stands_among_the_problems_and_in_the_metrics() {
    let receiver = Receiver::start().await;
    receiver.does(Does::Answer(500));
    let world = still(&[receiver.hook("crm", "events = ['message.accepted']")]).await;
    world.send(&number(0), "x").await;
    await_hook(&world, "crm", "failing", |hook| hook["state"] == "failing").await;
    let metrics = world.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(
        metrics.contains("nudged_webhook_deliveries_total{webhook=\"crm\",result=\"refused\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("nudged_webhook_up{webhook=\"crm\"} 0\n"), "{metrics}");
    let page = Visitor::signed_in_at(world.address(), world.token()).await.page("/").await;
    assert!(page.contains("Webhook crm takes no events: answered 500."), "{page}");
}
