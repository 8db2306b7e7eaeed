//! Which link a message takes, and what a changed configuration does to what waits.

use crate::support::{Carrier, World, holding, link, nobody, number, silent, until};
use reqwest::Method;
use serde_json::json;

const BALANCE: &str = "[[route]]\nvia = ['one', 'two']\npolicy = 'balance'\n";
const FAILOVER: &str = "[[route]]\nvia = ['one', 'two']\n";

async fn both(
    routes: &str,
    options: fn() -> nudged::sim::smsc::SmscOptions,
    more: &str,
) -> (World, Carrier, Carrier) {
    let (one, two) = (Carrier::start(options()).await, Carrier::start(options()).await);
    let config = [link("one", one.addr(), more), link("two", two.addr(), more), routes.to_owned()].concat();
    let world = World::start(&config).await;
    world.await_link("one", "up").await;
    world.await_link("two", "up").await;
    (world, one, two)
}

/// `count` messages by a link that is named, in one request.
async fn batch(world: &World, count: usize, link: &str) {
    let line = |n: usize| json!({"to": number(n), "text": link, "link": link}).to_string() + "\n";
    let lines: String = (0..count).map(line).collect();
    let request = world.request(Method::POST, "/v1/messages/batch", None);
    let answer = request.header("content-type", "application/x-ndjson").body(lines).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_route_uses_its_first_link_alone_while_that_is_up() {
    let (world, one, two) = both(FAILOVER, silent, "").await;
    for id in world.send_many(10).await {
        assert_eq!(world.await_status(&id, "sent").await["link"], "one");
    }
    assert_eq!((one.submits().len(), two.submits().len()), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_route_goes_to_the_next_link_when_the_first_is_down() {
    let two = Carrier::start(silent()).await;
    let world =
        World::start(&[link("one", nobody(), ""), link("two", two.addr(), ""), FAILOVER.into()].concat())
            .await;
    let id = world.send(&number(1), "x").await;
    assert_eq!(world.await_status(&id, "sent").await["link"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_route_goes_to_the_next_link_when_the_first_is_paused() {
    let (world, one, two) = both(FAILOVER, silent, "").await;
    world.order("/v1/links/one/pause").await;
    let id = world.send(&number(1), "x").await;
    assert_eq!(world.await_status(&id, "sent").await["link"], "two");
    assert_eq!((one.submits().len(), two.submits().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_names_its_link_waits_for_that_one() {
    let two = Carrier::start(silent()).await;
    let world = World::start(&[link("one", nobody(), ""), link("two", two.addr(), "")].concat()).await;
    let dead = world.accept(json!({"to": number(1), "text": "x", "link": "one"})).await;
    let live = world.accept(json!({"to": number(2), "text": "y", "link": "two"})).await;
    assert_eq!(world.await_status(&live, "sent").await["link"], "two");
    assert_eq!(world.status(&dead).await, "queued");
    assert_eq!(two.texts(), ["y"]);
    let (status, problem) =
        world.post("/v1/messages", json!({"to": number(1), "text": "x", "link": "three"})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("link")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_chosen_by_number_and_class() {
    let routes = "[[route]]\nto = ['+4915']\nclass = ['otp']\nvia = ['two']\n[[route]]\nvia = ['one']\n";
    let (world, one, two) = both(routes, silent, "").await;
    for (to, class, text) in
        [(number(1), "otp", "a"), (number(2), "reminder", "b"), ("+33612345678".into(), "otp", "c")]
    {
        let id = world.accept(json!({"to": to, "class": class, "text": text})).await;
        world.await_status(&id, "sent").await;
    }
    assert_eq!((one.texts(), two.texts()), (vec!["b".into(), "c".into()], vec![String::from("a")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balanced_route_fills_both_windows_alike() {
    let (world, one, two) = both(BALANCE, holding, "window = 4").await;
    let ids = world.send_many(8).await;
    one.await_submits(4, &world.clock).await;
    two.await_submits(4, &world.clock).await;
    one.release().await;
    two.release().await;
    for id in &ids {
        world.await_status(id, "sent").await;
    }
    assert_eq!((one.submits().len(), two.submits().len()), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_a_dead_link_by_the_thousand_delay_no_live_link() {
    let live = Carrier::start(silent()).await;
    let world = World::start(&[link("dead", nobody(), ""), link("live", live.addr(), "")].concat()).await;
    world.await_link("live", "up").await;
    batch(&world, 5_000, "dead").await;
    batch(&world, 300, "live").await;
    live.await_submits(300, &world.clock).await;
    let full = |s: &serde_json::Value| s["messages"]["queued"] == 5_000 && s["messages"]["sent"] == 300;
    world.await_snapshot("all that is dead waits, all that is live is sent", full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_route_that_is_gone_go_by_what_is_configured_now() {
    let carrier = Carrier::start(silent()).await;
    let links = [link("one", nobody(), ""), link("two", carrier.addr(), "")].concat();
    let mut world = World::start(&format!("{links}[[route]]\nvia = ['one']\n")).await;
    let ids = world.send_many(3).await;
    world.restart_with(&format!("{links}[[route]]\nvia = ['two']\n")).await;
    for id in &ids {
        assert_eq!(world.await_status(id, "sent").await["link"], "two");
    }
    assert_eq!(carrier.texts(), ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_named_a_link_that_is_gone_fail_and_say_so() {
    let carrier = Carrier::start(silent()).await;
    let two = link("two", carrier.addr(), "");
    let mut world = World::start(&[link("one", nobody(), ""), two.clone()].concat()).await;
    let bound = world.accept(json!({"to": number(1), "text": "x", "link": "one"})).await;
    let free = world.send(&number(2), "y").await;
    world.await_status(&free, "sent").await;
    world.restart_with(&two).await;
    let failed = world.await_status(&bound, "failed").await;
    assert_eq!(failed["reason"]["code"], "internal.link_gone");
    assert_eq!(carrier.texts(), ["y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_of_a_link_that_is_gone_can_still_be_resolved() {
    let carrier = Carrier::start(crate::support::faulty("no-answer@1")).await;
    let other = Carrier::start(silent()).await;
    let mut world = World::start(&link("one", carrier.addr(), "response_timeout = '100ms'")).await;
    let id = world.send(&number(1), "x").await;
    world.await_status(&id, "unknown").await;
    world.restart_with(&link("two", other.addr(), "")).await;
    assert_eq!(world.status(&id).await, "unknown");
    assert_eq!(world.resolve(&id, "resend").await.0, 200);
    assert_eq!(world.await_status(&id, "sent").await["link"], "two");
    let sent = async || (world.count("sent").await == 1).then_some(());
    until(&world.clock, "listed as sent", sent).await;
}

/// A message to `to` that waits for `one`, after the routes said `two` instead.
async fn rerouted(to: &str) -> (World, Carrier, String) {
    let carrier = Carrier::start(silent()).await;
    let links = [link("one", nobody(), ""), link("two", carrier.addr(), "")].concat();
    let mut world = World::start(&format!("{links}[[route]]\nvia = ['one']\n")).await;
    let id = world.send(to, "x").await;
    world.order("/v1/pause").await;
    world.restart_with(&format!("{links}[[route]]\nvia = ['two']\n")).await;
    (world, carrier, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_canceled_after_its_route_was_changed_is_never_sent_by_either_link() {
    let (mut world, carrier, id) = rerouted(&number(1)).await;
    assert_eq!(world.cancel(&id).await.0, 200);
    let links = [link("one", carrier.addr(), ""), link("two", carrier.addr(), "")].concat();
    world.restart_with(&links).await;
    world.order("/v1/resume").await;
    world.await_link("one", "up").await;
    for by in ["one", "two"] {
        let id = world.accept(json!({"to": number(2), "text": by, "link": by})).await;
        world.await_status(&id, "sent").await;
    }
    assert_eq!(
        (carrier.texts(), world.status(&id).await),
        (vec!["one".into(), "two".into()], "canceled".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_once_however_often_its_route_is_changed() {
    let (mut world, carrier, id) = rerouted(&number(1)).await;
    let links = [link("one", carrier.addr(), ""), link("two", carrier.addr(), "")].concat();
    for via in ["one", "two", "one"] {
        world.restart_with(&format!("{links}[[route]]\nvia = ['{via}']\n")).await;
    }
    world.order("/v1/resume").await;
    assert_eq!(world.await_status(&id, "sent").await["link"], "one");
    world.restart_with(&format!("{links}[[route]]\nvia = ['two']\n")).await;
    let last = world.send(&number(2), "last").await;
    world.await_status(&last, "sent").await;
    assert_eq!(carrier.texts(), ["x", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_bound_to_a_link_that_is_gone_cannot_be_sent_again_and_stays_unknown() {
    let (one, two) =
        (Carrier::start(crate::support::faulty("no-answer@1")).await, Carrier::start(silent()).await);
    let second = link("two", two.addr(), "");
    let both = [link("one", one.addr(), "response_timeout = '100ms'"), second.clone()].concat();
    let mut world = World::start(&both).await;
    let id = world.accept(json!({"to": number(1), "text": "x", "link": "one"})).await;
    world.await_status(&id, "unknown").await;
    world.restart_with(&second).await;
    let (status, problem) = world.resolve(&id, "resend").await;
    assert_eq!((status, &problem["detail"]), (409, &json!("The message is unknown.")));
    let unknown = world.message(&id).await;
    assert_eq!(
        (&unknown["status"], &unknown["reason"]["code"]),
        (&json!("unknown"), &json!("internal.not_resent"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_routes_sender_moves_what_waits_wherever_in_the_number_the_change_is() {
    let carrier = Carrier::start(silent()).await;
    let links = [link("one", nobody(), ""), link("two", carrier.addr(), "")].concat();
    let routes = |sender: &str| {
        format!("{links}[[route]]\nsender = ['{sender}']\nvia = ['one']\n[[route]]\nvia = ['two']\n")
    };
    // Alike in the digits that are shown.
    let mut world = World::start(&routes("+4915111111234")).await;
    let mut ids = Vec::new();
    for n in 1..=2 {
        let message = json!({"to": number(n), "text": n.to_string(), "sender": "+4915111111234"});
        ids.push(world.accept(message).await);
    }
    world.order("/v1/pause").await;
    world.restart_with(&routes("+4919999991234")).await;
    assert_eq!(world.cancel(&ids[0]).await.0, 200);
    world.order("/v1/resume").await;
    assert_eq!(world.await_status(&ids[1], "sent").await["link"], "two");
    world.restart_with(&routes("+4915111111234")).await;
    world.await_link("two", "up").await;
    assert_eq!((carrier.texts(), world.status(&ids[0]).await), (vec!["2".into()], "canceled".into()));
}
