//! What is taken, what is taken only once, and when nothing is.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{World, link, nobody, number, one, one_still, silent, until};
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);

async fn keyed(world: &World, key: &str, body: &Value) -> (u16, Value) {
    let request = world.request(Method::POST, "/v1/messages", Some(body.clone()));
    let answer = request.header("Idempotency-Key", key).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_are_the_same_message_also_after_a_restart() {
    let (mut world, carrier) = one(silent(), "").await;
    let body = json!({"to": number(1), "text": "x"});
    let (status, first) = keyed(&world, "k1", &body).await;
    let id = first["id"].as_str().unwrap();
    world.await_status(id, "sent").await;
    let (_, again) = keyed(&world, "k1", &body).await;
    world.restart().await;
    let (_, later) = keyed(&world, "k1", &body).await;
    assert_eq!((status, &again["id"], &later["id"]), (202, &first["id"], &first["id"]));
    let other = world.send(&number(2), "other").await;
    world.await_status(&other, "sent").await;
    assert_eq!(carrier.texts(), ["x", "other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused_also_after_a_restart() {
    let (mut world, _carrier) = one(silent(), "").await;
    keyed(&world, "k1", &json!({"to": number(1), "text": "x"})).await;
    let other = json!({"to": number(1), "text": "y"});
    for _ in 0..2 {
        let (status, problem) = keyed(&world, "k1", &other).await;
        assert_eq!((status, &problem["code"]), (422, &json!("key_reused")));
        world.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_at_once_with_one_key_are_one_message() {
    let (world, carrier) = one(silent(), "").await;
    let body = json!({"to": number(1), "text": "x"});
    let answers = futures_util::future::join_all((0..20).map(|_| keyed(&world, "k1", &body))).await;
    let ids: BTreeSet<&str> = answers.iter().map(|(_, body)| body["id"].as_str().unwrap()).collect();
    assert!(answers.iter().all(|(status, _)| *status == 202) && ids.len() == 1, "{answers:?}");
    let other = world.send(&number(2), "other").await;
    world.await_status(&other, "sent").await;
    assert_eq!(carrier.submits().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_unique_reference_is_the_same_message_alone_and_in_a_batch() {
    let (mut world, _carrier) = one(silent(), "").await;
    let body = json!({"to": number(1), "text": "x", "client_ref": "inv-1", "unique_ref": true});
    let first = world.accept(body.clone()).await;
    assert_eq!(world.accept(body.clone()).await, first);
    world.restart().await;
    let (status, answer) = world.post("/v1/messages/batch", json!([body, body])).await;
    let ids = [&answer["results"][0]["id"], &answer["results"][1]["id"]];
    assert_eq!((status, ids), (202, [&json!(first), &json!(first)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_text_to_the_same_number_is_a_duplicate_unless_it_is_meant() {
    let (world, carrier) = one(silent(), "").await;
    world.send(&number(1), "x").await;
    let body = json!({"to": number(1), "text": "x"});
    let (status, problem) = world.post("/v1/messages", body).await;
    assert_eq!((status, &problem["code"]), (409, &json!("duplicate")));
    world.send(&number(2), "x").await;
    world.accept(json!({"to": number(1), "text": "x", "allow_duplicate": true})).await;
    carrier.await_submits(3, &world.clock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_never_went_is_no_duplicate() {
    let (world, _carrier) = one(silent(), "").await;
    world.order("/v1/pause").await;
    let id = world.send(&number(1), "x").await;
    world.cancel(&id).await;
    world.send(&number(1), "x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_its_good_lines_and_says_what_is_wrong_with_the_others() {
    let (world, carrier) = one(silent(), "").await;
    let good = json!({"to": number(1), "text": "good"});
    let (status, answer) = world.post("/v1/messages/batch", json!([{"to": "12", "text": "x"}, good])).await;
    assert_eq!((status, &answer["results"][0]["error"]["errors"][0]["field"]), (202, &json!("to")));
    let batch = answer["batch"].as_str().unwrap();
    carrier.await_submits(1, &world.clock).await;
    let list = world.get(&format!("/v1/messages?batch={batch}")).await;
    assert_eq!(list["data"][0]["text"], "good");
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_takes_no_more_until_there_is_room() {
    let config = format!("[queue]\nmax_queued = 3\n{}", link("carrier", nobody(), ""));
    let world = World::start(&config).await;
    let ids = world.send_many(3).await;
    let answer = world
        .request(Method::POST, "/v1/messages", Some(json!({"to": number(9), "text": "x"})))
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "queue_full");
    world.cancel(&ids[0]).await;
    world.send(&number(9), "x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_too_little_room_takes_nothing_and_says_when_to_come_again() {
    let carrier = crate::support::Carrier::start(silent()).await;
    let config = format!("[queue]\nmin_free = '1TiB'\n{}", link("carrier", carrier.addr(), ""));
    // Not even the first request of all, which may come before the first look at the disk.
    let world = World::start(&config).await;
    let answer = world
        .request(Method::POST, "/v1/messages", Some(json!({"to": number(1), "text": "x"})))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "disk_low");
    let unready = async || {
        let (status, body) = world.call(Method::GET, "/readyz", None).await;
        (status == 503 && body["reasons"][0]["code"] == "intake_closed").then_some(())
    };
    crate::support::until(&world.clock, "not ready", unready).await;
    assert_eq!(world.get("/v1/messages").await["data"], json!([]));
}

/// The answer to a message with a key, and the fields it names.
async fn fields_refused(world: &World, key: &str, body: &Value) -> Vec<String> {
    let (status, problem) = keyed(world, key, body).await;
    assert_eq!(status, 422, "{problem}");
    let errors = problem["errors"].as_array().unwrap();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_its_validity_is_the_same_message_and_no_new_one_is_taken() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    let until = world.clock.now().wall.saturating_add(HOUR).to_rfc3339();
    let body = json!({"to": number(1), "text": "x", "valid_until": until});
    let (_, first) = keyed(&world, "k1", &body).await;
    world.clock.advance(2 * HOUR);
    let (status, again) = keyed(&world, "k1", &body).await;
    assert_eq!((status, &again["id"]), (202, &first["id"]), "{again}");
    assert_eq!(fields_refused(&world, "k2", &body).await, ["valid_until"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_a_date_that_is_too_far_ahead_by_now_is_the_same_message() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    let now = world.clock.now().wall;
    let body =
        json!({"to": number(1), "text": "x", "send_at": now.saturating_add(8_784 * HOUR).to_rfc3339()});
    let (_, first) = keyed(&world, "k1", &body).await;
    world.clock.jump(now.saturating_sub(HOUR));
    let (status, again) = keyed(&world, "k1", &body).await;
    assert_eq!((status, &again["id"]), (202, &first["id"]), "{again}");
    assert_eq!(fields_refused(&world, "k2", &body).await, ["send_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_cannot_be_are_refused_also_in_a_batch_and_a_dry_run() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    let dated = [("valid_until", "2020-01-01T00:00:00Z"), ("send_at", "2999-01-01T00:00:00Z")];
    for (field, date) in dated {
        let mut body = json!({"to": number(1), "text": "x"});
        body[field] = json!(date);
        let (status, answer) = world.post("/v1/messages/batch", json!([body])).await;
        assert_eq!((status, &answer["results"][0]["error"]["errors"][0]["field"]), (200, &json!(field)));
        body["dry_run"] = json!(true);
        let (status, problem) = world.post("/v1/messages", body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_came_with_a_known_reference_is_not_taken_for_another_body() {
    let (world, _carrier) = one_still(silent(), "", "").await;
    let body = json!({"to": number(1), "text": "x", "client_ref": "r1", "unique_ref": true});
    let first = world.accept(body.clone()).await;
    let (status, again) = keyed(&world, "k1", &body).await;
    assert_eq!((status, &again["id"]), (202, &json!(first)));
    let (status, problem) = keyed(&world, "k1", &json!({"to": number(2), "text": "other"})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("key_reused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_message_is_not_kept_any_more_is_no_second_message_and_no_unknown_one() {
    let (world, _carrier) = one_still(silent(), "[queue]\nretention = '7d'", "").await;
    let body = json!({"to": number(1), "text": "x", "client_ref": "r1", "unique_ref": true});
    let id = world.accept(body.clone()).await;
    world.await_status(&id, "sent").await;
    world.clock.advance(6 * 24 * HOUR);
    assert_eq!(keyed(&world, "k1", &body).await.1["id"], json!(id));
    world.clock.advance(2 * 24 * HOUR);
    let path = format!("/v1/messages/{id}");
    let swept = async || (world.call(Method::GET, &path, None).await.0 == 404).then_some(());
    until(&world.clock, "swept", swept).await;
    let (status, problem) = keyed(&world, "k1", &body).await;
    assert_eq!((status, &problem["code"]), (409, &json!("forgotten")), "{problem}");
    let list = world.get("/v1/messages").await;
    assert_eq!(list["data"], json!([]));
}
